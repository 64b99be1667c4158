//! Stacks from files.

use crate::checkpoint::{TensorFile, paired_bias, prefix};
use crate::model::{Model, ModelConfig, Parameters};
use crate::{Error, Result};

/// Builds stacks that read vectors from the tensors of a file.
impl TensorFile {
    /// Builds a stack from the member `module`, a recurrent module (see
    /// [members](TensorFile#members)). The name is empty if the file holds the module alone.
    /// `config` comes from [`ModelConfig::of_stack`]; its [`ModelConfig::layout`] lists the names
    /// and shapes, with `rnn.` instead of `{module}.`. If the file has no biases of a layer
    /// (`bias=False`), they are zero.
    ///
    /// ```
    /// use unrolled::checkpoint::TensorFile;
    /// use unrolled::model::ModelConfig;
    /// use unrolled::network::Network;
    /// use unrolled::{Bias, Layer};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// # let path = std::path::Path::new("tests/fixtures/torch-bidirectional-gru.safetensors");
    /// let file = TensorFile::load(path)?;
    /// # for name in ["inputs", "h0", "h_n", "outputs", "loss", "cotangent.*", "grad.*"] {
    /// #     file.ignore(name)?;
    /// # }
    /// // The state_dict of nn.GRU(5, 9, num_layers=2, bidirectional=True)
    /// let layer = Layer { bidirectional: true, ..Layer::gru(9) };
    /// let config = ModelConfig::of_stack(&[layer.clone(), layer], 5, Bias::Double)?;
    /// let network = Network::new(file.rnn("", &config)?, Some(1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`TensorFile::model`] finds the layers from the shapes.
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a tensor that is missing or has another shape.
    /// [`Error::UnusedTensors`] names tensors of the module that the stack has no place for:
    /// further layers, the reverse direction of a layer that is not bidirectional, a projection.
    /// [`Error::Setting`] is for a configuration with a head or a vocabulary.
    pub fn rnn(&self, module: &str, config: &ModelConfig) -> Result<Model> {
        check_reads_vectors(config)?;
        let mut parameters = Parameters::zeros(config.layout());
        let prefix = prefix(module);
        let in_file = |name: &str| format!("{prefix}{}", name.strip_prefix("rnn.").unwrap_or(name));
        for entry in parameters.layout.entries().to_vec() {
            let name = in_file(&entry.name);
            let values = match paired_bias(&entry.name) {
                Some(other) => self.biases(&[name, in_file(&other)], &entry.shape)?.swap_remove(0),
                None => self.floats(&name, &entry.shape)?,
            };
            parameters.values[entry.range].copy_from_slice(&values);
        }
        self.finish_module(module)?;
        Model::with_parameters(config.clone(), parameters)
    }
}

/// Checks that a configuration is a stack without embedding and head.
fn check_reads_vectors(config: &ModelConfig) -> Result<()> {
    let make = "make the configuration with ModelConfig::of_stack";
    if config.reads_symbols() {
        let expected = format!("a stack from a file reads vectors; {make}");
        return Err(Error::setting("vocabulary", config.vocabulary, expected));
    }
    if config.has_head() {
        return Err(Error::setting("outputs", config.outputs, format!("a stack has no head; {make}")));
    }
    Ok(())
}

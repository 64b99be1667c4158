//! Stacks from files.

use super::module_names::{DIRECTIONS, name_in_module};
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
    /// # let path = std::path::Path::new("tests/fixtures/torch-fixed-lstm-h16.safetensors");
    /// // A PyTorch module with a member `rnn`, an LSTM of 16 units on one input.
    /// let file = TensorFile::load(path)?;
    /// let config = ModelConfig::of_stack(&[Layer::lstm(16)], 1, Bias::Double)?;
    /// let network = Network::new(file.rnn("rnn", &config)?, Some(1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a tensor that is missing or has another shape.
    /// [`Error::UnusedTensors`] names tensors of the module that the stack has no place for:
    /// further layers, the other direction (`_reverse`), a projection. [`Error::Setting`] is for a
    /// configuration with a head or a vocabulary.
    pub fn rnn(&self, module: &str, config: &ModelConfig) -> Result<Model> {
        let model = self.direction(module, config, 0, DIRECTIONS[0])?;
        self.finish_module(module)?;
        Ok(model)
    }

    /// Builds both directions of each layer of a bidirectional module (`bidirectional=True`). The
    /// names of the backward direction end in `_reverse`. `configs` holds the forward and the
    /// backward direction of each layer, and usually comes from
    /// [`BidirectionalStack::configs`](super::BidirectionalStack::configs); the result is for
    /// [`BidirectionalStack::new`](super::BidirectionalStack::new).
    ///
    /// ```
    /// use unrolled::checkpoint::TensorFile;
    /// use unrolled::network::BidirectionalStack;
    /// use unrolled::{Bias, Layer};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// # let path = std::path::Path::new("tests/fixtures/torch-bidirectional-gru.safetensors");
    /// let file = TensorFile::load(path)?;
    /// # for name in ["inputs", "h0", "h_n", "outputs", "loss", "cotangent.*", "grad.*"] {
    /// #     file.ignore(name)?;
    /// # }
    /// // nn.GRU(5, 9, num_layers=2, bidirectional=True)
    /// let layers = [Layer::gru(9), Layer::gru(9)];
    /// let configs = BidirectionalStack::configs(&layers, 5, Bias::Double)?;
    /// let stack = BidirectionalStack::new(file.bidirectional("", &configs)?, Some(1))?;
    /// assert!(stack.parameters().get("weight_hh_l1_reverse").is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A pair of models may have several layers each, as
    /// [`Bidirectional`](super::Bidirectional::new) allows. The numbers in names then count the
    /// layers of all pairs.
    ///
    /// # Errors
    /// As for [`TensorFile::rnn`].
    pub fn bidirectional(&self, module: &str, configs: &[[ModelConfig; 2]]) -> Result<Vec<[Model; 2]>> {
        let mut models = Vec::with_capacity(configs.len());
        let mut first_layer = 0;
        for [forward, backward] in configs {
            models.push([
                self.direction(module, forward, first_layer, DIRECTIONS[0])?,
                self.direction(module, backward, first_layer, DIRECTIONS[1])?,
            ]);
            first_layer += forward.stack.len().max(backward.stack.len());
        }
        self.finish_module(module)?;
        Ok(models)
    }

    /// Builds one direction, from names that end in `end`. `first_layer` is the number of its layer
    /// 0 in the module.
    fn direction(&self, module: &str, config: &ModelConfig, first_layer: usize, end: &str) -> Result<Model> {
        check_reads_vectors(config)?;
        let mut parameters = Parameters::zeros(config.layout());
        let prefix = prefix(module);
        let in_file = |name: &str| format!("{prefix}{}", name_in_module(name, first_layer, end));
        for entry in parameters.layout.entries().to_vec() {
            let name = in_file(&entry.name);
            let values = match paired_bias(&entry.name) {
                Some(other) => self.biases(&[name, in_file(&other)], &entry.shape)?.swap_remove(0),
                None => self.floats(&name, &entry.shape)?,
            };
            parameters.values[entry.range].copy_from_slice(&values);
        }
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

//! Stacks from files.

use crate::checkpoint::{TensorFile, paired_bias, prefix};
use crate::model::{Model, ModelConfig, Parameters};
use crate::{Error, Result};

/// Stacks on vectors from a file.
impl TensorFile {
    /// A stack with the weights of the recurrent module whose member name is `module`; an empty name stands for a file that
    /// holds the module alone. `config` is that of [`ModelConfig::of_stack`], whose [`ModelConfig::layout`] tells the names and
    /// shapes, with `{module}.` for `rnn.`. A layer without any bias in the file (`bias=False`) has zeros.
    ///
    /// ```
    /// use unrolled::checkpoint::TensorFile;
    /// use unrolled::model::ModelConfig;
    /// use unrolled::network::Network;
    /// use unrolled::{Bias, Layer};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// # let path = std::path::Path::new("tests/fixtures/torch-fixed-lstm-h16.safetensors");
    /// let file = TensorFile::load(path)?; // a PyTorch module with a member `rnn`, an LSTM of 16 units on one input
    /// let config = ModelConfig::of_stack(&[Layer::lstm(16)], 1, Bias::Double)?;
    /// let network = Network::new(file.rnn("rnn", &config)?, Some(1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a tensor that is missing or of another shape; [`Error::UnusedTensors`] those of the module
    /// that the stack has no place for: further layers, the other direction (`_reverse`), a projection; [`Error::Setting`]
    /// for a configuration with a vocabulary.
    pub fn rnn(&self, module: &str, config: &ModelConfig) -> Result<Model> {
        let model = self.direction(module, config, "")?;
        self.finish_module(module)?;
        Ok(model)
    }

    /// Both directions of a bidirectional module of one layer: the second from the names that end in `_reverse`. They are what
    /// [`Bidirectional::new`](super::Bidirectional::new) takes.
    ///
    /// # Errors
    /// As for [`TensorFile::rnn`].
    pub fn bidirectional(&self, module: &str, configs: [&ModelConfig; 2]) -> Result<[Model; 2]> {
        let models =
            [self.direction(module, configs[0], "")?, self.direction(module, configs[1], "_reverse")?];
        self.finish_module(module)?;
        Ok(models)
    }

    fn direction(&self, module: &str, config: &ModelConfig, suffix: &str) -> Result<Model> {
        if config.has_head() {
            let expected = "a stack by itself reads vectors; make it with ModelConfig::of_stack".to_owned();
            return Err(Error::Setting {
                name: "vocabulary",
                found: config.vocabulary.to_string(),
                expected,
            });
        }
        let mut parameters = Parameters::zeros(config.layout());
        let prefix = prefix(module);
        let theirs = |name: &str| format!("{prefix}{}{suffix}", name.strip_prefix("rnn.").unwrap_or(name));
        for entry in parameters.layout.entries().to_vec() {
            let name = theirs(&entry.name);
            let values = match paired_bias(&entry.name) {
                Some(other) => self.biases(&[name, theirs(&other)], &entry.shape)?.swap_remove(0),
                None => self.floats(&name, &entry.shape)?,
            };
            parameters.values[entry.range].copy_from_slice(&values);
        }
        Model::with_parameters(config.clone(), parameters)
    }
}

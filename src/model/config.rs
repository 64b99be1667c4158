//! The configuration of a model: input, layers and head.

use crate::{Bias, Error, Highway, InputKind, Layer, ModelSettings, Result, Variational};

/// The maximum number of layers, or of their directions. No recurrent network trains with more: they
/// are a typing error.
const MOST_LAYERS: usize = 1024;

/// The configuration of a model: input, layers and head.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Number of bias vectors of each layer.
    pub bias: Bias,
    /// Number of symbols V of the vocabulary; 0 for a model of vectors.
    pub vocabulary: usize,
    /// Width E of the embedding or of the input vectors; `None` for one-hot input.
    pub embedding: Option<usize>,
    /// Number of outputs O of the linear head; 0 without a head.
    pub outputs: usize,
    /// The layers, from the input to the output.
    pub stack: Vec<Layer>,
}

impl ModelConfig {
    /// Returns the configuration of a model of V = `vocabulary` symbols. Does not check the memory
    /// of the machine; [`check_memory`](super::check_memory) does.
    ///
    /// # Errors
    /// 1. [`Error::Setting`] for a size of zero, too many layers or options that exclude each
    ///    other.
    /// 2. [`Error::Memory`] for parameters that exceed the address space.
    pub fn new(settings: &ModelSettings, vocabulary: usize) -> Result<Self> {
        if let Some(inputs) = settings.inputs {
            let expected = "this model reads symbols; leave it out, or create the model with of_vectors";
            return Err(Error::setting("inputs", inputs, expected));
        }
        let config = Self::unchecked(settings, vocabulary);
        let sizes = [("vocabulary", vocabulary), ("layers", config.stack.len()), ("hidden", settings.hidden)];
        if let Some((name, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
            return Err(Error::setting(name, 0, "give a whole number of at least 1"));
        }
        config.check()?;
        Ok(config)
    }

    /// Returns the configuration of layers without a head, for input vectors of `inputs` floats.
    ///
    /// # Errors
    /// As for [`ModelConfig::new`].
    pub fn of_stack(stack: &[Layer], inputs: usize, bias: Bias) -> Result<Self> {
        let config = Self { bias, vocabulary: 0, embedding: Some(inputs), outputs: 0, stack: stack.to_vec() };
        config.check()?;
        Ok(config)
    }

    /// Returns the configuration of a model of vectors. `inputs` and `outputs` of the settings are
    /// the widths of its input vectors and of its head.
    ///
    /// # Errors
    /// As for [`ModelConfig::new`]; [`Error::Setting`] if the settings have no `inputs`.
    pub fn of_vectors(settings: &ModelSettings) -> Result<Self> {
        if settings.inputs.is_none() {
            return Err(Error::setting("inputs", "nothing", "give the width of the input vectors"));
        }
        let config = Self::unchecked(settings, 0);
        config.check()?;
        Ok(config)
    }

    /// Creates the configuration of a model of symbols or, if the settings have `inputs` and there
    /// are no symbols, of vectors.
    pub(crate) fn of(settings: &ModelSettings, vocabulary: usize) -> Result<Self> {
        match settings.inputs {
            Some(_) if vocabulary == 0 => Self::of_vectors(settings),
            _ => Self::new(settings, vocabulary),
        }
    }

    /// Returns the settings that give this configuration.
    pub(crate) fn settings(&self) -> ModelSettings {
        let vectors = !self.reads_symbols();
        let input = if self.embedding.is_some() { InputKind::Embedding } else { InputKind::OneHot };
        ModelSettings {
            bias: self.bias,
            stack: self.stack.clone(),
            inputs: self.embedding.filter(|_| vectors),
            outputs: Some(self.outputs).filter(|outputs| *outputs != self.vocabulary),
            input,
            embedding: self.embedding.filter(|_| !vectors),
            ..ModelSettings::default()
        }
    }

    /// Returns an error unless the model is a language model: its head predicts the symbols that it
    /// reads, and no layer sees the symbols to come.
    ///
    /// # Errors
    /// [`Error::Setting`] for a model of vectors, a head of another width, or a bidirectional layer.
    pub fn check_predicts_symbols(&self) -> Result<()> {
        self.check_one_way(
            "its reverse direction would see the symbols to predict; leave it out, or train with train::Trainer",
        )?;
        if self.reads_symbols() && self.outputs == self.vocabulary {
            return Ok(());
        }
        let expected = match self.vocabulary {
            0 => "a model of vectors predicts no symbols; train it with train::Trainer".to_owned(),
            symbols => format!(
                "one output for each of {symbols} symbols; leave it out, or train with train::Trainer"
            ),
        };
        Err(Error::setting("outputs", self.outputs, expected))
    }

    /// Returns the configuration without checks: of a model of vectors if the settings have
    /// `inputs`, otherwise of a model of symbols.
    pub(super) fn unchecked(settings: &ModelSettings, vocabulary: usize) -> Self {
        let stack = settings.stack();
        let first = stack.first().map_or(settings.hidden, |layer| layer.hidden);
        let embedding = settings.embedding.unwrap_or(first);
        let (vocabulary, embedding) = match settings.inputs {
            Some(inputs) => (0, Some(inputs)),
            None => (vocabulary, (settings.input == InputKind::Embedding).then_some(embedding)),
        };
        let outputs = settings.outputs.unwrap_or(vocabulary);
        Self { bias: settings.bias, vocabulary, embedding, outputs, stack }
    }

    /// Checks sizes and options, because callers can change the fields.
    pub(crate) fn check(&self) -> Result<()> {
        let read = if self.reads_symbols() { "embedding" } else { "inputs" };
        let sizes = [(read, self.embedding.unwrap_or(self.vocabulary)), ("layers", self.stack.len())];
        if let Some((name, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
            return Err(Error::setting(name, 0, "give a whole number of at least 1"));
        }
        let most = match self.is_bidirectional() {
            true => "give at most 1024; a bidirectional layer counts twice",
            false => "give at most 1024",
        };
        if self.direction_count() > MOST_LAYERS {
            return Err(Error::setting("layers", self.direction_count(), most));
        }
        for (index, layer) in self.stack.iter().enumerate() {
            layer.validate(self.input_width(index))?;
        }
        let available = isize::MAX as f64;
        match self.checked_bytes() {
            Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
            _ => {
                let (needed, of) = (4.0 * self.estimated_count(), "that an address can reach".to_owned());
                Err(Error::Memory { needed, available, of })
            }
        }
    }

    /// Returns true if the model has a linear head.
    pub fn has_head(&self) -> bool {
        self.outputs > 0
    }

    /// Returns the widths of h and c of the state of each direction of a layer; 0 for a part that the
    /// layer does not have.
    pub fn state_size(&self, layer: usize) -> [usize; 2] {
        self.stack[layer].state_size()
    }

    /// Returns the width of a layer's inputs: in layer 0 the width E of the embedding or the input
    /// vectors, or V for one-hot input; in other layers the output width of the previous layer.
    pub fn input_width(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            None => self.embedding.unwrap_or(self.vocabulary),
            Some(below) => self.stack[below].output_size(),
        }
    }

    /// Returns true if a layer's recurrent matrix of one gate is square.
    pub(super) fn is_square(&self, layer: usize) -> bool {
        self.stack[layer].hidden == self.stack[layer].direction_size()
    }

    /// Returns the width of the model's outputs: of the head, or of the last layer without a head.
    pub fn output_width(&self) -> usize {
        if self.has_head() { self.outputs } else { self.stack_width() }
    }

    /// Returns true if the model reads symbol ids; false if it reads vectors.
    pub fn reads_symbols(&self) -> bool {
        self.vocabulary > 0
    }

    /// Returns the output width of the last layer.
    pub fn stack_width(&self) -> usize {
        self.stack.last().map_or(0, Layer::output_size)
    }

    /// Returns true if layer 0 reads rows of the input table, one for each symbol, instead of
    /// multiplying input vectors. A bidirectional layer needs vectors, and so does input dropout,
    /// except for a mask that all batch rows share (`variational = "shared"`): it is applied to the
    /// table.
    pub(crate) fn gathers(&self) -> bool {
        let plain = |l: &Layer| {
            let same = l.input_keep_prob == 1.0 || l.variational == Variational::Shared;
            l.custom.is_none() && same && !l.residual && l.highway == Highway::Off && !l.bidirectional
        };
        self.reads_symbols() && self.stack.first().is_some_and(plain)
    }

    /// Returns true if the biases `bias_ih` (0) or `bias_hh` (1) of a layer are constants, which
    /// are not trained.
    pub(crate) fn is_constant(&self, layer: usize, bias: usize) -> bool {
        self.stack[layer].layer_norm || (bias == 1 && self.bias == Bias::Single)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedding_is_as_wide_as_the_hidden_layer_by_default() {
        let config = ModelConfig::new(&ModelSettings { hidden: 9, ..ModelSettings::default() }, 7).unwrap();
        assert_eq!((config.embedding, config.input_width(0), config.stack[0].gates()), (Some(9), 9, 4));
        assert_eq!(config.estimated_count(), config.layout().count() as f64);
    }
}

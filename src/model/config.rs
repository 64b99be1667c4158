//! The shape of a model, and the table of its tensors.

use super::{Layout, Variable};
use crate::{Bias, Error, Highway, InputKind, Layer, ModelSettings, Result, Variational};

/// Deeper stacks are a typing error: no recurrent network trains at such a depth.
const MOST_LAYERS: usize = 1024;

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// One bias vector or two.
    pub bias: Bias,
    /// Vocabulary V; 0 for a model of vectors.
    pub vocabulary: usize,
    /// Width E of the embedding or of the input vectors; `None` for one-hot input.
    pub embedding: Option<usize>,
    /// Number of outputs O of the linear head; 0 without a head.
    pub outputs: usize,
    /// The layers, from the input up.
    pub stack: Vec<Layer>,
}

/// One tensor of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tensor {
    Embedding,
    InputWeight(usize),
    HiddenWeight(usize),
    InputBias(usize),
    HiddenBias(usize),
    /// One that a layer has by its options: see [`ModelConfig::extras`].
    Extra(usize, usize),
    HeadWeight,
    HeadBias,
}

impl Tensor {
    /// PyTorch's name, with its module's before it.
    pub(super) fn name(self, config: &ModelConfig) -> String {
        match self {
            Self::Embedding => "embedding.weight".to_owned(),
            Self::InputWeight(layer) => format!("rnn.weight_ih_l{layer}"),
            Self::HiddenWeight(layer) => format!("rnn.weight_hh_l{layer}"),
            Self::InputBias(layer) => format!("rnn.bias_ih_l{layer}"),
            Self::HiddenBias(layer) => format!("rnn.bias_hh_l{layer}"),
            Self::Extra(layer, index) => format!("rnn.{}_l{layer}", config.extras(layer)[index].name),
            Self::HeadWeight => "head.weight".to_owned(),
            Self::HeadBias => "head.bias".to_owned(),
        }
    }

    pub(super) fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let gated = |layer: usize| config.stack[layer].gates() * config.stack[layer].hidden;
        match self {
            Self::Embedding => vec![config.vocabulary, config.input_width(0)],
            Self::InputWeight(layer) => vec![gated(layer), config.input_width(layer)],
            Self::HiddenWeight(layer) => vec![gated(layer), config.stack[layer].output_size()],
            Self::InputBias(layer) | Self::HiddenBias(layer) => vec![gated(layer)],
            Self::Extra(layer, index) => config.extras(layer).swap_remove(index).shape,
            Self::HeadWeight => vec![config.outputs, config.stack_width()],
            Self::HeadBias => vec![config.outputs],
        }
    }
}

impl ModelConfig {
    /// The shape of a model of V = `vocabulary` symbols. Asks nothing about the machine's memory: see
    /// [`check_memory`](super::check_memory).
    ///
    /// # Errors
    /// [`Error::Setting`] for a size of zero, too many layers or options that do not fit each other; [`Error::Memory`] for
    /// sizes whose product no address can reach.
    pub fn new(settings: &ModelSettings, vocabulary: usize) -> Result<Self> {
        if let Some(inputs) = settings.inputs {
            let expected =
                "this model reads symbols; leave it out, or make the model with of_vectors".to_owned();
            return Err(Error::Setting { name: "inputs", found: inputs.to_string(), expected });
        }
        let config = Self::unchecked(settings, vocabulary);
        let sizes = [("vocabulary", vocabulary), ("layers", config.stack.len()), ("hidden", settings.hidden)];
        if let Some((name, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
            return Err(Error::setting(name, 0, "give a whole number of at least 1"));
        }
        config.check()?;
        Ok(config)
    }

    /// A stack by itself, which reads vectors of `inputs` floats.
    ///
    /// # Errors
    /// As for [`ModelConfig::new`].
    pub fn of_stack(stack: &[Layer], inputs: usize, bias: Bias) -> Result<Self> {
        let config = Self { bias, vocabulary: 0, embedding: Some(inputs), outputs: 0, stack: stack.to_vec() };
        config.check()?;
        Ok(config)
    }

    /// The shape of a model of vectors: `inputs` and `outputs` of the settings.
    ///
    /// # Errors
    /// As for [`ModelConfig::new`]; [`Error::Setting`] if the settings have no `inputs`.
    pub fn of_vectors(settings: &ModelSettings) -> Result<Self> {
        let Some(inputs) = settings.inputs else {
            let expected = "give the width of the input vectors".to_owned();
            return Err(Error::Setting { name: "inputs", found: "nothing".to_owned(), expected });
        };
        let outputs = settings.outputs.unwrap_or(0);
        let config = Self { embedding: Some(inputs), outputs, ..Self::unchecked(settings, 0) };
        config.check()?;
        Ok(config)
    }

    /// Returns an error unless the head predicts the symbols that the model reads.
    pub(crate) fn check_predicts_symbols(&self) -> Result<()> {
        if self.reads_symbols() && self.outputs == self.vocabulary {
            return Ok(());
        }
        let expected = match self.vocabulary {
            0 => "a model of vectors predicts no symbols; train it with train::Trainer".to_owned(),
            symbols => format!(
                "one output for each of {symbols} symbols; leave it out, or train with train::Trainer"
            ),
        };
        Err(Error::Setting { name: "outputs", found: self.outputs.to_string(), expected })
    }

    /// The shape alone, whatever its size.
    pub(super) fn unchecked(settings: &ModelSettings, vocabulary: usize) -> Self {
        let stack = settings.stack();
        let first = stack.first().map_or(settings.hidden, |layer| layer.hidden);
        let embedding = settings.embedding.unwrap_or(first);
        Self {
            bias: settings.bias,
            vocabulary,
            embedding: (settings.input == InputKind::Embedding).then_some(embedding),
            outputs: settings.outputs.unwrap_or(vocabulary),
            stack,
        }
    }

    /// Checks sizes and options, which may have been changed since the configuration was made.
    pub(crate) fn check(&self) -> Result<()> {
        let read = if self.reads_symbols() { "embedding" } else { "inputs" };
        let sizes = [(read, self.embedding.unwrap_or(self.vocabulary)), ("layers", self.stack.len())];
        if let Some((name, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
            return Err(Error::setting(name, 0, "give a whole number of at least 1"));
        }
        if self.stack.len() > MOST_LAYERS {
            return Err(Error::setting("layers", self.stack.len(), "give at most 1024"));
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

    /// Bytes of the arena, gaps included; `None` when they overflow.
    fn checked_bytes(&self) -> Option<usize> {
        let matrix = |rows: usize, columns: usize| rows.checked_mul(columns)?.checked_next_multiple_of(16);
        let mut total: usize = match self.embedding {
            Some(width) => matrix(self.vocabulary, width)?,
            None => 0,
        };
        for (index, layer) in self.stack.iter().enumerate() {
            let gated = layer.gates().checked_mul(layer.hidden)?;
            let inputs = self.input_width(index);
            total = total
                .checked_add(matrix(gated, inputs)?)?
                .checked_add(matrix(gated, layer.output_size())?)?
                .checked_add(matrix(gated, 2)?.checked_add(32)?)?
                .checked_add(matrix(layer.hidden, layer.projection.unwrap_or(0).checked_add(16)?)?)?;
            let mixed = inputs.checked_mul(layer.highway.gates())?;
            total = total.checked_add(matrix(mixed, inputs.checked_add(1)?)?)?;
            for variable in layer.custom.iter().filter_map(|c| c.cell()).flat_map(|c| c.variables(inputs)) {
                let count = variable.shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
                total = total.checked_add(count.checked_next_multiple_of(16)?)?;
            }
        }
        total = total.checked_add(matrix(self.outputs, self.stack_width())?)?;
        total.checked_add(matrix(self.vocabulary, 1)?)?.checked_mul(size_of::<f32>())
    }

    /// Trained numbers, in f64 so that absurd sizes can be told too.
    pub(super) fn estimated_count(&self) -> f64 {
        let vocabulary = self.vocabulary as f64;
        let mut count = self.embedding.map_or(0.0, |width| width as f64 * vocabulary);
        for (index, layer) in self.stack.iter().enumerate() {
            let [gates, hidden, state] = [layer.gates(), layer.hidden, layer.output_size()].map(|n| n as f64);
            let inputs = self.input_width(index) as f64;
            count += gates * hidden * (inputs + state + 2.0);
            count += hidden * layer.projection.unwrap_or(0) as f64;
            count += layer.highway.gates() as f64 * inputs * (inputs + 1.0);
            if let Some(cell) = layer.custom.as_ref().and_then(|custom| custom.cell()) {
                let size = |v: Variable| v.shape.iter().map(|n| *n as f64).product::<f64>();
                count += cell.variables(self.input_width(index)).into_iter().map(size).sum::<f64>();
            }
        }
        count + self.outputs as f64 * (self.stack_width() as f64 + 1.0)
    }

    /// Names, shapes and places of all parameters: `embedding.weight` [V, E] with embedding input; then per layer
    /// l `rnn.weight_ih_l{l}` [GH, E or V or the width below], `rnn.weight_hh_l{l}` [GH, H], `rnn.bias_ih_l{l}` `[GH]`,
    /// `rnn.bias_hh_l{l}` `[GH]`, and what its options add; then `head.weight` [V, H], `head.bias` `[V]`.
    ///
    /// Options add, with PyTorch's name where it has one: `weight_hr` [P, H], the projection, which makes `weight_hh` [GH, P];
    /// `weight_peephole` [3, H], of the gates i, f, o (coupled: [2, H], of f and o); `norm_weight` and `norm_bias` [5, H],
    /// of i, f, g, o and the cell state; `highway_weight` [E, E] and `highway_bias` `[E]` of the carry gate, or [2E, E] and `[2E]`
    /// with those of the transform gate behind. A cell of one's own has its variables alone, as `rnn.NAME_l{l}`.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for tensor in self.tensors() {
            layout.push(tensor.name(self), &tensor.shape(self));
        }
        layout
    }

    /// All tensors in the layout's order.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = Vec::with_capacity(4 * self.stack.len() + 3);
        tensors.extend(self.embedding.filter(|_| self.reads_symbols()).map(|_| Tensor::Embedding));
        for layer in 0..self.stack.len() {
            if self.stack[layer].custom.is_none() {
                tensors.extend([
                    Tensor::InputWeight(layer),
                    Tensor::HiddenWeight(layer),
                    Tensor::InputBias(layer),
                    Tensor::HiddenBias(layer),
                ]);
            }
            tensors.extend((0..self.extras(layer).len()).map(|index| Tensor::Extra(layer, index)));
        }
        if self.has_head() {
            tensors.extend([Tensor::HeadWeight, Tensor::HeadBias]);
        }
        tensors
    }

    /// The tensors that a layer has by its options, beside its four: those of [`ModelConfig::layout`].
    pub(crate) fn extras(&self, layer: usize) -> Vec<Variable> {
        let (inputs, layer) = (self.input_width(layer), &self.stack[layer]);
        let (hidden, mut extras) = (layer.hidden, Vec::new());
        if let Some(width) = layer.projection {
            extras.push(Variable::weight("weight_hr", &[width, hidden]));
        }
        if layer.peepholes {
            let gates = if layer.coupled { 2 } else { 3 };
            extras.push(Variable::weight("weight_peephole", &[gates, hidden]));
        }
        if layer.layer_norm {
            extras.push(Variable::constant("norm_weight", &[5, hidden], 1.0));
            extras.push(Variable::constant("norm_bias", &[5, hidden], 0.0));
        }
        if let Some(cell) = layer.custom.as_ref().and_then(|custom| custom.cell()) {
            extras.extend(cell.variables(inputs));
        }
        let mixed = layer.highway.gates() * inputs;
        if mixed > 0 {
            extras.push(Variable::weight("highway_weight", &[mixed, inputs]));
            extras.push(Variable::constant("highway_bias", &[mixed], 1.0));
        }
        extras
    }

    /// Returns true if the model has a linear head.
    pub fn has_head(&self) -> bool {
        self.outputs > 0
    }

    /// Widths of h and c of a layer's state; 0 for what it lacks.
    pub fn state_size(&self, layer: usize) -> [usize; 2] {
        self.stack[layer].state_size()
    }

    /// Width of what enters a layer: the embedding E, or V for one-hot input, in layer 0; the width below above it.
    pub fn input_width(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            None => self.embedding.unwrap_or(self.vocabulary),
            Some(below) => self.stack[below].output_size(),
        }
    }

    /// Whether a layer's recurrent matrix of one gate is square.
    pub(super) fn is_square(&self, layer: usize) -> bool {
        self.stack[layer].hidden == self.stack[layer].output_size()
    }

    /// Width of the model's outputs: those of the head, or of the last layer without one.
    pub fn output_width(&self) -> usize {
        if self.has_head() { self.outputs } else { self.stack_width() }
    }

    /// Returns true if the model reads symbol ids; false if it reads vectors.
    pub fn reads_symbols(&self) -> bool {
        self.vocabulary > 0
    }

    /// Output width of the last layer.
    pub fn stack_width(&self) -> usize {
        self.stack.last().map_or(0, Layer::output_size)
    }

    /// Whether what layer 0 reads is a row of a table for each symbol, and not a vector that is multiplied. One mask for all that
    /// is read (`variational = "shared"`) is a mask of the table.
    pub(crate) fn gathers(&self) -> bool {
        let plain = |l: &Layer| {
            let same = l.input_keep_prob == 1.0 || l.variational == Variational::Shared;
            l.custom.is_none() && same && !l.residual && l.highway == Highway::Off
        };
        self.reads_symbols() && self.stack.first().is_some_and(plain)
    }

    /// Whether the biases `bias_ih` (0) or `bias_hh` (1) of a layer are constants, which are not trained.
    pub(crate) fn is_constant(&self, layer: usize, bias: usize) -> bool {
        self.stack[layer].layer_norm || (bias == 1 && self.bias == Bias::Single)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(settings: &ModelSettings) -> Vec<(String, Vec<usize>)> {
        let layout = ModelConfig::new(settings, 7).unwrap().layout();
        layout.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
    }

    #[test]
    fn the_layout_of_a_stack_with_an_embedding() {
        let settings = ModelSettings { hidden: 3, layers: 2, embedding: Some(2), ..ModelSettings::default() };
        let expected: [(&str, &[usize]); 11] = [
            ("embedding.weight", &[7, 2]),
            ("rnn.weight_ih_l0", &[12, 2]),
            ("rnn.weight_hh_l0", &[12, 3]),
            ("rnn.bias_ih_l0", &[12]),
            ("rnn.bias_hh_l0", &[12]),
            ("rnn.weight_ih_l1", &[12, 3]),
            ("rnn.weight_hh_l1", &[12, 3]),
            ("rnn.bias_ih_l1", &[12]),
            ("rnn.bias_hh_l1", &[12]),
            ("head.weight", &[7, 3]),
            ("head.bias", &[7]),
        ];
        assert_eq!(shapes(&settings), expected.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
    }

    #[test]
    fn one_hot_input_has_no_embedding() {
        let settings = ModelSettings {
            cell: crate::Cell::Gru,
            hidden: 3,
            input: InputKind::OneHot,
            ..ModelSettings::default()
        };
        let found = shapes(&settings);
        assert_eq!(found[0], ("rnn.weight_ih_l0".to_owned(), vec![9, 7]));
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn the_embedding_is_as_wide_as_the_hidden_layer_unless_said() {
        let config = ModelConfig::new(&ModelSettings { hidden: 9, ..ModelSettings::default() }, 7).unwrap();
        assert_eq!((config.embedding, config.input_width(0), config.stack[0].gates()), (Some(9), 9, 4));
        assert_eq!(config.estimated_count(), config.layout().count() as f64);
    }

    #[test]
    fn absurd_sizes_are_refused_without_overflow() {
        let refused = |settings: &ModelSettings, vocabulary| {
            ModelConfig::new(settings, vocabulary).expect_err("absurd").to_string()
        };
        let base = ModelSettings::default();
        assert_eq!(refused(&base, 0), "vocabulary = 0 is invalid: give a whole number of at least 1");
        assert_eq!(
            refused(&ModelSettings { layers: 1025, ..base.clone() }, 7),
            "layers = 1025 is invalid: give at most 1024"
        );
        for hidden in [usize::MAX, usize::MAX / 4, 1 << 62, 1 << 31] {
            let text = refused(&ModelSettings { hidden, ..base.clone() }, 7);
            assert!(text.contains("memory"), "{text}");
        }
        assert!(refused(&base, usize::MAX).contains("memory"));
        assert!(refused(&ModelSettings { embedding: Some(usize::MAX), ..base }, 7).contains("memory"));
    }
}

//! The shape of a model, and the table of its tensors.

use super::Layout;
use crate::{Activation, Bias, Cell, Error, InputKind, Reset, Result, Settings};

/// Deeper stacks are a typing error: no recurrent network trains at such a depth.
const MOST_LAYERS: usize = 1024;

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The recurrent cell.
    pub cell: Cell,
    /// The squashing function of a vanilla RNN.
    pub activation: Activation,
    /// Where a GRU applies its reset gate.
    pub reset: Reset,
    /// One bias vector or two.
    pub bias: Bias,
    /// Vocabulary V.
    pub vocabulary: usize,
    /// Embedding width E; `None` for one-hot input.
    pub embedding: Option<usize>,
    /// Hidden width H.
    pub hidden: usize,
    /// Layers L.
    pub layers: usize,
}

/// One tensor of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tensor {
    Embedding,
    InputWeight(usize),
    HiddenWeight(usize),
    InputBias(usize),
    HiddenBias(usize),
    HeadWeight,
    HeadBias,
}

impl Tensor {
    /// PyTorch's name, with its module's before it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Embedding => "embedding.weight".to_owned(),
            Self::InputWeight(layer) => format!("rnn.weight_ih_l{layer}"),
            Self::HiddenWeight(layer) => format!("rnn.weight_hh_l{layer}"),
            Self::InputBias(layer) => format!("rnn.bias_ih_l{layer}"),
            Self::HiddenBias(layer) => format!("rnn.bias_hh_l{layer}"),
            Self::HeadWeight => "head.weight".to_owned(),
            Self::HeadBias => "head.bias".to_owned(),
        }
    }

    fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let gated = config.gates() * config.hidden;
        match self {
            Self::Embedding => vec![config.vocabulary, config.input_width(0)],
            Self::InputWeight(layer) => vec![gated, config.input_width(layer)],
            Self::HiddenWeight(_) => vec![gated, config.hidden],
            Self::InputBias(_) | Self::HiddenBias(_) => vec![gated],
            Self::HeadWeight => vec![config.vocabulary, config.hidden],
            Self::HeadBias => vec![config.vocabulary],
        }
    }
}

impl ModelConfig {
    /// The model part of a run's settings. Asks nothing about the machine's memory: see
    /// [`check_memory`](super::check_memory).
    ///
    /// # Errors
    /// [`Error::Setting`] for a size of zero or too many layers; [`Error::Memory`] for sizes whose product no
    /// address can reach.
    pub fn new(settings: &Settings, vocabulary: usize) -> Result<Self> {
        let config = Self::unchecked(settings, vocabulary);
        config.check()?;
        Ok(config)
    }

    /// The shape alone, whatever its size.
    pub(super) fn unchecked(settings: &Settings, vocabulary: usize) -> Self {
        let embedding = settings.embedding.unwrap_or(settings.hidden);
        Self {
            cell: settings.cell,
            activation: settings.activation,
            reset: settings.reset,
            bias: settings.bias,
            vocabulary,
            embedding: (settings.input == InputKind::Embedding).then_some(embedding),
            hidden: settings.hidden,
            layers: settings.layers,
        }
    }

    fn check(&self) -> Result<()> {
        let sizes = [
            ("vocabulary", self.vocabulary),
            ("embedding", self.embedding.unwrap_or(1)),
            ("hidden", self.hidden),
            ("layers", self.layers),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
            return Err(setting(name, 0, "give a whole number of at least 1"));
        }
        if self.layers > MOST_LAYERS {
            return Err(setting("layers", self.layers, "give at most 1024"));
        }
        let available = isize::MAX as f64;
        match self.checked_bytes() {
            Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
            _ => Err(Error::Memory { needed: 4.0 * self.estimated_count(), available }),
        }
    }

    /// Bytes of the arena, gaps included; `None` when they overflow.
    fn checked_bytes(&self) -> Option<usize> {
        let gated = self.gates().checked_mul(self.hidden)?;
        let matrix = |rows: usize, columns: usize| rows.checked_mul(columns)?.checked_next_multiple_of(16);
        let mut total = match self.embedding {
            Some(width) => matrix(self.vocabulary, width)?,
            None => 0,
        };
        for layer in 0..self.layers {
            total = total
                .checked_add(matrix(gated, self.input_width(layer))?)?
                .checked_add(matrix(gated, self.hidden)?)?
                .checked_add(matrix(gated, 2)?.checked_add(32)?)?;
        }
        total = total.checked_add(matrix(self.vocabulary, self.hidden)?)?;
        total.checked_add(matrix(self.vocabulary, 1)?)?.checked_mul(size_of::<f32>())
    }

    /// Trained numbers, in f64 so that absurd sizes can be told too.
    pub(super) fn estimated_count(&self) -> f64 {
        let [gates, hidden, vocabulary] = [self.gates(), self.hidden, self.vocabulary].map(|n| n as f64);
        let embedding = self.embedding.map_or(0.0, |width| width as f64 * vocabulary);
        let first = gates * hidden * (self.input_width(0) as f64 + hidden + 2.0);
        let others = (self.layers as f64 - 1.0).max(0.0) * gates * hidden * (2.0 * hidden + 2.0);
        embedding + first + others + vocabulary * (hidden + 1.0)
    }

    /// Names, shapes and places of all parameters: `embedding.weight` [V, E] with embedding input; then per layer
    /// l `rnn.weight_ih_l{l}` [GH, E or V or H], `rnn.weight_hh_l{l}` [GH, H], `rnn.bias_ih_l{l}` `[GH]`,
    /// `rnn.bias_hh_l{l}` `[GH]`; then `head.weight` [V, H], `head.bias` `[V]`.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for tensor in self.tensors() {
            layout.push(tensor.name(), &tensor.shape(self));
        }
        layout
    }

    /// All tensors in the layout's order.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = Vec::with_capacity(4 * self.layers + 3);
        tensors.extend(self.embedding.map(|_| Tensor::Embedding));
        for layer in 0..self.layers {
            tensors.extend([
                Tensor::InputWeight(layer),
                Tensor::HiddenWeight(layer),
                Tensor::InputBias(layer),
                Tensor::HiddenBias(layer),
            ]);
        }
        tensors.extend([Tensor::HeadWeight, Tensor::HeadBias]);
        tensors
    }

    /// Gates per unit G: 1 (RNN), 3 (GRU: r, z, n) or 4 (LSTM: i, f, g, o).
    pub fn gates(&self) -> usize {
        match self.cell {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// Whether a layer carries a cell vector c beside h.
    pub fn has_cell_state(&self) -> bool {
        self.cell == Cell::Lstm
    }

    /// Width of what enters a layer: the embedding E, or V for one-hot input, in layer 0; H above.
    pub fn input_width(&self, layer: usize) -> usize {
        if layer == 0 { self.embedding.unwrap_or(self.vocabulary) } else { self.hidden }
    }
}

fn setting(name: &'static str, found: usize, expected: &str) -> Error {
    Error::Setting { name, found: found.to_string(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(settings: &Settings) -> Vec<(String, Vec<usize>)> {
        let layout = ModelConfig::new(settings, 7).unwrap().layout();
        layout.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
    }

    #[test]
    fn the_layout_of_a_stack_with_an_embedding() {
        let settings = Settings { hidden: 3, layers: 2, embedding: Some(2), ..Settings::default() };
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
        let settings =
            Settings { cell: Cell::Gru, hidden: 3, input: InputKind::OneHot, ..Settings::default() };
        let found = shapes(&settings);
        assert_eq!(found[0], ("rnn.weight_ih_l0".to_owned(), vec![9, 7]));
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn the_embedding_is_as_wide_as_the_hidden_layer_unless_said() {
        let config = ModelConfig::new(&Settings { hidden: 9, ..Settings::default() }, 7).unwrap();
        assert_eq!((config.embedding, config.input_width(0), config.gates()), (Some(9), 9, 4));
        assert_eq!(config.estimated_count(), config.layout().count() as f64);
    }

    #[test]
    fn absurd_sizes_are_refused_without_overflow() {
        let refused = |settings: &Settings, vocabulary| {
            ModelConfig::new(settings, vocabulary).expect_err("absurd").to_string()
        };
        let base = Settings::default();
        assert_eq!(refused(&base, 0), "vocabulary = 0 cannot work: give a whole number of at least 1");
        assert_eq!(
            refused(&Settings { layers: 1025, ..base.clone() }, 7),
            "layers = 1025 cannot work: give at most 1024"
        );
        for hidden in [usize::MAX, usize::MAX / 4, 1 << 62, 1 << 31] {
            let text = refused(&Settings { hidden, ..base.clone() }, 7);
            assert!(text.contains("memory"), "{text}");
        }
        assert!(refused(&base, usize::MAX).contains("memory"));
        assert!(refused(&Settings { embedding: Some(usize::MAX), ..base }, 7).contains("memory"));
    }
}

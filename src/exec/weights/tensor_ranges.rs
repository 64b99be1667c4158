//! The ranges of a model's tensors in the flat parameter buffer, so that a run looks up nothing by
//! name.

use crate::model::{LayerDirection, ModelConfig};
use std::ops::Range;

/// The ranges of all tensors of a model.
#[derive(Debug)]
pub(crate) struct TensorRanges {
    /// `embedding.weight` [V, E]
    pub(crate) embedding: Option<Range<usize>>,
    /// One entry for each direction of each layer.
    pub(crate) layers: Vec<LayerRanges>,
    /// `head.weight` [V, H]
    pub(crate) head: Range<usize>,
    /// `head.bias` `[V]`
    pub(crate) head_bias: Range<usize>,
    /// Biases that are not trained.
    pub(crate) constants: Vec<Range<usize>>,
}

/// The ranges of the tensors of one direction of a layer; empty for tensors that it does not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerRanges {
    /// `weight_ih` [G * H, E]
    pub(crate) input: Range<usize>,
    /// `weight_hh` [G * H, H]
    pub(crate) hidden: Range<usize>,
    /// `bias_ih` [G * H]
    pub(crate) input_bias: Range<usize>,
    /// `bias_hh` [G * H]
    pub(crate) hidden_bias: Range<usize>,
    /// Names and ranges of the tensors that its options add, in the order of the layout.
    pub(crate) extras: Vec<(String, Range<usize>)>,
}

impl LayerRanges {
    /// The range of a tensor that an option adds; empty if it is absent.
    pub(crate) fn extra(&self, name: &str) -> Range<usize> {
        let found = self.extras.iter().find(|(extra, _)| extra == name);
        found.map_or(0..0, |(_, range)| range.clone())
    }
}

impl TensorRanges {
    /// The ranges of a model's tensors.
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let layout = config.layout();
        let mut ranges = layout.entries().iter().map(|entry| entry.range.clone());
        let mut next = || ranges.next().unwrap_or_default();
        let embedding = config.embedding.filter(|_| config.reads_symbols()).map(|_| next());
        let mut constants = Vec::new();
        let mut direction = |LayerDirection { layer: l, .. }| {
            let mut tensors = LayerRanges::default();
            if config.stack[l].custom.is_none() {
                [tensors.input, tensors.hidden] = [next(), next()];
                [tensors.input_bias, tensors.hidden_bias] = [next(), next()];
            }
            for (number, bias) in [&tensors.input_bias, &tensors.hidden_bias].into_iter().enumerate() {
                if config.is_constant(l, number) {
                    constants.push(bias.clone());
                }
            }
            tensors.extras = config.extras(l).into_iter().map(|extra| (extra.name, next())).collect();
            tensors
        };
        let layers = config.directions().map(&mut direction).collect();
        let [head, head_bias] = [next(), next()];
        Self { embedding, layers, head, head_bias, constants }
    }

    /// Zeroes the gradient of biases that are not trained: `bias_hh` of a model with a single bias,
    /// and both biases of a layer with layer norm.
    pub(crate) fn clear_constants(&self, gradient: &mut [f32]) {
        self.constants.iter().for_each(|range| gradient[range.clone()].fill(0.0));
    }
}

/// Splits tensors off a flat buffer, one after another in the order of the layout.
pub(crate) struct BufferSplitter<'a> {
    values: &'a mut [f32],
    /// Number of floats before `values` in the whole buffer.
    before: usize,
}

impl<'a> BufferSplitter<'a> {
    pub(crate) fn new(values: &'a mut [f32]) -> Self {
        Self { values, before: 0 }
    }

    /// Returns the tensor at `range`. Tensors before it can no longer be taken.
    pub(crate) fn take(&mut self, range: &Range<usize>) -> &'a mut [f32] {
        if range.is_empty() {
            return &mut [];
        }
        let values = std::mem::take(&mut self.values);
        let (_, values) = values.split_at_mut(range.start - self.before);
        let (tensor, rest) = values.split_at_mut(range.len());
        (self.values, self.before) = (rest, range.end);
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputKind, ModelSettings, Settings};

    #[test]
    fn places_are_those_of_the_names() {
        for (input, layers) in [(InputKind::OneHot, 1), (InputKind::Embedding, 3)] {
            let settings = Settings {
                model: ModelSettings { hidden: 5, layers, input, ..ModelSettings::default() },
                ..Settings::default()
            };
            let config = ModelConfig::new(&settings.model, 7).unwrap();
            let (tensors, layout) = (TensorRanges::new(&config), config.layout());
            let find = |name: &str| layout.find(name).unwrap().range.clone();
            assert_eq!(tensors.embedding, config.embedding.map(|_| find("embedding.weight")));
            assert_eq!(tensors.layers.len(), layers);
            for (l, layer) in tensors.layers.iter().enumerate() {
                assert_eq!(layer.input, find(&format!("rnn.weight_ih_l{l}")));
                assert_eq!(layer.hidden, find(&format!("rnn.weight_hh_l{l}")));
                assert_eq!(layer.input_bias, find(&format!("rnn.bias_ih_l{l}")));
                assert_eq!(layer.hidden_bias, find(&format!("rnn.bias_hh_l{l}")));
            }
            assert_eq!((tensors.head, tensors.head_bias), (find("head.weight"), find("head.bias")));
        }
    }

    #[test]
    fn tensors_are_handed_out_in_order() {
        let mut values: Vec<f32> = (0..10u8).map(f32::from).collect();
        let mut buffer = BufferSplitter::new(&mut values);
        let (first, second) = (buffer.take(&(1..3)), buffer.take(&(6..10)));
        assert_eq!((&*first, &*second), (&[1.0, 2.0][..], &[6.0, 7.0, 8.0, 9.0][..]));
    }
}

//! The tensors of a model: their names, shapes and order.

use super::{LayerDirection, ModelConfig, ParameterLayout, Variable};

/// Identifies a tensor of a model, by the direction of a layer if it belongs to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TensorId {
    Embedding,
    InputWeight(LayerDirection),
    HiddenWeight(LayerDirection),
    InputBias(LayerDirection),
    HiddenBias(LayerDirection),
    /// A tensor of an option or of a custom cell, with its index in [`ModelConfig::extras`].
    Extra(LayerDirection, usize),
    HeadWeight,
    HeadBias,
}

impl TensorId {
    /// Returns the name of PyTorch, with the name of the module in front.
    pub(super) fn name(self, config: &ModelConfig) -> String {
        match self {
            Self::Embedding => "embedding.weight".to_owned(),
            Self::InputWeight(of) => format!("rnn.weight_ih_{of}"),
            Self::HiddenWeight(of) => format!("rnn.weight_hh_{of}"),
            Self::InputBias(of) => format!("rnn.bias_ih_{of}"),
            Self::HiddenBias(of) => format!("rnn.bias_hh_{of}"),
            Self::Extra(of, index) => format!("rnn.{}_{of}", config.extras(of.layer)[index].name),
            Self::HeadWeight => "head.weight".to_owned(),
            Self::HeadBias => "head.bias".to_owned(),
        }
    }

    /// Returns the row-major shape.
    pub(super) fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let layer = |of: LayerDirection| &config.stack[of.layer];
        let gated = |of: LayerDirection| layer(of).gates() * layer(of).hidden;
        match self {
            Self::Embedding => vec![config.vocabulary, config.input_width(0)],
            Self::InputWeight(of) => vec![gated(of), config.input_width(of.layer)],
            Self::HiddenWeight(of) => vec![gated(of), layer(of).direction_size()],
            Self::InputBias(of) | Self::HiddenBias(of) => vec![gated(of)],
            Self::Extra(of, index) => config.extras(of.layer).swap_remove(index).shape,
            Self::HeadWeight => vec![config.outputs, config.stack_width()],
            Self::HeadBias => vec![config.outputs],
        }
    }
}

impl ModelConfig {
    /// Returns the names, shapes and ranges of all parameters:
    ///
    /// 1. `embedding.weight` [V, E], with embedding input.
    /// 2. For each layer l: `rnn.weight_ih_l{l}` [GH, width of the inputs], `rnn.weight_hh_l{l}`
    ///    [GH, H], `rnn.bias_ih_l{l}` `[GH]`, `rnn.bias_hh_l{l}` `[GH]`, and the tensors of its
    ///    options. A layer with a custom cell has only the variables of the cell, as
    ///    `rnn.NAME_l{l}`. A bidirectional layer has all of them twice: those of its reverse
    ///    direction follow, with names that end in `_reverse`.
    /// 3. `head.weight` [O, H] and `head.bias` `[O]`, with a head. O = V by default.
    ///
    /// The tensors of the options, with PyTorch's names where they exist (each followed by
    /// `_l{l}`):
    ///
    /// - Projection: `rnn.weight_hr` [P, H]; `weight_hh` is then [GH, P].
    /// - Peepholes: `rnn.weight_peephole` [3, H] for the gates i, f, o (coupled: [2, H] for f, o).
    /// - Layer normalization: `rnn.norm_weight` and `rnn.norm_bias` [5, H] for i, f, g, o and the
    ///   cell state.
    /// - Highway: `rnn.highway_weight` [E, E] and `rnn.highway_bias` `[E]` of the carry gate. With
    ///   separate gates [2E, E] and `[2E]`: the carry gate, then the transform gate.
    pub fn layout(&self) -> ParameterLayout {
        let mut layout = ParameterLayout::default();
        for tensor in self.tensors() {
            layout.push(tensor.name(self), &tensor.shape(self));
        }
        layout
    }

    /// Returns all tensors in the order of the layout.
    pub(super) fn tensors(&self) -> Vec<TensorId> {
        let mut tensors = Vec::with_capacity(4 * self.direction_count() + 3);
        tensors.extend(self.embedding.filter(|_| self.reads_symbols()).map(|_| TensorId::Embedding));
        for of in self.directions() {
            if self.stack[of.layer].custom.is_none() {
                tensors.extend([
                    TensorId::InputWeight(of),
                    TensorId::HiddenWeight(of),
                    TensorId::InputBias(of),
                    TensorId::HiddenBias(of),
                ]);
            }
            tensors.extend((0..self.extras(of.layer).len()).map(|index| TensorId::Extra(of, index)));
        }
        if self.has_head() {
            tensors.extend([TensorId::HeadWeight, TensorId::HeadBias]);
        }
        tensors
    }

    /// Returns the tensors of a layer's options, or of its custom cell: see
    /// [`ModelConfig::layout`].
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputKind, ModelSettings};

    fn shapes(settings: &ModelSettings) -> Vec<(String, Vec<usize>)> {
        let layout = ModelConfig::new(settings, 7).unwrap().layout();
        layout.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
    }

    #[test]
    fn a_stack_with_an_embedding_has_the_tensors_of_pytorch() {
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
}

//! The directions of a model's layers.

use super::ModelConfig;
use crate::{Error, Result};
use std::fmt;

/// One direction of a layer. Displayed as at the end of PyTorch's parameter names: `l0`, or
/// `l0_reverse` for the reverse direction of a bidirectional layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerDirection {
    /// Index of the layer.
    pub layer: usize,
    /// True if it reads each row from its last step to its first.
    pub is_reverse: bool,
}

impl LayerDirection {
    /// Returns the forward direction of a layer.
    pub(crate) fn forward(layer: usize) -> Self {
        Self { layer, is_reverse: false }
    }
}

impl fmt::Display for LayerDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.is_reverse { "_reverse" } else { "" };
        write!(f, "l{}{end}", self.layer)
    }
}

impl ModelConfig {
    /// Returns the directions of all layers, from the input to the output: one of a layer that
    /// only reads forward; two of a bidirectional layer, the forward one first. A
    /// [`State`](crate::exec::State) has one part for each, in this order, which is that of PyTorch's
    /// `h_n`.
    pub fn directions(&self) -> impl Iterator<Item = LayerDirection> + Clone {
        let of_layer = |(layer, of): (usize, &crate::Layer)| {
            (0..of.directions()).map(move |number| LayerDirection { layer, is_reverse: number == 1 })
        };
        self.stack.iter().enumerate().flat_map(of_layer)
    }

    /// Returns the number of directions of all layers.
    pub(crate) fn direction_count(&self) -> usize {
        self.stack.iter().map(crate::Layer::directions).sum()
    }

    /// Returns true if the model has a bidirectional layer. Its windows are whole sequences.
    pub fn is_bidirectional(&self) -> bool {
        self.stack.iter().any(|layer| layer.bidirectional)
    }

    /// Returns an error for a bidirectional layer. `expected` says what needs layers that only read
    /// forward, and what to use instead.
    pub(crate) fn check_one_way(&self, expected: &str) -> Result<()> {
        match self.is_bidirectional() {
            true => Err(Error::setting("bidirectional", true, expected)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ModelConfig;
    use crate::{Bias, Layer};

    #[test]
    fn a_bidirectional_layer_has_two_directions_under_the_names_of_pytorch() {
        let both = Layer { bidirectional: true, projection: Some(2), ..Layer::lstm(3) };
        let stack = [Layer::gru(4), both.clone(), both];
        let config = ModelConfig::of_stack(&stack, 5, Bias::Double).unwrap();
        let names: Vec<String> = config.directions().map(|direction| direction.to_string()).collect();
        assert_eq!(names, ["l0", "l1", "l1_reverse", "l2", "l2_reverse"]);
        assert_eq!(config.direction_count(), 5);
        assert_eq!([0, 1, 2].map(|layer| config.input_width(layer)), [5, 4, 4]);
        assert_eq!((config.stack_width(), config.state_size(2)), (4, [2, 3]));
        let layout = config.layout();
        let shape = |name: &str| layout.find(name).unwrap().shape.clone();
        assert_eq!(shape("rnn.weight_ih_l2_reverse"), [12, 4]);
        assert_eq!(shape("rnn.weight_hh_l2_reverse"), [12, 2]);
        assert_eq!(shape("rnn.weight_hr_l1_reverse"), [2, 3]);
        assert_eq!(config.estimated_count(), layout.count() as f64);
    }

    #[test]
    fn a_bidirectional_layer_counts_twice() {
        let stack = |count| vec![Layer { bidirectional: true, ..Layer::rnn(1) }; count];
        ModelConfig::of_stack(&stack(512), 1, Bias::Double).unwrap();
        let message = ModelConfig::of_stack(&stack(513), 1, Bias::Double).unwrap_err().to_string();
        let expected = "layers = 1026 is invalid: give at most 1024; a bidirectional layer counts twice";
        assert_eq!(message, expected);
    }
}

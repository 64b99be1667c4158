//! What of a layer matters outside of training.

use crate::{Layer, Variational};

/// Returns the layer without the options of training: dropout, and the initial biases. A forget
/// bias that is added at run time counts as none too; writers add it to the bias.
pub(super) fn without_training(layer: &Layer) -> Layer {
    let default = Layer::new(layer.cell, layer.hidden);
    Layer {
        forget_bias: default.forget_bias,
        forget_bias_at: default.forget_bias_at,
        gate_bias: default.gate_bias,
        input_keep_prob: 1.0,
        output_keep_prob: 1.0,
        state_keep_prob: 1.0,
        drop_cell_state: false,
        keep_hidden_state: false,
        variational: Variational::Off,
        dropout_seed: None,
        input_size: None,
        ..layer.clone()
    }
}

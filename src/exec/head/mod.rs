//! The head: the linear layer on top, on some tokens, and the gradient of its input.
//!
//! ```text
//! y = x W^T + b        d_x = d_y W
//! ```
//!
//! The tokens are those of a shard, if the outputs of the whole window are kept, or those of a
//! block (`run/head_blocks.rs`). Tokens do not depend on each other, so any division of them gives
//! equal bits.

pub(super) mod losses;
pub(super) mod token_part;

use super::weights::PackedWeights;
use crate::phases::Phase;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;

impl PackedWeights {
    /// Writes the outputs [N, padded(O)] of the head for N vectors `x` [N, padded(P)] of the last
    /// layer.
    pub(crate) fn head_outputs(&self, x: &[f32], outputs: &mut [f32]) {
        let _clock = self.phases.time(Phase::Head);
        let width = self.config.stack_width();
        let piece = 0..width;
        let product = Affine {
            rows: x.len() / padded(width),
            x,
            x_stride: padded(width),
            pieces: std::slice::from_ref(&piece),
            panels: &self.head.panels,
            weights: &self.head.weight,
            start: Start::Bias(&self.head.bias),
            out: outputs,
        };
        product.run_on(self.isa);
    }

    /// Writes the gradient [N, padded(P)] of the last layer's outputs, from those of the head's [N,
    /// padded(O)].
    pub(crate) fn head_input_gradient(&self, d_outputs: &[f32], d_x: &mut [f32]) {
        let _clock = self.phases.time(Phase::HeadBackward);
        let outputs = self.config.outputs;
        let piece = 0..outputs;
        let product = Affine {
            rows: d_outputs.len() / padded(outputs),
            x: d_outputs,
            x_stride: padded(outputs),
            pieces: std::slice::from_ref(&piece),
            panels: &self.head.units,
            weights: &self.head.weight_t,
            start: Start::Zero,
            out: d_x,
        };
        product.run_on(self.isa);
    }
}

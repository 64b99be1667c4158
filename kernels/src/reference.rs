//! Naive scalar reference implementations of the kernels, for tests: plain row-major buffers
//! without padding, one fused multiply-add after another in the documented order.
//!
//! 1. On backends that fuse, sums must have the same bits as here.
//! 2. Products of bf16 values have the bits of pairs on every backend that fuses.
//! 3. Exponentials and similar functions go through f64. There the reference is more exact than the
//!    kernel.

mod cells;
mod elements;
mod products;
mod tile_product;

pub use cells::{
    Deltas, ReferenceCell, Trace, gru_after_backward, gru_after_forward, gru_before_backward,
    gru_before_forward, lstm_backward, lstm_forward, rnn_backward, rnn_forward,
};
pub use elements::{cross_entropy, multiply, sigmoid, sum_of_squares, tanh, update};
pub use products::{
    affine, affine_of, chain, chain_by_tiles, chain_of, rounded_weight_gradient, scatter,
    tiled_weight_gradient, weight_gradient,
};
#[cfg(target_arch = "x86_64")]
pub(crate) use tile_product::add_tile_group;
#[cfg(test)]
pub(crate) use tile_product::flushed_fma;
pub use tile_product::tile_product;

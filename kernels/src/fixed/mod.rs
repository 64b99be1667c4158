//! Cells with sizes fixed at compile time, for small models that answer sample by sample, as in
//! audio. They need no threads, no allocator and no standard library (`default-features = false`).
//!
//! A cell holds its weights and its state. The compiler knows the sizes, unrolls the loops and
//! resolves every choice that depends on a size. [`sliced`] has the same cells with sizes given at
//! run time, in caller-owned memory: the same code and the same bits. Any sizes I >= 0 and H >= 1
//! work.
//!
//! ```
//! use unrolled_kernels::fixed::{Gru, Linear, Pipeline, Stage};
//! # fn main() -> Result<(), unrolled_kernels::fixed::Error> {
//! // PyTorch's tensors, row-major: [3 * 8, 1], [3 * 8, 8], two biases [3 * 8]; the head's [1, 8], [1].
//! let cell = Gru::<1, 8>::new(&[0.1; 24], &[0.02; 192], &[0.0; 24], &[0.0; 24])?;
//! let mut model = Pipeline::new(cell, Linear::<8, 1>::new(&[0.5; 8], &[0.25])?);
//! let [y] = *model.step(&[1.0]);
//! assert!(y > 0.25);
//!
//! let mut block = [[0.0]; 64]; // a block of samples: one call, the same answers
//! model.reset();
//! model.process(&[[1.0]; 64], &mut block);
//! assert_eq!(block[0], [y]);
//! # Ok(())
//! # }
//! ```
//!
//! # Numbers
//!
//! A pre-activation is one chain of fused multiply-adds: summed bias, then x ascending, then h
//! ascending. (The GRU with reset after the product has two chains, see [`Gru`].) On AVX2 and
//! AVX-512 the bits are those of this crate's kernels for batches. [`Linear`] sums sixteen lanes
//! and adds them in a tree, because one chain per output would wait for each of its sums.
//!
//! Denormal numbers count as zero, and the mode of the caller is restored after each call (see
//! [`crate::denormals`]). So a state that decays costs no time, and an audio program need not set
//! the mode itself. If it does, a call only reads the register.
//!
//! # Layout
//!
//! 1. The weights of a matrix [G * H, K] are stored by tiles of units, `[tile][k][gate][unit]`, so
//!    that a step reads them once, in order.
//! 2. A cell of up to 48 units is one tile. A larger cell has tiles of 16 to 64 units. Its steps
//!    walk the tiles forward and backward in turn, so that a step starts with weights that the step
//!    before left in the first-level cache.
//! 3. No lane is padding. A vector that reaches beyond a gate's units computes with the floats
//!    behind them, and nobody reads the result. Sixteen floats behind the last matrix and behind
//!    each state vector make this reach valid.
//! 4. Widths that are multiples of eight are the fastest: no vector crosses a cache line.

mod cell;
pub mod equations;
mod error;
mod hidden_width;
mod linear;
mod matrix_vector;
mod memory;
mod pipeline;
pub mod sliced;
mod spans;
mod stage;
mod tensors;

pub use cell::{FixedCell, Gru, GruBefore, Lstm, RnnRelu, RnnTanh};
pub use error::Error;
pub use linear::Linear;
pub use pipeline::Pipeline;
pub use stage::Stage;
pub use tensors::{CellSizes, CellTensors, FromTensors};

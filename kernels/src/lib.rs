//! The arithmetic of `unrolled`: fused recurrent cells, products, softmax and optimizer updates on
//! slices. It has no threads, no input or output, and no model. Sizes come with each call.
//!
//! 1. An algorithm is written once, over `Simd`, and compiled for each instruction set by [`Isa`].
//! 2. Products are tiles over packed panels ([`pack`]). A cell's kernel is a product that ends with
//!    the cell's gates ([`lstm`], [`gru`], [`rnn`]).
//! 3. Every sum is one chain in a fixed order. So AVX2 and AVX-512 give equal bits. Threads divide
//!    rows or outputs, never a sum, so their number does not change the bits either.
//! 4. Every kernel runs with denormal numbers as zeros ([`denormals`]).
//!
//! A product of two rows with a packed matrix of one row, on the best instruction set of this
//! processor:
//!
//! ```
//! use unrolled_kernels::Isa;
//! use unrolled_kernels::affine::{Affine, Start};
//! use unrolled_kernels::pack::Panels;
//!
//! let panels = Panels::plain(1); // one output, stored in a block of sixteen
//! let mut weights = vec![0.0; panels.len(3)];
//! let (x, mut out) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0; 32]);
//! let piece = 0..3;
//! let pieces = std::slice::from_ref(&piece);
//! let isa = Isa::detect().expect("UNROLLED_ISA is unset or valid");
//! panels.pack(isa, &[1.0, 10.0, 100.0], 3, &mut weights);
//! let product = Affine {
//!     rows: 2,
//!     x: &x,
//!     x_stride: 3,
//!     pieces,
//!     panels: &panels,
//!     weights: &weights,
//!     start: Start::Zero,
//!     out: &mut out,
//! };
//! product.run_on(isa);
//! assert_eq!((out[0], out[16]), (321.0, 654.0));
//! ```
//!
//! The letters: T steps, B batch rows, V vocabulary, E input width, H hidden width, G gates.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs)]

mod arch;
mod bf16;
pub mod denormals;
mod dispatch;
pub mod fixed;
mod isa;
mod math;
mod simd;

#[cfg(feature = "std")]
pub mod activation;
#[cfg(feature = "std")]
pub mod affine;
#[cfg(feature = "std")]
mod bias_gradient;
#[cfg(feature = "std")]
pub mod gru;
#[cfg(feature = "std")]
mod input;
#[cfg(feature = "std")]
pub mod int8;
#[cfg(feature = "std")]
pub mod lstm;
#[cfg(feature = "std")]
pub mod masks;
#[cfg(feature = "std")]
mod microkernel;
#[cfg(feature = "std")]
pub mod one_hot;
#[cfg(feature = "std")]
pub mod pack;
#[cfg(feature = "std")]
pub mod pairs;
#[cfg(feature = "std")]
pub mod pass;
#[cfg(feature = "std")]
pub mod peak;
#[cfg(feature = "std")]
pub mod processor;
#[cfg(feature = "std")]
#[doc(hidden)]
pub mod reference;
#[cfg(feature = "std")]
pub mod rnn;
#[cfg(feature = "std")]
mod rounding;
#[cfg(feature = "std")]
mod row_group;
#[cfg(feature = "std")]
mod side_by_side;
#[cfg(feature = "std")]
pub mod softmax;
#[cfg(feature = "std")]
mod sweep;
#[cfg(feature = "std")]
pub mod team;
#[cfg(feature = "std")]
mod tile_shapes;
#[cfg(feature = "std")]
pub mod update;
#[cfg(feature = "std")]
pub mod weight_gradient;
#[cfg(feature = "std")]
mod window;

#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub use arch::amx;
#[cfg(feature = "std")]
pub use input::{DenseInput, Input};
#[cfg(feature = "std")]
pub use isa::{ISA_VARIABLE, IsaError};
pub use isa::{Isa, Products};
#[cfg(feature = "std")]
pub use window::{StepPlace, WindowShape};

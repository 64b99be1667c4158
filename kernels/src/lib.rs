//! The arithmetic of `unrolled`: fused recurrent cells, products, softmax and optimiser updates on slices. No threads,
//! no input or output, no model: sizes come with each call.
//!
//! An algorithm is written once, over `Simd`, and compiled for each instruction set by [`Isa`]. Products are
//! tiles over packed panels ([`pack`]); a cell's kernel is a product whose epilogue computes the gates ([`lstm`],
//! [`gru`], [`rnn`]). Every sum is one chain in a fixed order, so that AVX2 and AVX-512 give equal bits and threads,
//! which divide rows or outputs, change none.
//!
//! A product of two rows with a packed matrix of one row, on the best instruction set of this processor:
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
//! let isa = Isa::detect().expect("UNROLLED_ISA names an instruction set that is there, or nothing");
//! panels.pack(isa, &[1.0, 10.0, 100.0], 3, &mut weights);
//! let (start, weights, out) = (Start::Zero, &weights[..], &mut out[..]);
//! Affine { rows: 2, x: &x, x_stride: 3, pieces, panels: &panels, weights, start, out: &mut *out }.run_on(isa);
//! assert_eq!((out[0], out[16]), (321.0, 654.0));
//! ```
//!
//! The letters: T steps, B batch rows, V vocabulary, E input width, H hidden width, G gates.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs)]

mod arch;
mod dispatch;
pub mod fixed;
mod math;
mod simd;

#[cfg(feature = "std")]
pub mod activation;
#[cfg(feature = "std")]
pub mod affine;
#[cfg(feature = "std")]
mod backward;
#[cfg(feature = "std")]
mod bias;
#[cfg(feature = "std")]
pub mod gather;
#[cfg(feature = "std")]
pub mod gemm;
#[cfg(feature = "std")]
pub mod gru;
#[cfg(feature = "std")]
pub mod lstm;
#[cfg(feature = "std")]
pub mod pack;
#[cfg(feature = "std")]
pub mod peak;
#[cfg(feature = "std")]
pub mod processor;
#[cfg(feature = "std")]
mod product;
#[cfg(feature = "std")]
#[doc(hidden)]
pub mod reference;
#[cfg(feature = "std")]
pub mod rnn;
#[cfg(feature = "std")]
mod shapes;
#[cfg(feature = "std")]
pub mod softmax;
#[cfg(feature = "std")]
mod strips;
#[cfg(feature = "std")]
mod sweep;
#[cfg(feature = "std")]
pub mod update;
#[cfg(feature = "std")]
mod window;

pub use dispatch::Isa;
#[cfg(feature = "std")]
pub use dispatch::{ISA_VARIABLE, IsaError};
#[cfg(feature = "std")]
pub use window::{Dense, Input, Window};

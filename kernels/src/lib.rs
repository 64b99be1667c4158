//! The arithmetic of `unrolled`: fused recurrent cells, products, softmax and optimiser updates on slices. No threads,
//! no input or output, no model: sizes come with each call.
//!
//! An algorithm is written once, over `Simd`, and compiled for each instruction set by [`Isa`]. Products are
//! tiles over packed panels ([`pack`]); a cell's kernel is a product whose epilogue computes the gates ([`lstm`],
//! [`gru`], [`rnn`]). Every sum is one chain in a fixed order, so that AVX2 and AVX-512 give equal bits and threads,
//! which divide rows or outputs, change none.
//!
//! The letters: T steps, B batch rows, V vocabulary, E input width, H hidden width, G gates.
#![warn(missing_docs)]

pub mod affine;
mod arch;
mod backward;
mod dispatch;
pub mod gather;
pub mod gemm;
pub mod gru;
pub mod lstm;
mod math;
pub mod pack;
mod product;
#[doc(hidden)]
pub mod reference;
pub mod rnn;
mod simd;
pub mod softmax;
pub mod update;
mod window;

pub use dispatch::{ISA_VARIABLE, Isa, IsaError};
pub use window::{Dense, Input, Window};

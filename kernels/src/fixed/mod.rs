//! Cells whose sizes are fixed at compile time, for small models that answer sample by sample, as in audio: no threads, no
//! allocator, no standard library (`default-features = false`).
//!
//! A cell holds its weights and its state in itself. With sizes that the compiler knows, loops unroll and what is chosen
//! by size is chosen while compiling; [`sliced`] has the same cells with sizes given at run time, in memory that the caller
//! lends: the same code, and the same bits. There is no list of sizes: any I >= 0 and H >= 1 will do.
//!
//! ```
//! use unrolled_kernels::fixed::{Dense, Gru, Layer, Model};
//! # fn main() -> Result<(), unrolled_kernels::fixed::Error> {
//! // PyTorch's tensors, row-major: [3 * 8, 1], [3 * 8, 8], [3 * 8], [3 * 8]; the head's [1, 8] and [1].
//! let cell = Gru::<1, 8>::new(&[0.1; 24], &[0.02; 192], &[0.0; 24], &[0.0; 24])?;
//! let mut model = Model::new(cell, Dense::<8, 1>::new(&[0.5; 8], &[0.25])?);
//! let [y] = *model.step(&[1.0]);
//! assert!(y > 0.25);
//!
//! let mut block = [[0.0]; 64]; // samples at once: one call, the same answers
//! model.reset();
//! model.process(&[[1.0]; 64], &mut block);
//! assert_eq!(block[0], [y]);
//! # Ok(())
//! # }
//! ```
//!
//! # Numbers
//!
//! A pre-activation is one chain of fused multiply-adds: summed bias, x ascending, h ascending (the GRU whose reset comes
//! after the product has two, as in [`Gru`]). On AVX2 and AVX-512 the bits are those of this crate's kernels for
//! batches. [`Dense`] sums sixteen lanes and adds them up in a tree, for a chain over one output alone would wait for each
//! of its sums.
//!
//! # Layout
//!
//! Weights of a matrix [G * H, K] are stored by tiles of units, `[tile][k][gate][unit]`, so that a step reads them in
//! order, once. A cell of up to 48 units is one tile. A larger one has tiles of 16 to 64 units and walks through them forth and back in
//! turns, so that a step begins with weights that the step before has left in the first-level cache. No lane is padding: a vector
//! that reaches beyond a gate's units computes with what lies behind them, and nobody reads the result. Behind the
//! last matrix and behind each state vector lie sixteen floats for it to reach into. Widths that are multiples of
//! eight are the fastest, for no vector then crosses a cache line.

mod body;
mod cell;
mod dense;
mod gru;
mod lstm;
mod model;
mod pack;
mod rnn;
pub mod sliced;

pub use cell::{Cell, Gru, GruBefore, Lstm, Rnn, RnnRelu};
pub use dense::Dense;
pub use model::{Layer, Model};

use crate::dispatch::Isa;

/// The equations of the cells, as types.
pub mod kind {
    pub use super::body::Kind;
    pub use super::gru::{GruAfter, GruBefore};
    pub use super::lstm::Lstm;
    pub use super::rnn::{RnnRelu, RnnTanh};
}

/// Why a cell could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A slice has not the length that its name and the sizes ask for.
    Length {
        /// The name of the argument.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The right length.
        expected: usize,
    },
    /// `UNROLLED_ISA` names an instruction set that cannot be had.
    #[cfg(feature = "std")]
    Isa(crate::IsaError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length { name, found, expected } => {
                write!(
                    f,
                    "{name} holds {found} floats, expected {expected}; give the whole tensor, row-major"
                )
            }
            #[cfg(feature = "std")]
            Self::Isa(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

fn check(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { name, found, expected }) }
}

/// The best instruction set that can be known here.
fn native() -> Result<Isa, Error> {
    #[cfg(feature = "std")]
    return Isa::detect().map_err(Error::Isa);
    #[cfg(not(feature = "std"))]
    Ok(Isa::compiled())
}

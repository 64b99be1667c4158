//! AMX: products of tiles of bf16 pairs, with sums in f32.
//!
//! ```text
//! sums [32, 64] += x [32, 16 g] . weights [16 g, 64]        x and weights in words
//!
//! word          two bf16 values of neighboring k: 2j in the low half, 2j + 1 in the high half
//! tile          up to 16 rows of 64 bytes; a thread has eight
//! one dot       sums [16, 16] += x [16, 16] . weights [16, 16]:  for each sum
//!               even = fma(x low, w low, even), odd = fma(x high, w high, odd), both from zero,
//!               over 16 words; then sum = sum + (even + odd)
//! ```
//!
//! 1. The instructions are `asm!` blocks, because the intrinsics of AMX are not stable.
//! 2. Denormal operands and results count as zero, and rounding is to nearest even, whatever the
//!    mode of the thread is. `reference::tile_product` computes the same bits on any processor
//!    (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS).
//! 3. Linux gives the room for tiles only to a process that asks for it ([`Amx::detect`]).
//! 4. Each thread has its own tiles. A kernel shapes them at its first product, and again where the
//!    number of rows changes. It releases them at its end, so that the operating system saves them
//!    at a switch of threads only during a kernel.
//! 5. The last group of k is filled with words of zeros, in x and in the weights. They change at most
//!    the sign of a sum that is zero.

mod detection;
mod product;
mod tiles;

pub use detection::{Amx, Refusal};
pub use product::TileProduct;
pub(crate) use tiles::ReleasesTiles;

//! The layout of weights and activations in memory: panels of weights, and rows of gate values.
//!
//! 1. Sixteen hidden units are a *block*. A hidden vector is stored in `padded(H)` floats, with
//!    zeros behind the last unit.
//! 2. Gate values and their gradients are stored row by row as `[block][slot][16]`. The slots are
//!    the cell's gates, in the order that suits its tiles (see [`Slots`]).
//! 3. A *panel* holds W <= 4 vectors of 16 outputs for each input k, as `[K][W][16]`. It is read
//!    from front to end, as one stream.
//! 4. On AVX2, whose tiles take one vector after another, a deep panel is `[W][K][16]`. Each vector
//!    is then one stream over few pages of memory.
//! 5. In bf16, k counts words, each of two values (see `words.rs`).
//! 6. [`Panels`] says which rows of a PyTorch weight matrix [rows, K] the vectors hold, and packs
//!    them.

mod panels;
mod part;
mod quads;
mod sizes;
mod slots;
mod words;

pub use panels::Panels;
pub(crate) use panels::{Panel, PanelPart};
pub use part::PackedPart;
pub use sizes::padded;
pub(crate) use sizes::{check_len, depth_of, product, strides};
pub use slots::Slots;
pub(crate) use words::{GROUP, SCALE_WORDS, quad_words, row_words};

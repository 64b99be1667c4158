//! How a model runs: the same bodies in three forms.
//!
//! - [`Plan`] (static): one shape, everything placed ahead.
//! - [`Dynamic`]: any number of steps and rows at each call.
//! - [`Stream`]: one symbol at a time.
//!
//! All give equal bits. A window goes through all its layers, each over all its steps, before the next window
//! begins; rows are divided among threads, sums never.

mod around;
mod custom;
mod dynamic;
mod executor;
mod gradient;
mod head;
mod layer;
mod logits;
mod masks;
mod packing;
mod plan;
mod ragged;
mod shard;
mod state;
mod stepped;
mod stream;
mod table;
mod table_gradient;
mod tensors;
mod tokens;
mod vectors;
mod weights;

pub use dynamic::Dynamic;
pub use masks::{Dropout, Masks, Site};
pub use plan::Plan;
pub use state::{LayerState, State};
pub use stream::Stream;

pub(crate) use dynamic::Shaped;
pub(crate) use executor::{Executor, Goal, Pass, Purpose, Shape};
pub(crate) use head::Blocks;
pub(crate) use logits::Slope;
pub(crate) use masks::Dropping;
pub(crate) use table::Packed;
pub(crate) use weights::Weights;

use crate::model::Model;
use crate::parallel::Threads;
use crate::{Error, Result};
use unrolled_kernels::Isa;

/// The instruction set that runs: `portable`, `avx2` or `avx512`.
///
/// # Errors
/// When the one that `UNROLLED_ISA` forces is unknown or not available.
pub fn isa() -> Result<&'static str> {
    Ok(detect()?.name())
}

pub(crate) fn detect() -> Result<Isa> {
    Isa::detect().map_err(Error::Isa)
}

/// Refuses a stack by itself where symbols are to come in.
pub(crate) fn check_head(model: &Model) -> Result<()> {
    if model.config().has_head() {
        return Ok(());
    }
    let expected = "a stack by itself reads vectors; run it with rnn::Rnn".to_owned();
    Err(Error::Setting { name: "vocabulary", found: "0".to_owned(), expected })
}

/// A model's weights packed for inference.
fn packed(model: &Model, threads: &Threads) -> Result<Weights> {
    check_head(model)?;
    let mut weights = Weights::new(model.config(), detect()?);
    weights.pack(model.parameters(), false, threads);
    Ok(weights)
}

/// Checks the ids of a forward pass and the room for its logits.
fn check_ids(ids: &[u32], logits: &[f32], tokens: usize, vocabulary: usize) {
    assert_eq!(ids.len(), tokens, "{} ids for a window of {tokens} tokens", ids.len());
    check_room(logits, tokens, vocabulary);
    ids.iter().for_each(|id| check_id(*id, vocabulary));
}

fn check_room(logits: &[f32], tokens: usize, vocabulary: usize) {
    assert_eq!(
        logits.len(),
        tokens * vocabulary,
        "room for {} logits, for {tokens} x {vocabulary}",
        logits.len()
    );
}

fn check_id(id: u32, vocabulary: usize) {
    assert!((id as usize) < vocabulary, "symbol {id} of a vocabulary of {vocabulary}");
}

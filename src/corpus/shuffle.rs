//! The random order of documents.

use super::batches::below;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Separates these draws from all others of the same seed.
const PURPOSE: &[u8; 8] = b"document";

/// Shuffles documents. The order is a function of the seed and of the number of documents.
pub(super) fn shuffle<T>(documents: &mut [T], seed: u64) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(PURPOSE);
    let mut draws = ChaCha8Rng::from_seed(key);
    for last in (1..documents.len()).rev() {
        documents.swap(last, below(draws.next_u64(), last + 1));
    }
}

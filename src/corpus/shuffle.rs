//! The random order of documents.

use super::batches::below;
use crate::random::generator;
use rand_chacha::rand_core::Rng;

/// Separates these draws from all others of the same seed.
const PURPOSE: [u8; 8] = *b"document";

/// Shuffles documents. The order is a function of the seed and of the number of documents.
pub(super) fn shuffle<T>(documents: &mut [T], seed: u64) {
    let mut draws = generator(seed, PURPOSE, 0);
    for last in (1..documents.len()).rev() {
        documents.swap(last, below(draws.next_u64(), last + 1));
    }
}

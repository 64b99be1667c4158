//! Words: the units in which packed weights and rounded vectors are stored.
//!
//! A word has 32 bits. It holds one f32 value, or a pair of bf16 values (see [`crate::bf16`]). Words
//! are stored as the bits of f32 numbers, so all products have one layout.
//!
//! Values that are rounded in one piece fill whole groups of sixteen: eight words. Zeros fill the
//! last group. On backends with tiles, zeros then fill the last sixteen words of a product.
//!
//! A word may also hold a quad of 8-bit integers (see [`crate::int8`]); a group then has four words.
//! Two more words follow after the last group: of a weight matrix the scales of its rows, and the
//! sums of their integers times -128; of a vector its scale, and zero.

use super::sizes::product;
use super::slots::Slots;
use crate::arch::tile_places::EDGE;
use crate::int8::MOST_VALUES;
use crate::isa::{Isa, Products};
use core::ops::Range;

/// Values of a group.
pub(crate) const GROUP: usize = 16;

impl Isa {
    /// Returns the words of `values` neighboring values of k.
    pub fn words(self, values: usize) -> usize {
        match self.products() {
            Products::F32 => values,
            Products::Bf16 => self.whole_tiles(pair_words(values)),
            Products::Int8 => quad_words(values) + SCALE_WORDS,
        }
    }

    /// Returns the words of the values of a stored row that `slots` name.
    pub fn slot_words(self, slots: &Slots) -> usize {
        self.gate_words(slots.hidden, slots.gates.len())
    }

    /// Returns the words of a stored row of `gates` gates of `hidden` units.
    pub(crate) fn gate_words(self, hidden: usize, gates: usize) -> usize {
        match self.products() {
            Products::Bf16 => self.whole_tiles(product([pair_words(hidden), gates])),
            _ => product([self.words(hidden), gates]),
        }
    }

    /// Returns the words of some pieces of a row.
    pub(crate) fn piece_words(self, pieces: &[Range<usize>]) -> usize {
        match self.products() {
            Products::Bf16 => self.whole_tiles(pieces.iter().map(|piece| pair_words(piece.len())).sum()),
            _ => pieces.iter().map(|piece| self.words(piece.len())).sum(),
        }
    }

    /// Returns the words of the tiles that hold `words` words.
    fn whole_tiles(self, words: usize) -> usize {
        if self.has_tiles() { words.next_multiple_of(EDGE) } else { words }
    }
}

/// Returns the words of the pairs of `values` values.
fn pair_words(values: usize) -> usize {
    values.div_ceil(GROUP) * (GROUP / 2)
}

/// Words behind the quads: the scale, and a sum.
pub(crate) const SCALE_WORDS: usize = 2;

/// Returns the words of the quads of `values` values.
///
/// # Panics
/// If their product could exceed 32 bits.
pub(crate) fn quad_words(values: usize) -> usize {
    assert!(values <= MOST_VALUES, "{values} values of k, expected at most {MOST_VALUES} 8-bit integers");
    values.div_ceil(GROUP) * (GROUP / 4)
}

/// Returns the words from one rounded vector of `words` words to the next: whole cache lines.
pub(crate) fn row_words(words: usize) -> usize {
    words.next_multiple_of(16)
}

impl Slots {
    /// Returns the two matrix rows that word `word` of a rounded stored row multiplies. A row beyond
    /// the last unit is `None`.
    pub(super) fn pair_rows(&self, word: usize) -> [Option<usize>; 2] {
        let (group, pair) = (word / (GROUP / 2), word % (GROUP / 2));
        let (block, gate) = (group / self.gates.len(), self.gates[group % self.gates.len()]);
        let unit = block * GROUP + 2 * pair;
        [unit, unit + 1].map(|unit| (unit < self.hidden).then(|| gate * self.hidden + unit))
    }
}

//! Rounding of vectors to bf16.

use crate::pack::GROUP;
use crate::simd::Simd;
use core::ops::Range;

/// The groups of sixteen values of some words: the first value of each within a row, and its number
/// of values.
#[derive(Clone)]
pub(crate) struct Chunks<'a> {
    pieces: &'a [Range<usize>],
    /// The next value within the first piece.
    next: usize,
    /// Number of groups.
    left: usize,
}

impl<'a> Chunks<'a> {
    /// Returns the groups of `count` words from word `first` on; both are whole groups.
    #[inline(always)]
    pub(crate) fn of(mut pieces: &'a [Range<usize>], first: usize, count: usize) -> Self {
        let (mut skip, left) = (first / (GROUP / 2), count / (GROUP / 2));
        while let [piece, rest @ ..] = pieces
            && skip >= piece.len().div_ceil(GROUP)
        {
            skip -= piece.len().div_ceil(GROUP);
            pieces = rest;
        }
        Self { pieces, next: pieces.first().map_or(0, |piece| piece.start) + skip * GROUP, left }
    }
}

impl Iterator for Chunks<'_> {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        self.left = self.left.checked_sub(1)?;
        let mut piece = self.pieces.first()?;
        while self.next >= piece.end {
            self.pieces = &self.pieces[1..];
            piece = self.pieces.first()?;
            self.next = piece.start;
        }
        let first = self.next;
        self.next += GROUP;
        Some((first, (piece.end - first).min(GROUP)))
    }
}

/// Rounds some groups of a row into `to`, eight words each.
///
/// # Safety
/// The groups are readable from `from` on, and `to` has room for their words.
#[inline(always)]
pub(crate) unsafe fn round_row<S: Simd>(s: S, from: *const f32, chunks: Chunks<'_>, to: *mut f32) {
    for (group, (first, count)) in chunks.enumerate() {
        // SAFETY: the caller vouches for the group and for the room.
        unsafe { round_group(s, from.add(first), count, to.add(group * (GROUP / 2))) };
    }
}

/// Rounds up to sixteen values into eight words, with zeros behind the last value.
///
/// # Safety
/// `from` is readable for `count` values, and `to` is writable for eight words.
#[inline(always)]
unsafe fn round_group<S: Simd>(s: S, from: *const f32, count: usize, to: *mut f32) {
    for lane in (0..GROUP).step_by(S::LANES) {
        let lanes = count.saturating_sub(lane).min(S::LANES);
        // SAFETY: the caller vouches for both sides.
        unsafe {
            let value = s.load_up_to(from.add(lane.min(count)), lanes, 0.0);
            s.store_pairs(to.add(lane / 2), value);
        }
    }
}

/// The vectors of a step that the next product multiplies, and their place as words.
#[derive(Clone, Copy)]
pub(crate) struct RoundedVectors {
    /// Row 0 of the step.
    pub(crate) from: *const f32,
    /// Floats from one row to the next.
    pub(crate) row: usize,
    /// Row 0 of the words.
    pub(crate) to: *mut f32,
    /// Words from one row to the next.
    pub(crate) row_words: usize,
}

impl RoundedVectors {
    /// Rounds the vector at `first` of row `row`, if the backend multiplies pairs.
    ///
    /// # Safety
    /// The vector and its words exist.
    #[inline(always)]
    pub(crate) unsafe fn round<S: Simd>(&self, s: S, row: usize, first: usize) {
        if S::TERMS == 2 {
            // SAFETY: the caller vouches for both sides.
            unsafe {
                let value = s.load(self.from.add(row * self.row + first));
                s.store_pairs(self.to.add(row * self.row_words + first / 2), value);
            }
        }
    }
}

/// A slot of a stored row that a product multiplies, and its place as words.
#[derive(Clone, Copy)]
pub(crate) struct RoundedSlot {
    /// The slot.
    pub(crate) slot: usize,
    /// Row 0 of the words.
    pub(crate) to: *mut f32,
    /// Words from one row to the next.
    pub(crate) row_words: usize,
    /// Slots of a block in a row of words, and the place of this slot among them.
    pub(crate) stored: usize,
    pub(crate) place: usize,
}

impl RoundedSlot {
    /// Rounds one vector of the slot: half `half` of block `block` of row `row`. `gates` is slot 0 of
    /// the vector in the stored row.
    ///
    /// # Safety
    /// The vector and its words exist.
    #[inline(always)]
    pub(crate) unsafe fn round<S: Simd>(
        &self,
        s: S,
        gates: *const f32,
        row: usize,
        (block, half): (usize, usize),
    ) {
        let place = ((block * self.stored + self.place) * 16 + half) / 2;
        // SAFETY: the caller vouches for both sides.
        unsafe {
            s.store_pairs(self.to.add(row * self.row_words + place), s.load(gates.add(self.slot * 16)))
        };
    }
}

//! Products of rows that are rounded to bf16.
//!
//! 1. Some rows and some words of them are rounded at a time, into room that stays in the caches. The
//!    tiles multiply this room.
//! 2. Words go first: between two stretches the sums wait in `out`. So each sum is one chain.

use super::{Affine, AffineTiles, Start};
use crate::rounding::{Chunks, round_row};
use crate::simd::{Kernel, Simd};
use crate::sweep::sweep;
use core::mem::MaybeUninit;

/// The most words of a row that are rounded at a time.
const WORDS: usize = 512;
/// The most rows of a product with little room. A step of a stream has few rows, and its thread may
/// have a small stack.
pub(super) const FEW: usize = 8;
/// The rows of `WORDS` words that the room of other products holds.
pub(super) const MANY: usize = 64;
/// The last words of a tile, which are zeros if the values end before them.
const LAST: usize = 8;

/// Room for rounded rows.
#[repr(align(64))]
struct Room<const ROWS: usize>(MaybeUninit<[[f32; WORDS]; ROWS]>);

/// A product of `words` words of k, with room for `ROWS` rows.
pub(super) struct Rounded<'a, const ROWS: usize> {
    pub(super) affine: Affine<'a>,
    pub(super) words: usize,
}

impl<const ROWS: usize> Kernel for Rounded<'_, ROWS> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let out = self.affine.out.as_mut_ptr();
        let Self { affine: Affine { rows, panels, weights, start, .. }, words } = &self;
        let mut room = Room::<ROWS>(MaybeUninit::uninit());
        let to = room.0.as_mut_ptr().cast::<f32>();
        for before in (0..(*words).max(1)).step_by(WORDS) {
            let some = (words - before).min(WORDS);
            let row_words = some.next_multiple_of(16).max(16);
            let start = if before > 0 { Start::Out } else { *start };
            let (most, piece) = (ROWS * WORDS / row_words / FEW * FEW, 0..some);
            for first in (0..*rows).step_by(most) {
                let count = (rows - first).min(most);
                // SAFETY: the room holds `most` rows.
                unsafe { self.round(s, (first, count), (before, some), (to, row_words)) };
                let tiles = AffineTiles {
                    x: to,
                    x_row: row_words,
                    pieces: core::slice::from_ref(&piece),
                    before,
                    depth: *words,
                    panels,
                    weights: weights.as_ptr(),
                    start,
                    out: out.wrapping_add(first * panels.out_width()),
                };
                // SAFETY: `run_on` has checked every length, and the rows were rounded.
                unsafe { sweep(s, count, 0..panels.panels().len(), &tiles) }
            }
        }
    }
}

impl<const ROWS: usize> Rounded<'_, ROWS> {
    /// Rounds `some` words from word `before` on, of `count` rows from row `first` on.
    ///
    /// # Safety
    /// `to` has room for `count` rows of `row_words` words.
    #[inline(always)]
    unsafe fn round<S: Simd>(
        &self,
        s: S,
        (first, count): (usize, usize),
        (before, some): (usize, usize),
        (to, row_words): (*mut f32, usize),
    ) {
        let Affine { x, x_stride, pieces, .. } = self.affine;
        for row in 0..count {
            let from = &x[(first + row) * x_stride..][..x_stride];
            // SAFETY: the caller vouches for the room, and the pieces are within a row of x.
            unsafe {
                let to = to.add(row * row_words);
                if S::TILES {
                    // The last group of sixteen values may be missing.
                    to.add(row_words - LAST).write_bytes(0, LAST);
                }
                round_row(s, from.as_ptr(), Chunks::of(pieces, before, some), to);
            }
        }
    }
}

//! Products of rows that are quantized to 8-bit integers.
//!
//! Some rows are quantized at a time, into room that stays in the second-level cache. The tiles
//! multiply this room.

use super::{Affine, AffineTiles};
use crate::int8::vectors::quantize;
use crate::pack::row_words;
use crate::simd::{Kernel, Simd};
use crate::sweep::sweep;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Words of the room for few and short rows: those of a step of a stream, whose thread may have a
/// small stack.
pub(super) const SMALL: usize = 1 << 12;
/// Words of the room for other rows, at least one of the most values.
pub(super) const LARGE: usize = 1 << 15;

/// Room for quantized rows.
#[repr(align(64))]
struct Room<const ROOM: usize>(MaybeUninit<[f32; ROOM]>);

/// A product of one piece of rows, with room for `ROOM` words of them at a time.
pub(super) struct Quantized<'a, const ROOM: usize> {
    affine: Affine<'a>,
    piece: Range<usize>,
    /// Words of a quantized row.
    words: usize,
}

/// Returns whether the small room holds `rows` rows of `words` words.
pub(super) fn are_small(rows: usize, words: usize) -> bool {
    rows <= SMALL / row_words(words)
}

impl<'a, const ROOM: usize> Quantized<'a, ROOM> {
    /// Checks that the rows have one piece. `words` are those of its values.
    pub(super) fn new(affine: Affine<'a>, words: usize) -> Self {
        let [piece] = affine.pieces else { panic!("rows of {} pieces, expected one", affine.pieces.len()) };
        Self { piece: piece.clone(), affine, words }
    }
}

impl<const ROOM: usize> Kernel for Quantized<'_, ROOM> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { affine: Affine { rows, x, x_stride, panels, weights, start, out, .. }, piece, words } =
            self;
        let mut room = Room::<ROOM>(MaybeUninit::uninit());
        let to = room.0.as_mut_ptr().cast::<f32>();
        let (all, row_words) = (0..words, row_words(words));
        let most = ROOM / row_words;
        for first in (0..rows).step_by(most) {
            let count = (rows - first).min(most);
            for row in 0..count {
                let from = &x[(first + row) * x_stride..][piece.clone()];
                // SAFETY: the room holds `most` rows of `row_words` words.
                unsafe { quantize(s, from.as_ptr(), from.len(), to.add(row * row_words)) };
            }
            let tiles = AffineTiles {
                x: to,
                x_row: row_words,
                pieces: core::slice::from_ref(&all),
                before: 0,
                depth: words,
                panels,
                weights: weights.as_ptr(),
                start,
                out: out.as_mut_ptr().wrapping_add(first * panels.out_width()),
            };
            // SAFETY: `run_on` has checked every length, and the rows were quantized.
            unsafe { sweep(s, count, 0..panels.panels().len(), &tiles) }
        }
    }
}

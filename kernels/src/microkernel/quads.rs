//! A tile of 8-bit integers: its sums are integers until both scales multiply them.

use super::{Factors, SizedTile, accumulate};
use crate::pack::SCALE_WORDS;
use crate::simd::Simd;

impl<S: Simd, const R: usize, const W: usize> SizedTile<'_, S, R, W> {
    /// Computes a tile of quads. The sums of one product at a time are integers in registers; `out`
    /// holds the sums of the products before.
    ///
    /// # Safety
    /// As for `multiply`.
    #[inline(always)]
    pub(super) unsafe fn run_quads(self) {
        let Self { s, first, tile } = self;
        let out = |r: usize, w: usize| tile.out.wrapping_add(r * tile.out_row + (first + w) * 16);
        // SAFETY: the caller vouches for the tile. Scales and sums follow after the quads.
        unsafe {
            for r in 0..R {
                let start = tile.start.of(r).add(first * tile.start.step);
                for w in 0..W {
                    s.store(out(r, w), s.load(start.add(w * tile.start.step)));
                }
            }
            for factors in tile.factors {
                let Factors::Rows { x, row, pieces: [words], weights } = *factors else { continue };
                let (weights, depth) = (weights.skip_vectors(first), words.len() - SCALE_WORDS);
                let (scales, offsets) = (weights.skip(depth), weights.skip(depth + 1));
                let mut acc = [[s.splat(0.0); W]; R];
                if S::OFFSETS {
                    for w in 0..W {
                        let offset = s.load(offsets.skip_vectors(w).at);
                        acc.iter_mut().for_each(|sums| sums[w] = offset);
                    }
                }
                let x = x.add(words.start);
                accumulate(s, &mut acc, (x, row, 1), depth, weights);
                for (r, sums) in acc.into_iter().enumerate() {
                    let scale = s.splat(*x.add(r * row + depth));
                    for (w, sum) in sums.into_iter().enumerate() {
                        let scale = s.mul(scale, s.load(scales.skip_vectors(w).at));
                        s.store(out(r, w), s.fma(s.rounded_integers(sum), scale, s.load(out(r, w))));
                    }
                }
            }
        }
    }
}

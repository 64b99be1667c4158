//! Products on backends with tiles.

use super::{Factors, Tile, WeightPanel};
use crate::arch::tile_places::{EDGE, TilePlaces};
use crate::side_by_side::Strip;
use crate::simd::Simd;

/// Computes a tile of up to 32 rows by the backend's tiles.
///
/// # Safety
/// As for `multiply`. All words of k are whole groups of sixteen, filled with zeros.
#[inline(always)]
pub(super) unsafe fn multiply_by_tiles<S: Simd>(s: S, rows: usize, width: usize, tile: &Tile<'_>) {
    if rows == 0 {
        return;
    }
    // SAFETY: the caller vouches for the tile.
    unsafe {
        for r in 0..rows {
            let start = tile.start.of(r);
            for w in 0..width {
                s.store(tile.out.add(r * tile.out_row + w * 16), s.load(start.add(w * tile.start.step)));
            }
        }
        for factors in tile.factors {
            match *factors {
                Factors::Rows { x, row, pieces, mut weights } => {
                    for piece in pieces {
                        let x = (x.add(piece.start), row, EDGE);
                        s.multiply_tile(rows, width, tile.places(x, piece.len(), weights));
                        weights = weights.skip(piece.len());
                    }
                }
                Factors::Tokens { strips, delta, input } => {
                    for Strip { deltas, inputs, run } in strips {
                        // `SideBySide` stores deltas in tiles: unit by unit, sixteen words of each.
                        let x = deltas.add(delta / EDGE * EDGE + delta % EDGE * EDGE);
                        let at = inputs.add(input);
                        let inputs = WeightPanel { at, step: run.input_stride, vector: 16 };
                        let places = tile.places((x, EDGE, EDGE * EDGE), run.rows, inputs);
                        s.multiply_tile(rows, width, places);
                    }
                }
            }
        }
    }
}

impl Tile<'_> {
    /// Returns the places of a product of `words` words of k, whole groups of sixteen. x is row 0, the
    /// words from one row to the next, and from one group to the next.
    #[inline(always)]
    fn places(
        &self,
        (x, x_row, x_group): (*const f32, usize, usize),
        words: usize,
        weights: WeightPanel,
    ) -> TilePlaces {
        TilePlaces {
            groups: words / EDGE,
            x: x.cast(),
            x_row_bytes: 4 * x_row,
            x_group,
            weights: weights.at.cast(),
            weight_row_bytes: 4 * weights.step,
            sums: self.out,
            sum_row_bytes: 4 * self.out_row,
        }
    }
}

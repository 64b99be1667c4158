//! The backward tile: a product with the transposed recurrent weights, then the cell's own part.
//!
//! ```text
//! sum[r][unit] = start[r][unit] + delta[r][k] R[k][unit]      k over the pieces of a stored row
//! ```

use super::step::VectorPlace;
use crate::microkernel::{Factors, Tile, TileStart, TileSums, WeightPanel, multiply};
use crate::pack::{Panel, PanelPart, Panels};
use crate::rounding::RoundedSlot;
use crate::simd::Simd;
use crate::sweep::{TileRows, Tiled};
use core::ops::Range;

/// The start of the sums: zero, or steps of hidden vectors.
#[derive(Clone, Copy)]
pub(crate) enum GradientStart {
    Zero,
    /// The gradient from above.
    Above(*const f32),
    /// The gradient from above plus the gradient that does not go through the weights.
    AboveAndCarry(*const f32, *const f32),
}

/// A cell's own part: from the sums to the deltas.
pub(crate) trait DeltaCell {
    /// Number of slots per unit in a stored row of gates.
    const STORED: usize;

    /// Takes the sum of one vector of units.
    ///
    /// # Safety
    /// `at` is a vector of the step.
    unsafe fn finish<S: Simd>(&self, s: S, sum: S::F, at: VectorPlace);
}

/// The product, and the cell's part of one step.
pub(crate) struct BackwardTile<'a, D> {
    /// padded(H)
    pub(crate) stride: usize,
    /// Words of k in `recurrent`.
    pub(crate) depth: usize,
    /// Transposed weights, packed, at least `panels.len(depth)` floats.
    pub(crate) recurrent: *const f32,
    /// `Panels::plain(H)`
    pub(crate) panels: &'a Panels,
    /// The blocks of sixteen units that are computed.
    pub(crate) blocks: Range<usize>,
    /// The pieces of a row of deltas that are multiplied. Empty if there is no next step.
    pub(crate) pieces: &'a [Range<usize>],
    /// The deltas that are multiplied: a step of stored rows, or of rounded ones.
    pub(crate) deltas: *const f32,
    /// Words from one row of them to the next.
    pub(crate) delta_row: usize,
    pub(crate) start: GradientStart,
    /// Room for a tile.
    pub(crate) sums: &'a TileSums,
    pub(crate) cell: D,
    /// The step's stored rows, and the slots among them that later products multiply.
    pub(crate) gates: *const f32,
    pub(crate) rounded: &'a [RoundedSlot],
}

impl<D> BackwardTile<'_, D> {
    /// Returns the start of the tile's sums. `unit` is the place of its first vector.
    ///
    /// # Safety
    /// The rows and vectors are within a step.
    #[inline(always)]
    unsafe fn starts<S: Simd>(&self, s: S, tile: TileRows, unit: usize) -> TileStart {
        match self.start {
            GradientStart::Zero => TileStart::zero(),
            GradientStart::Above(dh) => TileStart::rows(dh, self.stride, 16).skip(unit),
            GradientStart::AboveAndCarry(dh, carry) => {
                let base = self.sums.base();
                for r in 0..tile.rows {
                    for w in 0..tile.width {
                        let at = unit + r * self.stride + w * 16;
                        // SAFETY: the caller vouches for the vectors; a tile has room for its sums.
                        unsafe {
                            s.store(
                                base.add(r * TileSums::ROW + w * 16),
                                s.add(s.load(dh.add(at)), s.load(carry.add(at))),
                            );
                        }
                    }
                }
                TileStart::rows(base, TileSums::ROW, 16)
            }
        }
    }
}

impl<S: Simd, D: DeltaCell> Tiled<S> for BackwardTile<'_, D> {
    #[inline(always)]
    fn part(&self, panel: usize) -> PanelPart {
        self.panels.panels()[panel].within(&self.blocks)
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, tile: TileRows) {
        let TileRows { row, rows, panel, first, half, width } = tile;
        let (stride, stored) = (self.stride, self.delta_row);
        let Panel { before, width: whole, .. } = self.panels.panels()[panel];
        let unit = row * stride + (before + first) * 16 + half;
        let out = self.sums.base();
        // SAFETY: rows, panel and half exist (`sweep`); the cell's `run_on` has checked every
        // length.
        unsafe {
            let start = self.starts(s, tile, unit);
            let weights = self.recurrent.add(before * 16 * self.depth + half);
            let factors = Factors::Rows {
                x: self.deltas.wrapping_add(row * stored),
                row: stored,
                pieces: self.pieces,
                weights: WeightPanel::packed::<S>(weights, whole, self.depth).skip_vectors(first),
            };
            let product = Tile { start, factors: &[factors], out, out_row: TileSums::ROW };
            multiply(s, rows, width, &product);
            for r in 0..rows {
                for w in 0..width {
                    let sum = s.load(out.add(r * TileSums::ROW + w * 16));
                    let at = VectorPlace::of(stride, D::STORED, row + r, (before + first + w, half));
                    self.cell.finish(s, sum, at);
                    if S::TERMS > 1 {
                        for slot in self.rounded {
                            slot.round(s, self.gates.add(at.gate), row + r, (before + first + w, half));
                        }
                    }
                }
            }
        }
    }
}

//! The backward tile that all cells share: a product with the transposed recurrent weights, then the cell's own part.
//!
//! ```text
//! sum[r][unit] = start[r][unit] + delta[r][k] R[k][unit]      k over the pieces of a stored row
//! ```

use crate::pack::{Panel, Panels};
use crate::product::{Source, Weights, WideTile, Widths, sums_from};
use crate::simd::Simd;
use crate::window::add_pieces;
use core::ops::Range;

/// A cell's part: what the sums start from, and what becomes of them.
pub(crate) trait Differentiate<S: Simd> {
    /// Slots per unit in a stored row of gates.
    const STORED: usize;

    /// Where the sum of the vector at `unit` starts.
    ///
    /// # Safety
    /// `unit` is the place of a vector within a step of hidden vectors.
    unsafe fn start(&self, s: S, unit: usize) -> S::F;

    /// Takes the sum of the vector at `unit`; `gate` is the place of its first slot within a step of gates.
    ///
    /// # Safety
    /// As for `start`, and likewise for `gate`.
    unsafe fn finish(&self, s: S, sum: S::F, unit: usize, gate: usize);
}

/// The product, and the cell's part of one step.
pub(crate) struct BackwardTile<'a, D> {
    /// padded(H)
    pub(crate) stride: usize,
    /// Values of k in `recurrent`.
    pub(crate) depth: usize,
    /// Packed transposed weights, at least `panels.len(depth)` floats.
    pub(crate) recurrent: *const f32,
    /// `Panels::plain(H)`
    pub(crate) panels: &'a Panels,
    /// Empty where there is no step after.
    pub(crate) pieces: &'a [Range<usize>],
    /// The deltas that are multiplied, a step of stored rows.
    pub(crate) deltas: *const f32,
    pub(crate) cell: D,
}

impl<S: Simd, D: Differentiate<S>> WideTile<S> for BackwardTile<'_, D> {
    #[inline(always)]
    fn widths(&self, panel: usize) -> Widths {
        self.panels.panels()[panel].widths()
    }

    #[inline(always)]
    unsafe fn wide<const R: usize, const W: usize>(&self, s: S, row: usize, panel: usize, half: usize) {
        let (stride, stored) = (self.stride, D::STORED * self.stride);
        let Panel { before, width, .. } = self.panels.panels()[panel];
        let unit = |r: usize, w: usize| (row + r) * stride + (before + w) * 16 + half;
        // SAFETY: rows, panel and half exist (`sweep`), and the cell's `run_on` has checked every length.
        unsafe {
            let mut acc: [[S::F; W]; R] = sums_from(s, |r, w| self.cell.start(s, unit(r, w)));
            let deltas = Source::rows(self.deltas.wrapping_add(row * stored), stored);
            let base = self.recurrent.add(before * 16 * self.depth + half);
            let weights = Weights { base, stride: width * 16 };
            add_pieces::<S, R, W>(s, &mut acc, deltas, self.pieces, weights);
            for (r, sums) in acc.into_iter().enumerate() {
                for (w, sum) in sums.into_iter().enumerate() {
                    let gate = (row + r) * stored + (before + w) * D::STORED * 16 + half;
                    self.cell.finish(s, sum, unit(r, w), gate);
                }
            }
        }
    }
}

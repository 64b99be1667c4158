//! The products of a forward tile: the dense input, then the hidden state.

use crate::input::Input;
use crate::microkernel::{Factors, Tile, TileStart, TileSums, WeightPanel, multiply};
use crate::simd::Simd;
use core::ops::Range;

/// The products of one step's tiles.
#[derive(Clone, Copy)]
pub(crate) struct TileProducts<'a> {
    /// H
    pub(crate) hidden: usize,
    /// padded(H)
    pub(crate) stride: usize,
    /// The first token of the step.
    pub(crate) token: usize,
    pub(crate) input: &'a Input<'a>,
    /// Packed weights of the dense input, all panels; null without one.
    pub(crate) dense: *const f32,
    /// Packed recurrent weights, all panels.
    pub(crate) recurrent: *const f32,
    /// The vectors that the recurrent weights multiply: a step of hidden vectors.
    pub(crate) h: *const f32,
    /// Room for the sums of a tile.
    pub(crate) sums: &'a TileSums,
}

/// The vectors of a tile in packed weights.
#[derive(Clone, Copy)]
pub(crate) struct PanelVectors {
    /// Number of vectors in the panels before.
    pub(crate) before: usize,
    /// Number of vectors of the panel.
    pub(crate) width: usize,
    /// The first vector within the panel.
    pub(crate) first: usize,
    /// 0, or 8 for the upper halves.
    pub(crate) half: usize,
}

/// The vectors of a tile in the rows that its sums start from.
#[derive(Clone, Copy)]
pub(crate) struct StartVectors {
    /// Floats of a row.
    pub(crate) row: usize,
    /// The first vector within a row.
    pub(crate) first: usize,
    /// Floats from one vector to the next.
    pub(crate) step: usize,
}

impl TileProducts<'_> {
    /// Returns the start of the sums of the rows from `row` on.
    #[inline(always)]
    pub(crate) fn start(&self, row: usize, vectors: StartVectors) -> TileStart {
        let start = self.input.start.as_ptr().wrapping_add(vectors.first);
        match self.input.ids {
            None => TileStart::rows(start, 0, vectors.step),
            Some(ids) => {
                let ids = ids.as_ptr().wrapping_add(self.token + row);
                TileStart::rows(start, vectors.row, vectors.step).with_ids(ids)
            }
        }
    }

    /// Returns the values of k in the dense input: `0..E`, or none.
    #[inline(always)]
    pub(crate) fn depth(&self) -> Range<usize> {
        0..self.input.dense.map_or(0, |dense| dense.width)
    }

    /// Returns the product of the dense input of the rows from `row` on. It is empty without a
    /// dense input. `depth` is `depth()`.
    #[inline(always)]
    pub(crate) fn dense_factors<'d, S: Simd>(
        &self,
        row: usize,
        panel: PanelVectors,
        depth: &'d Range<usize>,
    ) -> Factors<'d> {
        let Some(dense) = &self.input.dense else {
            return Factors::Tokens { strips: &[], delta: 0, input: 0 };
        };
        let at = self.dense.wrapping_add(panel.before * 16 * dense.width + panel.half);
        Factors::Rows {
            x: dense.values.as_ptr().wrapping_add((self.token + row) * dense.stride),
            row: dense.stride,
            pieces: core::slice::from_ref(depth),
            weights: WeightPanel::packed::<S>(at, panel.width, dense.width).skip_vectors(panel.first),
        }
    }

    /// Returns the product of the hidden state of the rows from `row` on. `units` is `0..H`.
    #[inline(always)]
    pub(crate) fn recurrent_factors<'d, S: Simd>(
        &self,
        row: usize,
        panel: PanelVectors,
        units: &'d Range<usize>,
    ) -> Factors<'d> {
        let at = self.recurrent.wrapping_add(panel.before * 16 * self.hidden + panel.half);
        Factors::Rows {
            x: self.h.wrapping_add(row * self.stride),
            row: self.stride,
            pieces: core::slice::from_ref(units),
            weights: WeightPanel::packed::<S>(at, panel.width, self.hidden).skip_vectors(panel.first),
        }
    }

    /// Writes the sums of `rows` rows from `row` on and of `width` vectors into `sums`: the start,
    /// then the dense input, then the hidden state.
    ///
    /// # Safety
    /// `Input::check` has passed. The tokens, the vectors and the hidden vectors exist.
    #[inline(always)]
    pub(crate) unsafe fn chain<S: Simd>(
        &self,
        s: S,
        (row, rows, width): (usize, usize, usize),
        start: StartVectors,
        panel: PanelVectors,
    ) {
        let (depth, units) = (self.depth(), 0..self.hidden);
        let tile = Tile {
            start: self.start(row, start),
            factors: &[
                self.dense_factors::<S>(row, panel, &depth),
                self.recurrent_factors::<S>(row, panel, &units),
            ],
            out: self.sums.base(),
            out_row: TileSums::ROW,
        };
        // SAFETY: the caller vouches for all operands; `sums` has room for a tile.
        unsafe { multiply(s, rows, width, &tile) }
    }
}

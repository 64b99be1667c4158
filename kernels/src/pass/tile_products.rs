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
    /// The dense inputs of the step; no words without a dense input.
    pub(crate) x: StepOperand,
    /// The vectors that the recurrent weights multiply.
    pub(crate) h: StepOperand,
    /// Room for the sums of a tile.
    pub(crate) sums: &'a TileSums,
}

/// The vectors of a step that packed weights multiply, one for each row.
#[derive(Clone, Copy)]
pub(crate) struct StepOperand {
    /// Row 0.
    pub(crate) at: *const f32,
    /// Words from one row to the next.
    pub(crate) row: usize,
    /// Words of a row that are multiplied.
    pub(crate) words: usize,
    /// Packed weights, all panels; null without words.
    pub(crate) weights: *const f32,
}

impl StepOperand {
    /// Returns an operand without words.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self { at: core::ptr::null(), row: 0, words: 0, weights: core::ptr::null() }
    }

    /// Returns the product of the rows from `row` on. `words` is `0..self.words`.
    #[inline(always)]
    fn factors<'d, S: Simd>(&self, row: usize, panel: PanelVectors, words: &'d Range<usize>) -> Factors<'d> {
        let at = self.weights.wrapping_add(panel.before * 16 * self.words + panel.half);
        Factors::Rows {
            x: self.at.wrapping_add(row * self.row),
            row: self.row,
            pieces: core::slice::from_ref(words),
            weights: WeightPanel::packed::<S>(at, panel.width, self.words).skip_vectors(panel.first),
        }
    }
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

    /// Returns the words of the dense input and of the hidden state.
    #[inline(always)]
    pub(crate) fn words(&self) -> [Range<usize>; 2] {
        [0..self.x.words, 0..self.h.words]
    }

    /// Returns the product of the dense input of the rows from `row` on. It is empty without a
    /// dense input. `words` is the first of `words()`.
    #[inline(always)]
    pub(crate) fn dense_factors<'d, S: Simd>(
        &self,
        row: usize,
        panel: PanelVectors,
        words: &'d Range<usize>,
    ) -> Factors<'d> {
        match self.input.dense {
            None => Factors::Tokens { strips: &[], delta: 0, input: 0 },
            Some(_) => self.x.factors::<S>(row, panel, words),
        }
    }

    /// Returns the product of the hidden state of the rows from `row` on. `words` is the second of
    /// `words()`.
    #[inline(always)]
    pub(crate) fn recurrent_factors<'d, S: Simd>(
        &self,
        row: usize,
        panel: PanelVectors,
        words: &'d Range<usize>,
    ) -> Factors<'d> {
        self.h.factors::<S>(row, panel, words)
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
        let [inputs, units] = self.words();
        let tile = Tile {
            start: self.start(row, start),
            factors: &[
                self.dense_factors::<S>(row, panel, &inputs),
                self.recurrent_factors::<S>(row, panel, &units),
            ],
            out: self.sums.base(),
            out_row: TileSums::ROW,
        };
        // SAFETY: the caller vouches for all operands; `sums` has room for a tile.
        unsafe { multiply(s, rows, width, &tile) }
    }
}

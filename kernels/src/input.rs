//! The input of a layer: the start of its sums, and dense vectors that are multiplied.

use crate::microkernel::{Factors, PackedWeights, Tile, TileStart, TileSums, multiply};
use crate::pack::{Slots, product};
use crate::simd::Simd;
use crate::window::WindowShape;
use core::ops::Range;

/// The start of a layer's pre-activations, and its dense input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The summed bias, one row of stored width; or a table [D, stored] with the bias plus the
    /// input product for each symbol.
    pub start: &'a [f32],
    /// `[N]`: the row of `start` for each token. `None` for row 0 of all.
    pub ids: Option<&'a [u32]>,
    /// An input that is multiplied in the tile, before the hidden state.
    pub dense: Option<DenseInput<'a>>,
}

/// Dense input vectors, and the weights that multiply them.
#[derive(Clone, Copy, Debug)]
pub struct DenseInput<'a> {
    /// [N, stride]
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// Input width E <= stride.
    pub width: usize,
    /// Weights, packed for the running backend, in the panels that the cell needs.
    pub weights: &'a [f32],
    /// A second set of packed weights, for cells that compute in two phases.
    pub second: &'a [f32],
}

impl<'a> Input<'a> {
    /// Checks ids and lengths once, so that the tiles need not. `slots` describe a row of `start`.
    /// `packed` and `second` are the outputs that the two sets of dense weights feed, including
    /// padding.
    pub(crate) fn check(&self, window: &WindowShape<'_>, slots: &Slots, packed: usize, second: usize) {
        window.check_sizes();
        let (tokens, width) = (window.tokens(), slots.width());
        match self.ids {
            None => {
                assert!(
                    self.start.len() >= width,
                    "the bias has length {}, expected {width}",
                    self.start.len()
                )
            }
            Some(ids) => {
                let table = self.start.len() / width;
                assert!(
                    ids.len() == tokens,
                    "ids has length {}, expected {tokens} for {window:?}",
                    ids.len()
                );
                assert!(
                    ids.iter().all(|&id| (id as usize) < table),
                    "an id is not below {table}, the rows of the table"
                );
            }
        }
        if let Some(dense) = self.dense {
            let needed = product([tokens, dense.stride]);
            assert!(
                dense.width <= dense.stride && dense.values.len() >= needed,
                "the dense input has length {} in rows of {}, expected {tokens} rows of at least {}",
                dense.values.len(),
                dense.stride,
                dense.width
            );
            window.check("dense weights", dense.weights.len(), product([packed, dense.width]));
            if second > 0 {
                window.check("second dense weights", dense.second.len(), product([second, dense.width]));
            }
        }
    }

    /// Returns the starts of the tokens from `token` on. In a row of `width` floats the first
    /// vector is at `offset`, and the next one `step` floats further.
    #[inline(always)]
    pub(crate) fn starts(&self, token: usize, (width, offset, step): (usize, usize, usize)) -> TileStart {
        let start = self.start.as_ptr().wrapping_add(offset);
        match self.ids {
            None => TileStart::rows(start, 0, step),
            Some(ids) => TileStart::rows(start, width, step).with_ids(ids.as_ptr().wrapping_add(token)),
        }
    }

    /// Returns the values of k in the dense input: `0..E`, or none.
    #[inline(always)]
    pub(crate) fn depth(&self) -> Range<usize> {
        0..self.dense.map_or(0, |dense| dense.width)
    }

    /// Returns the product of the dense input of the tokens from `token` on; without dense input an
    /// empty product. `weights` chooses one of the two sets. `before` counts the vectors of earlier
    /// panels, `vectors` those of this one.
    #[inline(always)]
    pub(crate) fn factors<'d, S: Simd>(
        &self,
        weights: impl Fn(&DenseInput<'a>) -> &'a [f32],
        token: usize,
        (before, vectors, half): (usize, usize, usize),
        depth: &'d Range<usize>,
    ) -> Factors<'d> {
        let Some(dense) = &self.dense else {
            return Factors::Tokens { strips: &[], delta: 0, input: 0 };
        };
        let at = weights(dense).as_ptr().wrapping_add(before * 16 * dense.width + half);
        Factors::Rows {
            x: dense.values.as_ptr().wrapping_add(token * dense.stride),
            row: dense.stride,
            pieces: core::slice::from_ref(depth),
            weights: PackedWeights::of_panel::<S>(at, vectors, dense.width),
        }
    }

    /// Writes the pre-activations of a tile into `sums`: the start, then the dense input, then the
    /// hidden state. `start` is as for `starts`, `panel` and `weights` as for `factors`.
    ///
    /// # Safety
    /// `check` has passed. `rows` tokens from `token` on, `width` vectors of the panel, and the
    /// hidden vectors exist.
    #[inline(always)]
    pub(crate) unsafe fn preactivate<S: Simd>(
        &self,
        s: S,
        (token, rows, width): (usize, usize, usize),
        (start, panel): ((usize, usize, usize), (usize, usize, usize)),
        weights: impl Fn(&DenseInput<'a>) -> &'a [f32],
        hidden: HiddenRows,
        sums: &TileSums,
    ) {
        let (depth, units) = (self.depth(), 0..hidden.units);
        let (before, vectors, half) = panel;
        let at = hidden.weights.wrapping_add(before * 16 * hidden.units + half);
        let recurrent = Factors::Rows {
            x: hidden.h,
            row: hidden.row,
            pieces: core::slice::from_ref(&units),
            weights: PackedWeights::of_panel::<S>(at, vectors, hidden.units),
        };
        let tile = Tile {
            start: self.starts(token, start),
            factors: &[self.factors::<S>(weights, token, panel, &depth), recurrent],
            out: sums.base(),
            out_row: TileSums::ROW,
        };
        // SAFETY: the caller vouches for all of it.
        unsafe { multiply(s, rows, width, &tile) }
    }
}

/// The hidden vectors of a tile, and the packed weights that multiply them.
#[derive(Clone, Copy)]
pub(crate) struct HiddenRows {
    /// The hidden vector of the first row.
    pub(crate) h: *const f32,
    /// Floats from one row to the next.
    pub(crate) row: usize,
    /// H
    pub(crate) units: usize,
    /// All panels.
    pub(crate) weights: *const f32,
}

//! What the cells' kernels share: the sizes of a window and the input of a layer.

use crate::pack::{Slots, padded, product};
use crate::product::{Source, Weights, accumulate};
use crate::simd::Simd;
use core::ops::Range;

/// The sizes of one layer's window: T steps of B rows, H hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps T.
    pub steps: usize,
    /// Rows B.
    pub rows: usize,
    /// Hidden width H.
    pub hidden: usize,
    /// Whether gates and cells of all steps are kept (training) or one step's are overwritten (inference).
    pub keep: bool,
}

impl Window {
    /// Floats of one step of hidden vectors: B * padded(H).
    pub fn step(&self) -> usize {
        self.rows * padded(self.hidden)
    }

    /// Steps that a buffer of gates holds.
    pub fn kept_steps(&self) -> usize {
        if self.keep { self.steps } else { self.steps.min(1) }
    }

    /// The place of step `t` in a buffer with `width` floats a step.
    pub(crate) fn at(&self, t: usize, width: usize) -> usize {
        if self.keep { t * width } else { 0 }
    }

    /// Checks that no length of a buffer or of packed weights for this window overflows, for a length that wrapped around
    /// could pass the checks that the tiles rely on.
    pub(crate) fn check_sizes(&self) {
        let Self { steps, rows, hidden, .. } = *self;
        let fits = || {
            let gates = hidden.checked_next_multiple_of(16)?.checked_mul(4)?;
            gates.checked_mul(hidden)?;
            steps.checked_add(1)?.checked_mul(rows)?.checked_mul(gates)
        };
        assert!(fits().is_some(), "sizes that no memory holds: {self:?}");
    }

    /// `check_sizes` for a backward pass.
    pub(crate) fn check_kept(&self) {
        self.check_sizes();
        assert!(self.keep, "a backward pass needs a window that was kept");
    }

    pub(crate) fn check(&self, name: &str, found: usize, expected: usize) {
        assert!(found == expected, "{name} holds {found} floats, expected {expected} for {self:?}");
    }
}

/// What a layer's pre-activations start from, and its dense input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Rows of stored width: the summed bias, or a table of it plus the input product for each symbol [D, stored].
    pub start: &'a [f32],
    /// The row of `start` for each step and row [T, B]; without it, row 0 for all.
    pub ids: Option<&'a [u32]>,
    /// An input that is multiplied in the tile, before the hidden state.
    pub dense: Option<Dense<'a>>,
}

/// Dense input vectors and the weights that multiply them.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// [T, B, stride]
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// Input width E <= stride.
    pub width: usize,
    /// Packed weights, in the panels that the cell asks for.
    pub weights: &'a [f32],
    /// A second set of packed weights, for cells that compute in two phases.
    pub second: &'a [f32],
}

impl Input<'_> {
    /// Checks ids and lengths once, so that the tiles need not. `slots` are what a row of `start` holds; `packed` and
    /// `second` are the outputs that the two sets of dense weights feed, padding included.
    pub(crate) fn check(&self, window: &Window, slots: &Slots, packed: usize, second: usize) {
        window.check_sizes();
        let (tokens, width) = (window.steps * window.rows, slots.width());
        match self.ids {
            None => {
                assert!(self.start.len() >= width, "a bias of {} floats, expected {width}", self.start.len())
            }
            Some(ids) => {
                let table = self.start.len() / width;
                assert!(ids.len() == tokens, "{} ids, expected {tokens} for {window:?}", ids.len());
                assert!(ids.iter().all(|&id| (id as usize) < table), "an id beyond the table's {table} rows");
            }
        }
        if let Some(dense) = self.dense {
            let needed = product([tokens, dense.stride]);
            assert!(
                dense.width <= dense.stride && dense.values.len() >= needed,
                "dense input of {} floats in rows of {}, expected {tokens} rows of at least {}",
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

    /// Loads vector `offset` of the start of token `token` (t * B + row).
    ///
    /// # Safety
    /// `check` has passed, `token` < T * B, and `offset` + LANES <= stored width.
    #[inline(always)]
    pub(crate) unsafe fn start<S: Simd>(&self, s: S, token: usize, width: usize, offset: usize) -> S::F {
        // SAFETY: `check` has seen that every id is a row of the table.
        unsafe {
            let row = self.ids.map_or(0, |ids| *ids.get_unchecked(token) as usize);
            s.load(self.start.as_ptr().add(row * width + offset))
        }
    }
}

/// Continues the chains with the dense input of R tokens from `token` on. `before` counts the vectors of earlier panels,
/// `stride` the floats of this one for each k.
///
/// # Safety
/// `token + R <= T * B`, and the weights hold `before + W` vectors of `width` floats.
#[inline(always)]
pub(crate) unsafe fn add_dense<S: Simd, const R: usize, const W: usize, const A: usize>(
    s: S,
    acc: &mut [[S::F; A]; R],
    dense: &Dense<'_>,
    weights: &[f32],
    token: usize,
    (before, stride, half): (usize, usize, usize),
) {
    // SAFETY: the caller vouches for both ends.
    unsafe {
        let x = Source::rows(dense.values.as_ptr().add(token * dense.stride), dense.stride);
        let base = weights.as_ptr().add(before * 16 * dense.width + half);
        accumulate::<S, R, W, A, 0>(s, acc, x, dense.width, Weights { base, stride });
    }
}

/// Continues the chains of a transposed product over the pieces of stored rows (see [`Slots::pieces`]).
///
/// # Safety
/// Every piece lies within a row of `x`, and `weights` hold as many k as the pieces together.
#[inline(always)]
pub(crate) unsafe fn add_pieces<S: Simd, const R: usize, const W: usize>(
    s: S,
    acc: &mut [[S::F; W]; R],
    x: Source,
    pieces: &[Range<usize>],
    mut weights: Weights,
) {
    for piece in pieces {
        // SAFETY: the caller vouches for the pieces and the panel.
        unsafe {
            let x = Source { base: x.base.add(piece.start), ..x };
            accumulate::<S, R, W, W, 0>(s, acc, x, piece.len(), weights);
            weights.base = weights.base.add(piece.len() * weights.stride);
        }
    }
}

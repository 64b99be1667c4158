//! What the cells' kernels share: the sizes of a window and the input of a layer.

use crate::microkernel::{Factors, PackedWeights, Tile, TileStart, TileSums, multiply};
use crate::pack::{Slots, padded, product};
use crate::simd::Simd;
use core::ops::Range;

/// The sizes of one layer's window: T steps of B rows, H hidden units.
///
/// Rows may end before the window does. They are then sorted, the longest first, so that those which take part in a step
/// are its first `active[t]`, and buffers are packed: [N, ..] below stands for the tokens of all steps behind each other,
/// `active[t]` of step t. A window whose rows all have T steps has N = T * B, and [N, ..] is [T, B, ..].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowShape<'a> {
    /// Steps T.
    pub steps: usize,
    /// Rows B.
    pub rows: usize,
    /// Hidden width H.
    pub hidden: usize,
    /// Whether gates and cells of all steps are kept (training) or one step's are overwritten (inference).
    pub keep: bool,
    /// `[T]`: the rows that take part in each step, never more than in the step before; empty where all rows always do.
    pub active: &'a [u32],
}

/// One step of a window: the rows that take part, and the places of their vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPlace {
    /// Number of rows of the step before; all rows (B) for the first step.
    pub rows: usize,
    /// Number of rows that take part. They are the first of `rows`.
    pub active: usize,
    /// Number of rows that also take part in the next step.
    pub following: usize,
    /// The first token.
    pub token: usize,
    /// The first hidden vector of the state before the step.
    pub before: usize,
}

impl StepPlace {
    /// Returns the first hidden vector of the state after the step.
    #[inline(always)]
    pub fn after(&self) -> usize {
        self.before + self.rows
    }
}

impl<'a> WindowShape<'a> {
    /// Floats of one hidden vector of each row: B * padded(H).
    pub fn step(&self) -> usize {
        self.rows * padded(self.hidden)
    }

    /// Tokens N.
    pub fn tokens(&self) -> usize {
        if self.active.is_empty() {
            self.steps * self.rows
        } else {
            self.active.iter().map(|n| *n as usize).sum()
        }
    }

    /// Hidden vectors that a window goes through: the initial ones, then one for each token.
    pub fn states(&self) -> usize {
        self.rows + self.tokens()
    }

    /// Tokens that a buffer of gates holds: all, or those of one step of all rows.
    pub fn kept_tokens(&self) -> usize {
        if self.keep { self.tokens() } else { self.steps.min(1) * self.rows }
    }

    /// The rows that take part in step `t`; none in the step after the last.
    pub fn active(&self, t: usize) -> usize {
        match self.active.get(t) {
            Some(rows) => *rows as usize,
            None if self.active.is_empty() && t < self.steps => self.rows,
            None => 0,
        }
    }

    /// Where the rows' last states lie: some rows, and the place of hidden vector 0 of the step after which they end.
    /// Row r of them has its last state in hidden vector place + r.
    pub fn ends(self) -> impl Iterator<Item = (Range<usize>, usize)> {
        let (mut place, mut going) = (0, self.rows);
        (0..=self.steps).map(move |t| {
            let (rows, now) = (self.active(t)..going, place);
            place += going;
            going = rows.start;
            (rows, now)
        })
    }

    /// Returns the steps from the first to the last.
    #[inline]
    pub fn forward_steps(self) -> impl Iterator<Item = StepPlace> {
        let mut token = 0;
        (0..self.steps).map(move |t| {
            let place = self.place(t, token);
            token += place.active;
            place
        })
    }

    /// Returns the steps from the last to the first.
    #[inline]
    pub fn backward_steps(self) -> impl Iterator<Item = StepPlace> {
        let mut token = self.tokens();
        (0..self.steps).rev().map(move |t| {
            token -= self.active(t);
            self.place(t, token)
        })
    }

    fn place(&self, t: usize, token: usize) -> StepPlace {
        let rows = if t == 0 { self.rows } else { self.active(t - 1) };
        let (active, following) = (self.active(t), self.active(t + 1));
        StepPlace { rows, active, following, token, before: self.rows + token - rows }
    }

    /// Returns the steps from the last to the first, each in the parts that differ in what a
    /// backward pass multiplies.
    pub(crate) fn backward(self, pieces: &[Range<usize>]) -> impl Iterator<Item = (StepPlace, StepRows<'_>)> {
        self.backward_steps().flat_map(|at| at.parts(pieces).map(move |part| (at, part)))
    }

    /// The place of token `token`, or of hidden vector `token`, in a buffer of which one step may be all that is kept.
    pub(crate) fn kept(&self, token: usize) -> usize {
        if self.keep { token } else { 0 }
    }

    /// Checks that no length of a buffer or of packed weights for this window overflows, for a length that wrapped around
    /// could pass the checks that the tiles rely on; and that the rows are sorted.
    pub(crate) fn check_sizes(&self) {
        let Self { steps, rows, hidden, active, .. } = *self;
        let fits = || {
            let gates = hidden.checked_next_multiple_of(16)?.checked_mul(4)?;
            gates.checked_mul(hidden)?;
            steps.checked_add(1)?.checked_mul(rows)?.checked_mul(gates)
        };
        assert!(fits().is_some(), "sizes that no memory holds: {self:?}");
        let (given, first) = (active.len(), active.first().map_or(0, |first| *first as usize));
        assert!(
            given == 0 || given == steps,
            "{given} numbers of active rows, expected {steps} for {self:?}"
        );
        assert!(
            first <= rows && active.is_sorted_by(|a, b| a >= b),
            "active rows that are not the first: {self:?}"
        );
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

/// Some rows of a step in a backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepRows<'p> {
    /// The first of them.
    pub(crate) first: usize,
    /// How many, at least one.
    pub(crate) rows: usize,
    /// What is multiplied of the deltas of the step after.
    pub(crate) pieces: &'p [Range<usize>],
}

impl StepPlace {
    /// The rows that go on to the next step, with the product of its deltas, and those that end here, without.
    fn parts<'p>(&self, pieces: &'p [Range<usize>]) -> impl Iterator<Item = StepRows<'p>> + use<'p> {
        let going = StepRows { first: 0, rows: self.following, pieces };
        let ending = StepRows { first: self.following, rows: self.active - self.following, pieces: &[] };
        [going, ending].into_iter().filter(|part| part.rows > 0)
    }
}

/// What a layer's pre-activations start from, and its dense input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Rows of stored width: the summed bias, or a table of it plus the input product for each symbol [D, stored].
    pub start: &'a [f32],
    /// The row of `start` for each token `[N]`; without it, row 0 for all.
    pub ids: Option<&'a [u32]>,
    /// An input that is multiplied in the tile, before the hidden state.
    pub dense: Option<DenseInput<'a>>,
}

/// Dense input vectors and the weights that multiply them.
#[derive(Clone, Copy, Debug)]
pub struct DenseInput<'a> {
    /// [N, stride]
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// Input width E <= stride.
    pub width: usize,
    /// Weights, packed for the backend that runs, in the panels that the cell asks for.
    pub weights: &'a [f32],
    /// A second set of packed weights, for cells that compute in two phases.
    pub second: &'a [f32],
}

impl<'a> Input<'a> {
    /// Checks ids and lengths once, so that the tiles need not. `slots` are what a row of `start` holds; `packed` and
    /// `second` are the outputs that the two sets of dense weights feed, padding included.
    pub(crate) fn check(&self, window: &WindowShape<'_>, slots: &Slots, packed: usize, second: usize) {
        window.check_sizes();
        let (tokens, width) = (window.tokens(), slots.width());
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

    /// The starts of the tokens from `token` on, from vector `offset` of their rows of `width` floats on, `step` floats from one
    /// vector to the next.
    #[inline(always)]
    pub(crate) fn starts(&self, token: usize, (width, offset, step): (usize, usize, usize)) -> TileStart {
        let start = self.start.as_ptr().wrapping_add(offset);
        match self.ids {
            None => TileStart::rows(start, 0, step),
            Some(ids) => TileStart::rows(start, width, step).with_ids(ids.as_ptr().wrapping_add(token)),
        }
    }

    /// Values of k in the dense input: `0..E`, or none.
    #[inline(always)]
    pub(crate) fn depth(&self) -> Range<usize> {
        0..self.dense.map_or(0, |dense| dense.width)
    }

    /// The dense input of the tokens from `token` on; it continues no chain where there is none. `weights` chooses one of the two
    /// sets, `before` counts the vectors of earlier panels, `vectors` those of this one.
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

    /// Leaves the pre-activations of a tile in `sums`: the start, then the dense input, then the hidden state. `start` is as for
    /// `starts`, `panel` and `weights` as for `factors`.
    ///
    /// # Safety
    /// `check` has passed; `rows` tokens from `token` on, `width` vectors of the panel, and the hidden vectors exist.
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
        // SAFETY: as the caller vouches.
        unsafe { multiply(s, rows, width, &tile) }
    }
}

/// The hidden vectors of a tile, and the packed weights that multiply them.
#[derive(Clone, Copy)]
pub(crate) struct HiddenRows {
    /// The first row's; `row` floats to the next.
    pub(crate) h: *const f32,
    pub(crate) row: usize,
    /// H
    pub(crate) units: usize,
    /// All panels.
    pub(crate) weights: *const f32,
}

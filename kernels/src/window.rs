//! The shape of a window, and the walk over its steps.

use crate::pack::padded;
use core::ops::Range;

/// The shape of one layer's window: T steps of B rows, H hidden units.
///
/// Rows may end before the window does. They are then sorted, the longest first. The first
/// `active[t]` rows take part in step t, and buffers are packed: [N, ..] below stands for the
/// tokens of all steps in a row, `active[t]` of step t. If all rows have T steps, then N = T * B,
/// and [N, ..] is [T, B, ..].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowShape<'a> {
    /// Number of steps (T).
    pub steps: usize,
    /// Number of batch rows (B).
    pub rows: usize,
    /// Hidden width (H).
    pub hidden: usize,
    /// True if gates and cell states of all steps are kept (training). False if each step
    /// overwrites them (inference).
    pub keep: bool,
    /// `[T]`: the number of rows that take part in each step, never more than in the step before.
    /// Empty if all rows take part in all steps.
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
    /// Returns the floats of one hidden vector of each row: B * padded(H).
    pub fn step(&self) -> usize {
        self.rows * padded(self.hidden)
    }

    /// Returns the number of tokens (N).
    pub fn tokens(&self) -> usize {
        if self.active.is_empty() {
            self.steps * self.rows
        } else {
            self.active.iter().map(|n| *n as usize).sum()
        }
    }

    /// Returns the number of hidden vectors of a window: the initial ones, then one per token.
    pub fn states(&self) -> usize {
        self.rows + self.tokens()
    }

    /// Returns the number of tokens that a buffer of gates holds: all, or those of one step of all
    /// rows.
    pub fn kept_tokens(&self) -> usize {
        if self.keep { self.tokens() } else { self.steps.min(1) * self.rows }
    }

    /// Returns the number of rows that take part in step `t`; 0 after the last step.
    pub fn active(&self, t: usize) -> usize {
        match self.active.get(t) {
            Some(rows) => *rows as usize,
            None if self.active.is_empty() && t < self.steps => self.rows,
            None => 0,
        }
    }

    /// Returns the places of the rows' last states: ranges of rows, each with the place of hidden
    /// vector 0 of the step after which they end. The last state of row r of a range is hidden
    /// vector place + r.
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

    /// Returns the steps from the last to the first, each split into the rows that go on and the
    /// rows that end. A backward pass multiplies `pieces` of the next step's deltas for the former
    /// only.
    pub(crate) fn backward(self, pieces: &[Range<usize>]) -> impl Iterator<Item = (StepPlace, StepRows<'_>)> {
        self.backward_steps().flat_map(|at| at.parts(pieces).map(move |part| (at, part)))
    }

    /// Returns the place of token `token`, or of hidden vector `token`, in a buffer that may keep
    /// only one step.
    pub(crate) fn kept(&self, token: usize) -> usize {
        if self.keep { token } else { 0 }
    }

    /// Checks that the rows are sorted and that no length of a buffer or of packed weights for this
    /// window overflows. A length that wrapped around could pass the checks that the tiles rely on.
    pub(crate) fn check_sizes(&self) {
        let Self { steps, rows, hidden, active, .. } = *self;
        let fits = || {
            let gates = hidden.checked_next_multiple_of(16)?.checked_mul(4)?;
            gates.checked_mul(hidden)?;
            steps.checked_add(1)?.checked_mul(rows)?.checked_mul(gates)
        };
        assert!(fits().is_some(), "sizes too large for any memory: {self:?}");
        let (given, first) = (active.len(), active.first().map_or(0, |first| *first as usize));
        assert!(
            given == 0 || given == steps,
            "active has length {given}, expected {steps} or 0 for {self:?}"
        );
        assert!(
            first <= rows && active.is_sorted_by(|a, b| a >= b),
            "active rows must be sorted, largest first, and at most B: {self:?}"
        );
    }

    /// Calls `check_sizes`, for a backward pass.
    pub(crate) fn check_kept(&self) {
        self.check_sizes();
        assert!(self.keep, "a backward pass needs a window with keep set");
    }

    /// Checks the length of a buffer.
    pub(crate) fn check(&self, name: &str, found: usize, expected: usize) {
        assert!(found == expected, "{name} has length {found}, expected {expected} for {self:?}");
    }
}

/// Some rows of a step in a backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepRows<'p> {
    /// The first row.
    pub(crate) first: usize,
    /// Number of rows, at least one.
    pub(crate) rows: usize,
    /// The pieces of the next step's deltas that are multiplied.
    pub(crate) pieces: &'p [Range<usize>],
}

impl StepPlace {
    /// Returns the rows that go on to the next step, with the product of its deltas, and the rows
    /// that end here, without one.
    fn parts<'p>(&self, pieces: &'p [Range<usize>]) -> impl Iterator<Item = StepRows<'p>> + use<'p> {
        let going = StepRows { first: 0, rows: self.following, pieces };
        let ending = StepRows { first: self.following, rows: self.active - self.following, pieces: &[] };
        [going, ending].into_iter().filter(|part| part.rows > 0)
    }
}

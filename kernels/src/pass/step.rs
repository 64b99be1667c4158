//! The places of one step in the buffers of a window, and of one vector of units in the buffers of
//! a step.

use crate::pack::padded;
use crate::window::{StepPlace, WindowShape};

/// The places of one step in the buffers of a window, in floats of hidden vectors.
#[derive(Clone, Copy)]
pub(crate) struct StepOffsets {
    /// The state before the step, in a buffer of all states.
    pub(crate) before: usize,
    /// The state after the step, in a buffer of all states.
    pub(crate) after: usize,
    /// The state before the step, in a buffer that may keep only one state.
    pub(crate) kept_before: usize,
    /// The state after the step, in a buffer that may keep only one state.
    pub(crate) kept_after: usize,
    /// The tokens of the step, in a buffer that may keep only one step.
    pub(crate) token: usize,
    /// The first row, in a buffer of one vector per row.
    pub(crate) row: usize,
}

impl StepOffsets {
    /// Returns the places of a step, from row `first` on.
    #[inline(always)]
    pub(crate) fn of(window: &WindowShape<'_>, step: &StepPlace, first: usize) -> Self {
        let stride = padded(window.hidden);
        Self {
            before: (step.before + first) * stride,
            after: (step.after() + first) * stride,
            kept_before: (window.kept(step.before) + first) * stride,
            kept_after: (window.kept(step.after()) + first) * stride,
            token: (window.kept(step.token) + first) * stride,
            row: first * stride,
        }
    }
}

/// The buffers of a cell, besides those of all cells.
pub(crate) trait AtStep: Copy {
    /// Returns the buffers of one step, from those of the window.
    ///
    /// # Safety
    /// The buffers reach to the step.
    unsafe fn at(self, step: &StepOffsets) -> Self;
}

/// The places of one vector of units in the buffers of a step.
#[derive(Clone, Copy)]
pub(crate) struct VectorPlace {
    /// The first unit of the vector.
    pub(crate) first: usize,
    /// The vector within a step of hidden vectors.
    pub(crate) unit: usize,
    /// Slot 0 of the vector within a step of gates.
    pub(crate) gate: usize,
}

impl VectorPlace {
    /// Returns the places of half `half` of block `block` of row `row`. Hidden vectors have
    /// `stride` floats, and rows of gates have `stored` slots per unit.
    #[inline(always)]
    pub(crate) fn of(stride: usize, stored: usize, row: usize, (block, half): (usize, usize)) -> Self {
        Self {
            first: block * 16 + half,
            unit: row * stride + block * 16 + half,
            gate: (row * stride + block * 16) * stored + half,
        }
    }
}

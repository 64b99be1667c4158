//! The backward pass of one layer's window.

use super::backward_tile::{BackwardTile, DeltaCell, GradientStart};
use super::step::{AtStep, StepOffsets};
use crate::microkernel::TileSums;
use crate::pack::{Panels, Slots, padded};
use crate::simd::Simd;
use crate::sweep::sweep;
use crate::team::{Member, SharedPass};
use crate::window::{StepPlace, StepRows, WindowShape};
use core::ops::Range;

/// The backward pass of one layer's window, without the buffers of its cell.
#[derive(Debug)]
pub struct BackwardWindow<'a> {
    /// T, B, H; `keep` is set.
    pub window: WindowShape<'a>,
    /// `weight_hh`, packed transposed over the slots that the cell says.
    pub recurrent: &'a [f32],
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
    /// The pieces of the same slots.
    pub pieces: &'a [Range<usize>],
    /// [N, padded(H)]: gradient of each step's output from above.
    pub dh: &'a [f32],
    /// [N, stored]: gates in, deltas out. If the upper half of a last block is only padding, it is
    /// not written.
    pub gates: &'a mut [f32],
}

/// A backward pass with its buffers as places.
#[derive(Clone, Copy)]
pub(crate) struct BackwardPlaces<'a> {
    pub(crate) window: WindowShape<'a>,
    pub(crate) recurrent: *const f32,
    pub(crate) panels: &'a Panels,
    pub(crate) pieces: &'a [Range<usize>],
    pub(crate) dh: *const f32,
    pub(crate) gates: *mut f32,
}

/// A cell with a product of its recurrent gates.
pub(crate) trait BackwardCell: DeltaCell {
    /// Number of gates whose deltas are multiplied.
    const GATES: usize;

    /// Returns the gradient of h that does not go through the weights, if there is one: a step of
    /// hidden vectors.
    #[inline(always)]
    fn carry(&self) -> Option<*const f32> {
        None
    }
}

impl<'a> BackwardWindow<'a> {
    /// Checks all lengths. The gates of `slots` are multiplied.
    pub(crate) fn check(&self, slots: &Slots) {
        let window = &self.window;
        window.check_kept();
        window.check("dh", self.dh.len(), window.tokens() * padded(window.hidden));
        window.check("gates", self.gates.len(), window.tokens() * slots.width());
        window.check("recurrent", self.recurrent.len(), self.panels.len(slots.depth()));
        self.panels.check_plain(window.hidden);
        slots.check_pieces(self.pieces);
    }

    #[inline(always)]
    pub(crate) fn places(self) -> BackwardPlaces<'a> {
        let Self { window, recurrent, panels, pieces, dh, gates } = self;
        let (recurrent, dh, gates) = (recurrent.as_ptr(), dh.as_ptr(), gates.as_mut_ptr());
        BackwardPlaces { window, recurrent, panels, pieces, dh, gates }
    }
}

impl<'a> BackwardPlaces<'a> {
    /// Returns the tiles of some rows of a step.
    ///
    /// # Safety
    /// The buffers reach to the step.
    #[inline(always)]
    pub(crate) unsafe fn tile<'t, C: BackwardCell>(
        &'t self,
        step: &StepPlace,
        rows: StepRows<'t>,
        sums: &'t TileSums,
        (cell, blocks): (C, &Range<usize>),
    ) -> BackwardTile<'t, C> {
        let stride = padded(self.window.hidden);
        // SAFETY: the caller vouches for the step.
        let dh = unsafe { self.dh.add((step.token + rows.first) * stride) };
        let start = match cell.carry() {
            None => GradientStart::Above(dh),
            Some(carry) => GradientStart::AboveAndCarry(dh, carry),
        };
        BackwardTile {
            stride,
            depth: C::GATES * self.window.hidden,
            recurrent: self.recurrent,
            panels: self.panels,
            blocks: blocks.clone(),
            pieces: rows.pieces,
            deltas: self.gates.wrapping_add((step.token + step.active) * C::STORED * stride),
            start,
            sums,
            cell,
        }
    }

    /// Returns the steps from the last to the first, as [`WindowShape::backward`]. The members meet
    /// between two of them.
    #[inline(always)]
    pub(crate) fn steps(&self, member: &Member<'_>) -> impl Iterator<Item = (StepPlace, StepRows<'a>)> {
        self.window.backward(self.pieces).enumerate().map(|(i, step)| {
            if i > 0 {
                member.meet();
            }
            step
        })
    }
}

/// The backward pass of a cell whose steps have one phase, with its buffers as places.
#[derive(Clone, Copy)]
pub struct OnePhaseBackward<'a, C> {
    pub(crate) pass: BackwardPlaces<'a>,
    pub(crate) cell: C,
}

impl<C: BackwardCell + AtStep> SharedPass for OnePhaseBackward<'_, C> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S, member: &Member<'_>) {
        let Self { pass, cell } = self;
        let (blocks, sums) = (member.blocks(pass.window.hidden), TileSums::new());
        let panels = pass.panels.holding(&blocks);
        for (step, rows) in pass.steps(member) {
            let offsets = StepOffsets::of(&pass.window, &step, rows.first);
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let tile = pass.tile(&step, rows, &sums, (cell.at(&offsets), &blocks));
                sweep(s, rows.rows, panels.clone(), &tile);
            }
        }
    }
}

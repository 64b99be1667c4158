//! The backward pass of one layer's window.

use super::backward_tile::{BackwardTile, DeltaCell, GradientStart};
use super::room::BackwardRoom;
use super::step::{AtStep, StepOffsets};
use crate::isa::Isa;
use crate::microkernel::TileSums;
use crate::pack::{Panels, Slots, padded};
use crate::rounding::RoundedSlot;
use crate::simd::Simd;
use crate::sweep::sweep;
use crate::team::{Member, SharedPass};
use crate::window::{StepPlace, StepRows, WindowShape};
use core::ops::Range;
use core::slice::from_ref;

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
    /// written only by backends with tiles.
    pub gates: &'a mut [f32],
    /// Room for rounded deltas, at least `isa.backward_room(B, H, gates)` floats. Overwritten.
    pub room: &'a mut [f32],
}

/// A backward pass with its buffers as places.
#[derive(Clone)]
pub(crate) struct BackwardPlaces<'a> {
    pub(crate) window: WindowShape<'a>,
    pub(crate) recurrent: *const f32,
    pub(crate) panels: &'a Panels,
    pub(crate) pieces: &'a [Range<usize>],
    pub(crate) dh: *const f32,
    pub(crate) gates: *mut f32,
    pub(crate) room: BackwardRoom,
    /// All words of a rounded row.
    words: Range<usize>,
}

/// A cell with a product of its recurrent gates.
pub(crate) trait BackwardCell: DeltaCell {
    /// Number of gates whose deltas are multiplied, and the slot of the first one.
    const GATES: usize;
    const FIRST: usize = 0;

    /// Returns the gradient of h that does not go through the weights, if there is one: a step of
    /// hidden vectors.
    #[inline(always)]
    fn carry(&self) -> Option<*const f32> {
        None
    }
}

impl<'a> BackwardWindow<'a> {
    /// Checks all lengths. The gates of `slots` are multiplied.
    pub(crate) fn check(&self, isa: Isa, slots: &Slots) {
        let window = &self.window;
        window.check_kept();
        window.check("dh", self.dh.len(), window.tokens() * padded(window.hidden));
        window.check("gates", self.gates.len(), window.tokens() * slots.width());
        window.check("recurrent", self.recurrent.len(), self.panels.len(isa.slot_words(slots)));
        self.panels.check_plain(window.hidden);
        slots.check_pieces(self.pieces);
    }

    #[inline(always)]
    pub(crate) fn places(self, isa: Isa, multiplied: usize) -> BackwardPlaces<'a> {
        let Self { window, recurrent, panels, pieces, dh, gates, room } = self;
        let (recurrent, dh, gates) = (recurrent.as_ptr(), dh.as_ptr(), gates.as_mut_ptr());
        let room = BackwardRoom::new(isa, [window.rows, window.hidden, multiplied], room);
        let words = 0..room.delta_words;
        BackwardPlaces { window, recurrent, panels, pieces, dh, gates, room, words }
    }
}

/// Some rows of a backward step, with the number of the step.
#[derive(Clone, Copy)]
pub(crate) struct BackwardStep<'a> {
    /// Counts from the last step on.
    pub(crate) number: usize,
    pub(crate) step: StepPlace,
    pub(crate) rows: StepRows<'a>,
}

impl<'a> BackwardPlaces<'a> {
    /// Returns the tiles of some rows of a step.
    ///
    /// # Safety
    /// The buffers reach to the step.
    #[inline(always)]
    pub(crate) unsafe fn tile<'t, S: Simd, C: BackwardCell>(
        &'t self,
        BackwardStep { number, step, rows }: BackwardStep<'t>,
        sums: &'t TileSums,
        (cell, blocks): (C, &Range<usize>),
        rounded: &'t [RoundedSlot],
    ) -> BackwardTile<'t, C> {
        let stride = padded(self.window.hidden);
        // SAFETY: the caller vouches for the step.
        let (dh, gates) = unsafe {
            let place = (step.token + rows.first) * stride;
            (self.dh.add(place), self.gates.add(C::STORED * place))
        };
        let start = match cell.carry() {
            None => GradientStart::Above(dh),
            Some(carry) => GradientStart::AboveAndCarry(dh, carry),
        };
        let stored = C::STORED * stride;
        let after = self.gates.wrapping_add((step.token + step.active) * stored);
        let (deltas, delta_row, pieces) = match S::TERMS {
            1 => (after.cast_const(), stored, rows.pieces),
            _ if rows.pieces.is_empty() => (after.cast_const(), stored, rows.pieces),
            _ => (self.room.deltas(number + 1).cast_const(), self.room.delta_row, from_ref(&self.words)),
        };
        BackwardTile {
            stride,
            depth: self.room.delta_words,
            recurrent: self.recurrent,
            panels: self.panels,
            blocks: blocks.clone(),
            pieces,
            deltas,
            delta_row,
            start,
            sums,
            cell,
            gates,
            rounded,
        }
    }

    /// Returns slot `slot` of the rows of a step, and its place among the deltas that the next
    /// recurrent product multiplies.
    #[inline(always)]
    pub(crate) fn rounded_slot<C: BackwardCell>(
        &self,
        BackwardStep { number, rows, .. }: &BackwardStep<'_>,
        slot: usize,
    ) -> RoundedSlot {
        let row_words = self.room.delta_row;
        let to = self.room.deltas(*number).wrapping_add(rows.first * row_words);
        RoundedSlot { slot, to, row_words, stored: C::GATES, place: slot - C::FIRST }
    }

    /// Returns the steps from the last to the first, as [`WindowShape::backward`]. The members meet
    /// between two of them.
    #[inline(always)]
    pub(crate) fn steps(&self, member: &Member<'_>) -> impl Iterator<Item = BackwardStep<'a>> {
        let (mut number, mut last) = (0, None);
        self.window.backward(self.pieces).map(move |(step, rows)| {
            if let Some(last) = last {
                number += usize::from(last != step.token);
                member.meet();
            }
            last = Some(step.token);
            BackwardStep { number, step, rows }
        })
    }
}

/// The backward pass of a cell whose steps have one phase, with its buffers as places.
#[derive(Clone)]
pub struct OnePhaseBackward<'a, C> {
    pub(crate) pass: BackwardPlaces<'a>,
    pub(crate) cell: C,
}

impl<C: BackwardCell + AtStep> SharedPass for OnePhaseBackward<'_, C> {
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, member: &Member<'_>) {
        let Self { pass, cell } = self;
        let (blocks, sums) = (member.blocks(pass.window.hidden), TileSums::new());
        let panels = pass.panels.holding(&blocks);
        for at in pass.steps(member) {
            let offsets = StepOffsets::of(&pass.window, &at.step, at.rows.first);
            let rounded: [RoundedSlot; 4] =
                core::array::from_fn(|i| pass.rounded_slot::<C>(&at, C::FIRST + i.min(C::GATES - 1)));
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let cell = cell.at(&offsets);
                let tile = pass.tile::<S, C>(at, &sums, (cell, &blocks), &rounded[..C::GATES]);
                sweep(s, at.rows.rows, panels.clone(), &tile);
            }
        }
    }
}

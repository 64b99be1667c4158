//! The forward pass of one layer's window.

use super::gate_tile::{GateCell, GateTile};
use super::room::ForwardRoom;
use super::step::{AtStep, StepOffsets};
use super::tile_products::{StepOperand, TileProducts};
use crate::input::Input;
use crate::int8::vectors::quantize;
use crate::isa::Isa;
use crate::microkernel::TileSums;
use crate::pack::{Slots, padded};
use crate::rounding::{Chunks, RoundedVectors, round_row};
use crate::simd::Simd;
use crate::sweep::sweep;
use crate::team::{Member, SharedPass};
use crate::window::{StepPlace, WindowShape};

/// The forward pass of one layer's window, without the buffers of its cell.
#[derive(Debug)]
pub struct ForwardWindow<'a> {
    /// T, B, H.
    pub window: WindowShape<'a>,
    /// Bias or table, and dense input, packed as the cell says.
    pub input: Input<'a>,
    /// `weight_hh`, packed as the cell says.
    pub recurrent: &'a [f32],
    /// [B + N, padded(H)]: the initial state, then the state after each step.
    pub h: &'a mut [f32],
    /// Room for rounded vectors, at least `isa.forward_room(B, H, E)` floats. Overwritten.
    pub room: &'a mut [f32],
}

/// A forward pass with its buffers as places.
#[derive(Clone, Copy)]
pub(crate) struct ForwardPlaces<'a> {
    pub(crate) window: WindowShape<'a>,
    pub(crate) input: Input<'a>,
    pub(crate) recurrent: *const f32,
    pub(crate) h: *mut f32,
    pub(crate) room: ForwardRoom,
}

impl<'a> ForwardWindow<'a> {
    /// Checks all lengths. `slots` describe a row of `start`. `packed` and `second` are the outputs
    /// that the two sets of dense weights feed; `recurrent` are the floats of packed weights.
    pub(crate) fn check(&self, isa: Isa, slots: &Slots, [packed, second]: [usize; 2], recurrent: usize) {
        let window = &self.window;
        self.input.check(isa, window, slots, packed, second);
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("recurrent", self.recurrent.len(), recurrent);
    }

    #[inline(always)]
    pub(crate) fn places(self, isa: Isa) -> ForwardPlaces<'a> {
        let Self { window, input, recurrent, h, room } = self;
        let inputs = input.dense.map_or(0, |dense| dense.width);
        let room = ForwardRoom::new(isa, [window.rows, window.hidden, inputs], room);
        ForwardPlaces { window, input, recurrent: recurrent.as_ptr(), h: h.as_mut_ptr(), room }
    }
}

impl ForwardPlaces<'_> {
    /// Returns the products of a step with h and the first set of dense weights.
    ///
    /// # Safety
    /// The buffers reach to the step.
    #[inline(always)]
    pub(crate) unsafe fn products<'t, S: Simd>(
        &'t self,
        (t, step): (usize, &StepPlace),
        sums: &'t TileSums,
    ) -> TileProducts<'t> {
        let (room, stride) = (&self.room, padded(self.window.hidden));
        let mut x = StepOperand::none();
        if let Some(dense) = &self.input.dense {
            let weights = dense.weights.as_ptr();
            let (at, row) = match S::TERMS {
                1 => (dense.values.as_ptr().wrapping_add(step.token * dense.stride), dense.stride),
                _ => (room.inputs(t).cast_const(), room.input_row),
            };
            x = StepOperand { at, row, words: room.input_words, weights };
        }
        let (at, row) = match S::TERMS {
            // SAFETY: the caller vouches for the step.
            1 => (unsafe { self.h.add(step.before * stride) }, stride),
            _ => (room.states(t), room.state_row),
        };
        let h = StepOperand { at, row, words: room.state_words, weights: self.recurrent };
        TileProducts { hidden: self.window.hidden, stride, token: step.token, input: &self.input, x, h, sums }
    }

    /// Returns the new states of a step as rounded vectors.
    ///
    /// # Safety
    /// The buffers reach to the step.
    #[inline(always)]
    pub(crate) unsafe fn rounded(&self, (t, step): (usize, &StepPlace)) -> RoundedVectors {
        let row = padded(self.window.hidden);
        // SAFETY: the caller vouches for the step.
        let from = unsafe { self.h.add(step.after() * row) };
        RoundedVectors { from, row, to: self.room.states(t + 1), row_words: self.room.state_row }
    }

    /// Returns the steps from the first to the last, with their numbers. The members meet between
    /// two steps. Before, each rounds some rows of the next step's input.
    #[inline(always)]
    pub(crate) fn steps<S: Simd>(
        &self,
        s: S,
        member: &Member<'_>,
    ) -> impl Iterator<Item = (usize, StepPlace)> {
        self.window.forward_steps().enumerate().map(move |(t, step)| {
            if S::TERMS == 4 && t > 0 {
                // A state is quantized as a whole.
                member.meet();
            }
            if S::TERMS > 1 {
                // SAFETY: the lengths were checked, and the room holds all rows.
                unsafe { self.round(s, (t, &step), member) };
            }
            if t > 0 || S::TERMS > 1 {
                member.meet();
            }
            (t, step)
        })
    }

    /// Rounds the member's part of a step's input, and of the initial state. Of integers it rounds
    /// the state before each step.
    ///
    /// # Safety
    /// The buffers reach to the step, and nobody reads the room of its inputs and of the state.
    #[inline(always)]
    unsafe fn round<S: Simd>(&self, s: S, (t, step): (usize, &StepPlace), member: &Member<'_>) {
        let (room, stride) = (&self.room, padded(self.window.hidden));
        for row in member.rows(step.active) {
            // SAFETY: the caller vouches for the step.
            unsafe {
                if let Some(dense) = &self.input.dense {
                    let from = dense.values.as_ptr().add((step.token + row) * dense.stride);
                    round_vector(
                        s,
                        from,
                        (dense.width, room.input_words),
                        room.inputs(t).add(row * room.input_row),
                    );
                }
                if t == 0 || S::TERMS == 4 {
                    let from = self.h.add((step.before + row) * stride);
                    let width = (self.window.hidden, room.state_words);
                    round_vector(s, from, width, room.states(t).add(row * room.state_row));
                }
            }
        }
    }

    /// Quantizes the member's part of the vectors between the two phases of a step, `from` on, for
    /// backends of integers. Other backends round them as they are written. The members meet after
    /// both.
    ///
    /// # Safety
    /// All members call this, and `from` are hidden vectors of a step of `rows` rows.
    #[inline(always)]
    pub(crate) unsafe fn between<S: Simd>(&self, s: S, from: *const f32, rows: usize, member: &Member<'_>) {
        member.meet();
        if S::TERMS != 4 {
            return;
        }
        let (room, hidden) = (&self.room, self.window.hidden);
        for row in member.rows(rows) {
            // SAFETY: the caller vouches for the vectors.
            unsafe {
                let (from, to) = (from.add(row * padded(hidden)), room.between().add(row * room.state_row));
                round_vector(s, from, (hidden, room.state_words), to);
            }
        }
        member.meet();
    }
}

/// Rounds a vector of `width` values into `words` words.
///
/// # Safety
/// `from` is readable for the values, and `to` is writable for the words.
#[inline(always)]
unsafe fn round_vector<S: Simd>(s: S, from: *const f32, (width, words): (usize, usize), to: *mut f32) {
    let piece = 0..width;
    // SAFETY: the caller vouches for both sides.
    unsafe {
        match S::TERMS {
            4 => quantize(s, from, width, to),
            _ => round_row(s, from, Chunks::of(core::slice::from_ref(&piece), 0, words), to),
        }
    }
}

/// The forward pass of a cell whose steps have one phase, with its buffers as places.
#[derive(Clone, Copy)]
pub struct OnePhaseForward<'a, C> {
    pub(crate) pass: ForwardPlaces<'a>,
    pub(crate) cell: C,
}

impl<C: GateCell + AtStep> SharedPass for OnePhaseForward<'_, C> {
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, member: &Member<'_>) {
        let Self { pass, cell } = self;
        let (blocks, sums) = (member.blocks(pass.window.hidden), TileSums::new());
        for (t, step) in pass.steps(s, member) {
            let (at, offsets) = ((t, &step), StepOffsets::of(&pass.window, &step, 0));
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let (products, rounded) = (pass.products::<S>(at, &sums), pass.rounded(at));
                let tile = GateTile { products, cell: cell.at(&offsets), rounded };
                sweep(s, step.active, blocks.clone(), &tile);
            }
        }
    }
}

//! The forward pass of one layer's window.

use super::gate_tile::{GateCell, GateTile};
use super::step::{AtStep, StepOffsets};
use super::tile_products::TileProducts;
use crate::input::Input;
use crate::microkernel::TileSums;
use crate::pack::{Slots, padded};
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
}

/// A forward pass with its buffers as places.
#[derive(Clone, Copy)]
pub(crate) struct ForwardPlaces<'a> {
    pub(crate) window: WindowShape<'a>,
    pub(crate) input: Input<'a>,
    pub(crate) recurrent: *const f32,
    pub(crate) h: *mut f32,
}

impl<'a> ForwardWindow<'a> {
    /// Checks all lengths. `slots` describe a row of `start`. `packed` and `second` are the outputs
    /// that the two sets of dense weights feed; `recurrent` are the floats of packed weights.
    pub(crate) fn check(&self, slots: &Slots, [packed, second]: [usize; 2], recurrent: usize) {
        let window = &self.window;
        self.input.check(window, slots, packed, second);
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("recurrent", self.recurrent.len(), recurrent);
    }

    #[inline(always)]
    pub(crate) fn places(self) -> ForwardPlaces<'a> {
        let Self { window, input, recurrent, h } = self;
        ForwardPlaces { window, input, recurrent: recurrent.as_ptr(), h: h.as_mut_ptr() }
    }
}

impl ForwardPlaces<'_> {
    /// Returns the products of a step with h and the first set of dense weights.
    ///
    /// # Safety
    /// The buffers reach to the step.
    #[inline(always)]
    pub(crate) unsafe fn products<'t>(&'t self, step: &StepPlace, sums: &'t TileSums) -> TileProducts<'t> {
        let stride = padded(self.window.hidden);
        TileProducts {
            hidden: self.window.hidden,
            stride,
            token: step.token,
            input: &self.input,
            dense: self.input.dense.map_or(core::ptr::null(), |dense| dense.weights.as_ptr()),
            recurrent: self.recurrent,
            // SAFETY: the caller vouches for the step.
            h: unsafe { self.h.add(step.before * stride) },
            sums,
        }
    }

    /// Returns the steps from the first to the last. The members meet between two steps.
    #[inline(always)]
    pub(crate) fn steps(&self, member: &Member<'_>) -> impl Iterator<Item = StepPlace> {
        self.window.forward_steps().enumerate().map(|(t, step)| {
            if t > 0 {
                member.meet();
            }
            step
        })
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
    unsafe fn run<S: Simd>(self, s: S, member: &Member<'_>) {
        let Self { pass, cell } = self;
        let (blocks, sums) = (member.blocks(pass.window.hidden), TileSums::new());
        for step in pass.steps(member) {
            let offsets = StepOffsets::of(&pass.window, &step, 0);
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let tile = GateTile { products: pass.products(&step, &sums), cell: cell.at(&offsets) };
                sweep(s, step.active, blocks.clone(), &tile);
            }
        }
    }
}

//! The buffers of one backward step.

use crate::pass::step::{AtStep, StepOffsets};

/// The buffers of one backward step, with STORED slots per unit in a stored row.
#[derive(Clone, Copy)]
pub struct GruGradients<const STORED: usize> {
    /// h before the step.
    pub(super) h: *const f32,
    pub(super) carry: *mut f32,
    pub(super) gates: *mut f32,
}

impl<const STORED: usize> AtStep for GruGradients<STORED> {
    #[inline(always)]
    unsafe fn at(self, step: &StepOffsets) -> Self {
        // SAFETY: the caller vouches for the step.
        unsafe {
            Self {
                h: self.h.add(step.before),
                carry: self.carry.add(step.row),
                gates: self.gates.add(STORED * step.token),
            }
        }
    }
}

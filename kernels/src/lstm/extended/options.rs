//! The options of a layer, and the widths that follow from them.

use crate::lstm::slots;
use crate::pack::{Slots, padded};

/// Slots f, g, o of coupled gates, as their matrices number them.
pub const COUPLED_GATES: &[usize] = &[0, 1, 2];
/// Number of vectors that are normalized: i, f, g, o and the cell state.
pub(super) const NORMED: usize = 5;

/// Returns the slots of the gates.
pub fn slots_of(hidden: usize, coupled: bool) -> Slots {
    if coupled { Slots { hidden, stored: 3, first: 0, gates: COUPLED_GATES } } else { slots(hidden) }
}

/// The options of a layer.
#[derive(Clone, Copy, Debug)]
pub struct LstmOptions<'a> {
    /// Hidden width (H).
    pub hidden: usize,
    /// True for i = 1 - f.
    pub coupled: bool,
    /// [3, padded(H)]: peepholes of i, f, o; coupled [2, padded(H)]: of f, o. Empty for none.
    pub peepholes: &'a [f32],
    /// The limit of the cell state. Infinity for none.
    pub cell_clip: f32,
    /// [10, padded(H)]: the weights of i, f, g, o and the cell state, then their biases. Empty for
    /// none.
    pub norm: &'a [f32],
    /// Added to the normalized pre-activation of f.
    pub forget_bias: f32,
}

impl LstmOptions<'_> {
    /// Returns the floats that a row of a normalized layer keeps for its backward step; 0 without a
    /// norm.
    pub fn kept_width(&self) -> usize {
        if self.norm.is_empty() { 0 } else { NORMED * padded(self.hidden) + 16 }
    }

    /// Returns the floats of the terms of a row: a vector for each peephole, or two for each vector
    /// that is normalized.
    pub fn terms_width(&self) -> usize {
        self.peepholes.len() + self.norm.len()
    }

    pub(super) fn slots(&self) -> Slots {
        slots_of(self.hidden, self.coupled)
    }

    pub(super) fn check(&self) {
        let vector = padded(self.hidden);
        let peepholes = if self.coupled { 2 } else { 3 } * vector;
        for (name, found, expected) in
            [("peepholes", self.peepholes.len(), peepholes), ("norm", self.norm.len(), 2 * NORMED * vector)]
        {
            assert!([0, expected].contains(&found), "{name} has length {found}, expected {expected} or 0");
        }
        let alone = self.peepholes.is_empty() && !self.coupled && self.cell_clip == f32::INFINITY;
        assert!(self.norm.is_empty() || alone, "a normalized layer allows no other option");
        assert!(self.hidden > 0, "hidden is 0, expected at least 1");
    }
}

//! The layout of the vectors of a row.

use super::options::LstmOptions;
use crate::pack::padded;
use crate::simd::Simd;

/// The layout of the vectors of a row.
#[derive(Clone, Copy)]
pub(super) struct RowLayout {
    pub(super) hidden: usize,
    /// padded(H)
    pub(super) vector: usize,
    /// Slots per unit.
    pub(super) stored: usize,
}

impl RowLayout {
    pub(super) fn of(options: &LstmOptions<'_>) -> Self {
        Self { hidden: options.hidden, vector: padded(options.hidden), stored: options.slots().stored }
    }

    /// Returns the place of a unit's vector in slot 0 of a stored row.
    #[inline(always)]
    pub(super) fn gate(&self, unit: usize) -> usize {
        unit / 16 * self.stored * 16 + unit % 16
    }

    /// Returns how many lanes from `unit` on are units.
    #[inline(always)]
    pub(super) fn lanes<S: Simd>(&self, unit: usize) -> usize {
        self.hidden.saturating_sub(unit).min(S::LANES)
    }
}

//! The slots of the GRU's matrices.

use crate::pack::Slots;

/// Slots n, r, z for `weight_ih`, as PyTorch numbers its gates r, z, n.
pub const INPUT_GATES: &[usize] = &[2, 0, 1];
/// Slots r, z, n for `weight_hh`.
pub const HIDDEN_GATES: &[usize] = &[0, 1, 2];
/// Slots r, z.
pub const RESET_UPDATE: &[usize] = &[0, 1];
/// Slot n.
pub const CANDIDATE: &[usize] = &[2];

/// Returns the slots that `weight_ih` feeds, with reset after the product.
pub fn slots_after_input(hidden: usize) -> Slots {
    Slots { hidden, stored: 4, first: 0, gates: INPUT_GATES }
}
/// Returns the slots that `weight_hh` feeds, with reset after the product.
pub fn slots_after_hidden(hidden: usize) -> Slots {
    Slots { hidden, stored: 4, first: 1, gates: HIDDEN_GATES }
}
/// Returns the slots that `weight_ih` feeds, with reset before the product.
pub fn slots_before_input(hidden: usize) -> Slots {
    Slots { hidden, stored: 3, first: 0, gates: INPUT_GATES }
}
/// Returns the slots of the reset and update gates, with reset before the product.
pub fn slots_before_gates(hidden: usize) -> Slots {
    Slots { hidden, stored: 3, first: 1, gates: RESET_UPDATE }
}
/// Returns the slot of the candidate, with reset before the product.
pub fn slots_before_candidate(hidden: usize) -> Slots {
    Slots { hidden, stored: 3, first: 0, gates: CANDIDATE }
}

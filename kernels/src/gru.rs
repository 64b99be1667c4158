//! The GRU (Cho et al. 2014), with its reset gate after or before the recurrent product.
//!
//! ```text
//! r = sigmoid(W_r x + b_r + R_r h)
//! z = sigmoid(W_z x + b_z + R_z h)     b_r, b_z: PyTorch's two bias vectors, summed
//!
//! after (PyTorch, cuDNN, Keras):       n = tanh(W_n x + b_in + r (R_n h + b_hn))
//! before (the paper, TensorFlow 1):    n = tanh(W_n x + b_n + R_n (r h))
//!
//! h' = z h + (1 - z) n = n + z (h - n)
//! ```
//!
//! backward, for dh = dL/dh', written as gradients of pre-activations:
//!
//! ```text
//! dn = dh (1 - z) (1 - n^2)            dz = dh (h - n) z (1 - z)
//! after:   dr = dn (R_n h + b_hn) r (1 - r),   d(R_n h) = dn r,   dh = dh z + [dr dz d(R_n h)] R
//! before:  d(rh) = dn R_n,   dr = d(rh) h r (1 - r),   dh = dh z + d(rh) r + [dr dz] R_rz
//! ```
//!
//! 1. *After*: one tile holds four sums for each unit, because the candidate's two products stay apart: slots n, r, z and
//!    R_n h + b_hn. `weight_ih` feeds the first three, `weight_hh` the last three. The deltas take the same places.
//! 2. *Before*: two phases each step, first all of r and z, then the candidate from r h; backward in reverse. Slots n, r, z.

use crate::pack::Slots;

mod after;
mod before;

pub use after::{GruAfterBackward, GruAfterForward};
pub use before::{GruBeforeBackward, GruBeforeForward};

/// Slots n, r, z for `weight_ih`, as PyTorch's gates r, z, n number them.
pub const INPUT_GATES: &[usize] = &[2, 0, 1];
/// Slots r, z, n for `weight_hh`.
pub const HIDDEN_GATES: &[usize] = &[0, 1, 2];
/// Slots r, z.
pub const RESET_UPDATE: &[usize] = &[0, 1];
/// Slot n.
pub const CANDIDATE: &[usize] = &[2];

/// What `weight_ih` feeds when reset comes after.
pub fn slots_after_input(hidden: usize) -> Slots {
    Slots { hidden, stored: 4, first: 0, gates: INPUT_GATES }
}
/// What `weight_hh` feeds when reset comes after.
pub fn slots_after_hidden(hidden: usize) -> Slots {
    Slots { hidden, stored: 4, first: 1, gates: HIDDEN_GATES }
}
/// What `weight_ih` feeds when reset comes before.
pub fn slots_before_input(hidden: usize) -> Slots {
    Slots { hidden, stored: 3, first: 0, gates: INPUT_GATES }
}
/// The reset and update gates when reset comes before.
pub fn slots_before_gates(hidden: usize) -> Slots {
    Slots { hidden, stored: 3, first: 1, gates: RESET_UPDATE }
}
/// The candidate when reset comes before.
pub fn slots_before_candidate(hidden: usize) -> Slots {
    Slots { hidden, stored: 3, first: 0, gates: CANDIDATE }
}

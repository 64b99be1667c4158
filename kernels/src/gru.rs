//! The GRU ([Cho et al. 2014]), with its reset gate after ([PyTorch]) or before the recurrent
//! product.
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
//! Backward, for dh = dL/dh'. The deltas dr, dz, dn are gradients of pre-activations:
//!
//! ```text
//! dn = dh (1 - z) (1 - n^2)            dz = dh (h - n) z (1 - z)
//! after:   dr = dn (R_n h + b_hn) r (1 - r)        d(R_n h) = dn r
//!          dh = dh z + [dr dz d(R_n h)] R
//! before:  d(rh) = dn R_n                          dr = d(rh) h r (1 - r)
//!          dh = dh z + d(rh) r + [dr dz] R_rz
//! ```
//!
//! 1. *After*: one tile holds four sums for each unit, because the candidate's two products stay
//!    apart: slots n, r, z and R_n h + b_hn. `weight_ih` feeds the first three, `weight_hh` the
//!    last three. The deltas take the same places.
//! 2. *Before*: each step has two phases, first all of r and z, then the candidate from r h.
//!    Backward the order is reversed. Slots n, r, z.
//!
//! [Cho et al. 2014]: https://arxiv.org/abs/1406.1078
//! [PyTorch]: https://pytorch.org/docs/stable/generated/torch.nn.GRU.html

mod after;
mod before;
mod gradients;
mod slots;

pub use after::{GruAfterBackward, GruAfterForward};
pub use before::{GruBeforeBackward, GruBeforeForward};
pub use slots::{
    CANDIDATE, HIDDEN_GATES, INPUT_GATES, RESET_UPDATE, slots_after_hidden, slots_after_input,
    slots_before_candidate, slots_before_gates, slots_before_input,
};

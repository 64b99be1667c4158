//! The LSTM with options of TensorFlow: peepholes, a clipped cell state, coupled gates, layer
//! normalization.
//!
//! ```text
//! i = sigmoid(a_i + p_i c)     f = sigmoid(a_f + p_f c)     g = tanh(a_g)
//! c' = f c + i g, clipped to [-clip, clip]        coupled: i = 1 - f, without a_i
//! o = sigmoid(a_o + p_o c')    m = o tanh(c')     a: the products and the bias
//!
//! normalized: each a becomes N(a), f = sigmoid(N(a_f) + forget bias), and c' = N(f c + i g), with
//! N(a) = weight (a - mean) / sqrt(variance + 1e-12) + bias   over the H units of a row
//! ```
//!
//! 1. A kernel computes one step of some rows between two products ([`crate::affine`]):
//!    pre-activations in, gates out. Without any option the bits are those of the fused kernel.
//! 2. A clipped value has no gradient. A value at its limit counts as clipped.
//! 3. The gradients of peepholes and of the norm are sums. The backward step writes their terms for
//!    each row; they are summed later, in the order of all rows.
//! 4. Sources: [`LSTMCell`] of TensorFlow 1.15 ([Sak et al. 2014]);
//!    [`CoupledInputForgetGateLSTMCell`] ([Greff et al. 2015]) and [`LayerNormBasicLSTMCell`]
//!    ([Ba et al. 2016]) of its `contrib.rnn`.
//!
//! [`LSTMCell`]: https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/nn/rnn_cell/LSTMCell
//! [`CoupledInputForgetGateLSTMCell`]: https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/contrib/rnn/CoupledInputForgetGateLSTMCell
//! [`LayerNormBasicLSTMCell`]: https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/contrib/rnn/LayerNormBasicLSTMCell
//! [Sak et al. 2014]: https://arxiv.org/abs/1402.1128
//! [Greff et al. 2015]: https://arxiv.org/abs/1503.04069
//! [Ba et al. 2016]: https://arxiv.org/abs/1607.06450

mod backward;
mod clip;
mod forward;
mod norm;
mod options;
mod row_layout;

pub use backward::ExtendedBackward;
pub use clip::{clip, clip_backward};
pub use forward::{CellStates, ExtendedForward};
pub use options::{COUPLED_GATES, LstmOptions, slots_of};

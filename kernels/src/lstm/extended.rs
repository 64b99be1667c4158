//! What TensorFlow's LSTMs have beyond the plain one: peepholes, a clipped cell, coupled gates, layer normalisation.
//!
//! ```text
//! i = sigmoid(a_i + p_i c)     f = sigmoid(a_f + p_f c)     g = tanh(a_g)       a: the products and the bias
//! c' = f c + i g, held to [-clip, clip]                     coupled: i = 1 - f, without a_i
//! o = sigmoid(a_o + p_o c')    m = o tanh(c')
//!
//! normalized: each a becomes N(a), f = sigmoid(N(a_f) + forget bias), and c' = N(f c + i g), with
//! N(a) = weight (a - mean) / sqrt(variance + 1e-12) + bias   over the H units of a row
//! ```
//!
//! Sources: `LSTMCell` of TensorFlow 1.15 (Sak et al. 2014), `CoupledInputForgetGateLSTMCell` and `LayerNormBasicLSTMCell` of
//! its `contrib.rnn` (Greff et al. 2015, Ba et al. 2016).
//!
//! 1. These kernels take one step of some rows between two products ([`crate::affine`]): pre-activations in, gates out.
//!    Without any option the bits are those of the fused kernel.
//! 2. What a clip has held has no gradient: a value at its limit counts as held.
//! 3. The backward step leaves for each row the terms that the gradients of peepholes and of the norm are sums of; they are
//!    added up later, in the order of all rows.

mod backward;
mod forward;
mod norm;

pub use backward::ExtendedBackward;
pub use forward::{CellStates, ExtendedForward};

use super::slots;
use crate::dispatch::Isa;
use crate::pack::{Slots, padded};
use crate::simd::{Kernel, Simd};

/// Slots f, g, o of coupled gates, as their matrices number them.
pub const COUPLED_GATES: &[usize] = &[0, 1, 2];
/// Vectors that are normalised: i, f, g, o and the cell.
const NORMED: usize = 5;

/// Where the gates of such an LSTM lie.
pub fn slots_of(hidden: usize, coupled: bool) -> Slots {
    if coupled { Slots { hidden, stored: 3, first: 0, gates: COUPLED_GATES } } else { slots(hidden) }
}

/// The options of a layer.
#[derive(Clone, Copy, Debug)]
pub struct LstmOptions<'a> {
    /// Hidden width H.
    pub hidden: usize,
    /// i = 1 - f.
    pub coupled: bool,
    /// [3, padded(H)]: of i, f, o; coupled [2, padded(H)]: of f, o. Empty for none.
    pub peepholes: &'a [f32],
    /// Infinity for none.
    pub cell_clip: f32,
    /// [10, padded(H)]: the weights of i, f, g, o and the cell, then their biases. Empty for none.
    pub norm: &'a [f32],
    /// Added behind the norm.
    pub forget_bias: f32,
}

impl LstmOptions<'_> {
    /// Floats that a row of a normalised layer keeps for its backward step; 0 for others.
    pub fn kept_width(&self) -> usize {
        if self.norm.is_empty() { 0 } else { NORMED * padded(self.hidden) + 16 }
    }

    /// Floats of the terms that a row leaves: a vector for each peephole, or two for each that is normalised.
    pub fn terms_width(&self) -> usize {
        self.peepholes.len() + self.norm.len()
    }

    fn slots(&self) -> Slots {
        slots_of(self.hidden, self.coupled)
    }

    fn check(&self) {
        let vector = padded(self.hidden);
        let peepholes = [0, if self.coupled { 2 } else { 3 } * vector];
        assert!(peepholes.contains(&self.peepholes.len()), "peepholes of {} floats", self.peepholes.len());
        assert!([0, 2 * NORMED * vector].contains(&self.norm.len()), "a norm of {} floats", self.norm.len());
        let alone = self.peepholes.is_empty() && !self.coupled && self.cell_clip == f32::INFINITY;
        assert!(self.norm.is_empty() || alone, "a normalized layer has no other option");
        assert!(self.hidden > 0, "a layer of no units");
    }
}

fn check(name: &str, found: usize, expected: usize) {
    assert!(found == expected, "{name} holds {found} floats, expected {expected}");
}

/// Where the vectors of a row lie.
#[derive(Clone, Copy)]
struct RowLayout {
    hidden: usize,
    /// padded(H)
    vector: usize,
    /// Slots per unit.
    stored: usize,
}

impl RowLayout {
    fn of(options: &LstmOptions<'_>) -> Self {
        Self { hidden: options.hidden, vector: padded(options.hidden), stored: options.slots().stored }
    }

    /// The place of a unit's vector in slot 0 of a stored row.
    #[inline(always)]
    fn gate(&self, unit: usize) -> usize {
        unit / 16 * self.stored * 16 + unit % 16
    }

    /// How many lanes at `unit` are units.
    #[inline(always)]
    fn lanes<S: Simd>(&self, unit: usize) -> usize {
        self.hidden.saturating_sub(unit).min(S::LANES)
    }
}

/// Holds values to [-limit, limit]: the clip of a projection.
pub fn hold(isa: Isa, values: &mut [f32], limit: f32) {
    struct Hold<'a>(&'a mut [f32], f32);
    impl Kernel for Hold<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            self.0.iter_mut().for_each(|value| *value = value.clamp(-self.1, self.1));
        }
    }
    isa.run(Hold(values, limit));
}

/// Zeroes the gradients of values that stand at the limit.
///
/// # Panics
/// When the slices differ in length.
pub fn hold_backward(isa: Isa, values: &[f32], limit: f32, gradients: &mut [f32]) {
    struct Hold<'a>(&'a [f32], f32, &'a mut [f32]);
    impl Kernel for Hold<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for (value, gradient) in self.0.iter().zip(self.2) {
                *gradient = if value.abs() < self.1 { *gradient } else { 0.0 };
            }
        }
    }
    assert_eq!(values.len(), gradients.len(), "a gradient for each value");
    isa.run(Hold(values, limit, gradients));
}

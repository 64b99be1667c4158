//! Optimizer updates and gradient clipping over flat slices, in TensorFlow 1's forms.
//!
//! ```text
//! SGD       v = momentum v + g                p = p - rate v
//! Nesterov  v = momentum v + g                p = p - rate (g + momentum v)
//! Adagrad   a = a + g^2                       p = p - rate g / (sqrt(a) + epsilon)
//! RMSProp   s = decay s + (1 - decay) g^2
//!           v = momentum v + rate g / sqrt(s + epsilon)                  p = p - v
//! centered  s as RMSProp's,  c = decay c + (1 - decay) g
//!           v = momentum v + rate g / sqrt(s - c^2 + epsilon)            p = p - v
//! Adam      m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//!           p = p - rate_t m / (sqrt(v) + epsilon),  rate_t = rate sqrt(1 - b2^t) / (1 - b1^t)
//! AdamW     m, v as Adam's
//!           p = (1 - rate w) p - rate / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)
//! ```
//!
//! 1. Sources: [`training_ops`] of TensorFlow 1.15 (ApplyMomentum, ApplyAdagradV2, ApplyRMSProp,
//!    ApplyCenteredRMSProp, ApplyAdam). AdamW is [PyTorch's], with another place for epsilon
//!    ([Loshchilov and Hutter 2019]).
//! 2. Each element is computed alone, so any division of the slices gives equal bits.
//!
//! [`training_ops`]: https://github.com/tensorflow/tensorflow/blob/v1.15.5/tensorflow/core/kernels/training_ops.cc
//! [PyTorch's]: https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
//! [Loshchilov and Hutter 2019]: https://arxiv.org/abs/1711.05101

mod rules;

use crate::isa::Isa;
use crate::simd::{Kernel, Simd, sum16};
use rules::{GradientClip, Slices};

/// The rule of an optimizer, with the constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Gradient descent. `first` is the velocity, empty without momentum.
    Sgd {
        /// Learning rate.
        rate: f32,
        /// Fraction of the velocity that is kept.
        momentum: f32,
    },
    /// `first` is the accumulator.
    Adagrad {
        /// Learning rate.
        rate: f32,
        /// Added to the root.
        epsilon: f32,
    },
    /// `first` is the mean square, `second` the velocity (empty without momentum).
    Rmsprop {
        /// Learning rate.
        rate: f32,
        /// Fraction of the mean square that is kept.
        decay: f32,
        /// Fraction of the velocity that is kept.
        momentum: f32,
        /// Added under the root.
        epsilon: f32,
    },
    /// `first` and `second` are the moments.
    Adam {
        /// Learning rate with both bias corrections.
        rate: f32,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root.
        epsilon: f32,
    },
    /// `first` is the velocity.
    Nesterov {
        /// Learning rate.
        rate: f32,
        /// Fraction of the velocity that is kept.
        momentum: f32,
    },
    /// `first` is the mean square, `second` the mean, `third` the velocity (empty without
    /// momentum).
    CenteredRmsprop {
        /// Learning rate.
        rate: f32,
        /// Fraction of the means that is kept.
        decay: f32,
        /// Fraction of the velocity that is kept.
        momentum: f32,
        /// Added under the root.
        epsilon: f32,
    },
    /// `first` and `second` are the moments.
    AdamW {
        /// Learning rate over 1 - beta1^t.
        rate: f32,
        /// 1 / sqrt(1 - beta2^t).
        root: f32,
        /// Fraction of a parameter that weight decay keeps: 1 - rate w.
        kept: f32,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the corrected root.
        epsilon: f32,
    },
}

impl Rule {
    /// Returns the number of moments.
    pub fn moments(&self) -> usize {
        match self {
            Self::Sgd { momentum: 0.0, .. } => 0,
            Self::Sgd { .. } | Self::Nesterov { .. } | Self::Adagrad { .. } => 1,
            Self::Rmsprop { momentum: 0.0, .. } => 1,
            Self::Rmsprop { .. } | Self::Adam { .. } | Self::AdamW { .. } => 2,
            Self::CenteredRmsprop { momentum: 0.0, .. } => 2,
            Self::CenteredRmsprop { .. } => 3,
        }
    }
}

/// One update of parameters.
#[derive(Debug)]
pub struct Update<'a> {
    /// The rule.
    pub rule: Rule,
    /// First factor of each gradient: clipping by the global norm.
    pub scale: f32,
    /// Each gradient is then clamped to [-limit, limit]: clipping by value. Infinity for no limit.
    pub limit: f32,
    /// Gradients.
    pub gradient: &'a [f32],
    /// Parameters, updated in place.
    pub parameters: &'a mut [f32],
    /// The first moment, if the rule has one.
    pub first: &'a mut [f32],
    /// The second moment, if the rule has one.
    pub second: &'a mut [f32],
    /// The third moment, if the rule has one.
    pub third: &'a mut [f32],
}

impl Update<'_> {
    /// Applies the update.
    ///
    /// # Panics
    /// If the slices differ in length. A moment that the rule does not use may be empty.
    pub fn run_on(self, isa: Isa) {
        let expected = self.parameters.len();
        let moments = [self.first.len(), self.second.len(), self.third.len()];
        let moments = ["first", "second", "third"].into_iter().zip(moments).take(self.rule.moments());
        for (name, found) in [("gradient", self.gradient.len())].into_iter().chain(moments) {
            assert!(found == expected, "{name} has length {found}, expected {expected}, that of parameters");
        }
        isa.run(self);
    }
}

impl Kernel for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let clip = GradientClip::new(s, self.scale, self.limit);
        let slices = Slices {
            gradient: self.gradient,
            parameters: self.parameters,
            moments: [self.first, self.second, self.third],
        };
        match self.rule {
            Rule::Sgd { rate, momentum } => slices.sgd(s, clip, rate, momentum),
            Rule::Nesterov { rate, momentum } => slices.nesterov(s, clip, rate, momentum),
            Rule::Adagrad { rate, epsilon } => slices.adagrad(s, clip, rate, epsilon),
            Rule::Rmsprop { rate, decay, momentum, epsilon } => {
                slices.rmsprop(s, clip, rate, (decay, momentum), epsilon);
            }
            Rule::CenteredRmsprop { rate, decay, momentum, epsilon } => {
                slices.centered_rmsprop(s, clip, rate, (decay, momentum), epsilon);
            }
            Rule::Adam { rate, beta1, beta2, epsilon } => {
                slices.adam(s, clip, rate, (beta1, beta2), epsilon);
            }
            Rule::AdamW { rate, root, kept, beta1, beta2, epsilon } => {
                slices.adam_w(s, clip, (rate, root, kept), (beta1, beta2), epsilon);
            }
        }
    }
}

/// The most values in one block of a sum of squares.
pub const NORM_BLOCK: usize = 4096;

/// Returns the sum of squares of up to [`NORM_BLOCK`] values. A longer sum adds its blocks in f64,
/// in order.
///
/// # Panics
/// If there are more values.
pub fn sum_of_squares(isa: Isa, values: &[f32]) -> f64 {
    struct Sum<'a>(&'a [f32]);
    impl Kernel for Sum<'_> {
        type Output = f64;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f64 {
            f64::from(sum16(s, self.0, 0.0, |v| s.mul(v, v)))
        }
    }
    assert!(values.len() <= NORM_BLOCK, "a block has length {}, expected at most {NORM_BLOCK}", values.len());
    isa.run(Sum(values))
}

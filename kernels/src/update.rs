//! Optimiser updates and gradient clipping over flat slices, in TensorFlow 1's forms.
//!
//! ```text
//! SGD       v = momentum v + g                      p = p - rate v
//! Adagrad   a = a + g^2                             p = p - rate g / (sqrt(a) + epsilon)
//! RMSProp   s = decay s + (1 - decay) g^2           v = momentum v + rate g / sqrt(s + epsilon)    p = p - v
//! Adam      m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2      p = p - rate_t m / (sqrt(v) + epsilon)
//!           with rate_t = rate sqrt(1 - b2^t) / (1 - b1^t)
//! Nesterov  v = momentum v + g                      p = p - rate (g + momentum v)
//! centred   s as RMSProp's, c = decay c + (1 - decay) g      v = momentum v + rate g / sqrt(s - c^2 + epsilon)    p = p - v
//! AdamW     m, v as Adam's           p = (1 - rate w) p - rate / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)
//! ```
//!
//! Sources: `training_ops` of TensorFlow 1.15 (ApplyMomentum, ApplyAdagradV2, ApplyRMSProp, ApplyCenteredRMSProp, ApplyAdam);
//! AdamW is PyTorch's (Loshchilov and Hutter 2019), whose epsilon lies elsewhere. Every element is computed by itself, so any
//! division of the slices gives equal bits.

use crate::dispatch::Isa;
use crate::simd::{Kernel, Simd, sum16};

/// The rule, with the constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Gradient descent; `first` is the velocity (unused and empty without momentum).
    Sgd {
        /// Learning rate.
        rate: f32,
        /// Share of the velocity that is kept.
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
        /// Share of the mean square that is kept.
        decay: f32,
        /// Share of the velocity that is kept.
        momentum: f32,
        /// Added below the root.
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
        /// Share of the velocity that is kept.
        momentum: f32,
    },
    /// `first` is the mean square, `second` the mean, `third` the velocity (empty without momentum).
    CenteredRmsprop {
        /// Learning rate.
        rate: f32,
        /// Share of the means that is kept.
        decay: f32,
        /// Share of the velocity that is kept.
        momentum: f32,
        /// Added below the root.
        epsilon: f32,
    },
    /// `first` and `second` are the moments.
    AdamW {
        /// Learning rate over 1 - beta1^t.
        rate: f32,
        /// 1 / sqrt(1 - beta2^t).
        root: f32,
        /// What weight decay leaves of a parameter: 1 - rate w.
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
    /// How many moments it has.
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

/// One update of some parameters.
#[derive(Debug)]
pub struct Update<'a> {
    /// The rule.
    pub rule: Rule,
    /// Each gradient is multiplied by this first: clipping by the global norm.
    pub scale: f32,
    /// And then held to [-limit, limit]: clipping by value. Infinity for none.
    pub limit: f32,
    /// Gradients.
    pub gradient: &'a [f32],
    /// Parameters, moved.
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
    /// When the slices differ in length (a moment that the rule does not use may be empty).
    pub fn run_on(self, isa: Isa) {
        let n = self.parameters.len();
        assert_eq!(self.gradient.len(), n, "gradients of {n} parameters");
        let moments = [("first", &self.first), ("second", &self.second), ("third", &self.third)];
        for (name, moment) in moments.into_iter().take(self.rule.moments()) {
            assert!(moment.len() == n, "{name} moments of {n} parameters");
        }
        isa.run(self);
    }
}

impl Kernel for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, limit) = (s.splat(self.scale), s.splat(self.limit));
        let low = s.splat(-self.limit);
        let clip = |g: S::F| s.min(limit, s.max(low, s.mul(g, scale)));
        let slices = Slices {
            gradient: self.gradient,
            parameters: self.parameters,
            moments: [self.first, self.second, self.third],
        };
        match self.rule {
            Rule::Sgd { rate, momentum: 0.0 } => {
                let rate = s.splat(rate);
                slices.each::<S, 0>(s, |p, g, []| (s.fnma(rate, clip(g), p), []));
            }
            Rule::Sgd { rate, momentum } => {
                let (rate, momentum) = (s.splat(rate), s.splat(momentum));
                slices.each::<S, 1>(s, |p, g, [v]| {
                    let v = s.fma(momentum, v, clip(g));
                    (s.fnma(rate, v, p), [v])
                });
            }
            Rule::Adagrad { rate, epsilon } => {
                let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
                slices.each::<S, 1>(s, |p, g, [a]| {
                    let g = clip(g);
                    let a = s.fma(g, g, a);
                    let step = s.div(s.mul(rate, g), s.add(s.sqrt(a), epsilon));
                    (s.sub(p, step), [a])
                });
            }
            Rule::Rmsprop { rate, decay, momentum, epsilon } => {
                let (kept, fresh) = (s.splat(decay), s.splat(1.0 - decay));
                let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
                let mean = |a: S::F, g: S::F| s.fma(kept, a, s.mul(fresh, s.mul(g, g)));
                let step = |a: S::F, g: S::F| s.div(s.mul(rate, g), s.sqrt(s.add(a, epsilon)));
                if momentum == 0.0 {
                    return slices.each::<S, 1>(s, |p, g, [a]| {
                        let (g, a) = (clip(g), mean(a, clip(g)));
                        (s.sub(p, step(a, g)), [a])
                    });
                }
                let momentum = s.splat(momentum);
                slices.each::<S, 2>(s, |p, g, [a, v]| {
                    let (g, a) = (clip(g), mean(a, clip(g)));
                    let v = s.fma(momentum, v, step(a, g));
                    (s.sub(p, v), [a, v])
                });
            }
            Rule::Nesterov { rate, momentum } => {
                let (rate, momentum) = (s.splat(rate), s.splat(momentum));
                slices.each::<S, 1>(s, |p, g, [v]| {
                    let g = clip(g);
                    let v = s.fma(momentum, v, g);
                    (s.fnma(rate, s.fma(momentum, v, g), p), [v])
                });
            }
            Rule::CenteredRmsprop { rate, decay, momentum, epsilon } => {
                let (kept, fresh) = (s.splat(decay), s.splat(1.0 - decay));
                let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
                let mean = |a: S::F, g: S::F| s.fma(kept, a, s.mul(fresh, g));
                // Rounding must not leave a variance below zero.
                let spread = |a: S::F, c: S::F| s.add(s.max(s.splat(0.0), s.fnma(c, c, a)), epsilon);
                let step = |a: S::F, c: S::F, g: S::F| s.div(s.mul(rate, g), s.sqrt(spread(a, c)));
                if momentum == 0.0 {
                    return slices.each::<S, 2>(s, |p, g, [a, c]| {
                        let g = clip(g);
                        let (a, c) = (mean(a, s.mul(g, g)), mean(c, g));
                        (s.sub(p, step(a, c, g)), [a, c])
                    });
                }
                let momentum = s.splat(momentum);
                slices.each::<S, 3>(s, |p, g, [a, c, v]| {
                    let g = clip(g);
                    let (a, c) = (mean(a, s.mul(g, g)), mean(c, g));
                    let v = s.fma(momentum, v, step(a, c, g));
                    (s.sub(p, v), [a, c, v])
                });
            }
            Rule::AdamW { rate, root, kept, beta1, beta2, epsilon } => {
                let (rate, root, kept) = (s.splat(rate), s.splat(root), s.splat(kept));
                let (b1, b2, epsilon) = (s.splat(beta1), s.splat(beta2), s.splat(epsilon));
                let (a1, a2) = (s.splat(1.0 - beta1), s.splat(1.0 - beta2));
                slices.each::<S, 2>(s, |p, g, [m, v]| {
                    let g = clip(g);
                    let m = s.fma(b1, m, s.mul(a1, g));
                    let v = s.fma(b2, v, s.mul(a2, s.mul(g, g)));
                    let step = s.div(s.mul(rate, m), s.fma(s.sqrt(v), root, epsilon));
                    (s.sub(s.mul(kept, p), step), [m, v])
                });
            }
            Rule::Adam { rate, beta1, beta2, epsilon } => {
                let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
                let (b1, b2) = (s.splat(beta1), s.splat(beta2));
                let (a1, a2) = (s.splat(1.0 - beta1), s.splat(1.0 - beta2));
                slices.each::<S, 2>(s, |p, g, [m, v]| {
                    let g = clip(g);
                    let m = s.fma(b1, m, s.mul(a1, g));
                    let v = s.fma(b2, v, s.mul(a2, s.mul(g, g)));
                    let step = s.div(s.mul(rate, m), s.add(s.sqrt(v), epsilon));
                    (s.sub(p, step), [m, v])
                });
            }
        }
    }
}

struct Slices<'a> {
    gradient: &'a [f32],
    parameters: &'a mut [f32],
    moments: [&'a mut [f32]; 3],
}

impl Slices<'_> {
    /// Replaces (parameter, moments) by f(parameter, gradient, moments), for the first M moments.
    #[inline(always)]
    fn each<S: Simd, const M: usize>(self, s: S, f: impl Fn(S::F, S::F, [S::F; M]) -> (S::F, [S::F; M])) {
        let n = self.parameters.len();
        let (p, g) = (self.parameters.as_mut_ptr(), self.gradient.as_ptr());
        let moments = self.moments.map(|moment| moment.as_mut_ptr());
        for i in (0..n).step_by(S::LANES) {
            let count = (n - i).min(S::LANES);
            // SAFETY: `count` floats remain from i on, in all slices that the rule uses (checked by `run_on`).
            unsafe {
                let mut old = [s.splat(0.0); M];
                for (k, old) in old.iter_mut().enumerate() {
                    *old = s.load_up_to(moments[k].add(i), count, 1.0);
                }
                // `f` is called in one place only, or it would not be inlined.
                let (new, moved) =
                    f(s.load_up_to(p.add(i), count, 1.0), s.load_up_to(g.add(i), count, 1.0), old);
                s.store_up_to(p.add(i), count, new);
                for (k, new) in moved.into_iter().enumerate() {
                    s.store_up_to(moments[k].add(i), count, new);
                }
            }
        }
    }
}

/// Elements in one block of a sum of squares.
pub const NORM_BLOCK: usize = 4096;

/// The sum of squares of up to [`NORM_BLOCK`] values. A longer sum adds up its blocks in f64, in order.
///
/// # Panics
/// When there are more values.
pub fn sum_of_squares(isa: Isa, values: &[f32]) -> f64 {
    struct Sum<'a>(&'a [f32]);
    impl Kernel for Sum<'_> {
        type Output = f64;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f64 {
            f64::from(sum16(s, self.0, 0.0, |v| s.mul(v, v)))
        }
    }
    assert!(values.len() <= NORM_BLOCK, "{} values in a block", values.len());
    isa.run(Sum(values))
}

/// out = a * b, element by element: dropout and its gradient.
///
/// # Panics
/// When the slices differ in length.
pub fn multiply(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    struct Multiply<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Multiply<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for ((a, b), out) in self.0.iter().zip(self.1).zip(self.2) {
                *out = a * b;
            }
        }
    }
    assert!(a.len() == b.len() && a.len() == out.len(), "{} * {} into {}", a.len(), b.len(), out.len());
    isa.run(Multiply(a, b, out));
}

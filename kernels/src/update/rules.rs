//! The arithmetic of the rules, over vectors.

use crate::simd::Simd;

/// Clipping of gradients: by the global norm, then by value.
#[derive(Clone, Copy)]
pub(super) struct GradientClip<S: Simd> {
    s: S,
    scale: S::F,
    low: S::F,
    limit: S::F,
}

impl<S: Simd> GradientClip<S> {
    #[inline(always)]
    pub(super) fn new(s: S, scale: f32, limit: f32) -> Self {
        Self { s, scale: s.splat(scale), low: s.splat(-limit), limit: s.splat(limit) }
    }

    #[inline(always)]
    fn of(self, g: S::F) -> S::F {
        self.s.min(self.limit, self.s.max(self.low, self.s.mul(g, self.scale)))
    }
}

/// The mean of a moment: decay m + (1 - decay) x.
#[derive(Clone, Copy)]
struct RunningMean<S: Simd> {
    s: S,
    kept: S::F,
    fresh: S::F,
}

impl<S: Simd> RunningMean<S> {
    #[inline(always)]
    pub(super) fn new(s: S, decay: f32) -> Self {
        Self { s, kept: s.splat(decay), fresh: s.splat(1.0 - decay) }
    }

    #[inline(always)]
    fn of(self, mean: S::F, x: S::F) -> S::F {
        self.s.fma(self.kept, mean, self.s.mul(self.fresh, x))
    }
}

/// The slices of an update.
pub(super) struct Slices<'a> {
    pub(super) gradient: &'a [f32],
    pub(super) parameters: &'a mut [f32],
    pub(super) moments: [&'a mut [f32]; 3],
}

impl Slices<'_> {
    #[inline(always)]
    pub(super) fn sgd<S: Simd>(self, s: S, clip: GradientClip<S>, rate: f32, momentum: f32) {
        if momentum == 0.0 {
            let rate = s.splat(rate);
            return self.each::<S, 0>(s, |p, g, []| (s.fnma(rate, clip.of(g), p), []));
        }
        let (rate, momentum) = (s.splat(rate), s.splat(momentum));
        self.each::<S, 1>(s, |p, g, [v]| {
            let v = s.fma(momentum, v, clip.of(g));
            (s.fnma(rate, v, p), [v])
        });
    }

    #[inline(always)]
    pub(super) fn nesterov<S: Simd>(self, s: S, clip: GradientClip<S>, rate: f32, momentum: f32) {
        let (rate, momentum) = (s.splat(rate), s.splat(momentum));
        self.each::<S, 1>(s, |p, g, [v]| {
            let g = clip.of(g);
            let v = s.fma(momentum, v, g);
            (s.fnma(rate, s.fma(momentum, v, g), p), [v])
        });
    }

    #[inline(always)]
    pub(super) fn adagrad<S: Simd>(self, s: S, clip: GradientClip<S>, rate: f32, epsilon: f32) {
        let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
        self.each::<S, 1>(s, |p, g, [a]| {
            let g = clip.of(g);
            let a = s.fma(g, g, a);
            let step = s.div(s.mul(rate, g), s.add(s.sqrt(a), epsilon));
            (s.sub(p, step), [a])
        });
    }

    #[inline(always)]
    pub(super) fn rmsprop<S: Simd>(
        self,
        s: S,
        clip: GradientClip<S>,
        rate: f32,
        (decay, momentum): (f32, f32),
        epsilon: f32,
    ) {
        let mean = RunningMean::new(s, decay);
        let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
        let step = |a: S::F, g: S::F| s.div(s.mul(rate, g), s.sqrt(s.add(a, epsilon)));
        if momentum == 0.0 {
            return self.each::<S, 1>(s, |p, g, [a]| {
                let g = clip.of(g);
                let a = mean.of(a, s.mul(g, g));
                (s.sub(p, step(a, g)), [a])
            });
        }
        let momentum = s.splat(momentum);
        self.each::<S, 2>(s, |p, g, [a, v]| {
            let g = clip.of(g);
            let a = mean.of(a, s.mul(g, g));
            let v = s.fma(momentum, v, step(a, g));
            (s.sub(p, v), [a, v])
        });
    }

    #[inline(always)]
    pub(super) fn centered_rmsprop<S: Simd>(
        self,
        s: S,
        clip: GradientClip<S>,
        rate: f32,
        (decay, momentum): (f32, f32),
        epsilon: f32,
    ) {
        let mean = RunningMean::new(s, decay);
        let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
        // Rounding must not leave a variance below zero.
        let spread = |a: S::F, c: S::F| s.add(s.max(s.splat(0.0), s.fnma(c, c, a)), epsilon);
        let step = |a: S::F, c: S::F, g: S::F| s.div(s.mul(rate, g), s.sqrt(spread(a, c)));
        if momentum == 0.0 {
            return self.each::<S, 2>(s, |p, g, [a, c]| {
                let g = clip.of(g);
                let (a, c) = (mean.of(a, s.mul(g, g)), mean.of(c, g));
                (s.sub(p, step(a, c, g)), [a, c])
            });
        }
        let momentum = s.splat(momentum);
        self.each::<S, 3>(s, |p, g, [a, c, v]| {
            let g = clip.of(g);
            let (a, c) = (mean.of(a, s.mul(g, g)), mean.of(c, g));
            let v = s.fma(momentum, v, step(a, c, g));
            (s.sub(p, v), [a, c, v])
        });
    }

    #[inline(always)]
    pub(super) fn adam<S: Simd>(
        self,
        s: S,
        clip: GradientClip<S>,
        rate: f32,
        (beta1, beta2): (f32, f32),
        epsilon: f32,
    ) {
        let (first, second) = (RunningMean::new(s, beta1), RunningMean::new(s, beta2));
        let (rate, epsilon) = (s.splat(rate), s.splat(epsilon));
        self.each::<S, 2>(s, |p, g, [m, v]| {
            let g = clip.of(g);
            let (m, v) = (first.of(m, g), second.of(v, s.mul(g, g)));
            let step = s.div(s.mul(rate, m), s.add(s.sqrt(v), epsilon));
            (s.sub(p, step), [m, v])
        });
    }

    #[inline(always)]
    pub(super) fn adam_w<S: Simd>(
        self,
        s: S,
        clip: GradientClip<S>,
        (rate, root, kept): (f32, f32, f32),
        (beta1, beta2): (f32, f32),
        epsilon: f32,
    ) {
        let (first, second) = (RunningMean::new(s, beta1), RunningMean::new(s, beta2));
        let (rate, root, kept, epsilon) = (s.splat(rate), s.splat(root), s.splat(kept), s.splat(epsilon));
        self.each::<S, 2>(s, |p, g, [m, v]| {
            let g = clip.of(g);
            let (m, v) = (first.of(m, g), second.of(v, s.mul(g, g)));
            let step = s.div(s.mul(rate, m), s.fma(s.sqrt(v), root, epsilon));
            (s.sub(s.mul(kept, p), step), [m, v])
        });
    }

    /// Replaces (parameter, moments) by f(parameter, gradient, moments), for the first M moments.
    #[inline(always)]
    fn each<S: Simd, const M: usize>(self, s: S, f: impl Fn(S::F, S::F, [S::F; M]) -> (S::F, [S::F; M])) {
        let n = self.parameters.len();
        let (p, g) = (self.parameters.as_mut_ptr(), self.gradient.as_ptr());
        let moments = self.moments.map(|moment| moment.as_mut_ptr());
        for i in (0..n).step_by(S::LANES) {
            let count = (n - i).min(S::LANES);
            // SAFETY: `count` floats remain from i on, in all slices that the rule uses (checked by
            // `run_on`).
            unsafe {
                let mut old = [s.splat(0.0); M];
                for (k, old) in old.iter_mut().enumerate() {
                    *old = s.load_up_to(moments[k].add(i), count, 1.0);
                }
                // One call of `f` only: with two the compiler would not inline it.
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

//! exp, sigmoid and tanh over vectors.
//!
//! All three start from e^r - 1 = r + r^2 P(r) on |r| <= ln(2)/2, where x = n ln 2 + r. P is the degree-4 polynomial
//! through the Chebyshev nodes of that interval; the formula is within 2.6e-8 of e^r - 1, relatively.
//!
//! - exp(x) = 2^n (1 + e), for e = e^r - 1; within 1.2 ULP (measured 1.07), x held to [-87, 88].
//! - sigmoid(x) = 1 / (1 + exp(-x)); within 2.6 ULP (measured 2.45) from -87 on; below, it stays at 6e-39.
//! - tanh(x) = -t / (2 + t) with the sign of x, for t = exp(-2|x|) - 1 = 2^n e + (2^n - 1); within 2.6 ULP (measured
//!   2.49) also near zero, where n = 0 and t = e keeps full relative precision.
//!
//! NaN in, NaN out; tanh keeps the sign of zero. Measured against f64 on all three leaves, with every thirteenth bit
//! pattern of both signs; the tests take fewer. The portable leaf, fused or not, stays within the same bounds.
//!
//! A negated or doubled argument is folded into the constants, and both sides of a division are halved where 2^n / 2 takes
//! fewer operations than 2^n: this gives the same bits, because signs and powers of two do not round.

use crate::simd::Simd;

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 in two parts: the first has trailing zeros, so that n times it is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const P: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_556, 0.008_363_203, 0.001_392_621_3];

/// c + a b, or c - a b.
#[inline(always)]
fn add_product<S: Simd, const NEGATED: bool>(s: S, a: S::F, b: S::F, c: S::F) -> S::F {
    if NEGATED { s.fnma(a, b, c) } else { s.fma(a, b, c) }
}

/// For x = n ln 2 + r in [-87.3, 88.3]: e^r - 1. Negated, it takes -x and gives 1 - e^r.
#[inline(always)]
fn exp_rest<S: Simd, const NEGATED: bool>(s: S, x: S::F, n: S::F) -> S::F {
    let r = match NEGATED {
        false => s.fnma(n, s.splat(LN_2_LOW), s.fnma(n, s.splat(LN_2_HIGH), x)),
        true => s.fma(n, s.splat(LN_2_LOW), s.fma(n, s.splat(LN_2_HIGH), x)),
    };
    // Pairs of powers, not one after another: the same operations, and fewer to wait for.
    let square = s.mul(r, r);
    let low = add_product::<S, NEGATED>(s, s.splat(P[1]), r, s.splat(P[0]));
    let high = add_product::<S, NEGATED>(s, s.splat(P[3]), r, s.splat(P[2]));
    let p = s.fma(square, s.fma(square, s.splat(P[4]), high), low);
    add_product::<S, NEGATED>(s, square, p, r)
}

/// e^x, for x held to [-87, 88].
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let held = s.min(s.splat(88.0), s.max(s.splat(-87.0), x));
    let n = s.round(s.mul(held, s.splat(LOG2_E)));
    let (e, scale) = (exp_rest::<S, false>(s, held, n), s.exp2_integer(n));
    s.fma(e, scale, scale)
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let half = s.splat(0.5);
    let held = s.min(s.splat(87.0), s.max(s.splat(-88.0), x));
    let (n, scale) = s.round_and_half_exp2(s.mul(held, s.splat(-LOG2_E)));
    let e = exp_rest::<S, true>(s, held, n);
    s.div(half, s.fnma(e, scale, s.add(scale, half)))
}

/// (e^x - e^-x) / (e^x + e^-x)
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond 20 the result is 1 to the last bit.
    let held = s.min(s.splat(20.0), s.abs(x));
    let (n, scale) = s.round_and_half_exp2(s.mul(held, s.splat(-2.0 * LOG2_E)));
    let e = exp_rest::<S, true>(s, s.add(held, held), n);
    let half = s.splat(0.5);
    let (t, two_and_t) = (s.fnma(e, scale, s.sub(scale, half)), s.fnma(e, scale, s.add(scale, half)));
    s.div(s.copysign(t, x), two_and_t)
}

#[cfg(test)]
mod tests {
    use super::{exp, sigmoid, tanh};
    use crate::dispatch::Isa;
    use crate::simd::{Kernel, Simd};

    /// Bit patterns from one sample to the next; prime.
    const STRIDE: usize = 1009;

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Sigmoid,
        Tanh,
    }

    /// Sixteen values at once.
    struct Apply(Function, [f32; 16]);

    impl Kernel for Apply {
        type Output = [f32; 16];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [f32; 16] {
            let Self(function, mut values) = self;
            for half in (0..16).step_by(S::LANES) {
                // SAFETY: sixteen values hold one vector of sixteen or two of eight.
                unsafe {
                    let at = values.as_mut_ptr().add(half);
                    let x = s.load(at);
                    let y = match function {
                        Function::Exp => exp(s, x),
                        Function::Sigmoid => sigmoid(s, x),
                        Function::Tanh => tanh(s, x),
                    };
                    s.store(at, y);
                }
            }
            values
        }
    }

    impl Function {
        fn exact(self, x: f64) -> f64 {
            match self {
                Self::Exp => x.clamp(-87.0, 88.0).exp(),
                Self::Sigmoid => 1.0 / (1.0 + (-x).clamp(-87.0, 88.0).exp()),
                Self::Tanh => x.tanh(),
            }
        }
    }

    /// The distance in units of the last place of the f32 nearest to `exact`.
    fn ulps(found: f32, exact: f64) -> f64 {
        let near = (exact as f32).abs();
        let next = f32::from_bits(near.to_bits() + 1);
        (f64::from(found) - exact).abs() / (f64::from(next) - f64::from(near))
    }

    /// Every `STRIDE`th bit pattern below infinity, both signs; and steps of 1/8192 where the functions bend.
    fn samples() -> impl Iterator<Item = f32> {
        let all = (0..0x7F80_0000u32).step_by(STRIDE).map(f32::from_bits);
        let bends = (0..100 * 8192).map(|i| i as f32 / 8192.0);
        all.chain(bends).chain([f32::MAX, f32::MIN_POSITIVE, 1e-45]).flat_map(|x| [x, -x])
    }

    fn worst(isa: Isa, function: Function) -> (f64, f32) {
        let values: Vec<f32> = samples().collect();
        let mut worst = (0.0, 0.0);
        for chunk in values.chunks_exact(16) {
            let x: [f32; 16] = core::array::from_fn(|i| chunk[i]);
            for (x, y) in x.into_iter().zip(isa.run(Apply(function, x))) {
                let error = ulps(y, function.exact(f64::from(x)));
                if error > worst.0 || error.is_nan() {
                    worst = (error, x);
                }
            }
        }
        worst
    }

    #[test]
    fn errors_stay_within_the_stated_bounds() {
        let bounds = [(Function::Exp, 1.2), (Function::Sigmoid, 2.6), (Function::Tanh, 2.6)];
        for isa in Isa::all() {
            for (function, bound) in bounds {
                let (error, x) = worst(isa, function);
                println!("{} {function:?}: {error:.3} ULP at {x:e}", isa.name());
                assert!(error <= bound, "{function:?}({x:e}) on {} is off by {error} ULP", isa.name());
            }
        }
    }

    #[test]
    fn values_at_the_edges() {
        let edges = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-45, -1e-45, -1e-30];
        let all: [f32; 16] = core::array::from_fn(|i| edges[i % 8]);
        for isa in Isa::all() {
            let tanh = isa.run(Apply(Function::Tanh, all));
            let expected = [0.0f32, -0.0, 1.0, -1.0, f32::NAN, 1e-45, -1e-45, -1e-30];
            for (found, expected) in tanh.into_iter().zip(expected) {
                let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                assert!(same, "tanh on {}: {found:e}, expected {expected:e}", isa.name());
            }
            let sigmoid = isa.run(Apply(Function::Sigmoid, all));
            assert_eq!(sigmoid[..3], [0.5, 0.5, 1.0], "{}", isa.name());
            assert!(sigmoid[3] >= 0.0 && sigmoid[3] < 1e-38 && sigmoid[4].is_nan(), "{}", isa.name());
            let exp = isa.run(Apply(Function::Exp, all));
            assert_eq!(exp[..2], [1.0, 1.0], "{}", isa.name());
            assert!(exp[2] > 1.6e38 && exp[2].is_finite() && exp[4].is_nan(), "{}", isa.name());
            assert!(exp[3] > 0.0 && exp[3] < 1.7e-38, "{}", isa.name());
        }
    }
}

//! exp, sigmoid and tanh over vectors.
//!
//! ```text
//! x = n ln 2 + r,  |r| <= ln(2)/2        e = e^r - 1 = r + r^2 P(r)
//! exp(x)     = 2^n (1 + e)
//! sigmoid(x) = 1 / (1 + exp(-x))
//! tanh(x)    = -t / (2 + t) with the sign of x,  t = exp(-2|x|) - 1 = 2^n e + (2^n - 1)
//! ```
//!
//! 1. P is the degree-4 polynomial through the Chebyshev nodes of the interval of r. The relative
//!    error of e is at most 2.6e-8.
//! 2. exp is within 1.2 ULP (measured 1.07), for x clamped to [-87, 88].
//! 3. sigmoid is within 2.6 ULP (measured 2.45) where it is a normal number, from -87.3 on; below,
//!    it is 0 (see [`crate::denormals`]).
//! 4. tanh is within 2.6 ULP (measured 2.49), also near zero, where n = 0 and t = e keeps the full
//!    relative precision.
//! 5. NaN in, NaN out. tanh keeps the sign of zero.
//! 6. The errors were measured against f64 on all three backends, with every thirteenth bit pattern
//!    of both signs; the tests take fewer. The portable backend, fused or not, stays within the
//!    same bounds.
//! 7. A negated or doubled argument is folded into the constants. Both sides of a division are
//!    halved where 2^n / 2 takes fewer operations than 2^n. The bits are the same, because signs
//!    and powers of two do not round.

use crate::simd::Simd;

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 in two parts. The first has trailing zeros, so that its product with n is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const P: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_556, 0.008_363_203, 0.001_392_621_3];

/// Returns c + a b, or c - a b if NEGATED.
#[inline(always)]
fn add_product<S: Simd, const NEGATED: bool>(s: S, a: S::F, b: S::F, c: S::F) -> S::F {
    if NEGATED { s.fnma(a, b, c) } else { s.fma(a, b, c) }
}

/// Returns e^r - 1 for x = n ln 2 + r in [-87.3, 88.3]. If NEGATED, it takes -x and returns 1 -
/// e^r.
#[inline(always)]
fn exp_rest<S: Simd, const NEGATED: bool>(s: S, x: S::F, n: S::F) -> S::F {
    let r = match NEGATED {
        false => s.fnma(n, s.splat(LN_2_LOW), s.fnma(n, s.splat(LN_2_HIGH), x)),
        true => s.fma(n, s.splat(LN_2_LOW), s.fma(n, s.splat(LN_2_HIGH), x)),
    };
    // Pairs of powers instead of one power after another: the same operations with a shorter
    // latency.
    let square = s.mul(r, r);
    let low = add_product::<S, NEGATED>(s, s.splat(P[1]), r, s.splat(P[0]));
    let high = add_product::<S, NEGATED>(s, s.splat(P[3]), r, s.splat(P[2]));
    let p = s.fma(square, s.fma(square, s.splat(P[4]), high), low);
    add_product::<S, NEGATED>(s, square, p, r)
}

/// Returns e^x, for x clamped to [-87, 88].
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let clamped = s.min(s.splat(88.0), s.max(s.splat(-87.0), x));
    let n = s.round(s.mul(clamped, s.splat(LOG2_E)));
    let (e, scale) = (exp_rest::<S, false>(s, clamped, n), s.exp2_integer(n));
    if S::PORTABLE {
        // Without a fused multiply-add e 2^n may be denormal, and would count as zero. The bits are
        // those of the sum below.
        return s.mul(s.add(e, s.splat(1.0)), scale);
    }
    s.fma(e, scale, scale)
}

/// Returns 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let half = s.splat(0.5);
    let clamped = s.min(s.splat(87.0), s.max(s.splat(-88.0), x));
    let (n, scale) = s.round_and_half_exp2(s.mul(clamped, s.splat(-LOG2_E)));
    let e = exp_rest::<S, true>(s, clamped, n);
    s.div(half, s.fnma(e, scale, s.add(scale, half)))
}

/// Returns (e^x - e^-x) / (e^x + e^-x).
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // Above 20 the result is exactly 1.
    let clamped = s.min(s.splat(20.0), s.abs(x));
    let (n, scale) = s.round_and_half_exp2(s.mul(clamped, s.splat(-2.0 * LOG2_E)));
    let e = exp_rest::<S, true>(s, s.add(clamped, clamped), n);
    let half = s.splat(0.5);
    let (t, two_and_t) = (s.fnma(e, scale, s.sub(scale, half)), s.fnma(e, scale, s.add(scale, half)));
    s.div(s.copysign(t, x), two_and_t)
}

/// Returns the derivative of sigmoid from its result: y (1 - y).
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn sigmoid_slope<S: Simd>(s: S, y: S::F) -> S::F {
    s.mul(y, s.sub(s.splat(1.0), y))
}

/// Returns the derivative of tanh from its result: 1 - y^2.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn tanh_slope<S: Simd>(s: S, y: S::F) -> S::F {
    s.fnma(y, y, s.splat(1.0))
}

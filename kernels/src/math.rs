//! exp, sigmoid and tanh over vectors.
//!
//! All three start from e^r - 1 = r + r^2 P(r) on |r| <= ln(2)/2, where x = n ln 2 + r. P is the degree-4 polynomial
//! through the Chebyshev nodes of that interval; the formula is within 2.6e-8 of e^r - 1, relatively.
//!
//! - exp(x) = 2^n (1 + e), for e = e^r - 1; within 2 ULP, x held to [-87, 88].
//! - sigmoid(x) = 1 / (1 + exp(-x)); within 3 ULP.
//! - tanh(x) = -t / (2 + t) with the sign of x, for t = exp(-2|x|) - 1 = 2^n e + (2^n - 1); within 4 ULP also
//!   near zero, where n = 0 and t = e keeps full relative precision.
//!
//! NaN in, NaN out. The bounds are tested against f64 over all magnitudes.

use crate::simd::Simd;

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 in two parts: the first has trailing zeros, so that n times it is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const P: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_556, 0.008_363_203, 0.001_392_621_3];

/// (e^r - 1, 2^n) for x = n ln 2 + r in [-87.3, 88.3].
#[inline(always)]
fn split_exp<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let n = s.round(s.mul(x, s.splat(LOG2_E)));
    let r = s.fnma(n, s.splat(LN_2_HIGH), x);
    let r = s.fnma(n, s.splat(LN_2_LOW), r);
    let mut p = s.splat(P[4]);
    p = s.fma(p, r, s.splat(P[3]));
    p = s.fma(p, r, s.splat(P[2]));
    p = s.fma(p, r, s.splat(P[1]));
    p = s.fma(p, r, s.splat(P[0]));
    (s.fma(s.mul(r, r), p, r), s.exp2_integer(n))
}

/// e^x, for x held to [-87, 88].
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let held = s.min(s.splat(88.0), s.max(s.splat(-87.0), x));
    let (e, scale) = split_exp(s, held);
    s.fma(e, scale, scale)
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// (e^x - e^-x) / (e^x + e^-x)
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond 2 * 20 the result is 1 to the last bit.
    let twice = s.min(s.splat(40.0), s.mul(s.splat(2.0), s.abs(x)));
    let (e, scale) = split_exp(s, s.sub(s.splat(0.0), twice));
    let t = s.fma(e, scale, s.sub(scale, s.splat(1.0)));
    let magnitude = s.div(t, s.add(s.splat(2.0), t));
    s.copysign(s.abs(magnitude), x)
}

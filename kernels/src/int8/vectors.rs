//! Vectors as 8-bit integers. [`crate::int8`] has the equations.

use super::{LARGEST, SMALLEST_SCALE};
use crate::pack::{GROUP, quad_words};
use crate::simd::{Simd, tree16};

/// Vectors whose largest value is smaller count as zeros.
const LEAST: f32 = LARGEST as f32 * SMALLEST_SCALE;

/// Quantizes a vector of `len` values: its quads with zeros behind them, its scale, and zero.
///
/// # Safety
/// `from` is readable for `len` values, and `to` is writable for the words of `len` values
/// ([`Isa::words`](crate::Isa::words)).
#[inline(always)]
pub(crate) unsafe fn quantize<S: Simd>(s: S, from: *const f32, len: usize, to: *mut f32) {
    // SAFETY: the caller vouches for both sides.
    unsafe {
        let (scale, inverse) = scale_and_inverse(s, from, len);
        let inverse = s.splat(inverse);
        for first in (0..len.next_multiple_of(GROUP)).step_by(S::LANES) {
            let count = len.saturating_sub(first).min(S::LANES);
            let value = s.load_up_to(from.add(first.min(len)), count, 0.0);
            s.store_quads(to.add(first / 4), s.mul(value, inverse));
        }
        let behind = to.add(quad_words(len));
        *behind = scale;
        *behind.add(1) = 0.0;
    }
}

/// Returns the scale of a vector, and the number that its values are multiplied by.
///
/// # Safety
/// `from` is readable for `len` values.
#[inline(always)]
unsafe fn scale_and_inverse<S: Simd>(s: S, from: *const f32, len: usize) -> (f32, f32) {
    let zero = s.splat(0.0);
    // `invalid` becomes NaN if a value is not finite.
    let (mut largest, mut invalid) = (zero, zero);
    for first in (0..len).step_by(S::LANES) {
        // SAFETY: the caller vouches for the values.
        let value = unsafe { s.load_up_to(from.add(first), (len - first).min(S::LANES), 0.0) };
        largest = s.max(largest, s.abs(value));
        invalid = s.fma(value, zero, invalid);
    }
    let largest = tree16(s, [largest; 2], f32::max);
    if tree16(s, [invalid; 2], |a, b| a + b).is_nan() {
        return (f32::NAN, 0.0);
    }
    match largest < LEAST {
        true => (0.0, 0.0),
        false => (largest / f32::from(LARGEST), f32::from(LARGEST) / largest),
    }
}

//! Products of 8-bit integers, for inference: the scale of a row of weights and its integers, and the
//! same for the vectors that the weights multiply.
//!
//! A row of a weight matrix holds the weights of one output. It becomes integers with one scale,
//! without an offset:
//!
//! ```text
//! scale = max |w| / 127, rounded up to 16 significant bits, and at least 2^-126
//! q     = w / scale, rounded to the nearest integer, ties to even      -127 <= q <= 127
//! w     ~ q scale
//! ```
//!
//! A vector x (an input, or the state before a step) becomes integers when it is multiplied:
//!
//! ```text
//! scale = max |x| / 127           inverse = 127 / max |x|           one rounding each
//! p     = x inverse, rounded, then rounded to the nearest integer, ties to even
//! ```
//!
//! A product continues the sum of an output, which starts from its bias or from a row of the input
//! table, first with the input and then with the state:
//!
//! ```text
//! n   = p[0] q[0] + p[1] q[1] + ...                in integers of 32 bits, exact
//! sum = fma(f32(n), scale of x * scale of w, sum)  f32(n) and the product of scales are rounded
//! ```
//!
//! 1. q scale has at most 7 + 16 = 23 significant bits, so the product is exact in f32.
//! 2. The largest |q| of a row is 127, because the scale exceeds max |w| / 127 by less than 2^-15
//!    of it. So the integers and the scale of a row of products q scale are q and scale again:
//!    quantizing twice gives the same result as once.
//! 3. A row below 127 times 2^-126 has the smallest scale, the smallest normal number of f32, and
//!    may have smaller integers. The same holds for a row of zeros.
//! 4. If 127 scale exceeds the largest f32, the scale is rounded down instead. The largest weight
//!    then becomes 127 scale, which is smaller by less than 2^-15 of it.
//! 5. Sums of integers are exact, so all backends give equal bits. With VNNI, p + 128 is multiplied,
//!    which has no sign; the sum then starts from -128 (q\[0\] + q\[1\] + ...), and wraps around.
//! 6. A vector whose largest value is below 127 times 2^-126 counts as zeros: scale 0. The scale of
//!    a vector with NaN or infinity is NaN, so all its outputs are NaN. Nothing becomes finite.
//! 7. A product of two scales below 2^-126 counts as zero, as all denormal numbers do.
//! 8. The scale of a vector needs all of its values. So a state is quantized after the step that
//!    computes it, and the members of a team meet before and after.

pub(crate) mod vectors;

/// The largest integer. -128 does not occur, so that the sign of every integer can be changed.
pub const LARGEST: i8 = 127;
/// The number added to the integers of a vector, for an instruction that reads them without a sign.
pub(crate) const OFFSET: i32 = 128;
/// The most values of k of a product: their sum fits in 32 bits, and a vector in the room of
/// [`Affine`](crate::affine::Affine).
pub const MOST_VALUES: usize = 130_000;
/// The smallest scale, the smallest normal number of f32.
pub const SMALLEST_SCALE: f32 = f32::MIN_POSITIVE;
/// Significant bits of a scale.
const SCALE_BITS: u32 = 16;
/// Bits of an f64 that a scale does not have.
const CUT_BITS: u32 = f64::MANTISSA_DIGITS - SCALE_BITS;

/// Returns the scale of a row of finite weights.
pub fn scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
    let exact = f64::from(largest) / f64::from(LARGEST);
    let down = exact.to_bits() >> CUT_BITS << CUT_BITS;
    let up = (exact.to_bits() + (1 << CUT_BITS) - 1) >> CUT_BITS << CUT_BITS;
    let [down, up] = [down, up].map(|bits| f64::from_bits(bits) as f32);
    let scale = if (f32::from(LARGEST) * up).is_finite() { up } else { down };
    scale.max(SMALLEST_SCALE)
}

/// Returns a finite weight of a row with this [`scale`] as an integer.
pub fn quantized(weight: f32, scale: f32) -> i8 {
    let nearest = (f64::from(weight) / f64::from(scale)).round_ties_even();
    // Only a scale that was rounded down gives more than 127.
    nearest.clamp(-f64::from(LARGEST), f64::from(LARGEST)) as i8
}

/// Returns the weight that an integer stands for.
pub fn dequantized(integer: i8, scale: f32) -> f32 {
    f32::from(integer) * scale
}

/// Rounds a row of finite weights to the values that its integers stand for, and returns its
/// scale.
pub fn round_row(row: &mut [f32]) -> f32 {
    let scale = scale(row);
    row.iter_mut().for_each(|weight| *weight = dequantized(quantized(*weight, scale), scale));
    scale
}

/// Returns whether [`scale`] returns `scale` for the row that these integers stand for.
pub fn is_scale_of(scale: f32, integers: &[i8]) -> bool {
    let largest = integers.iter().fold(0, |largest, q| largest.max(q.unsigned_abs()));
    let is_short = f64::from(scale).to_bits().trailing_zeros() >= CUT_BITS;
    let is_whole = largest == LARGEST.unsigned_abs();
    let is_valid = scale >= SMALLEST_SCALE && (f32::from(LARGEST) * scale).is_finite() && is_short;
    is_valid && (is_whole || scale == SMALLEST_SCALE && largest < LARGEST.unsigned_abs())
}

//! bf16: the upper half of an f32, and pairs of such values.
//!
//! A *pair* is a word of 32 bits that holds two neighboring values of k: k = 2 j in its low half,
//! and k = 2 j + 1 in its high half. [`crate::simd::Simd::multiply_add`] multiplies pairs.

/// Returns the bits of a value, rounded to bf16, to nearest even. Denormal numbers become zero. NaN
/// stays NaN, and becomes quiet.
#[inline(always)]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    if bits & 0x7f80_0000 == 0 {
        return (bits >> 16) as u16 & 0x8000;
    }
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Returns the pair of two values.
#[inline(always)]
pub(crate) fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(u32::from(round(low)) | u32::from(round(high)) << 16)
}

#[cfg(test)]
mod tests;

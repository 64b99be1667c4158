//! The SIMD backends: one file per instruction set, with operations and no algorithm.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(feature = "std")]
pub(crate) mod doubled;
pub(crate) mod portable;

/// The products of a backend: f32 values.
pub(crate) const VALUES: u8 = 0;
/// The products of a backend: pairs of bf16 values, split into two f32 values each.
pub(crate) const PAIRS: u8 = 1;
/// The products of a backend: pairs of bf16 values, by an instruction for pairs.
#[cfg(target_arch = "x86_64")]
pub(crate) const FUSED_PAIRS: u8 = 2;

/// 1.5 * 2^23 plus 126, the bias of an exponent. A number of up to 2^21 that is added to it is
/// rounded to an integer.
#[cfg(target_arch = "x86_64")]
const LARGE: f32 = 12_582_912.0 + 126.0;

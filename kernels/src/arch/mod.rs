//! The leaves: one file per instruction set, operations only, no algorithm.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod doubled;
pub(crate) mod portable;

/// Beside it, numbers of up to 2^21 are integers: 1.5 * 2^23, and 126 to bias an exponent by.
#[cfg(target_arch = "x86_64")]
const LARGE: f32 = 12_582_912.0 + 126.0;

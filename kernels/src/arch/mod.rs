//! The SIMD backends: one file per instruction set, with operations and no algorithm. AMX is
//! different: a product of its tiles is an operation.

#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod doubled;
pub(crate) mod portable;

/// 1.5 * 2^23 plus 126, the bias of an exponent. A number of up to 2^21 that is added to it is
/// rounded to an integer.
#[cfg(target_arch = "x86_64")]
const LARGE: f32 = 12_582_912.0 + 126.0;

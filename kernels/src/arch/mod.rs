//! The SIMD backends: one file per instruction set, with operations and no algorithm. AMX is
//! different: a product of its tiles is an operation.

#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod by_tiles;
#[cfg(feature = "std")]
pub(crate) mod doubled;
pub(crate) mod portable;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod tile_model;
#[cfg(feature = "std")]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "no other processor has tiles"))]
pub(crate) mod tile_places;

/// The products of a backend: f32 values.
pub(crate) const VALUES: u8 = 0;
/// The products of a backend: pairs of bf16 values, split into two f32 values each.
pub(crate) const PAIRS: u8 = 1;
/// The products of a backend: pairs of bf16 values, by an instruction for pairs.
#[cfg(target_arch = "x86_64")]
pub(crate) const FUSED_PAIRS: u8 = 2;
/// The products of a backend: quads of 8-bit integers (see [`crate::int8`]).
pub(crate) const QUADS: u8 = 3;
/// The products of a backend: quads of 8-bit integers, by an instruction for quads (VNNI).
#[cfg(target_arch = "x86_64")]
pub(crate) const FUSED_QUADS: u8 = 4;

/// Returns the values in a word of a backend's products.
pub(crate) const fn terms(products: u8) -> usize {
    match products {
        VALUES => 1,
        PAIRS => 2,
        #[cfg(target_arch = "x86_64")]
        FUSED_PAIRS => 2,
        _ => 4,
    }
}

/// 1.5 * 2^23 plus 126, the bias of an exponent. A number of up to 2^21 that is added to it is
/// rounded to an integer.
#[cfg(target_arch = "x86_64")]
const LARGE: f32 = 12_582_912.0 + 126.0;

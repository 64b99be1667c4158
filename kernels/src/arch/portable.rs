//! Any processor, through `wide`: SSE2, NEON or scalar code, depending on the compiler's target.

use super::{PAIRS, VALUES};
use crate::bf16::pair;
use crate::simd::{Outlined, Simd};
use wide::f32x8;

/// The portable backend, available everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const PRODUCTS: u8 = VALUES>;

#[inline(never)]
fn outline<W: Outlined>(work: W) {
    work.run()
}

impl<const PRODUCTS: u8> Simd for Portable<PRODUCTS> {
    const LANES: usize = 8;
    const SUMS: usize = 8;
    const PORTABLE: bool = true;
    const TERMS: usize = if PRODUCTS == VALUES { 1 } else { 2 };
    const SPLITS: bool = PRODUCTS == PAIRS;
    type F = f32x8;
    type Narrow = Self;

    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
    #[inline(always)]
    fn outline<W: Outlined>(self, work: W) {
        outline(work);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> f32x8 {
        f32x8::splat(value)
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> f32x8 {
        // SAFETY: the caller vouches for 8 readable floats; an array of floats needs no more
        // alignment than one.
        f32x8::new(unsafe { *from.cast::<[f32; 8]>() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: f32x8) {
        // SAFETY: the caller vouches for 8 writable floats.
        unsafe { *to.cast::<[f32; 8]>() = value.to_array() };
    }
    #[inline(always)]
    fn add(self, a: f32x8, b: f32x8) -> f32x8 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32x8, b: f32x8) -> f32x8 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32x8, b: f32x8) -> f32x8 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32x8, b: f32x8) -> f32x8 {
        a / b
    }
    #[inline(always)]
    fn fma(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn multiply_add(self, value: f32x8, weight: f32x8, sum: f32x8) -> f32x8 {
        if PRODUCTS == VALUES {
            return self.fma(value, weight, sum);
        }
        let ([high, low], [by_high, by_low]) = (self.split(value), self.split(weight));
        self.fma(low, by_low, self.fma(high, by_high, sum))
    }
    #[inline(always)]
    fn split(self, pairs: f32x8) -> [f32x8; 2] {
        let bits = pairs.to_array().map(f32::to_bits);
        let high = bits.map(|bits| f32::from_bits(bits & 0xffff_0000));
        [f32x8::new(high), f32x8::new(bits.map(|bits| f32::from_bits(bits << 16)))]
    }
    #[inline(always)]
    fn pair(self, low: f32x8, high: f32x8) -> f32x8 {
        let (low, high) = (low.to_array(), high.to_array());
        f32x8::new(core::array::from_fn(|lane| pair(low[lane], high[lane])))
    }
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut f32, value: f32x8) {
        let value = value.to_array();
        let pairs = core::array::from_fn(|i| pair(value[2 * i], value[2 * i + 1]));
        // SAFETY: the caller vouches for 4 writable words.
        unsafe { *to.cast::<[f32; 4]>() = pairs };
    }
    #[inline(always)]
    fn fnma(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        a.mul_neg_add(b, c)
    }
    #[inline(always)]
    fn min(self, a: f32x8, b: f32x8) -> f32x8 {
        a.simd_lt(b).select(a, b)
    }
    #[inline(always)]
    fn max(self, a: f32x8, b: f32x8) -> f32x8 {
        a.simd_gt(b).select(a, b)
    }
    #[inline(always)]
    fn sqrt(self, a: f32x8) -> f32x8 {
        a.sqrt()
    }
    #[inline(always)]
    fn abs(self, a: f32x8) -> f32x8 {
        a.abs()
    }
    #[inline(always)]
    fn copysign(self, a: f32x8, b: f32x8) -> f32x8 {
        a.copysign(b)
    }
    #[inline(always)]
    fn round(self, a: f32x8) -> f32x8 {
        a.round()
    }
    #[inline(always)]
    fn exp2_integer(self, n: f32x8) -> f32x8 {
        // Adding 2^23 + 127 puts n + 127 in the low bits of the significand. Shifted, they are the
        // exponent.
        let biased = n + f32x8::splat(8_388_608.0 + 127.0);
        let bits = biased.to_array().map(|lane| f32::from_bits(lane.to_bits() << 23));
        f32x8::new(bits)
    }
    #[inline(always)]
    fn where_positive(self, x: f32x8, a: f32x8) -> f32x8 {
        x.simd_gt(f32x8::splat(0.0)) & a
    }
}

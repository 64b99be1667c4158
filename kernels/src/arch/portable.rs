//! Any processor, through `wide`: SSE2, NEON or scalar code, depending on the compiler's target.

use super::{PAIRS, VALUES, terms};
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
    const TERMS: usize = terms(PRODUCTS);
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
        match Self::TERMS {
            1 => return self.fma(value, weight, sum),
            4 => return add_quads(value, weight, sum),
            _ => {}
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
    unsafe fn store_quads(self, to: *mut f32, value: f32x8) {
        let integers = value.round_ties_even().to_array().map(|lane| (lane as i32 as i8).to_ne_bytes()[0]);
        // SAFETY: the caller vouches for 2 writable words.
        unsafe { to.cast::<[u8; 8]>().write_unaligned(integers) };
    }
    #[inline(always)]
    fn rounded_integers(self, sums: f32x8) -> f32x8 {
        f32x8::new(sums.to_array().map(|lane| lane.to_bits() as i32 as f32))
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
        a.round_ties_even()
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

/// Adds the products of quads to sums of integers.
#[inline(always)]
fn add_quads(values: f32x8, weights: f32x8, sums: f32x8) -> f32x8 {
    let integers = |quad: f32| quad.to_bits().to_ne_bytes().map(|byte| i32::from(byte as i8));
    let (values, weights, sums) = (values.to_array(), weights.to_array(), sums.to_array());
    f32x8::new(core::array::from_fn(|lane| {
        let (a, b) = (integers(values[lane]), integers(weights[lane]));
        let product = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
        f32::from_bits((sums[lane].to_bits() as i32).wrapping_add(product) as u32)
    }))
}

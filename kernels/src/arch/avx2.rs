//! AVX2 with FMA: eight lanes, in tiles of `SUMS` sums. There are twelve sums for its sixteen
//! registers, and 24 if AVX-512 adds sixteen more.

use super::{FUSED_QUADS, LARGE, QUADS, VALUES, terms};
use crate::simd::{Outlined, Simd};
use core::arch::asm;
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn outline<W: Outlined>(work: W) {
    work.run()
}

/// Runs some work with all thirty-two registers.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn outline_wide<W: Outlined>(work: W) {
    work.run()
}

/// Runs some work that multiplies quads by an instruction.
#[target_feature(enable = "avxvnni,avx2,fma")]
#[inline(never)]
fn outline_quads<W: Outlined>(work: W) {
    work.run()
}

/// The same with all thirty-two registers.
#[target_feature(enable = "avx512vnni,avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn outline_wide_quads<W: Outlined>(work: W) {
    work.run()
}

/// Proof that the processor has AVX2 and FMA, and AVX-512 VL if `SUMS` is more than twelve.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const SUMS: usize, const PRODUCTS: u8 = VALUES>(());

impl<const SUMS: usize, const PRODUCTS: u8> Avx2<SUMS, PRODUCTS> {
    /// # Safety
    /// The processor has AVX2 and FMA, and AVX-512 F, DQ and VL if `SUMS` is more than twelve.
    #[inline(always)]
    pub(crate) unsafe fn new_unchecked() -> Self {
        Self(())
    }

    /// Returns the mask of the first `count` lanes.
    #[inline(always)]
    fn first_lanes(self, count: usize) -> __m256i {
        // SAFETY: a value of this type proves that the processor has AVX2.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lanes)
        }
    }
}

// SAFETY (every block below): a value of this type proves that the processor has the instructions.
// The caller vouches for loads and stores.
#[allow(clippy::undocumented_unsafe_blocks, reason = "the one reason above serves all of them")]
impl<const SUMS: usize, const PRODUCTS: u8> Simd for Avx2<SUMS, PRODUCTS> {
    const LANES: usize = 8;
    const SUMS: usize = SUMS;
    // Measured: from 768 on a single row loses at most 5%, and many rows gain if the weights exceed
    // the second-level cache.
    #[cfg(feature = "std")]
    const DEEP: usize = if SUMS > 12 { usize::MAX } else { 768 };
    const PORTABLE: bool = false;
    const TERMS: usize = terms(PRODUCTS);
    const SPLITS: bool = Self::TERMS == 2;
    const OFFSETS: bool = PRODUCTS == FUSED_QUADS;
    type F = __m256;
    type Narrow = Self;

    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
    #[inline(always)]
    fn outline<W: Outlined>(self, work: W) {
        match (PRODUCTS, SUMS) {
            (FUSED_QUADS, 12) => unsafe { outline_quads(work) },
            (FUSED_QUADS, _) => unsafe { outline_wide_quads(work) },
            (_, 12) => unsafe { outline(work) },
            _ => unsafe { outline_wide(work) },
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn multiply_add(self, value: __m256, weight: __m256, sum: __m256) -> __m256 {
        match PRODUCTS {
            VALUES => return self.fma(value, weight, sum),
            FUSED_QUADS => return unsafe { add_offset_quads::<SUMS>(value, weight, sum) },
            QUADS => return unsafe { add_quads(value, weight, sum) },
            _ => {}
        }
        let ([high, low], [by_high, by_low]) = (self.split(value), self.split(weight));
        let sum = unsafe { defined_here(sum) };
        self.fma(low, by_low, self.fma(high, by_high, sum))
    }
    #[inline(always)]
    fn split(self, pairs: __m256) -> [__m256; 2] {
        unsafe {
            let bits = _mm256_castps_si256(pairs);
            let high = _mm256_and_si256(bits, _mm256_set1_epi32(HIGH));
            [_mm256_castsi256_ps(high), _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))]
        }
    }
    #[inline(always)]
    fn pair(self, low: __m256, high: __m256) -> __m256 {
        unsafe {
            let high = _mm256_and_si256(rounded(high), _mm256_set1_epi32(HIGH));
            _mm256_castsi256_ps(_mm256_or_si256(_mm256_srli_epi32::<16>(rounded(low)), high))
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut f32, value: __m256) {
        unsafe {
            let halves = _mm256_srli_epi32::<16>(rounded(value));
            let (low, high) = (_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
            _mm_storeu_si128(to.cast(), _mm_packus_epi32(low, high));
        }
    }
    #[inline(always)]
    unsafe fn store_quads(self, to: *mut f32, value: __m256) {
        unsafe {
            let words = _mm256_cvtps_epi32(value);
            let halves = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(halves, halves));
        }
    }
    #[inline(always)]
    fn rounded_integers(self, sums: __m256) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(sums)) }
    }
    #[inline(always)]
    fn fnma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    fn copysign(self, a: __m256, b: __m256) -> __m256 {
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b))
        }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn exp2_integer(self, n: __m256) -> __m256 {
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }
    /// Adding a large number rounds the fraction away. The low bits are then n + 126, the exponent
    /// of 2^n / 2.
    #[inline(always)]
    fn round_and_half_exp2(self, x: __m256) -> (__m256, __m256) {
        unsafe {
            let large = _mm256_set1_ps(LARGE);
            let n = _mm256_add_ps(x, large);
            let scale = _mm256_slli_epi32::<23>(_mm256_castps_si256(n));
            (_mm256_sub_ps(n, large), _mm256_castsi256_ps(scale))
        }
    }
    #[inline(always)]
    fn where_positive(self, x: __m256, a: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps()), a) }
    }
    #[inline(always)]
    fn sum_lanes(self, lanes: [__m256; 2]) -> f32 {
        unsafe {
            let eight = _mm256_add_ps(lanes[0], lanes[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize, fill: f32) -> __m256 {
        unsafe {
            let lanes = self.first_lanes(count);
            let loaded = _mm256_maskload_ps(from, lanes);
            _mm256_blendv_ps(_mm256_set1_ps(fill), loaded, _mm256_castsi256_ps(lanes))
        }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize, value: __m256) {
        unsafe { _mm256_maskstore_ps(to, self.first_lanes(count), value) }
    }
}

/// Returns `sum`, in the same register, and hides from the compiler where its value came from.
///
/// A fused multiply-add overwrites one of its operands. LLVM chooses the one that was defined last.
/// That must be the sum: if it is a factor, the sums of a loop wander through the registers and some
/// are spilled to the stack.
#[inline]
#[target_feature(enable = "avx")]
fn defined_here(mut sum: __m256) -> __m256 {
    // SAFETY: there is no instruction, only a comment.
    unsafe { asm!("/* {0} */", inout(ymm_reg) sum, options(pure, nomem, nostack, preserves_flags)) };
    sum
}

/// The upper half of a word.
const HIGH: i32 = !0xffff;

/// Rounds to bf16, to nearest even, in the upper halves of the lanes. Denormal numbers become zero.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn rounded(value: __m256) -> __m256i {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let bits = _mm256_castps_si256(value);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        // The exponent of a normal number, of infinity or NaN is not zero.
        let exponent = _mm256_and_si256(bits, _mm256_set1_epi32(0x7f80_0000));
        let tiny = _mm256_cmpeq_epi32(exponent, _mm256_setzero_si256());
        let sign = _mm256_and_si256(bits, _mm256_set1_epi32(i32::MIN));
        let up = _mm256_blendv_epi8(up, sign, tiny);
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
        _mm256_blendv_epi8(up, quiet, nan)
    }
}

/// Adds the products of quads to sums of integers. The sum of two products has at most 16 bits,
/// because integers are from -127 to 127.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn add_quads(values: __m256, weights: __m256, sums: __m256) -> __m256 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let (values, weights) = (_mm256_castps_si256(values), _mm256_castps_si256(weights));
        let signed = _mm256_sign_epi8(weights, values);
        let halves = _mm256_maddubs_epi16(_mm256_abs_epi8(values), signed);
        let products = _mm256_madd_epi16(halves, _mm256_set1_epi16(1));
        _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sums), products))
    }
}

/// Adds the products of quads, with 128 added to each value, to sums of integers.
///
/// # Safety
/// The processor has AVX-VNNI, or AVX-512 VNNI and VL if `SUMS` is more than twelve.
#[inline(always)]
unsafe fn add_offset_quads<const SUMS: usize>(values: __m256, weights: __m256, sums: __m256) -> __m256 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        // In 8 bits, changing the sign bit adds 128.
        let values = _mm256_xor_si256(_mm256_castps_si256(values), _mm256_set1_epi8(i8::MIN));
        let (weights, sums) = (_mm256_castps_si256(weights), _mm256_castps_si256(sums));
        _mm256_castsi256_ps(match SUMS {
            12 => _mm256_dpbusd_avx_epi32(sums, values, weights),
            _ => _mm256_dpbusd_epi32(sums, values, weights),
        })
    }
}

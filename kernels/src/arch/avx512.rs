//! AVX-512 F, DQ and VL: sixteen lanes, thirty-two registers.

use super::avx2::Avx2;
use super::{FUSED_PAIRS, FUSED_QUADS, LARGE, PAIRS, VALUES, terms};
use crate::simd::{Outlined, Simd};
use core::arch::x86_64::*;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn outline<W: Outlined>(work: W) {
    work.run()
}

/// Runs some work that multiplies pairs by an instruction.
#[target_feature(enable = "avx512bf16,avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn outline_pairs<W: Outlined>(work: W) {
    work.run()
}

/// Runs some work that multiplies quads by an instruction.
#[target_feature(enable = "avx512vnni,avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn outline_quads<W: Outlined>(work: W) {
    work.run()
}

/// Proof that the processor has AVX-512 F, DQ and VL, for tiles of up to `SUMS` sums; and AVX-512
/// BF16 if `PRODUCTS` are fused pairs.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const SUMS: usize, const PRODUCTS: u8 = VALUES>(());

impl<const SUMS: usize, const PRODUCTS: u8> Avx512<SUMS, PRODUCTS> {
    /// Number of sums in the tiles of a single row.
    pub(crate) const ROW_SUMS: usize = 4;

    /// # Safety
    /// The processor has AVX-512 F, DQ and VL; and BF16 if `PRODUCTS` are fused pairs.
    #[inline(always)]
    pub(crate) unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

// SAFETY (every block below): a value of this type proves that the processor has the instructions.
// The caller vouches for loads and stores.
#[allow(clippy::undocumented_unsafe_blocks, reason = "the one reason above serves all of them")]
impl<const SUMS: usize, const PRODUCTS: u8> Simd for Avx512<SUMS, PRODUCTS> {
    const LANES: usize = 16;
    const SUMS: usize = SUMS;
    const ROWS: usize = if SUMS == Self::ROW_SUMS { 1 } else { usize::MAX };
    const PORTABLE: bool = false;
    const TERMS: usize = terms(PRODUCTS);
    const OFFSETS: bool = PRODUCTS == FUSED_QUADS;
    const SPLITS: bool = PRODUCTS == PAIRS;
    type F = __m512;
    type Narrow = Avx2<24, PRODUCTS>;

    #[inline(always)]
    fn narrow(self) -> Avx2<24, PRODUCTS> {
        // SAFETY: a processor with AVX-512 has AVX2 and FMA, and the detection of AVX-512 checks
        // for them too.
        unsafe { Avx2::new_unchecked() }
    }
    #[inline(always)]
    fn outline<W: Outlined>(self, work: W) {
        // A single row has few tile shapes.
        match PRODUCTS {
            _ if Self::ROWS == 1 => work.run(),
            FUSED_PAIRS => unsafe { outline_pairs(work) },
            FUSED_QUADS => unsafe { outline_quads(work) },
            _ => unsafe { outline(work) },
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(to, value) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn multiply_add(self, value: __m512, weight: __m512, sum: __m512) -> __m512 {
        match PRODUCTS {
            VALUES => self.fma(value, weight, sum),
            FUSED_QUADS => unsafe {
                // In 8 bits, changing the sign bit adds 128.
                let value = _mm512_xor_si512(_mm512_castps_si512(value), _mm512_set1_epi8(i8::MIN));
                let (weight, sum) = (_mm512_castps_si512(weight), _mm512_castps_si512(sum));
                _mm512_castsi512_ps(_mm512_dpbusd_epi32(sum, value, weight))
            },
            FUSED_PAIRS => unsafe { _mm512_dpbf16_ps(sum, as_pairs(value), as_pairs(weight)) },
            _ => {
                let ([high, low], [by_high, by_low]) = (self.split(value), self.split(weight));
                self.fma(low, by_low, self.fma(high, by_high, sum))
            }
        }
    }
    #[inline(always)]
    fn split(self, pairs: __m512) -> [__m512; 2] {
        unsafe {
            let bits = _mm512_castps_si512(pairs);
            let high = _mm512_and_si512(bits, _mm512_set1_epi32(HIGH));
            [_mm512_castsi512_ps(high), _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))]
        }
    }
    #[inline(always)]
    fn pair(self, low: __m512, high: __m512) -> __m512 {
        unsafe {
            let high = _mm512_and_si512(rounded(high), _mm512_set1_epi32(HIGH));
            _mm512_castsi512_ps(_mm512_or_si512(_mm512_srli_epi32::<16>(rounded(low)), high))
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut f32, value: __m512) {
        unsafe {
            let halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(value)));
            _mm256_storeu_si256(to.cast(), halves);
        }
    }
    #[cfg(feature = "std")]
    #[inline(always)]
    unsafe fn store_transposed(self, vectors: &[__m512; 16], to: *mut f32) {
        for (l, column) in transpose(self, vectors).into_iter().enumerate() {
            unsafe { self.store(to.add(l * 16), column) };
        }
    }
    #[inline(always)]
    unsafe fn store_quads(self, to: *mut f32, value: __m512) {
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value))) }
    }
    #[inline(always)]
    fn rounded_integers(self, sums: __m512) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(sums)) }
    }
    #[inline(always)]
    fn fnma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        unsafe { _mm512_abs_ps(a) }
    }
    #[inline(always)]
    fn copysign(self, a: __m512, b: __m512) -> __m512 {
        unsafe {
            let sign = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b))
        }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn exp2_integer(self, n: __m512) -> __m512 {
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }
    /// Adding a large number rounds the fraction away. The low bits are then n + 126, the exponent
    /// of 2^n / 2.
    #[inline(always)]
    fn round_and_half_exp2(self, x: __m512) -> (__m512, __m512) {
        unsafe {
            let large = _mm512_set1_ps(LARGE);
            let n = _mm512_add_ps(x, large);
            let scale = _mm512_slli_epi32::<23>(_mm512_castps_si512(n));
            (_mm512_sub_ps(n, large), _mm512_castsi512_ps(scale))
        }
    }
    #[inline(always)]
    fn where_positive(self, x: __m512, a: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps()), a) }
    }
    #[inline(always)]
    fn sum_lanes(self, lanes: [__m512; 2]) -> f32 {
        unsafe {
            let halves = [_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps::<1>(lanes[0])];
            self.narrow().sum_lanes(halves)
        }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize, fill: f32) -> __m512 {
        unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(count), from) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize, value: __m512) {
        unsafe { _mm512_mask_storeu_ps(to, first_lanes(count), value) }
    }
}

/// Returns the mask of the first `count` lanes.
#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// The upper half of a word.
const HIGH: i32 = !0xffff;

/// The pairs in the words of a vector.
#[inline(always)]
fn as_pairs(words: __m512) -> __m512bh {
    // SAFETY: both types are 64 bytes of any values.
    unsafe { core::mem::transmute(words) }
}

/// Rounds to bf16, to nearest even, in the upper halves of the lanes. Denormal numbers become zero.
///
/// # Safety
/// The processor has AVX-512 F.
#[inline(always)]
unsafe fn rounded(value: __m512) -> __m512i {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let bits = _mm512_castps_si512(value);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        // The exponent of a normal number, of infinity or NaN is not zero.
        let normal = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x7f80_0000));
        let sign = _mm512_and_si512(bits, _mm512_set1_epi32(i32::MIN));
        let up = _mm512_mask_mov_epi32(sign, normal, up);
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
        _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x40_0000))
    }
}

/// Returns the columns of sixteen vectors.
#[cfg(feature = "std")]
#[inline(always)]
fn transpose<const SUMS: usize, const PRODUCTS: u8>(
    _: Avx512<SUMS, PRODUCTS>,
    rows: &[__m512; 16],
) -> [__m512; 16] {
    // SAFETY: as below.
    let mut twos = [unsafe { _mm512_setzero_pd() }; 16];
    let mut fours = *rows;
    let mut columns = *rows;
    // SAFETY: the backend proves that the processor has the instructions.
    unsafe {
        for i in (0..16).step_by(2) {
            twos[i] = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i], rows[i + 1]));
            twos[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i], rows[i + 1]));
        }
        for i in (0..16).step_by(4) {
            let low = [_mm512_unpacklo_pd(twos[i], twos[i + 2]), _mm512_unpackhi_pd(twos[i], twos[i + 2])];
            let high =
                [_mm512_unpacklo_pd(twos[i + 1], twos[i + 3]), _mm512_unpackhi_pd(twos[i + 1], twos[i + 3])];
            for (j, vector) in low.into_iter().chain(high).enumerate() {
                fours[i + j] = _mm512_castpd_ps(vector);
            }
        }
        // Part p of vector 4 i + j holds rows 4 i to 4 i + 3 of column 4 p + j.
        for j in 0..4 {
            let even = |i: usize| _mm512_shuffle_f32x4::<0x88>(fours[i + j], fours[i + 4 + j]);
            let odd = |i: usize| _mm512_shuffle_f32x4::<0xdd>(fours[i + j], fours[i + 4 + j]);
            let (upper, lower) = ([even(0), odd(0)], [even(8), odd(8)]);
            columns[j] = _mm512_shuffle_f32x4::<0x88>(upper[0], lower[0]);
            columns[4 + j] = _mm512_shuffle_f32x4::<0x88>(upper[1], lower[1]);
            columns[8 + j] = _mm512_shuffle_f32x4::<0xdd>(upper[0], lower[0]);
            columns[12 + j] = _mm512_shuffle_f32x4::<0xdd>(upper[1], lower[1]);
        }
    }
    columns
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use crate::isa::Isa;
    use crate::simd::{Kernel, Simd};

    struct Transposes;

    impl Kernel for Transposes {
        type Output = [f32; 256];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [f32; 256] {
            let from: [f32; 256] = core::array::from_fn(|i| i as f32);
            let mut to = [0.0; 256];
            // SAFETY: both arrays have sixteen vectors.
            unsafe {
                let vectors = core::array::from_fn(|k| s.load(from[k * 16..].as_ptr()));
                s.store_transposed(&vectors, to.as_mut_ptr());
            }
            to
        }
    }

    #[test]
    fn columns_are_stored() {
        if let Some(isa) = Isa::avx512() {
            let found = isa.run(Transposes);
            assert!((0..256).all(|i| found[i] == (i % 16 * 16 + i / 16) as f32), "{found:?}");
        }
    }
}

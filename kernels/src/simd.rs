//! The vector operations that every algorithm of this crate uses, and the interface of an
//! algorithm.
//!
//! A SIMD backend ([`crate::arch`]) implements [`Simd`] for one instruction set and contains no
//! algorithm. Sums across lanes go through sixteen virtual lanes ([`sum16`]), so that backends of
//! eight and of sixteen lanes give equal bits.

#[cfg(feature = "std")]
use crate::arch::tile_places::TilePlaces;

/// One instruction set: a zero-sized token whose existence proves that the processor has it.
///
/// Operations are IEEE single precision. `min` and `max` return the second operand when either is
/// NaN, so the operand that may be NaN comes second.
pub trait Simd: Copy {
    /// Number of lanes of a vector: 8 or 16.
    const LANES: usize;
    /// Number of vectors of sums that the registers hold beside a tile's operands.
    const SUMS: usize;
    /// The most rows of its tiles: any number, or a single row.
    const ROWS: usize = usize::MAX;
    /// Number of registers of a vector. With two, a tile of several vectors takes them one after
    /// another, so that it may have more rows.
    const REGISTERS: usize = 1;
    /// Panels of at least this many k are stored vector after vector (see [`crate::pack`]).
    #[cfg(feature = "std")]
    const DEEP: usize = usize::MAX;
    /// True if the processor may lack a fused multiply-add. `matrixmultiply` then computes the larger
    /// products of f32 values.
    const PORTABLE: bool;
    /// Number of values in a word of a product's operands (see [`crate::pack`]).
    const TERMS: usize = 1;
    /// True if `multiply_add` adds 128 to each integer of `value`, because its instruction multiplies
    /// integers without a sign.
    const OFFSETS: bool = false;
    /// True if `multiply_add` multiplies words without an instruction of its own: it splits them
    /// into their values first.
    const SPLITS: bool = false;
    /// True if products go by tiles of `multiply_tile`, not by `multiply_add`. Vectors are then never
    /// halved.
    const TILES: bool = false;
    /// A vector.
    type F: Copy;
    /// The backend of eight lanes on the same processor, with equal bits.
    type Narrow: Simd<Narrow = Self::Narrow>;

    /// Returns the token of `Narrow`.
    fn narrow(self) -> Self::Narrow;
    /// Runs some work as a separate function. An algorithm has hundreds of tiles; with all of them
    /// inlined, compiling takes minutes.
    fn outline<W: Outlined>(self, work: W);

    /// Returns the same value in all lanes.
    fn splat(self, value: f32) -> Self::F;
    /// Loads from any address.
    ///
    /// # Safety
    /// `from` is readable for `LANES` floats.
    unsafe fn load(self, from: *const f32) -> Self::F;
    /// Stores to any address.
    ///
    /// # Safety
    /// `to` is writable for `LANES` floats.
    unsafe fn store(self, to: *mut f32, value: Self::F);
    /// a + b
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a - b
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b, correctly rounded
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b + c, rounded once (the portable backend may round twice)
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// sum + weight * value, of words: the innermost operation of a product. A pair adds the
    /// product of its high values first.
    #[inline(always)]
    fn multiply_add(self, value: Self::F, weight: Self::F, sum: Self::F) -> Self::F {
        self.fma(value, weight, sum)
    }
    /// Adds products to the sums of up to 32 rows by up to four vectors, by tiles.
    ///
    /// # Safety
    /// The operands exist, as [`TilePlaces`] describes them.
    #[cfg(feature = "std")]
    #[inline(always)]
    unsafe fn multiply_tile(self, _rows: usize, _width: usize, _places: TilePlaces) {
        unreachable!("a backend without tiles")
    }
    /// Stores sixteen vectors of sixteen lanes as columns: lane l of vector k goes to
    /// `to + 16 l + k`.
    ///
    /// # Safety
    /// `to` is writable for 256 words.
    #[cfg(feature = "std")]
    #[inline(always)]
    unsafe fn store_transposed(self, vectors: &[Self::F; 16], to: *mut f32) {
        for (k, vector) in vectors.iter().enumerate() {
            let mut lanes = [0.0f32; 16];
            // SAFETY: there are at most sixteen lanes, and the caller vouches for the columns.
            unsafe {
                self.store(lanes.as_mut_ptr(), *vector);
                for (l, lane) in lanes.into_iter().take(Self::LANES).enumerate() {
                    *to.add(l * 16 + k) = lane;
                }
            }
        }
    }
    /// The high and the low values of pairs.
    #[inline(always)]
    fn split(self, pairs: Self::F) -> [Self::F; 2] {
        [pairs, pairs]
    }
    /// Pairs of values, each rounded to bf16: lane l holds low l and high l.
    #[inline(always)]
    fn pair(self, _low: Self::F, _high: Self::F) -> Self::F {
        unreachable!("a backend without pairs")
    }
    /// Rounds the lanes to bf16 and stores them side by side, as `LANES` / 2 pairs.
    ///
    /// # Safety
    /// `to` is writable for `LANES` / 2 words.
    #[inline(always)]
    unsafe fn store_pairs(self, _to: *mut f32, _value: Self::F) {
        unreachable!("a backend without pairs")
    }
    /// Rounds the lanes, from -127 to 127, to integers of 8 bits, to nearest even, and stores them
    /// side by side, as `LANES` / 4 quads.
    ///
    /// # Safety
    /// `to` is writable for `LANES` / 4 words.
    #[inline(always)]
    unsafe fn store_quads(self, _to: *mut f32, _value: Self::F) {
        unreachable!("a backend without quads")
    }
    /// The lanes, which hold the bits of integers of 32 bits, rounded to floats.
    #[inline(always)]
    fn rounded_integers(self, _sums: Self::F) -> Self::F {
        unreachable!("a backend without quads")
    }
    /// c - a * b, rounded once (the portable backend may round twice)
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The smaller; `b` if they are equal, as 0 and -0 are, or if one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger; `b` if they are equal, as 0 and -0 are, or if one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The square root, correctly rounded.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// |a|
    fn abs(self, a: Self::F) -> Self::F;
    /// The magnitude of `a` with the sign of `b`.
    fn copysign(self, a: Self::F, b: Self::F) -> Self::F;
    /// The nearest integer, ties to even.
    fn round(self, a: Self::F) -> Self::F;
    /// 2^n for integral n in [-126, 127].
    fn exp2_integer(self, n: Self::F) -> Self::F;
    /// The nearest integer n to `x` in [-126, 127], ties to even, and 2^n / 2. For n = -126 the
    /// latter is denormal and may be zero instead: added to 1/2, both give 1/2.
    #[inline(always)]
    fn round_and_half_exp2(self, x: Self::F) -> (Self::F, Self::F) {
        let n = self.round(x);
        (n, self.mul(self.splat(0.5), self.exp2_integer(n)))
    }
    /// `a` in lanes with x > 0, else 0.
    fn where_positive(self, x: Self::F, a: Self::F) -> Self::F;

    /// sums[r] + values[r] * the vector at `from`, each rounded once.
    ///
    /// # Safety
    /// `from` is readable for `LANES` floats.
    #[inline(always)]
    unsafe fn add_products<const R: usize>(
        self,
        values: [Self::F; R],
        from: *const f32,
        sums: &mut [Self::F; R],
    ) {
        // SAFETY: the caller vouches for the vector.
        let vector = unsafe { self.load(from) };
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = self.multiply_add(value, vector, *sum);
        }
    }
    /// The sum of sixteen lanes, in one vector of sixteen or two of eight: l with l + 8, then + 4,
    /// + 2, + 1.
    #[inline(always)]
    fn sum_lanes(self, lanes: [Self::F; 2]) -> f32 {
        tree16(self, lanes, |a, b| a + b)
    }
    /// Loads the first `count` <= `LANES` lanes and fills the rest with `fill`.
    ///
    /// # Safety
    /// `from` is readable for `count` floats.
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize, fill: f32) -> Self::F {
        let mut lanes = [fill; 16];
        // SAFETY: the caller vouches for `count` floats, and `count` <= LANES <= 16.
        unsafe {
            core::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            self.load(lanes.as_ptr())
        }
    }
    /// Stores the first `count` <= `LANES` lanes.
    ///
    /// # Safety
    /// `to` is writable for `count` floats.
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize, value: Self::F) {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller vouches for `count` floats, and `count` <= LANES <= 16.
        unsafe {
            self.store(lanes.as_mut_ptr(), value);
            core::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    /// Loads a whole vector, or the first `count` lanes of one.
    ///
    /// # Safety
    /// `from` is readable for `count` <= `LANES` floats.
    #[inline(always)]
    unsafe fn load_up_to(self, from: *const f32, count: usize, fill: f32) -> Self::F {
        // SAFETY: the caller vouches for `count` floats.
        unsafe { if count == Self::LANES { self.load(from) } else { self.load_partial(from, count, fill) } }
    }
    /// Stores a whole vector, or the first `count` lanes of one.
    ///
    /// # Safety
    /// `to` is writable for `count` <= `LANES` floats.
    #[inline(always)]
    unsafe fn store_up_to(self, to: *mut f32, count: usize, value: Self::F) {
        // SAFETY: the caller vouches for `count` floats.
        unsafe {
            if count == Self::LANES { self.store(to, value) } else { self.store_partial(to, count, value) }
        }
    }
}

/// A part of an algorithm, bound to an instruction set, that is compiled as a separate function.
pub trait Outlined {
    /// Does the work. Implementations are `#[inline(always)]`.
    fn run(self);
}

/// An algorithm that is compiled once per instruction set.
pub trait Kernel {
    /// The result.
    type Output;
    /// Runs the algorithm. Implementations are `#[inline(always)]`, down to the last operation.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Returns the sum of f(values) over sixteen virtual lanes. Lane l sums elements l, l + 16, ...,
/// and a fixed tree sums the lanes. A tail is filled with `fill`; `f` must map it to zero.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn sum16<S: Simd>(s: S, values: &[f32], fill: f32, f: impl Fn(S::F) -> S::F) -> f32 {
    let mut lanes = [s.splat(0.0); 2];
    fold16(s, values, fill, |half, v| lanes[half] = s.add(lanes[half], f(v)));
    tree16(s, lanes, |a, b| a + b)
}

/// Calls `f` with the virtual half (0, or 1 on backends of eight lanes) and each vector of
/// `values`.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn fold16<S: Simd>(s: S, values: &[f32], fill: f32, mut f: impl FnMut(usize, S::F)) {
    let whole = values.len() - values.len() % S::LANES;
    let halves = 16 / S::LANES;
    let from = values.as_ptr();
    for i in (0..whole).step_by(S::LANES) {
        // SAFETY: i + LANES <= whole <= len.
        f(i / S::LANES % halves, unsafe { s.load(from.add(i)) });
    }
    if whole < values.len() {
        // SAFETY: len - whole < LANES floats remain.
        f(whole / S::LANES % halves, unsafe { s.load_partial(from.add(whole), values.len() - whole, fill) });
    }
}

/// Reduces sixteen virtual lanes: l with l + 8, then + 4, + 2, + 1.
#[inline(always)]
pub(crate) fn tree16<S: Simd>(s: S, lanes: [S::F; 2], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut all = [0.0f32; 32];
    // SAFETY: 32 floats hold two vectors of up to 16 lanes.
    unsafe {
        s.store(all.as_mut_ptr(), lanes[0]);
        s.store(all.as_mut_ptr().add(S::LANES), lanes[1]);
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            all[lane] = f(all[lane], all[lane + width]);
        }
    }
    all[0]
}

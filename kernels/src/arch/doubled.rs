//! Two vectors of eight lanes as one of sixteen: the AVX2 backend of all products.
//!
//! A tile of eight lanes would walk each panel twice, once for the lower and once for the upper
//! halves of its vectors. It would use half of each cache line that it reads.

use crate::simd::{Outlined, Simd};

/// A backend of eight lanes, doubled.
#[derive(Clone, Copy)]
pub(crate) struct Doubled<S>(pub(crate) S);

/// Applies an operation to both halves of a vector.
macro_rules! both {
    ($self:ident . $operation:ident ( $($operand:ident),* )) => {
        ($self.0.$operation($($operand.0),*), $self.0.$operation($($operand.1),*))
    };
}

impl<S: Simd> Simd for Doubled<S> {
    const LANES: usize = 2 * S::LANES;
    const SUMS: usize = S::SUMS / 2;
    const REGISTERS: usize = 2;
    const DEEP: usize = S::DEEP;
    const PORTABLE: bool = S::PORTABLE;
    const TERMS: usize = S::TERMS;
    const SPLITS: bool = S::SPLITS;
    const OFFSETS: bool = S::OFFSETS;
    type F = (S::F, S::F);
    type Narrow = S::Narrow;

    #[inline(always)]
    fn narrow(self) -> S::Narrow {
        self.0.narrow()
    }
    #[inline(always)]
    fn outline<W: Outlined>(self, work: W) {
        self.0.outline(work);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        (self.0.splat(value), self.0.splat(value))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller vouches for both halves.
        unsafe { (self.0.load(from), self.0.load(from.add(S::LANES))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::F) {
        // SAFETY: the caller vouches for both halves.
        unsafe {
            self.0.store(to, value.0);
            self.0.store(to.add(S::LANES), value.1);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.add(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.sub(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.mul(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.div(a, b))
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(self.fma(a, b, c))
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(self.fnma(a, b, c))
    }
    #[inline(always)]
    fn multiply_add(self, value: Self::F, weight: Self::F, sum: Self::F) -> Self::F {
        both!(self.multiply_add(value, weight, sum))
    }
    #[inline(always)]
    fn split(self, pairs: Self::F) -> [Self::F; 2] {
        let ([high, low], [upper_high, upper_low]) = (self.0.split(pairs.0), self.0.split(pairs.1));
        [(high, upper_high), (low, upper_low)]
    }
    #[inline(always)]
    fn pair(self, low: Self::F, high: Self::F) -> Self::F {
        both!(self.pair(low, high))
    }
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut f32, value: Self::F) {
        // SAFETY: the caller vouches for both halves.
        unsafe {
            self.0.store_pairs(to, value.0);
            self.0.store_pairs(to.add(S::LANES / 2), value.1);
        }
    }
    #[inline(always)]
    unsafe fn store_quads(self, to: *mut f32, value: Self::F) {
        // SAFETY: the caller vouches for both halves.
        unsafe {
            self.0.store_quads(to, value.0);
            self.0.store_quads(to.add(S::LANES / 4), value.1);
        }
    }
    #[inline(always)]
    fn rounded_integers(self, sums: Self::F) -> Self::F {
        both!(self.rounded_integers(sums))
    }
    /// Takes one half after the other, so that one register is enough for the vector.
    #[inline(always)]
    unsafe fn add_products<const R: usize>(
        self,
        values: [Self::F; R],
        from: *const f32,
        sums: &mut [Self::F; R],
    ) {
        // SAFETY: the caller vouches for both halves.
        let lower = unsafe { self.0.load(from) };
        for (sum, value) in sums.iter_mut().zip(values) {
            sum.0 = self.0.multiply_add(value.0, lower, sum.0);
        }
        // SAFETY: the caller vouches for both halves.
        let upper = unsafe { self.0.load(from.add(S::LANES)) };
        for (sum, value) in sums.iter_mut().zip(values) {
            sum.1 = self.0.multiply_add(value.1, upper, sum.1);
        }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.min(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.max(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        both!(self.sqrt(a))
    }
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        both!(self.abs(a))
    }
    #[inline(always)]
    fn copysign(self, a: Self::F, b: Self::F) -> Self::F {
        both!(self.copysign(a, b))
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        both!(self.round(a))
    }
    #[inline(always)]
    fn exp2_integer(self, n: Self::F) -> Self::F {
        both!(self.exp2_integer(n))
    }
    #[inline(always)]
    fn round_and_half_exp2(self, x: Self::F) -> (Self::F, Self::F) {
        let (lower, upper) = (self.0.round_and_half_exp2(x.0), self.0.round_and_half_exp2(x.1));
        ((lower.0, upper.0), (lower.1, upper.1))
    }
    #[inline(always)]
    fn where_positive(self, x: Self::F, a: Self::F) -> Self::F {
        both!(self.where_positive(x, a))
    }
}

//! Products of pairs by tiles of sixteen rows by sixteen sums: the backend of AMX, and its software
//! model.
//!
//! All other operations are those of another backend of sixteen lanes.

use super::tile_places::TilePlaces;
use crate::simd::{Outlined, Simd};

/// The operation that continues the sums of a tile.
pub(crate) trait TileOperation: Copy {
    /// Adds x . weights to the sums: `rows` rows, 1 to 32, by `width` vectors, 1 to 4.
    ///
    /// # Safety
    /// All rows of x and of the panel are readable and those of the sums readable and writable, as
    /// [`TilePlaces`] describes them.
    unsafe fn multiply(self, rows: usize, width: usize, places: TilePlaces);
}

/// The backend `S` with another operation for products.
#[derive(Clone, Copy)]
pub(crate) struct ByTiles<S, O>(pub(crate) S, pub(crate) O);

// SAFETY (every block below): the caller vouches for loads and stores.
#[allow(clippy::undocumented_unsafe_blocks, reason = "the one reason above serves all of them")]
impl<S: Simd, O: TileOperation> Simd for ByTiles<S, O> {
    const LANES: usize = 16;
    const SUMS: usize = S::SUMS;
    const PORTABLE: bool = S::PORTABLE;
    const TERMS: usize = 2;
    const TILES: bool = true;
    type F = S::F;
    type Narrow = Self;

    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
    #[inline(always)]
    fn outline<W: Outlined>(self, work: W) {
        self.0.outline(work);
    }
    #[inline(always)]
    unsafe fn multiply_tile(self, rows: usize, width: usize, places: TilePlaces) {
        unsafe { self.1.multiply(rows, width, places) }
    }
    #[inline(always)]
    unsafe fn store_transposed(self, vectors: &[Self::F; 16], to: *mut f32) {
        unsafe { self.0.store_transposed(vectors, to) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> S::F {
        self.0.splat(value)
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> S::F {
        unsafe { self.0.load(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: S::F) {
        unsafe { self.0.store(to, value) }
    }
    #[inline(always)]
    fn add(self, a: S::F, b: S::F) -> S::F {
        self.0.add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: S::F, b: S::F) -> S::F {
        self.0.sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: S::F, b: S::F) -> S::F {
        self.0.mul(a, b)
    }
    #[inline(always)]
    fn div(self, a: S::F, b: S::F) -> S::F {
        self.0.div(a, b)
    }
    #[inline(always)]
    fn fma(self, a: S::F, b: S::F, c: S::F) -> S::F {
        self.0.fma(a, b, c)
    }
    #[inline(always)]
    fn fnma(self, a: S::F, b: S::F, c: S::F) -> S::F {
        self.0.fnma(a, b, c)
    }
    #[inline(always)]
    fn pair(self, low: S::F, high: S::F) -> S::F {
        self.0.pair(low, high)
    }
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut f32, value: S::F) {
        unsafe { self.0.store_pairs(to, value) }
    }
    #[inline(always)]
    fn min(self, a: S::F, b: S::F) -> S::F {
        self.0.min(a, b)
    }
    #[inline(always)]
    fn max(self, a: S::F, b: S::F) -> S::F {
        self.0.max(a, b)
    }
    #[inline(always)]
    fn sqrt(self, a: S::F) -> S::F {
        self.0.sqrt(a)
    }
    #[inline(always)]
    fn abs(self, a: S::F) -> S::F {
        self.0.abs(a)
    }
    #[inline(always)]
    fn copysign(self, a: S::F, b: S::F) -> S::F {
        self.0.copysign(a, b)
    }
    #[inline(always)]
    fn round(self, a: S::F) -> S::F {
        self.0.round(a)
    }
    #[inline(always)]
    fn exp2_integer(self, n: S::F) -> S::F {
        self.0.exp2_integer(n)
    }
    #[inline(always)]
    fn round_and_half_exp2(self, x: S::F) -> (S::F, S::F) {
        self.0.round_and_half_exp2(x)
    }
    #[inline(always)]
    fn where_positive(self, x: S::F, a: S::F) -> S::F {
        self.0.where_positive(x, a)
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize, fill: f32) -> S::F {
        unsafe { self.0.load_partial(from, count, fill) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize, value: S::F) {
        unsafe { self.0.store_partial(to, count, value) }
    }
}

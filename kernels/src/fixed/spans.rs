//! The walk over the hidden units of a cell: tiles of weights, and spans of vectors within a tile.
//!
//! 1. A cell of up to 48 units is one tile, computed at once, so that its activations run side by
//!    side. A larger cell has tiles of four vectors' sums of sixteen lanes. Four are enough to hide
//!    the latency of a multiply-add, and the next tile's sums hide the activations.
//! 2. A tile divides its vectors evenly into spans whose sums fit the registers.
//! 3. Every other step walks from the last tile to the first: the weights that the step before read
//!    last are still in the first-level cache.
//! 4. If the compiler knows the size, only the spans that the size needs are compiled.

use super::hidden_width::HiddenWidth;
use crate::simd::{Outlined, Simd};

/// The most units of a cell that is one tile: its sums fit the registers of AVX-512, and its
/// weights fit the first-level cache.
const SMALL: usize = 48;

/// Returns the units of a tile of weights, for a group of `gates` gates.
pub(super) const fn tile(gates: usize, hidden: usize) -> usize {
    match gates {
        _ if hidden <= SMALL => SMALL,
        1 => 64,
        2 => 32,
        _ => 16,
    }
}

/// Some neighboring vectors of units.
#[derive(Clone, Copy)]
pub(super) struct UnitSpan {
    /// The first unit.
    pub(super) unit: usize,
    /// The first unit of the tile of weights that holds it.
    pub(super) tile: usize,
    /// Units of that tile.
    pub(super) width: usize,
}

/// The computation for one span of units.
pub(super) trait SpanKernel<S: Simd> {
    /// Gates whose sums are kept at a time.
    const SUMS: usize;

    /// Computes U vectors of units.
    ///
    /// # Safety
    /// The span is within the units.
    unsafe fn compute<const U: usize>(&self, s: S, span: UnitSpan);
}

/// Returns how many vectors of units have sums that fit the registers.
#[inline(always)]
const fn most<S: Simd>(sums: usize) -> usize {
    let registers = if S::PORTABLE {
        4
    } else if S::LANES == 16 {
        16
    } else {
        S::SUMS
    };
    match registers / sums {
        0 => 1,
        most if most > 8 => 8,
        most => most,
    }
}

/// Returns whether a tile of `width` units runs with eight lanes: with sixteen, eight would idle.
const fn is_narrow(width: usize) -> bool {
    (width - 1) % 16 < 8
}

/// A tile of full size.
const FULL: u8 = 0;
/// A smaller tile at the end.
const LAST: u8 = 1;
/// A smaller tile at the end that runs with eight lanes.
const LAST_NARROW: u8 = 2;

/// Returns whether tiles of kind TILE have spans of `vectors` vectors.
const fn has_span<S: Simd, K: SpanKernel<S>, W: HiddenWidth, const TILE: u8>(vectors: usize) -> bool {
    let most = most::<S>(K::SUMS);
    let Some(hidden) = W::HIDDEN else { return vectors <= most };
    let size = tile(K::SUMS, hidden);
    let last = hidden % size;
    let width = match TILE {
        FULL if hidden >= size => size,
        LAST if last > 0 && !is_narrow(last) => last,
        LAST_NARROW if last > 0 && is_narrow(last) => last,
        _ => return false,
    };
    let all = width.div_ceil(S::LANES);
    let spans = all.div_ceil(most);
    vectors == all / spans || vectors == all.div_ceil(spans)
}

/// Computes all `hidden` units, tile by tile: forward if `turn` is 0, backward if it is 1.
///
/// # Safety
/// The safety conditions of `compute` hold for all units of the cell.
#[inline(always)]
pub(super) unsafe fn sweep<S: Simd, K: SpanKernel<S> + SpanKernel<S::Narrow>, W: HiddenWidth>(
    s: S,
    hidden: usize,
    turn: usize,
    kernel: &K,
) {
    let size = tile(<K as SpanKernel<S>>::SUMS, hidden);
    let count = hidden.div_ceil(size);
    let mut i = 0;
    while i < count {
        let tile = if turn == 0 { i } else { count - 1 - i } * size;
        let width = hidden - tile;
        // SAFETY: the tile starts below H, and ends there at most.
        unsafe {
            if width >= size {
                spans::<S, K, W, FULL>(s, tile, size, kernel);
            } else if is_narrow(width) {
                spans::<S::Narrow, K, W, LAST_NARROW>(s.narrow(), tile, width, kernel);
            } else {
                spans::<S, K, W, LAST>(s, tile, width, kernel);
            }
        }
        i += 1;
    }
}

/// Computes a tile of `width` units that starts at unit `tile`.
///
/// # Safety
/// The safety conditions of `compute` hold for these units.
#[inline(always)]
unsafe fn spans<S: Simd, K: SpanKernel<S>, W: HiddenWidth, const TILE: u8>(
    s: S,
    tile: usize,
    width: usize,
    kernel: &K,
) {
    let vectors = width.div_ceil(S::LANES);
    let count = vectors.div_ceil(most::<S>(K::SUMS));
    let mut i = 0;
    while i < count {
        let (from, to) = (vectors * i / count, vectors * (i + 1) / count);
        let span = UnitSpan { unit: tile + from * S::LANES, tile, width };
        // SAFETY: the span's vectors start within the tile.
        unsafe { dispatch::<S, K, W, TILE>(s, to - from, span, kernel) };
        i += 1;
    }
}

/// Turns a number of vectors into a constant.
///
/// # Safety
/// The safety conditions of `compute` hold for the span.
#[inline(always)]
unsafe fn dispatch<S: Simd, K: SpanKernel<S>, W: HiddenWidth, const TILE: u8>(
    s: S,
    vectors: usize,
    span: UnitSpan,
    kernel: &K,
) {
    // SAFETY: the caller vouches for the span.
    unsafe {
        match vectors {
            1 if const { has_span::<S, K, W, TILE>(1) } => call::<S, K, W, 1>(s, span, kernel),
            2 if const { has_span::<S, K, W, TILE>(2) } => call::<S, K, W, 2>(s, span, kernel),
            3 if const { has_span::<S, K, W, TILE>(3) } => call::<S, K, W, 3>(s, span, kernel),
            4 if const { has_span::<S, K, W, TILE>(4) } => call::<S, K, W, 4>(s, span, kernel),
            5 if const { has_span::<S, K, W, TILE>(5) } => call::<S, K, W, 5>(s, span, kernel),
            6 if const { has_span::<S, K, W, TILE>(6) } => call::<S, K, W, 6>(s, span, kernel),
            7 if const { has_span::<S, K, W, TILE>(7) } => call::<S, K, W, 7>(s, span, kernel),
            8 if const { has_span::<S, K, W, TILE>(8) } => call::<S, K, W, 8>(s, span, kernel),
            _ => debug_assert!(false, "a span of {vectors} vectors"),
        }
    }
}

/// Computes a span. If the size is not known, every number of vectors is compiled, each as a
/// separate function.
///
/// # Safety
/// The safety conditions of `compute` hold for the span.
#[inline(always)]
unsafe fn call<S: Simd, K: SpanKernel<S>, W: HiddenWidth, const U: usize>(s: S, span: UnitSpan, kernel: &K) {
    if const { W::HIDDEN.is_none() } {
        return s.outline(SpanCall::<S, K, U> { s, span, kernel });
    }
    // SAFETY: the caller vouches for the span.
    unsafe { kernel.compute::<U>(s, span) }
}

/// U vectors of units. Only `call` makes it; the caller of `call` vouches for the span.
struct SpanCall<'a, S, K, const U: usize> {
    s: S,
    span: UnitSpan,
    kernel: &'a K,
}

impl<S: Simd, K: SpanKernel<S>, const U: usize> Outlined for SpanCall<'_, S, K, U> {
    #[inline(always)]
    fn run(self) {
        // SAFETY: the caller of `call` vouches for the span.
        unsafe { self.kernel.compute::<U>(self.s, self.span) }
    }
}

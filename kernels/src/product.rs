//! The inner loop of every product: a tile of R rows by W vectors, whose sums stay in registers.
//!
//! ```text
//! acc[r][w] = acc[r][w] + x[r][k] * panel[k][w]        k ascending, one FMA chain per element
//! ```
//!
//! A *panel* holds, for each k, up to four vectors of sixteen outputs side by side: [K][W][16]. What the vectors
//! mean (four gates of sixteen units, or sixty-four units of one gate) is the affair of [`crate::pack`] and of the
//! tile's epilogue. Leaves of eight lanes walk a panel twice, once per half of each vector.

use crate::simd::Simd;

/// Where a tile reads its rows: element k of row r is at `base + r * row + k * K`, K given by the caller's type.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) base: *const f32,
    /// Floats from one row to the next.
    pub(crate) row: usize,
}

/// Continues the chains of `acc[..][FROM..FROM + W]` over `depth` values of k. `panel` points at the half to use.
///
/// # Safety
/// `x` is readable at r * row + k * STEP for r < R, k < depth, and `panel` for depth * W * 16 floats (less the half).
#[inline(always)]
pub(crate) unsafe fn accumulate<
    S: Simd,
    const R: usize,
    const W: usize,
    const A: usize,
    const FROM: usize,
    const STEP: usize,
>(
    s: S,
    acc: &mut [[S::F; A]; R],
    x: Source,
    depth: usize,
    panel: *const f32,
) {
    let mut sums = *acc;
    for k in 0..depth {
        // SAFETY: k < depth and r < R, as the caller vouches.
        unsafe {
            // All rows' values first, then one vector of weights at a time: 3 + 1 registers beside AVX2's 12 sums.
            let mut values = [s.splat(0.0); R];
            for (r, value) in values.iter_mut().enumerate() {
                *value = s.splat(*x.base.add(r * x.row + k * STEP));
            }
            for w in 0..W {
                let weight = s.load(panel.add((k * W + w) * 16));
                for (sums, value) in sums.iter_mut().zip(values) {
                    sums[FROM + w] = s.fma(value, weight, sums[FROM + w]);
                }
            }
        }
    }
    *acc = sums;
}

/// The first sums of a tile, `f(r, w)`. (`core::array::from_fn` is not always inlined.)
#[inline(always)]
pub(crate) fn sums_from<S: Simd, const R: usize, const W: usize>(
    s: S,
    f: impl Fn(usize, usize) -> S::F,
) -> [[S::F; W]; R] {
    let mut sums = [[s.splat(0.0); W]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        for (w, sum) in sums.iter_mut().enumerate() {
            *sum = f(r, w);
        }
    }
    sums
}

/// One tile of an algorithm: R rows from `row` on, one panel, one half of its vectors.
pub(crate) trait Tile<S: Simd> {
    /// Computes the tile.
    ///
    /// # Safety
    /// Rows `row..row + R` and panel `panel` exist; `half` is 0, or 8 on leaves of eight lanes.
    unsafe fn tile<const R: usize>(&self, s: S, row: usize, panel: usize, half: usize);
}

/// Runs a tile over all rows of each panel. Rows are dealt out evenly: 25 rows are five tiles of five.
///
/// # Safety
/// As for `tile`, for all rows below `rows` and all `panels`.
#[inline(always)]
pub(crate) unsafe fn sweep<S: Simd, T: Tile<S>>(s: S, rows: usize, panels: usize, tile: &T) {
    let tiles = rows.div_ceil(S::ROWS).max(1);
    for panel in 0..panels {
        for half in (0..16).step_by(S::LANES) {
            for i in 0..tiles {
                let (row, end) = (rows * i / tiles, rows * (i + 1) / tiles);
                // SAFETY: row..end lies below `rows`; the rest is the caller's word.
                unsafe { dispatch_rows(s, row, end - row, panel, half, tile) };
            }
        }
    }
}

/// Turns a number of rows into a constant.
///
/// # Safety
/// As for `tile`.
#[inline(always)]
unsafe fn dispatch_rows<S: Simd, T: Tile<S>>(
    s: S,
    row: usize,
    count: usize,
    panel: usize,
    half: usize,
    tile: &T,
) {
    // SAFETY: the caller vouches for the rows and the panel.
    unsafe {
        match count {
            1 => tile.tile::<1>(s, row, panel, half),
            2 if S::ROWS >= 2 => tile.tile::<2>(s, row, panel, half),
            3 if S::ROWS >= 3 => tile.tile::<3>(s, row, panel, half),
            4 if S::ROWS >= 4 => tile.tile::<4>(s, row, panel, half),
            5 if S::ROWS >= 5 => tile.tile::<5>(s, row, panel, half),
            6 if S::ROWS >= 6 => tile.tile::<6>(s, row, panel, half),
            _ => {}
        }
    }
}

/// A tile whose panels vary in width.
pub(crate) trait WideTile<S: Simd> {
    /// Vectors of a panel, 1 to 4.
    fn width(&self, panel: usize) -> usize;

    /// Computes R rows by W vectors.
    ///
    /// # Safety
    /// As for [`Tile::tile`], and the panel is W wide.
    unsafe fn wide<const R: usize, const W: usize>(&self, s: S, row: usize, panel: usize, half: usize);
}

/// Turns the width of each panel into a constant.
pub(crate) struct ByWidth<T>(pub(crate) T);

impl<S: Simd, T: WideTile<S>> Tile<S> for ByWidth<T> {
    #[inline(always)]
    unsafe fn tile<const R: usize>(&self, s: S, row: usize, panel: usize, half: usize) {
        // SAFETY: as the caller vouches; the width is the panel's.
        unsafe {
            match self.0.width(panel) {
                1 => self.0.wide::<R, 1>(s, row, panel, half),
                2 => self.0.wide::<R, 2>(s, row, panel, half),
                3 => self.0.wide::<R, 3>(s, row, panel, half),
                _ => self.0.wide::<R, 4>(s, row, panel, half),
            }
        }
    }
}

//! The inner loop of every product: a tile of R rows by W vectors, whose sums stay in registers.
//!
//! ```text
//! acc[r][w] = acc[r][w] + x[r][k] * panel[k][w]        k ascending, one FMA chain per element
//! ```
//!
//! A *panel* holds, for each k, up to four vectors of sixteen outputs side by side: [K][W][16]. What the vectors
//! mean (four gates of sixteen units, or sixty-four units of one gate) is the affair of [`crate::pack`] and of the
//! tile's epilogue. Leaves of eight lanes walk a panel twice, once per half of each vector.

use crate::simd::{Simd, Work};

/// Where a tile reads its rows: element k of row r is at `base + r * row + k * column`.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) base: *const f32,
    /// Floats from one row to the next.
    pub(crate) row: usize,
    /// Floats from one k to the next.
    pub(crate) column: usize,
}

impl Source {
    /// Rows whose values lie side by side.
    #[inline(always)]
    pub(crate) fn rows(base: *const f32, row: usize) -> Self {
        Self { base, row, column: 1 }
    }
}

/// Where a tile reads its vectors of weights: vector w of k is at `base + k * stride + w * 16`.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) base: *const f32,
    /// Floats from one k to the next.
    pub(crate) stride: usize,
}

/// Continues the chains of `acc[..][FROM..FROM + W]` over `depth` values of k.
///
/// # Safety
/// `x` is readable for r < R and k < depth, and a vector from `weights` for w < W and k < depth.
#[inline(always)]
pub(crate) unsafe fn accumulate<
    S: Simd,
    const R: usize,
    const W: usize,
    const A: usize,
    const FROM: usize,
>(
    s: S,
    acc: &mut [[S::F; A]; R],
    x: Source,
    depth: usize,
    weights: Weights,
) {
    let mut sums = *acc;
    for k in 0..depth {
        // SAFETY: k < depth and r < R, as the caller vouches.
        unsafe {
            // All rows' values first, then one vector of weights at a time: 3 + 1 registers beside AVX2's 12 sums.
            let mut values = [s.splat(0.0); R];
            for (r, value) in values.iter_mut().enumerate() {
                *value = s.splat(*x.base.add(r * x.row + k * x.column));
            }
            for w in 0..W {
                let weight = s.load(weights.base.add(k * weights.stride + w * 16));
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

/// How many vectors of a panel have outputs in their lower and in their upper half; the others are zeros for padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Widths {
    pub(crate) lower: usize,
    pub(crate) upper: usize,
}

impl Widths {
    /// `width` vectors of the same units, those of block `block` of H.
    #[inline(always)]
    pub(crate) fn of_block(width: usize, block: usize, hidden: usize) -> Self {
        Self { lower: width, upper: if hidden > block * 16 + 8 { width } else { 0 } }
    }
}

/// Rows of a tile of `width` vectors: as many as the registers hold sums for, and eight, which keep a processor busy that
/// begins two products in a cycle and ends them four cycles later.
#[inline(always)]
pub(crate) fn rows_of<S: Simd>(width: usize) -> usize {
    (S::SUMS / width.max(1)).min(8)
}

/// One tile of an algorithm: R rows from `row` on, one panel, one half of its vectors.
pub(crate) trait Tile<S: Simd> {
    /// What there is to compute of a panel.
    fn widths(&self, panel: usize) -> Widths;

    /// Computes the tile.
    ///
    /// # Safety
    /// Rows `row..row + R` and panel `panel` exist; `half` is 0, or 8 on leaves of eight lanes.
    unsafe fn tile<const R: usize>(&self, s: S, row: usize, panel: usize, half: usize);
}

/// Runs a tile over all rows of each panel. A panel with upper halves of padding alone goes by halves, and leaves those
/// out.
///
/// # Safety
/// As for `tile`, for all rows below `rows` and all `panels`.
#[inline(always)]
pub(crate) unsafe fn sweep<S: Simd, T: Tile<S> + Tile<S::Narrow>>(
    s: S,
    rows: usize,
    panels: usize,
    tile: &T,
) {
    for panel in 0..panels {
        let Widths { lower, upper } = Tile::<S>::widths(tile, panel);
        // SAFETY: as the caller vouches.
        unsafe {
            if S::LANES == 16 && lower == upper {
                sweep_rows(s, rows, panel, 0, tile);
            } else {
                sweep_rows(s.narrow(), rows, panel, 0, tile);
                if upper > 0 {
                    sweep_rows(s.narrow(), rows, panel, 8, tile);
                }
            }
        }
    }
}

/// Runs a tile over all rows, which are dealt out evenly: 25 rows are five tiles of five.
///
/// # Safety
/// As for `sweep`.
#[inline(always)]
unsafe fn sweep_rows<S: Simd, T: Tile<S>>(s: S, rows: usize, panel: usize, half: usize, tile: &T) {
    let Widths { lower, upper } = tile.widths(panel);
    let tiles = rows.div_ceil(rows_of::<S>(if half == 0 { lower } else { upper })).max(1);
    for i in 0..tiles {
        let (row, end) = (rows * i / tiles, rows * (i + 1) / tiles);
        // SAFETY: row..end lies below `rows`; the rest is the caller's word.
        unsafe { dispatch_rows(s, row, end - row, panel, half, tile) };
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
    match count {
        1 => s.apart(Rows::<S, T, 1> { s, row, panel, half, tile }),
        2 if const { S::SUMS >= 2 } => s.apart(Rows::<S, T, 2> { s, row, panel, half, tile }),
        3 if const { S::SUMS >= 3 } => s.apart(Rows::<S, T, 3> { s, row, panel, half, tile }),
        4 if const { S::SUMS >= 4 } => s.apart(Rows::<S, T, 4> { s, row, panel, half, tile }),
        5 if const { S::SUMS >= 5 } => s.apart(Rows::<S, T, 5> { s, row, panel, half, tile }),
        6 if const { S::SUMS >= 6 } => s.apart(Rows::<S, T, 6> { s, row, panel, half, tile }),
        7 if const { S::SUMS >= 7 } => s.apart(Rows::<S, T, 7> { s, row, panel, half, tile }),
        8 if const { S::SUMS >= 8 } => s.apart(Rows::<S, T, 8> { s, row, panel, half, tile }),
        _ => {}
    }
}

/// A tile of R rows. Made by `dispatch_rows` alone, whose caller vouches for the rows and the panel.
struct Rows<'a, S, T, const R: usize> {
    s: S,
    row: usize,
    panel: usize,
    half: usize,
    tile: &'a T,
}

impl<S: Simd, T: Tile<S>, const R: usize> Work for Rows<'_, S, T, R> {
    #[inline(always)]
    fn work(self) {
        // SAFETY: as said above.
        unsafe { self.tile.tile::<R>(self.s, self.row, self.panel, self.half) }
    }
}

/// A tile whose panels vary in width.
pub(crate) trait WideTile<S: Simd> {
    /// What there is to compute of a panel: up to 4 vectors.
    fn widths(&self, panel: usize) -> Widths;

    /// Computes R rows by the first W vectors.
    ///
    /// # Safety
    /// As for [`Tile::tile`], and W is the panel's width in this half.
    unsafe fn wide<const R: usize, const W: usize>(&self, s: S, row: usize, panel: usize, half: usize);
}

/// Turns the width of each panel into a constant.
pub(crate) struct ByWidth<T>(pub(crate) T);

impl<S: Simd, T: WideTile<S>> Tile<S> for ByWidth<T> {
    #[inline(always)]
    fn widths(&self, panel: usize) -> Widths {
        self.0.widths(panel)
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(&self, s: S, row: usize, panel: usize, half: usize) {
        let Widths { lower, upper } = self.0.widths(panel);
        // SAFETY: as the caller vouches; the width is the panel's.
        unsafe {
            match if half == 0 { lower } else { upper } {
                1 => self.0.wide::<R, 1>(s, row, panel, half),
                2 if const { R * 2 <= S::SUMS } => self.0.wide::<R, 2>(s, row, panel, half),
                3 if const { R * 3 <= S::SUMS } => self.0.wide::<R, 3>(s, row, panel, half),
                4 if const { R * 4 <= S::SUMS } => self.0.wide::<R, 4>(s, row, panel, half),
                _ => {}
            }
        }
    }
}

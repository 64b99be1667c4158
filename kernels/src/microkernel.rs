//! The inner loop of every product: a tile of R rows by W vectors, whose sums stay in registers.
//!
//! ```text
//! acc[r][w] = acc[r][w] + x[r][k] * panel[k][w]        k ascending
//! ```
//!
//! 1. Each element is one FMA chain.
//! 2. A *panel* holds, for each k, up to four vectors of sixteen outputs side by side: [K][W][16].
//!    The calling kernel and [`crate::pack`] decide what the vectors are: four gates of sixteen
//!    units, or sixty-four units of one gate. A backend of eight lanes walks a panel twice, once
//!    per half of each vector.
//! 3. There is one function per instruction set and tile shape, shared by all kernels
//!    ([`multiply`]). It writes its sums into [`TileSums`], where the kernel's own part (gates,
//!    deltas) reads them. So a kernel compiles to one loop, not to one function per shape.
//! 4. On backends with tiles, a product is an operation of its own (`microkernel/by_tiles.rs`). The
//!    sums are where they end, from the start on.
//! 5. Products of 8-bit integers have their own loop around the innermost one
//!    (`microkernel/quads.rs`).
//! 6. A chain may run through several stretches of k ([`Factors`]): an input and a state, the
//!    pieces of a stored row, the tokens of a window.

mod by_tiles;
mod quads;

use crate::arch::tile_places::TILE_ROWS;
use crate::pack::strides;
use crate::side_by_side::Strip;
use crate::simd::{Outlined, Simd};
use crate::tile_shapes::{fits, values_first, width_of};
use by_tiles::multiply_by_tiles;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::Range;

/// The start of sums that start from zero.
static ZEROS: [f32; 16] = [0.0; 16];

/// The start of a tile's sums.
#[derive(Clone, Copy)]
pub(crate) struct TileStart {
    base: *const f32,
    /// Floats from one row to the next.
    row: usize,
    /// Floats from one vector to the next.
    step: usize,
    /// The number of the row that each of the tile's rows starts from. Null if the rows follow each
    /// other.
    ids: *const u32,
}

impl TileStart {
    /// Returns a start from zero.
    #[inline(always)]
    pub(crate) fn zero() -> Self {
        Self { base: ZEROS.as_ptr(), row: 0, step: 0, ids: core::ptr::null() }
    }
    /// Returns a start from rows `row` floats apart, with vectors `step` floats apart.
    #[inline(always)]
    pub(crate) fn rows(base: *const f32, row: usize, step: usize) -> Self {
        Self { base, row, step, ids: core::ptr::null() }
    }
    /// Returns a start from the rows that `ids` names.
    #[inline(always)]
    pub(crate) fn with_ids(self, ids: *const u32) -> Self {
        Self { ids, ..self }
    }
    /// Returns a start `floats` floats further in each row.
    #[inline(always)]
    pub(crate) fn skip(self, floats: usize) -> Self {
        Self { base: self.base.wrapping_add(floats), ..self }
    }
    /// Returns the start of row `r` of the tile.
    ///
    /// # Safety
    /// The tile has such a row.
    #[inline(always)]
    pub(crate) unsafe fn of(&self, r: usize) -> *const f32 {
        // SAFETY: the caller vouches for the row.
        let number = if self.ids.is_null() { r } else { unsafe { *self.ids.add(r) as usize } };
        self.base.wrapping_add(number * self.row)
    }
}

/// Vectors that multiply values: vector w of k is at `at + k * step + w * vector`.
#[derive(Clone, Copy)]
pub(crate) struct WeightPanel {
    pub(crate) at: *const f32,
    /// Floats from one k to the next.
    pub(crate) step: usize,
    /// Floats from one vector to the next.
    pub(crate) vector: usize,
}

impl WeightPanel {
    /// Returns a packed panel of `width` vectors and `depth` values of k, in the layout of backend
    /// S (see [`crate::pack`]).
    #[inline(always)]
    pub(crate) fn packed<S: Simd>(at: *const f32, width: usize, depth: usize) -> Self {
        let [step, vector] = strides(width, depth, S::DEEP);
        Self { at, step, vector }
    }
    /// Returns the vectors `k` values of k further.
    #[inline(always)]
    pub(crate) fn skip(self, k: usize) -> Self {
        Self { at: self.at.wrapping_add(k * self.step), ..self }
    }
    /// Returns the vectors `count` vectors further.
    #[inline(always)]
    pub(crate) fn skip_vectors(self, count: usize) -> Self {
        Self { at: self.at.wrapping_add(count * self.vector), ..self }
    }
}

/// The two sides of a product that continues a chain.
#[derive(Clone, Copy)]
pub(crate) enum Factors<'a> {
    /// Rows of values with packed weights.
    Rows {
        /// Row 0 of the tile.
        x: *const f32,
        /// Floats from one row to the next.
        row: usize,
        /// The pieces of a row that are multiplied, in order.
        pieces: &'a [Range<usize>],
        /// Packed weights, from the first vector on. k counts through all pieces.
        weights: WeightPanel,
    },
    /// Deltas of neighboring units with the inputs of the same tokens.
    Tokens {
        strips: &'a [Strip],
        /// The first delta within a stored row.
        delta: usize,
        /// The first input within an input vector.
        input: usize,
    },
}

/// One tile: the start of its sums, the factors that continue them, and their destination.
pub(crate) struct Tile<'a> {
    pub(crate) start: TileStart,
    /// The factors, in the order of the chain.
    pub(crate) factors: &'a [Factors<'a>],
    /// Vector w of row r goes to `out + r * out_row + w * 16`.
    pub(crate) out: *mut f32,
    pub(crate) out_row: usize,
}

/// Room for the sums of one tile, `[row][vector][16]`. It stays in the first-level cache.
#[repr(align(64))]
pub(crate) struct TileSums(UnsafeCell<MaybeUninit<[f32; TILE_ROWS * TileSums::ROW]>>);

impl TileSums {
    /// Floats of a row.
    pub(crate) const ROW: usize = 64;

    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Returns the place of the sums.
    #[inline(always)]
    pub(crate) fn base(&self) -> *mut f32 {
        self.0.get().cast()
    }

    /// Loads W vectors of row `row`, from vector `first` on.
    ///
    /// # Safety
    /// A tile has written them.
    #[inline(always)]
    pub(crate) unsafe fn row<S: Simd, const W: usize>(&self, s: S, row: usize, first: usize) -> [S::F; W] {
        let mut sums = [s.splat(0.0); W];
        for (w, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller vouches for the vectors.
            *sum = unsafe { s.load(self.base().add(row * Self::ROW + (first + w) * 16)) };
        }
        sums
    }
}

/// Computes a tile of `rows` rows by `width` vectors, 1 to 4. If the registers cannot hold all
/// sums, it takes some vectors after others.
///
/// # Safety
/// The operands of the tile are readable, and its `out` is writable, for `rows` rows and `width`
/// vectors of S::LANES floats.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(s: S, rows: usize, width: usize, tile: &Tile<'_>) {
    if S::TILES {
        // SAFETY: the caller vouches for the tile.
        return unsafe { multiply_by_tiles(s, rows, width, tile) };
    }
    let mut first = 0;
    while first < width {
        let some = if S::REGISTERS > 1 { (width - first).min(width_of::<S>(rows)) } else { width };
        match some {
            1 => of_width::<S, 1>(s, rows, first, tile),
            2 => of_width::<S, 2>(s, rows, first, tile),
            3 => of_width::<S, 3>(s, rows, first, tile),
            4 => of_width::<S, 4>(s, rows, first, tile),
            _ => unreachable!("a tile of {some} vectors"),
        }
        first += some;
    }
}

/// Turns a number of rows into a constant. Only `multiply` calls it.
#[inline(always)]
fn of_width<S: Simd, const W: usize>(s: S, rows: usize, first: usize, tile: &Tile<'_>) {
    match rows {
        1 if const { fits::<S>(1, W) } => s.outline(SizedTile::<S, 1, W> { s, first, tile }),
        2 if const { fits::<S>(2, W) } => s.outline(SizedTile::<S, 2, W> { s, first, tile }),
        3 if const { fits::<S>(3, W) } => s.outline(SizedTile::<S, 3, W> { s, first, tile }),
        4 if const { fits::<S>(4, W) } => s.outline(SizedTile::<S, 4, W> { s, first, tile }),
        5 if const { fits::<S>(5, W) } => s.outline(SizedTile::<S, 5, W> { s, first, tile }),
        6 if const { fits::<S>(6, W) } => s.outline(SizedTile::<S, 6, W> { s, first, tile }),
        7 if const { fits::<S>(7, W) } => s.outline(SizedTile::<S, 7, W> { s, first, tile }),
        8 if const { fits::<S>(8, W) } => s.outline(SizedTile::<S, 8, W> { s, first, tile }),
        _ => assert!(rows == 0, "a tile of {rows} rows by {W} vectors"),
    }
}

/// A tile of R rows by W vectors. Only `of_width` makes it; the caller of `multiply` vouches for
/// the tile.
struct SizedTile<'a, S, const R: usize, const W: usize> {
    s: S,
    /// The first of the W vectors.
    first: usize,
    tile: &'a Tile<'a>,
}

impl<S: Simd, const R: usize, const W: usize> Outlined for SizedTile<'_, S, R, W> {
    #[inline(always)]
    fn run(self) {
        let Self { s, first, tile } = self;
        if S::TERMS == 4 {
            // SAFETY: the caller of `multiply` vouches for the tile.
            return unsafe { self.run_quads() };
        }
        let mut acc = [[s.splat(0.0); W]; R];
        // SAFETY: the caller of `multiply` vouches for the tile.
        unsafe {
            for (r, sums) in acc.iter_mut().enumerate() {
                let start = tile.start.of(r).add(first * tile.start.step);
                for (w, sum) in sums.iter_mut().enumerate() {
                    *sum = s.load(start.add(w * tile.start.step));
                }
            }
            for factors in tile.factors {
                match *factors {
                    Factors::Rows { x, row, pieces, weights } => {
                        let mut weights = weights.skip_vectors(first);
                        for piece in pieces {
                            let x = (x.add(piece.start), row, 1);
                            accumulate(s, &mut acc, x, piece.len(), weights);
                            weights = weights.skip(piece.len());
                        }
                    }
                    Factors::Tokens { strips, delta, input } => {
                        for Strip { deltas, inputs, run } in strips {
                            let x = (deltas.add(delta), 1, run.delta_stride);
                            let at = inputs.add(input + first * 16);
                            let inputs = WeightPanel { at, step: run.input_stride, vector: 16 };
                            accumulate(s, &mut acc, x, run.rows, inputs);
                        }
                    }
                }
            }
            for (r, sums) in acc.into_iter().enumerate() {
                for (w, sum) in sums.into_iter().enumerate() {
                    s.store(tile.out.add(r * tile.out_row + (first + w) * 16), sum);
                }
            }
        }
    }
}

/// Continues the chains over `depth` values of k: value k of row r is at `x + r * row + k *
/// column`.
///
/// # Safety
/// All of them are readable.
#[inline(always)]
unsafe fn accumulate<S: Simd, const R: usize, const W: usize>(
    s: S,
    acc: &mut [[S::F; W]; R],
    x: (*const f32, usize, usize),
    depth: usize,
    weights: WeightPanel,
) {
    // A constant distance is part of an instruction. A variable one takes a register, and on some
    // processors an operation.
    let beside = W == 1 || S::DEEP == usize::MAX || weights.vector == 16;
    // SAFETY: the caller vouches for the values.
    unsafe {
        if beside {
            continue_chains(s, acc, x, depth, WeightPanel { vector: 16, ..weights });
        } else {
            continue_chains(s, acc, x, depth, weights);
        }
    }
}

/// The loop of `accumulate`, compiled for each kind of distance.
///
/// # Safety
/// As for `accumulate`.
#[inline(always)]
unsafe fn continue_chains<S: Simd, const R: usize, const W: usize>(
    s: S,
    acc: &mut [[S::F; W]; R],
    (x, row, column): (*const f32, usize, usize),
    depth: usize,
    weights: WeightPanel,
) {
    let mut sums = *acc;
    for k in 0..depth {
        // Load one side first, then multiply by the other side, vector by vector.
        // SAFETY: k < depth and r < R; the caller vouches for them.
        unsafe {
            let value = |r: usize| s.splat(*x.add(r * row + k * column));
            let weights = weights.skip(k);
            if const { values_first::<S>(R, W) } {
                let mut values = [s.splat(0.0); R];
                for (r, to) in values.iter_mut().enumerate() {
                    *to = value(r);
                }
                for w in 0..W {
                    let mut column = sums.map(|sums| sums[w]);
                    s.add_products(values, weights.skip_vectors(w).at, &mut column);
                    for (sums, sum) in sums.iter_mut().zip(column) {
                        sums[w] = sum;
                    }
                }
            } else {
                let mut vectors = [s.splat(0.0); W];
                for (w, to) in vectors.iter_mut().enumerate() {
                    *to = s.load(weights.skip_vectors(w).at);
                }
                if S::SPLITS {
                    add_split(s, &mut sums, value, vectors);
                    continue;
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = value(r);
                    for (sum, weight) in sums.iter_mut().zip(vectors) {
                        *sum = s.multiply_add(value, weight, *sum);
                    }
                }
            }
        }
    }
    *acc = sums;
}

/// Continues the chains over one pair, as `Simd::multiply_add` does, with each pair split once.
#[inline(always)]
fn add_split<S: Simd, const R: usize, const W: usize>(
    s: S,
    sums: &mut [[S::F; W]; R],
    value: impl Fn(usize) -> S::F,
    vectors: [S::F; W],
) {
    let mut halves = [[s.splat(0.0); 2]; W];
    for (halves, vector) in halves.iter_mut().zip(vectors) {
        *halves = s.split(vector);
    }
    for (r, sums) in sums.iter_mut().enumerate() {
        let [high, low] = s.split(value(r));
        for (sum, [by_high, by_low]) in sums.iter_mut().zip(halves) {
            *sum = s.fma(low, by_low, s.fma(high, by_high, *sum));
        }
    }
}

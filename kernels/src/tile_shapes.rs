//! The shapes of tiles: the rows and vectors whose sums fit in the registers of a backend, beside
//! the operands.

use crate::arch::tile_places::TILE_ROWS;
use crate::simd::Simd;

/// The most rows of a tile. Eight keep a processor busy that starts two multiply-adds per cycle and
/// ends them four cycles later.
pub(crate) const MOST_ROWS: usize = 8;

/// Returns whether a tile loads its rows' values first, and then one vector of weights at a time.
/// This is faster if the registers hold R values and a vector beside the sums. (A single vector of
/// weights multiplies values straight from memory.) Several rows share weights that are split into
/// their values, so the weights come first.
pub(crate) const fn values_first<S: Simd>(rows: usize, width: usize) -> bool {
    if S::SPLITS {
        return rows == 1;
    }
    rows <= width || width > 1 && rows * width * S::REGISTERS + rows < registers::<S>()
}

/// Returns the vector registers: those of the sums, and a third as many for the operands.
const fn registers<S: Simd>() -> usize {
    let sums = S::SUMS * S::REGISTERS;
    sums + sums / 3
}

/// Returns whether there is a tile of that shape: the registers hold its sums, the side that is
/// loaded first, and one more vector. (Compilers fill the last register only if the values come
/// first.)
pub(crate) const fn fits<S: Simd>(rows: usize, width: usize) -> bool {
    let sums = rows * width;
    let weights = width * S::REGISTERS;
    let operands = match values_first::<S>(rows, width) {
        // Weights as two values each, both values of a row, and the mask that splits pairs.
        _ if S::SPLITS => 2 * weights + 3,
        true => rows,
        false => weights + 1,
    };
    let held = sums * S::REGISTERS + operands;
    !S::TILES
        && rows <= S::ROWS
        && rows <= MOST_ROWS
        && sums <= S::SUMS
        && (rows == 1 || held < registers::<S>())
}

/// Returns the most rows of a tile of `width` vectors.
#[inline(always)]
pub(crate) fn rows_of<S: Simd>(width: usize) -> usize {
    match width {
        _ if S::TILES => TILE_ROWS,
        _ if S::REGISTERS > 1 => const { most_rows::<S>(1) },
        1 => const { most_rows::<S>(1) },
        2 => const { most_rows::<S>(2) },
        3 => const { most_rows::<S>(3) },
        _ => const { most_rows::<S>(4) },
    }
}

/// Returns the most vectors of a tile of `rows` rows.
#[inline(always)]
pub(crate) fn width_of<S: Simd>(rows: usize) -> usize {
    match rows {
        0 | 1 => const { most_vectors::<S>(1) },
        2 => const { most_vectors::<S>(2) },
        3 => const { most_vectors::<S>(3) },
        _ => const { most_vectors::<S>(4) },
    }
}

const fn most_rows<S: Simd>(width: usize) -> usize {
    let mut rows = 1;
    while fits::<S>(rows + 1, width) {
        rows += 1;
    }
    rows
}

const fn most_vectors<S: Simd>(rows: usize) -> usize {
    let mut width = 1;
    while width < 4 && fits::<S>(rows, width + 1) {
        width += 1;
    }
    width
}

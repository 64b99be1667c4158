//! Which tiles there are: how many rows and vectors of sums the registers of a leaf hold beside what is multiplied.

use crate::simd::Simd;

/// The most rows of a tile.
pub(crate) const MOST_ROWS: usize = 8;

/// Whether a tile loads its rows' values first, and then one vector of weights at a time: the faster way, where the
/// registers hold R values and a vector beside the sums. (A single vector of weights multiplies values straight from memory.)
pub(crate) const fn values_first<S: Simd>(rows: usize, width: usize) -> bool {
    rows <= width || width > 1 && rows * width * S::REGISTERS + rows < registers::<S>()
}

/// Vector registers, of which a third as many as the sums are left for what is multiplied.
const fn registers<S: Simd>() -> usize {
    let sums = S::SUMS * S::REGISTERS;
    sums + sums / 3
}

/// Whether there is a tile of that shape: whether the registers hold its sums, the side that is loaded first, and one more.
/// (Compilers fill the last register only where the values come first.)
pub(crate) const fn fits<S: Simd>(rows: usize, width: usize) -> bool {
    let sums = rows * width;
    let weights = width * S::REGISTERS;
    let held = sums * S::REGISTERS + if values_first::<S>(rows, width) { rows } else { weights + 1 };
    rows <= S::ROWS && rows <= MOST_ROWS && sums <= S::SUMS && (rows == 1 || held < registers::<S>())
}

/// The most rows of a tile of `width` vectors. Eight keep a processor busy that begins two products in a cycle and ends
/// them four cycles later.
#[inline(always)]
pub(crate) fn rows_of<S: Simd>(width: usize) -> usize {
    match width {
        _ if S::REGISTERS > 1 => const { most_rows::<S>(1) },
        1 => const { most_rows::<S>(1) },
        2 => const { most_rows::<S>(2) },
        3 => const { most_rows::<S>(3) },
        _ => const { most_rows::<S>(4) },
    }
}

/// The most vectors of a tile of `rows` rows.
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

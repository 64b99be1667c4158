//! A product of up to 32 rows by a panel of up to four vectors of 16 outputs.
//!
//! 1. More than 16 rows: two tiles of rows by two vectors, so that each tile of x and of weights is
//!    used twice.
//! 2. Up to 16 rows: one tile of rows by up to four vectors. Four sums are computed at the same
//!    time, which hides most of the latency of a dot (52 cycles, a new one every 16).
//! 3. Each sum takes its groups of 16 words in the same order in both, so the bits of a row do not
//!    depend on the number of rows.

use super::Amx;
use super::tiles::{ReleasesTiles, dot, load, shape, store};
use crate::arch::by_tiles::TileOperation;
use crate::arch::tile_places::{EDGE, TILE_ROWS, TilePlaces};
use crate::pack::product;

/// Number of bytes of 16 words.
const VECTOR_BYTES: usize = 4 * EDGE;

impl TilePlaces {
    /// Loads a tile of x.
    ///
    /// # Safety
    /// As for [`load`]; there are more than `group` groups.
    #[inline(always)]
    unsafe fn load_x<const TILE: usize>(&self, group: usize) {
        // SAFETY: as above.
        unsafe { load::<TILE>(self.x.wrapping_add(group * self.x_group), self.x_row_bytes) };
    }

    /// Loads a tile of weights.
    ///
    /// # Safety
    /// As for [`load`]; there are more than `group` groups and more than `vector` vectors.
    #[inline(always)]
    unsafe fn load_weights<const TILE: usize>(&self, group: usize, vector: usize) {
        let row = self.weights.wrapping_byte_add(group * EDGE * self.weight_row_bytes);
        // SAFETY: as above.
        unsafe { load::<TILE>(row.wrapping_add(vector * EDGE), self.weight_row_bytes) };
    }

    /// Loads a tile of sums.
    ///
    /// # Safety
    /// As for [`load`]; there are more than `vector` vectors.
    #[inline(always)]
    unsafe fn load_sums<const TILE: usize>(&self, vector: usize) {
        // SAFETY: as above. Words and floats have the same size.
        unsafe { load::<TILE>(self.sums.wrapping_add(vector * EDGE).cast(), self.sum_row_bytes) };
    }

    /// Stores a tile of sums.
    ///
    /// # Safety
    /// As for [`store`]; there are more than `vector` vectors.
    #[inline(always)]
    unsafe fn store_sums<const TILE: usize>(&self, vector: usize) {
        // SAFETY: as above.
        unsafe { store::<TILE>(self.sums.wrapping_add(vector * EDGE), self.sum_row_bytes) };
    }
}

/// A product on slices, with checks.
#[derive(Debug)]
pub struct TileProduct<'a> {
    /// Number of rows of x and of the sums, 1 to 32.
    pub rows: usize,
    /// Number of vectors of 16 outputs, 1 to 4.
    pub width: usize,
    /// Number of groups of 16 words of k.
    pub groups: usize,
    /// x `[rows, x_stride]` in words; the last row may end after 16 `groups` words.
    pub x: &'a [u32],
    /// Distance of two rows of x in words, at least 16 `groups`.
    pub x_stride: usize,
    /// A panel `[16 groups, width, 16]` in words.
    pub weights: &'a [u32],
    /// Sums `[rows, sum_stride]`; the last row may end after 16 `width` sums.
    pub sums: &'a mut [f32],
    /// Distance of two rows of sums, at least 16 `width`.
    pub sum_stride: usize,
}

impl TileProduct<'_> {
    /// Adds x . weights to the sums.
    ///
    /// # Panics
    /// If a slice is too short, or a number is out of its range.
    pub fn run(self, amx: Amx) {
        self.check();
        let _release = ReleasesTiles::new(amx);
        let places = TilePlaces {
            groups: self.groups,
            x: self.x.as_ptr(),
            // With a single row, a stride may be larger than any memory, and is not used.
            x_row_bytes: self.x_stride.wrapping_mul(4),
            x_group: EDGE,
            weights: self.weights.as_ptr(),
            weight_row_bytes: self.width * VECTOR_BYTES,
            sums: self.sums.as_mut_ptr(),
            sum_row_bytes: self.sum_stride.wrapping_mul(4),
        };
        // SAFETY: `check` compared the lengths of the slices with the places.
        unsafe { amx.multiply(self.rows, self.width, places) };
    }

    fn check(&self) {
        assert!((1..=4).contains(&self.width), "found {} vectors, expected 1 to 4", self.width);
        assert!((1..=TILE_ROWS).contains(&self.rows), "found {} rows, expected 1 to 32", self.rows);
        let (depth, outputs) = (product([EDGE, self.groups]), EDGE * self.width);
        assert!(self.x_stride >= depth && self.sum_stride >= outputs, "rows of x or of the sums overlap");
        let fits = |length: usize, stride: usize, row: usize| {
            length.checked_sub(product([self.rows - 1, stride])).is_some_and(|last| last >= row)
        };
        assert!(fits(self.x.len(), self.x_stride, depth), "x is too short");
        assert!(self.weights.len() >= product([depth, outputs]), "the panel is too short");
        assert!(fits(self.sums.len(), self.sum_stride, outputs), "the sums are too short");
    }
}

impl TileOperation for Amx {
    /// Leaves the tiles configured: a [`ReleasesTiles`] must live.
    #[inline(never)]
    unsafe fn multiply(self, rows: usize, width: usize, places: TilePlaces) {
        shape(self, rows);
        // SAFETY: the caller vouches for the places, and each product reads and writes only vectors
        // below `width`. The tiles have the shapes that each of them needs.
        unsafe {
            if rows > EDGE {
                for vector in (0..width).step_by(2) {
                    let places = places.vectors_from(vector);
                    if vector + 1 < width {
                        two_tiles_of_rows::<2>(places)
                    } else {
                        two_tiles_of_rows::<1>(places)
                    }
                }
            } else {
                match width {
                    1 => one_tile_of_rows::<1>(places),
                    2 => one_tile_of_rows::<2>(places),
                    3 => one_tile_of_rows::<3>(places),
                    _ => one_tile_of_rows::<4>(places),
                }
            }
        }
    }
}

/// Computes one or two vectors of 17 to 32 rows.
///
/// # Safety
/// As for [`TileOperation::multiply`]; the tiles are configured for more than 16 rows.
#[inline(always)]
unsafe fn two_tiles_of_rows<const VECTORS: usize>(places: TilePlaces) {
    let (upper, lower) = (places, places.rows_from(EDGE));
    // SAFETY: as above.
    unsafe {
        upper.load_sums::<0>(0);
        lower.load_sums::<2>(0);
        if VECTORS == 2 {
            upper.load_sums::<1>(1);
            lower.load_sums::<3>(1);
        }
        for group in 0..places.groups {
            upper.load_x::<4>(group);
            upper.load_weights::<6>(group, 0);
            dot::<0, 4, 6>();
            lower.load_x::<5>(group);
            dot::<2, 5, 6>();
            if VECTORS == 2 {
                upper.load_weights::<7>(group, 1);
                dot::<1, 4, 7>();
                dot::<3, 5, 7>();
            }
        }
        upper.store_sums::<0>(0);
        lower.store_sums::<2>(0);
        if VECTORS == 2 {
            upper.store_sums::<1>(1);
            lower.store_sums::<3>(1);
        }
    }
}

/// Computes one to four vectors of up to 16 rows.
///
/// # Safety
/// As for [`TileOperation::multiply`]; the tiles are configured for up to 16 rows.
#[inline(always)]
unsafe fn one_tile_of_rows<const VECTORS: usize>(places: TilePlaces) {
    // SAFETY: as above.
    unsafe {
        places.load_sums::<0>(0);
        if VECTORS > 1 {
            places.load_sums::<1>(1);
        }
        if VECTORS > 2 {
            places.load_sums::<2>(2);
        }
        if VECTORS > 3 {
            places.load_sums::<3>(3);
        }
        for group in 0..places.groups {
            places.load_x::<4>(group);
            places.load_weights::<5>(group, 0);
            dot::<0, 4, 5>();
            if VECTORS > 1 {
                places.load_weights::<6>(group, 1);
                dot::<1, 4, 6>();
            }
            if VECTORS > 2 {
                places.load_weights::<7>(group, 2);
                dot::<2, 4, 7>();
            }
            if VECTORS > 3 {
                places.load_weights::<5>(group, 3);
                dot::<3, 4, 5>();
            }
        }
        places.store_sums::<0>(0);
        if VECTORS > 1 {
            places.store_sums::<1>(1);
        }
        if VECTORS > 2 {
            places.store_sums::<2>(2);
        }
        if VECTORS > 3 {
            places.store_sums::<3>(3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TileProduct;

    /// A product whose slices fit, before `change`.
    fn check(change: impl FnOnce(&mut TileProduct<'_>)) {
        let (x, weights, mut sums) = ([0; 64], [0; 256], [0.0; 64]);
        let (rows, width, groups) = (4, 1, 1);
        let mut product = TileProduct {
            rows,
            width,
            groups,
            x: &x,
            x_stride: 16,
            weights: &weights,
            sums: &mut sums,
            sum_stride: 16,
        };
        change(&mut product);
        product.check();
    }

    #[test]
    fn slices_that_fit_pass() {
        check(|_| ());
        check(|product| (product.rows, product.x_stride) = (1, usize::MAX));
    }

    #[test]
    #[should_panic(expected = "too large for any memory")]
    fn a_stride_that_wraps_around_is_refused() {
        check(|product| product.x_stride = usize::MAX / 3 + 1);
    }

    #[test]
    #[should_panic(expected = "too large for any memory")]
    fn a_depth_that_wraps_around_is_refused() {
        check(|product| (product.rows, product.groups, product.x_stride) = (1, 1 << 60, usize::MAX));
    }

    #[test]
    #[should_panic(expected = "the sums are too short")]
    fn short_sums_are_refused() {
        check(|product| product.sum_stride = 17);
    }
}

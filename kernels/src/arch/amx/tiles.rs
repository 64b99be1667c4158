//! The tiles of a thread: their configuration, and one function per instruction.
//!
//! The compiler never uses tiles by itself. So their contents stay between two `asm!` blocks of one
//! function.

use super::Amx;
use core::arch::asm;
use core::marker::PhantomData;

/// Number of rows of a full tile, and of words in a row.
pub(super) const EDGE: usize = 16;

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    /// 1: eight tiles of up to 16 rows of 64 bytes.
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Number of bytes in a row of each tile.
    row_bytes: [u16; 16],
    /// Number of rows of each tile; 0 for a tile that is not used.
    rows: [u8; 16],
}

/// The tiles of this thread, shaped for products of up to 32 rows. The drop releases them.
///
/// | tiles | up to 16 rows | up to 32 rows |
/// |---|---|---|
/// | 0 to 3 | sums of four vectors | sums of two vectors of the upper rows (0, 1) and of the lower (2, 3) |
/// | 4 | x | x of the upper rows |
/// | 5 | weights | x of the lower rows |
/// | 6, 7 | weights | weights |
#[derive(Debug)]
pub(crate) struct Tiles {
    rows: usize,
    /// The configuration is a property of the thread.
    on_this_thread: PhantomData<*const ()>,
}

impl Tiles {
    /// Number of rows of the largest product.
    pub(crate) const ROWS: usize = 2 * EDGE;

    /// Shapes the tiles for products of `rows` rows.
    ///
    /// # Panics
    /// If `rows` is 0 or above 32.
    ///
    /// # Safety
    /// No other value of this type lives on this thread.
    #[inline]
    pub(crate) unsafe fn configure(_: Amx, rows: usize) -> Self {
        assert!((1..=Self::ROWS).contains(&rows), "a product of tiles has {rows} rows, expected 1 to 32");
        let upper = rows.min(EDGE) as u8;
        let (lower, fifth) =
            if rows > EDGE { ((rows - EDGE) as u8, (rows - EDGE) as u8) } else { (upper, 16) };
        let configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
            rows: [upper, upper, lower, lower, upper, fifth, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        // SAFETY: the instruction reads these 64 bytes, and `Amx` proves that it may run.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags));
        }
        Self { rows, on_this_thread: PhantomData }
    }

    /// Returns the number of rows of a product.
    #[inline(always)]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

impl Drop for Tiles {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the tiles are this value's, and it ends here.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// Loads the rows of a tile.
///
/// # Safety
/// `Tiles` are configured. All rows of the tile, `row_bytes` apart from `from` on, are readable.
#[inline(always)]
pub(super) unsafe fn load<const TILE: usize>(from: *const u32, row_bytes: usize) {
    // SAFETY: as above.
    unsafe {
        asm!(
            "tileloadd tmm{tile}, [{from} + {row_bytes}]",
            tile = const TILE,
            from = in(reg) from,
            row_bytes = in(reg) row_bytes,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// Stores the rows of a tile.
///
/// # Safety
/// `Tiles` are configured. All rows of the tile, `row_bytes` apart from `to` on, are writable.
#[inline(always)]
pub(super) unsafe fn store<const TILE: usize>(to: *mut f32, row_bytes: usize) {
    // SAFETY: as above.
    unsafe {
        asm!(
            "tilestored [{to} + {row_bytes}], tmm{tile}",
            tile = const TILE,
            to = in(reg) to,
            row_bytes = in(reg) row_bytes,
            options(nostack, preserves_flags),
        );
    }
}

/// Adds x . weights to sums, three tiles.
///
/// # Safety
/// `Tiles` are configured. The sums have as many rows as x, and the weights have 16.
#[inline(always)]
pub(super) unsafe fn dot<const SUMS: usize, const X: usize, const WEIGHTS: usize>() {
    // SAFETY: as above.
    unsafe {
        asm!(
            "tdpbf16ps tmm{sums}, tmm{x}, tmm{weights}",
            sums = const SUMS,
            x = const X,
            weights = const WEIGHTS,
            options(nostack, nomem, preserves_flags),
        );
    }
}

//! The tiles of a thread: their configuration, and one function per instruction.
//!
//! The compiler never uses tiles by itself. So their contents stay between two `asm!` blocks of one
//! function, and no block declares the tiles that it writes: stable Rust has no names for them.

use super::Amx;
use crate::arch::tile_places::{EDGE, TILE_ROWS};
use core::arch::asm;
use core::cell::Cell;
use core::marker::PhantomData;

/// The operand of `ldtilecfg`.
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

thread_local! {
    /// The number of rows that the tiles of this thread are shaped for; 0 if they are released.
    static SHAPED_FOR: Cell<usize> = const { Cell::new(0) };
}

/// Shapes the tiles of this thread for products of `rows` rows, if they have another shape.
///
/// | tiles | up to 16 rows | up to 32 rows |
/// |---|---|---|
/// | 0 to 3 | sums of four vectors | sums of two vectors of the upper rows (0, 1) and of the lower (2, 3) |
/// | 4 | x | x of the upper rows |
/// | 5 | weights | x of the lower rows |
/// | 6, 7 | weights | weights |
///
/// # Panics
/// If `rows` is 0 or above 32.
#[inline]
pub(super) fn shape(_: Amx, rows: usize) {
    if SHAPED_FOR.get() == rows {
        return;
    }
    assert!((1..=TILE_ROWS).contains(&rows), "a product of tiles has {rows} rows, expected 1 to 32");
    let upper = rows.min(EDGE) as u8;
    let (lower, fifth) = if rows > EDGE { ((rows - EDGE) as u8, (rows - EDGE) as u8) } else { (upper, 16) };
    let configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [upper, upper, lower, lower, upper, fifth, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    // SAFETY: the instruction reads these 64 bytes, and `Amx` proves that it may run. Nothing keeps
    // values in tiles between two products.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags));
    }
    SHAPED_FOR.set(rows);
}

/// Releases the tiles of this thread when it is dropped, at the end of a kernel. A kernel that waits
/// for others may run a second kernel on its thread in the meantime; its next product then finds the
/// tiles released, and shapes them again.
pub(crate) struct ReleasesTiles(PhantomData<*const ()>);

impl ReleasesTiles {
    pub(crate) fn new(_: Amx) -> Self {
        Self(PhantomData)
    }
}

impl Drop for ReleasesTiles {
    #[inline]
    fn drop(&mut self) {
        if SHAPED_FOR.replace(0) > 0 {
            // SAFETY: the tiles are configured, so the instruction may run.
            unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
        }
    }
}

/// Loads the rows of a tile.
///
/// # Safety
/// The tiles are shaped. All rows of the tile, `row_bytes` apart from `from` on, are readable.
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
/// The tiles are shaped. All rows of the tile, `row_bytes` apart from `to` on, are writable.
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
/// The tiles are shaped. The sums have as many rows as x, and the weights have 16.
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

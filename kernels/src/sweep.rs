//! The walk over all tiles of a step: panel by panel, with the rows of each divided evenly.

use crate::pack::PanelPart;
use crate::simd::Simd;
use crate::tile_shapes::rows_of;
use core::ops::Range;

/// Some rows of one panel, or of one half of each of its vectors.
#[derive(Clone, Copy)]
pub(crate) struct TileRows {
    /// The first row.
    pub(crate) row: usize,
    /// Number of rows.
    pub(crate) rows: usize,
    /// The panel.
    pub(crate) panel: usize,
    /// The first vector within the panel.
    pub(crate) first: usize,
    /// 0, or 8 for the upper halves on backends of eight lanes.
    pub(crate) half: usize,
    /// Number of vectors from there on that have outputs in this half.
    pub(crate) width: usize,
}

/// An algorithm on tiles: a product, and the algorithm's own part.
pub(crate) trait Tiled<S: Simd> {
    /// Returns the vectors of a panel that are computed.
    fn part(&self, panel: usize) -> PanelPart;

    /// Computes the rows of a tile, at most `rows_of(width)`.
    ///
    /// # Safety
    /// The rows and the panel exist.
    unsafe fn compute(&self, s: S, tile: TileRows);
}

/// Computes all rows of each panel. A panel with padding in its upper halves goes by halves, and
/// skips the padding, except on backends with tiles.
///
/// # Safety
/// The safety conditions of `compute` hold for all rows below `rows` and all `panels`.
#[inline(always)]
pub(crate) unsafe fn sweep<S: Simd, T: Tiled<S> + Tiled<S::Narrow>>(
    s: S,
    rows: usize,
    panels: Range<usize>,
    tiled: &T,
) {
    for panel in panels {
        let PanelPart { first, lower, upper } = Tiled::<S>::part(tiled, panel);
        // SAFETY: the caller vouches for rows and panels.
        unsafe {
            if S::TILES || S::LANES == 16 && lower == upper {
                sweep_rows(s, rows, (panel, first), (0, lower), tiled);
            } else {
                for (half, width) in [(0, lower), (8, upper)] {
                    if width > 0 {
                        sweep_rows(s.narrow(), rows, (panel, first), (half, width), tiled);
                    }
                }
            }
        }
    }
}

/// Computes all rows of one half of a panel. The rows are divided evenly: 25 rows are five tiles of
/// five.
///
/// # Safety
/// As for `sweep`.
#[inline(always)]
unsafe fn sweep_rows<S: Simd, T: Tiled<S>>(
    s: S,
    rows: usize,
    (panel, first): (usize, usize),
    (half, width): (usize, usize),
    tiled: &T,
) {
    let tiles = rows.div_ceil(rows_of::<S>(width)).max(1);
    for i in 0..tiles {
        let (row, end) = (rows * i / tiles, rows * (i + 1) / tiles);
        // SAFETY: row..end is below `rows`; the caller vouches for the rest.
        unsafe { tiled.compute(s, TileRows { row, rows: end - row, panel, first, half, width }) };
    }
}

//! The forward tile of all gates: R rows by the gates of sixteen units.

use super::step::VectorPlace;
use super::tile_products::{PanelVectors, StartVectors, TileProducts};
use crate::microkernel::{TileStart, TileSums};
use crate::pack::PanelPart;
use crate::rounding::RoundedVectors;
use crate::simd::Simd;
use crate::sweep::{TileRows, Tiled};

/// The gates of a cell, and the buffers of a step that they read and write.
pub(crate) trait GateCell: Sized {
    /// Number of vectors in a panel of weights.
    const VECTORS: usize;
    /// Number of slots per unit in a stored row.
    const STORED: usize;
    /// The first slot that the sums feed.
    const FIRST: usize = 0;

    /// Writes the sums of a tile. Returns the start of vectors that it does not write.
    ///
    /// # Safety
    /// The rows and the panel exist, and the lengths were checked.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(tile: &GateTile<'_, Self>, s: S, at: TileRows) -> TileStart {
        let TileRows { row, rows, panel: block, half, width, .. } = at;
        let (start, panel) = (tile.start_vectors(block, half), tile.panel_vectors(block, half));
        // SAFETY: the caller vouches for rows, panel and lengths.
        unsafe { tile.products.chain(s, (row, rows, width), start, panel) };
        TileStart::zero()
    }

    /// Computes one vector of units: from its sums to the gates and the state.
    ///
    /// # Safety
    /// `at` is a vector of the step, and `multiply` has written the sums.
    unsafe fn finish<S: Simd>(&self, s: S, sums: RowSums<'_>, at: VectorPlace);
}

/// The sums of one row of a tile.
#[derive(Clone, Copy)]
pub(crate) struct RowSums<'a> {
    sums: &'a TileSums,
    start: TileStart,
    row: usize,
}

impl RowSums<'_> {
    /// Loads W vectors, from vector `first` on.
    ///
    /// # Safety
    /// The tile has written them.
    #[inline(always)]
    pub(crate) unsafe fn load<S: Simd, const W: usize>(&self, s: S, first: usize) -> [S::F; W] {
        // SAFETY: the caller vouches for the vectors.
        unsafe { self.sums.row(s, self.row, first) }
    }

    /// Loads vector 0 from the start that `multiply` returned.
    ///
    /// # Safety
    /// `multiply` returned the start of this vector.
    #[inline(always)]
    pub(crate) unsafe fn load_start<S: Simd>(&self, s: S) -> S::F {
        // SAFETY: the caller vouches for the start.
        unsafe { s.load(self.start.of(self.row)) }
    }
}

/// The tiles of one step.
pub(crate) struct GateTile<'a, C> {
    pub(crate) products: TileProducts<'a>,
    pub(crate) cell: C,
    /// The results that the next product multiplies.
    pub(crate) rounded: RoundedVectors,
}

impl<C: GateCell> GateTile<'_, C> {
    /// Returns the vectors of a block in the rows that sums start from.
    #[inline(always)]
    pub(crate) fn start_vectors(&self, block: usize, half: usize) -> StartVectors {
        let first = (block * C::STORED + C::FIRST) * 16 + half;
        StartVectors { row: C::STORED * self.products.stride, first, step: 16 }
    }

    /// Returns the vectors of a block in packed weights.
    #[inline(always)]
    pub(crate) fn panel_vectors(&self, block: usize, half: usize) -> PanelVectors {
        PanelVectors { before: block * C::VECTORS, width: C::VECTORS, first: 0, half }
    }
}

impl<S: Simd, C: GateCell> Tiled<S> for GateTile<'_, C> {
    #[inline(always)]
    fn part(&self, block: usize) -> PanelPart {
        PanelPart::of_block(C::VECTORS, block, self.products.hidden)
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, tile: TileRows) {
        let TileRows { row, rows, panel: block, half, .. } = tile;
        let TileProducts { stride, sums, .. } = &self.products;
        // SAFETY: rows, block and half exist (`sweep`), and the lengths were checked.
        unsafe {
            let start = C::multiply(self, s, tile);
            for r in 0..rows {
                let at = VectorPlace::of(*stride, C::STORED, row + r, (block, half));
                self.cell.finish(s, RowSums { sums, start, row: r }, at);
                self.rounded.round(s, row + r, at.first);
            }
        }
    }
}

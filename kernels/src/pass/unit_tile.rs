//! The forward tile of one gate: R rows by up to 64 units.

use super::step::VectorPlace;
use super::tile_products::{PanelVectors, StartVectors, TileProducts};
use crate::microkernel::TileSums;
use crate::pack::{Panel, PanelPart, Panels};
use crate::rounding::RoundedVectors;
use crate::simd::Simd;
use crate::sweep::{TileRows, Tiled};
use core::ops::Range;

/// The only gate of a tile, in slot 0, and the buffers of a step that it reads and writes.
pub(crate) trait UnitCell {
    /// Number of slots per unit in a stored row.
    const STORED: usize;

    /// Computes one vector of units: from its sum to the gate and the state.
    ///
    /// # Safety
    /// `at` is a vector of the step.
    unsafe fn finish<S: Simd>(&self, s: S, sum: S::F, at: VectorPlace);
}

/// The tiles of one step.
pub(crate) struct UnitTile<'a, C> {
    pub(crate) products: TileProducts<'a>,
    pub(crate) panels: &'a Panels,
    /// The blocks of sixteen units that are computed.
    pub(crate) blocks: Range<usize>,
    pub(crate) cell: C,
    /// The results that the next product multiplies.
    pub(crate) rounded: RoundedVectors,
}

impl<S: Simd, C: UnitCell> Tiled<S> for UnitTile<'_, C> {
    #[inline(always)]
    fn part(&self, panel: usize) -> PanelPart {
        self.panels.panels()[panel].within(&self.blocks)
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, TileRows { row, rows, panel, first, half, width }: TileRows) {
        let TileProducts { stride, sums, .. } = self.products;
        let Panel { before, width: whole, .. } = self.panels.panels()[panel];
        let (place, step) = ((before + first) * C::STORED * 16 + half, C::STORED * 16);
        let start = StartVectors { row: C::STORED * stride, first: place, step };
        let vectors = PanelVectors { before, width: whole, first, half };
        // SAFETY: rows, panel and half exist (`sweep`), and the lengths were checked.
        unsafe {
            self.products.chain(s, (row, rows, width), start, vectors);
            for r in 0..rows {
                for w in 0..width {
                    let sum = s.load(sums.base().add(r * TileSums::ROW + w * 16));
                    let at = VectorPlace::of(stride, C::STORED, row + r, (before + first + w, half));
                    self.cell.finish(s, sum, at);
                    self.rounded.round(s, row + r, at.first);
                }
            }
        }
    }
}

//! Y = start + X P for rows of any number: the head, the gradient that a layer hands down, and the input tables.
//!
//! ```text
//! y[m][n] = start[m][n] + x[m][k] P[k][n]        k ascending over the pieces of a row, one FMA chain per element
//! ```

use crate::dispatch::Isa;
use crate::pack::{Panels, depth_of, product};
use crate::processor::caches;
use crate::product::{Factors, Starts, Tile, Weights, multiply};
use crate::simd::{Kernel, Simd};
use crate::sweep::{Place, Tiled, Widths, sweep};
use core::ops::Range;

/// What the sums start from.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Zero.
    Zero,
    /// The same row for all, `out_width` floats.
    Bias(&'a [f32]),
    /// What `out` holds.
    Out,
}

/// A product of rows with packed weights.
#[derive(Debug)]
pub struct Affine<'a> {
    /// Rows M.
    pub rows: usize,
    /// [M, x_stride]
    pub x: &'a [f32],
    /// Floats from one row of x to the next.
    pub x_stride: usize,
    /// The parts of a row of x that are multiplied, in order.
    pub pieces: &'a [Range<usize>],
    /// How `weights` is packed.
    pub panels: &'a Panels,
    /// The packed weights.
    pub weights: &'a [f32],
    /// What the sums start from.
    pub start: Start<'a>,
    /// [M, out_width], written where the panels have outputs.
    pub out: &'a mut [f32],
}

impl Affine<'_> {
    /// Computes all rows.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn run_on(self, isa: Isa) {
        let depth = depth_of(self.pieces, self.x_stride);
        let needed = product([self.rows, self.x_stride]);
        assert!(
            self.x.len() >= needed,
            "x holds {} floats, expected {needed} for {} rows",
            self.x.len(),
            self.rows
        );
        assert_eq!(self.weights.len(), self.panels.len(depth), "packed weights of depth {depth}");
        let written = product([self.rows, self.panels.out_width()]);
        assert_eq!(self.out.len(), written, "out, for {} rows", self.rows);
        if let Start::Bias(bias) = self.start {
            assert_eq!(bias.len(), self.panels.out_width(), "the bias");
        }
        isa.run_rows(self.rows, self);
    }
}

impl Kernel for Affine<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let depth = self.pieces.iter().map(Range::len).sum();
        let mut rows = Rows {
            x: self.x.as_ptr(),
            x_row: self.x_stride,
            pieces: self.pieces,
            before: 0,
            depth,
            panels: self.panels,
            weights: self.weights.as_ptr(),
            start: self.start,
            out: self.out.as_mut_ptr(),
        };
        let panels = self.panels.panels().len();
        let most = stretch();
        let [whole] = self.pieces else {
            // SAFETY: `run_on` has checked every length.
            return unsafe { sweep(s, self.rows, panels, &rows) };
        };
        for before in (0..depth.max(1)).step_by(most) {
            let piece = whole.start + before..whole.start + (before + most).min(depth);
            if before > 0 {
                rows.start = Start::Out;
            }
            let stretch = Rows { before, pieces: core::slice::from_ref(&piece), ..rows };
            // SAFETY: `run_on` has checked every length.
            unsafe { sweep(s, self.rows, panels, &stretch) }
        }
    }
}

/// Values of k walked at a time: as many as leave a panel in half of the second-level cache.
fn stretch() -> usize {
    caches().second / 2 / (4 * 64)
}

#[derive(Clone, Copy)]
struct Rows<'a> {
    x: *const f32,
    x_row: usize,
    pieces: &'a [Range<usize>],
    /// Values of k before those in `pieces`.
    before: usize,
    /// All values of k.
    depth: usize,
    panels: &'a Panels,
    weights: *const f32,
    start: Start<'a>,
    out: *mut f32,
}

impl<S: Simd> Tiled<S> for Rows<'_> {
    #[inline(always)]
    fn widths(&self, panel: usize) -> Widths {
        self.panels.panels()[panel].widths()
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, Place { row, rows, panel, half, width }: Place) {
        let out_row = self.panels.out_width();
        let panel = self.panels.panels()[panel];
        let first = panel.out + half;
        let out = self.out.wrapping_add(row * out_row + first);
        let weights = self.weights.wrapping_add(panel.before * 16 * self.depth + half);
        let factors = Factors::Rows {
            x: self.x.wrapping_add(row * self.x_row),
            row: self.x_row,
            pieces: self.pieces,
            weights: Weights::of_panel::<S>(weights, panel.width, self.depth).skip(self.before),
        };
        let tile = Tile {
            start: match self.start {
                Start::Zero => Starts::zero(),
                Start::Bias(bias) => Starts::rows(bias.as_ptr(), 0, 16).skip(first),
                Start::Out => Starts::rows(out, out_row, 16),
            },
            factors: &[factors],
            out,
            out_row,
        };
        // SAFETY: rows, panel and half exist (`sweep`), and the lengths were checked.
        unsafe { multiply(s, rows, width, &tile) }
    }
}

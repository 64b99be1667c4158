//! Y = start + X P for rows of any number: the head, the gradient that a layer hands down, and the input tables.
//!
//! ```text
//! y[m][n] = start[m][n] + x[m][k] P[k][n]        k ascending over the pieces of a row, one FMA chain per element
//! ```

use crate::dispatch::Isa;
use crate::pack::{Panels, depth_of, product};
use crate::product::{ByWidth, Source, Weights, WideTile, Widths, sums_from, sweep};
use crate::simd::{Kernel, Simd};
use crate::window::add_pieces;
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
        let out = self.out.as_mut_ptr();
        let (start, start_row) = match self.start {
            Start::Zero => (core::ptr::null(), 0),
            Start::Bias(bias) => (bias.as_ptr(), 0),
            Start::Out => (out.cast_const(), self.panels.out_width()),
        };
        let tile = AffineTile {
            x: Source::rows(self.x.as_ptr(), self.x_stride),
            pieces: self.pieces,
            depth,
            panels: self.panels,
            weights: self.weights.as_ptr(),
            start,
            start_row,
            out,
        };
        // SAFETY: `run_on` has checked every length.
        unsafe { sweep(s, self.rows, self.panels.panels().len(), &ByWidth(tile)) }
    }
}

struct AffineTile<'a> {
    x: Source,
    pieces: &'a [Range<usize>],
    depth: usize,
    panels: &'a Panels,
    weights: *const f32,
    /// Null for zero.
    start: *const f32,
    start_row: usize,
    out: *mut f32,
}

impl<S: Simd> WideTile<S> for AffineTile<'_> {
    #[inline(always)]
    fn widths(&self, panel: usize) -> Widths {
        self.panels.panels()[panel].widths()
    }

    #[inline(always)]
    unsafe fn wide<const R: usize, const W: usize>(&self, s: S, row: usize, panel: usize, half: usize) {
        let width = self.panels.out_width();
        let panel = self.panels.panels()[panel];
        let first = panel.out + half;
        // SAFETY: rows, panel and half exist (`sweep`), and the lengths were checked.
        unsafe {
            let mut acc = [[s.splat(0.0); W]; R];
            if !self.start.is_null() {
                let start = self.start.add(row * self.start_row + first);
                acc = sums_from(s, |r, w| s.load(start.add(r * self.start_row + w * 16)));
            }
            let x = Source { base: self.x.base.add(row * self.x.row), ..self.x };
            let base = self.weights.add(panel.before * 16 * self.depth + half);
            let weights = Weights { base, stride: panel.width * 16 };
            add_pieces::<S, R, W>(s, &mut acc, x, self.pieces, weights);
            for (r, sums) in acc.into_iter().enumerate() {
                let to = self.out.add((row + r) * width + first);
                for (w, sum) in sums.into_iter().enumerate() {
                    s.store(to.add(w * 16), sum);
                }
            }
        }
    }
}

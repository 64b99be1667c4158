//! Y = start + X P for any number of rows: the head, the gradient that a layer passes to the layer
//! below, and the input tables.
//!
//! ```text
//! y[m][n] = start[m][n] + x[m][k] P[k][n]        k ascending over the pieces of a row
//! ```
//!
//! 1. Each element is one FMA chain.
//! 2. In bf16, `affine/rounded.rs` rounds the rows first. For 8-bit integers, `affine/quantized.rs`
//!    quantizes them.
//! 3. A product of one piece goes by stretches of k that keep a panel in the second-level cache.
//!    Between stretches the sums wait in `out`, and each chain continues from there.

mod quantized;
mod rounded;

use crate::isa::{Isa, Products};
use crate::microkernel::{Factors, Tile, TileStart, WeightPanel, multiply};
use crate::pack::{PanelPart, Panels, check_len, depth_of, product};
use crate::processor::caches;
use crate::simd::{Kernel, Simd};
use crate::sweep::{TileRows, Tiled, sweep};
use core::ops::Range;
use quantized::Quantized;
use rounded::Rounded;

/// The start of the sums.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Zero.
    Zero,
    /// The same row for all: `out_width` floats.
    Bias(&'a [f32]),
    /// The values of `out`.
    Out,
}

/// A product of rows with packed weights.
#[derive(Debug)]
pub struct Affine<'a> {
    /// Number of rows (M).
    pub rows: usize,
    /// [M, x_stride]
    pub x: &'a [f32],
    /// Floats from one row of x to the next.
    pub x_stride: usize,
    /// The pieces of a row of x that are multiplied, in order.
    pub pieces: &'a [Range<usize>],
    /// The packing of `weights`.
    pub panels: &'a Panels,
    /// The weights, packed for the running backend; in bf16 over the words of `pieces`. Of 8-bit
    /// integers there is one piece.
    pub weights: &'a [f32],
    /// The start of the sums.
    pub start: Start<'a>,
    /// [M, out_width]; written where the panels have outputs.
    pub out: &'a mut [f32],
}

impl Affine<'_> {
    /// Computes all rows.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        depth_of(self.pieces, self.x_stride);
        let depth = isa.piece_words(self.pieces);
        let needed = product([self.rows, self.x_stride]);
        assert!(
            self.x.len() >= needed,
            "x has length {}, expected {needed} for {} rows",
            self.x.len(),
            self.rows
        );
        check_len("weights", self.weights.len(), self.panels.len(depth));
        check_len("out", self.out.len(), product([self.rows, self.panels.out_width()]));
        if let Start::Bias(bias) = self.start {
            check_len("bias", bias.len(), self.panels.out_width());
        }
        match isa.products() {
            Products::F32 => {
                isa.run_rows(self.rows, Stretched { affine: self, most: stretch(caches().second) })
            }
            Products::Bf16 if self.rows <= rounded::FEW => {
                isa.run_pairs(Rounded::<{ rounded::FEW }> { affine: self, words: depth })
            }
            Products::Bf16 => isa.run_pairs(Rounded::<{ rounded::MANY }> { affine: self, words: depth }),
            Products::Int8 if quantized::are_small(self.rows, depth) => {
                isa.run_quads(Quantized::<{ quantized::SMALL }>::new(self, depth))
            }
            Products::Int8 => isa.run_quads(Quantized::<{ quantized::LARGE }>::new(self, depth)),
        }
    }
}

/// Returns the values of k in a stretch: a panel of them fills half of a second-level cache of
/// `bytes` bytes.
fn stretch(bytes: usize) -> usize {
    bytes / 2 / (4 * 16 * size_of::<f32>())
}

/// A product that goes by stretches of k.
struct Stretched<'a> {
    affine: Affine<'a>,
    /// Values of k in a stretch. Only products of a single piece are divided.
    most: usize,
}

impl Kernel for Stretched<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { affine: Affine { rows: count, x, x_stride, pieces, panels, weights, start, out }, most } =
            self;
        let depth = pieces.iter().map(Range::len).sum();
        let mut rows = AffineTiles {
            x: x.as_ptr(),
            x_row: x_stride,
            pieces,
            before: 0,
            depth,
            panels,
            weights: weights.as_ptr(),
            start,
            out: out.as_mut_ptr(),
        };
        let [whole] = pieces else {
            // SAFETY: `run_on` has checked every length.
            return unsafe { sweep(s, count, 0..panels.panels().len(), &rows) };
        };
        for before in (0..depth.max(1)).step_by(most) {
            let piece = whole.start + before..whole.start + (before + most).min(depth);
            if before > 0 {
                rows.start = Start::Out;
            }
            let stretch = AffineTiles { before, pieces: core::slice::from_ref(&piece), ..rows };
            // SAFETY: `run_on` has checked every length.
            unsafe { sweep(s, count, 0..panels.panels().len(), &stretch) }
        }
    }
}

/// The tiles of a product.
#[derive(Clone, Copy)]
struct AffineTiles<'a> {
    x: *const f32,
    x_row: usize,
    /// The words of a row that are multiplied.
    pieces: &'a [Range<usize>],
    /// Words of k before those in `pieces`.
    before: usize,
    /// All words of k.
    depth: usize,
    panels: &'a Panels,
    weights: *const f32,
    start: Start<'a>,
    out: *mut f32,
}

impl<S: Simd> Tiled<S> for AffineTiles<'_> {
    #[inline(always)]
    fn part(&self, panel: usize) -> PanelPart {
        self.panels.panels()[panel].whole()
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, TileRows { row, rows, panel, half, width, .. }: TileRows) {
        let out_row = self.panels.out_width();
        let panel = self.panels.panels()[panel];
        let first = panel.out + half;
        let out = self.out.wrapping_add(row * out_row + first);
        let weights = self.weights.wrapping_add(panel.before * 16 * self.depth + half);
        let factors = Factors::Rows {
            x: self.x.wrapping_add(row * self.x_row),
            row: self.x_row,
            pieces: self.pieces,
            weights: WeightPanel::packed::<S>(weights, panel.width, self.depth).skip(self.before),
        };
        let tile = Tile {
            start: match self.start {
                Start::Zero => TileStart::zero(),
                Start::Bias(bias) => TileStart::rows(bias.as_ptr(), 0, 16).skip(first),
                Start::Out => TileStart::rows(out, out_row, 16),
            },
            factors: &[factors],
            out,
            out_row,
        };
        // SAFETY: rows, panel and half exist (`sweep`), and the lengths were checked.
        unsafe { multiply(s, rows, width, &tile) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each sum is one chain for any division of k, so the bits are those of the whole product.
    #[test]
    fn stretches_do_not_change_the_bits() {
        let (rows, depth, outputs) = (7, 900, 40);
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 64.0;
        let numbers = |count: usize| (0..count).map(value).collect::<Vec<f32>>();
        let (x, weight, old) = (numbers(rows * depth), numbers(outputs * depth), numbers(rows * 48));
        let (panels, piece) = (Panels::plain(outputs), 3..depth - 1);
        let width = piece.len();
        for isa in Isa::all() {
            let mut weights = vec![0.0; panels.len(width)];
            panels.pack(isa, &weight[..outputs * width], width, &mut weights);
            for start in [Start::Zero, Start::Bias(&old[..48]), Start::Out] {
                let product = |most| {
                    let mut out = old.clone();
                    let (x, panels, weights, pieces) = (&x, &panels, &weights, std::slice::from_ref(&piece));
                    let affine =
                        Affine { rows, x, x_stride: depth, pieces, panels, weights, start, out: &mut out };
                    isa.run_rows(rows, Stretched { affine, most });
                    out.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
                };
                let whole = product(depth);
                for most in [1, 64, 500, width - 1, width] {
                    assert_eq!(product(most), whole, "{} by {most} from {start:?}", isa.name());
                }
            }
        }
    }

    #[test]
    fn a_stretch_fills_half_of_the_cache() {
        assert_eq!([256 << 10, 1 << 20, 2 << 20].map(stretch), [512, 2048, 4096]);
    }
}

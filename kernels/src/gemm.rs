//! The gradient of a weight matrix: one product for the whole window, after the time loop.
//!
//! ```text
//! dW[n][k] = sum over m of delta[m][n] x[m][k]       m = (step, row) ascending, one FMA chain per element
//! db[n]    = sum over m of delta[m][n]               likewise
//! ```
//!
//! 1. A call computes some rows n of dW, so that threads divide outputs and never a sum.
//! 2. m is walked in chunks of [`CHUNK`]. For a chunk, the deltas of all rows n of the call are gathered from their slots
//!    into [m][n], and for each 64 columns k the inputs into [m][k]; the bias gradient falls out of the first.
//!    Between chunks the sums wait in dW itself, so the chain goes on where it stopped.
//! 3. The tile broadcasts a delta and multiplies 64 inputs, so dW is written in PyTorch's row-major order directly.
//! 4. On the portable leaf `matrixmultiply` takes each chunk's product.

use crate::dispatch::Isa;
use crate::pack::Slots;
use crate::product::{Source, accumulate};
use crate::simd::{Kernel, Simd};
use core::ops::Range;

/// Rows of dW that one call takes at most.
pub const ROWS: usize = 96;
/// Values of m gathered at a time.
const CHUNK: usize = 256;
/// Columns gathered at a time.
const COLUMNS: usize = 64;

/// The rows of a window in the order of the sum: number m to (stored deltas, input vector).
pub trait Pairs: Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The deltas of m, a stored row; and of the rest of its run.
    fn delta(&self, m: usize) -> &[f32];
    /// The input of m; and of the rest of its run.
    fn input(&self, m: usize) -> &[f32];
    /// How far the slices of m reach beyond m.
    fn run(&self, _m: usize) -> Run {
        Run { rows: 1, delta_stride: 0, input_stride: 0 }
    }
}

/// Rows that lie behind each other at constant distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many, at least one.
    pub rows: usize,
    /// Floats from the deltas of one row to those of the next.
    pub delta_stride: usize,
    /// Floats from the input of one row to that of the next.
    pub input_stride: usize,
}

/// Splits `chunk` into runs: (m, rows, strides).
pub(crate) fn runs<P: Pairs + ?Sized>(pairs: &P, chunk: Range<usize>) -> impl Iterator<Item = (usize, Run)> {
    let mut m = chunk.start;
    core::iter::from_fn(move || {
        let (at, left) = (m, chunk.end - m);
        let run = (left > 0).then(|| pairs.run(at))?;
        let run = Run { rows: run.rows.clamp(1, left), ..run };
        m += run.rows;
        Some((at, run))
    })
}

/// Some rows of a weight gradient.
pub struct WeightGradient<'a, P: Pairs + ?Sized> {
    /// Deltas and inputs.
    pub pairs: &'a P,
    /// Where the deltas of this matrix lie.
    pub slots: &'a Slots,
    /// Columns K of the matrix.
    pub depth: usize,
    /// Rows of the matrix to compute, at most [`ROWS`].
    pub rows: Range<usize>,
    /// [rows, K], overwritten.
    pub weight: &'a mut [f32],
    /// [rows], overwritten; or empty.
    pub bias: &'a mut [f32],
}

impl<P: Pairs + ?Sized> WeightGradient<'_, P> {
    /// Computes the rows.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn run_on(self, isa: Isa) {
        let gates = self.slots.gates.iter().max().map_or(0, |gate| gate + 1);
        assert!(
            self.rows.len() <= ROWS && self.rows.end <= gates * self.slots.hidden,
            "rows {:?}",
            self.rows
        );
        assert_eq!(self.weight.len(), self.rows.len() * self.depth, "weight gradient");
        assert!(self.bias.is_empty() || self.bias.len() == self.rows.len(), "bias gradient");
        self.weight.fill(0.0);
        self.bias.fill(0.0);
        if !self.rows.is_empty() {
            isa.run(self);
        }
    }

    /// Runs of consecutive rows whose deltas lie side by side: (first row of the call, place in a stored row, rows).
    fn groups(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<P> {
        let (slots, rows) = (self.slots.clone(), self.rows.clone());
        let mut row = rows.start;
        core::iter::from_fn(move || {
            let unit = row % slots.hidden;
            let count = (16 - unit % 16).min(slots.hidden - unit).min(rows.end - row);
            let group = (row - rows.start, slots.place(row), count);
            row += count;
            (count > 0).then_some(group)
        })
    }
}

impl<P: Pairs + ?Sized> Kernel for WeightGradient<'_, P> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut deltas = [0.0f32; CHUNK * ROWS + 16];
        let mut inputs = [0.0f32; CHUNK * COLUMNS];
        for from in (0..self.pairs.len()).step_by(CHUNK) {
            let chunk = from..(from + CHUNK).min(self.pairs.len());
            gather_deltas(s, &self, chunk.clone(), &mut deltas);
            for m in deltas.chunks_exact(ROWS).take(chunk.len()) {
                self.bias.iter_mut().zip(m).for_each(|(sum, delta)| *sum += delta);
            }
            for first in (0..self.depth).step_by(COLUMNS) {
                let columns = first..(first + COLUMNS).min(self.depth);
                gather_inputs(s, self.pairs, chunk.clone(), columns.clone(), &mut inputs);
                let part = Part { deltas: &deltas, inputs: &inputs, depth: chunk.len(), columns };
                part.multiply(s, self.rows.len(), self.depth, self.weight);
            }
        }
    }
}

/// Copies the deltas of a chunk to [m][row of the call].
#[inline(always)]
fn gather_deltas<S: Simd, P: Pairs + ?Sized>(
    s: S,
    gradient: &WeightGradient<'_, P>,
    chunk: Range<usize>,
    to: &mut [f32; CHUNK * ROWS + 16],
) {
    for (row, place, count) in gradient.groups() {
        let mut to = to[row..].chunks_mut(ROWS);
        for (m, run) in runs(gradient.pairs, chunk.clone()) {
            let from = gradient.pairs.delta(m);
            for (i, to) in (0..run.rows).zip(&mut to) {
                copy16(s, &from[i * run.delta_stride + place..][..count], &mut to[..16]);
            }
        }
    }
}

/// Copies the inputs of a chunk to [m][column], zeros behind the last column.
#[inline(always)]
fn gather_inputs<S: Simd, P: Pairs + ?Sized>(
    s: S,
    pairs: &P,
    chunk: Range<usize>,
    columns: Range<usize>,
    to: &mut [f32; CHUNK * COLUMNS],
) {
    let width = columns.len().next_multiple_of(16);
    let mut to = to.chunks_exact_mut(width);
    for (m, run) in runs(pairs, chunk) {
        let from = pairs.input(m);
        for (i, to) in (0..run.rows).zip(&mut to) {
            let from = &from[i * run.input_stride..][columns.clone()];
            for (from, to) in from.chunks(16).zip(to.chunks_exact_mut(16)) {
                copy16(s, from, to);
                to[from.len()..].fill(0.0);
            }
        }
    }
}

/// Copies up to sixteen floats into `to`, which has room for sixteen.
#[inline(always)]
fn copy16<S: Simd>(s: S, from: &[f32], to: &mut [f32]) {
    if from.len() == 16 && to.len() == 16 {
        for half in (0..16).step_by(S::LANES) {
            // SAFETY: both have sixteen floats.
            unsafe { s.store(to.as_mut_ptr().add(half), s.load(from.as_ptr().add(half))) };
        }
    } else {
        to[..from.len()].copy_from_slice(from);
    }
}

/// A chunk of m and up to 64 columns.
struct Part<'a> {
    deltas: &'a [f32; CHUNK * ROWS + 16],
    inputs: &'a [f32; CHUNK * COLUMNS],
    depth: usize,
    columns: Range<usize>,
}

impl Part<'_> {
    /// Continues the sums of `weight` [rows, stride].
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, rows: usize, stride: usize, weight: &mut [f32]) {
        if S::PORTABLE {
            return self.multiply_portable(rows, stride, weight);
        }
        let tiles = rows.div_ceil(S::ROWS).max(1);
        for i in 0..tiles {
            let (row, end) = (rows * i / tiles, rows * (i + 1) / tiles);
            match end - row {
                1 => self.rows::<S, 1>(s, row, stride, weight),
                2 => self.rows::<S, 2>(s, row, stride, weight),
                3 if S::ROWS >= 3 => self.rows::<S, 3>(s, row, stride, weight),
                4 if S::ROWS >= 4 => self.rows::<S, 4>(s, row, stride, weight),
                5 if S::ROWS >= 5 => self.rows::<S, 5>(s, row, stride, weight),
                6 if S::ROWS >= 6 => self.rows::<S, 6>(s, row, stride, weight),
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&self, s: S, row: usize, stride: usize, weight: &mut [f32]) {
        for half in (0..16).step_by(S::LANES) {
            match self.columns.len().div_ceil(16) {
                1 => self.tile::<S, R, 1>(s, row, half, stride, weight),
                2 => self.tile::<S, R, 2>(s, row, half, stride, weight),
                3 => self.tile::<S, R, 3>(s, row, half, stride, weight),
                _ => self.tile::<S, R, 4>(s, row, half, stride, weight),
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const W: usize>(
        &self,
        s: S,
        row: usize,
        half: usize,
        stride: usize,
        weight: &mut [f32],
    ) {
        let mut lanes = [0; W];
        for (w, lanes) in lanes.iter_mut().enumerate() {
            // Those of vector w that are columns of the matrix.
            *lanes = self.columns.len().saturating_sub(w * 16 + half).min(S::LANES);
        }
        let out =
            weight[row * stride + self.columns.start..][..(R - 1) * stride + self.columns.len()].as_mut_ptr();
        // SAFETY: `out` reaches to the last column of the last row, and no more lanes than columns are touched;
        // the gathered arrays hold `depth` values of m.
        unsafe {
            // A loop, not a closure: one with so many callers stays a call.
            let mut acc = [[s.splat(0.0); W]; R];
            for (r, sums) in acc.iter_mut().enumerate() {
                for (w, sum) in sums.iter_mut().enumerate() {
                    let from = out.wrapping_add(r * stride + w * 16 + half);
                    *sum = s.load_up_to(from, lanes[w], 0.0);
                }
            }
            let deltas = Source { base: self.deltas.as_ptr().add(row), row: 1 };
            accumulate::<S, R, W, W, 0, ROWS>(
                s,
                &mut acc,
                deltas,
                self.depth,
                self.inputs.as_ptr().add(half),
            );
            for (r, sums) in acc.into_iter().enumerate() {
                for (w, sum) in sums.into_iter().enumerate() {
                    let to = out.wrapping_add(r * stride + w * 16 + half);
                    s.store_up_to(to, lanes[w], sum);
                }
            }
        }
    }

    fn multiply_portable(&self, rows: usize, stride: usize, weight: &mut [f32]) {
        let width = self.columns.len().next_multiple_of(16) as isize;
        let out = weight[self.columns.start..][..(rows - 1) * stride + self.columns.len()].as_mut_ptr();
        // SAFETY: the gathered arrays hold `depth` values of m, `out` reaches to the last column of the last row.
        unsafe {
            matrixmultiply::sgemm(
                rows,
                self.depth,
                self.columns.len(),
                1.0,
                self.deltas.as_ptr(),
                1,
                ROWS as isize,
                self.inputs.as_ptr(),
                width,
                1,
                1.0,
                out,
                stride as isize,
                1,
            );
        }
    }
}

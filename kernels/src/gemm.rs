//! The gradient of a weight matrix: one product for the whole window, after the time loop.
//!
//! ```text
//! dW[n][k] = sum over m of delta[m][n] x[m][k]       m = (step, row) ascending, one FMA chain per element
//! db[n]    = sum over m of delta[m][n]               likewise
//! ```
//!
//! 1. A call computes some rows n of dW, so that threads divide outputs and never a sum.
//! 2. m is walked in chunks of `CHUNK`. For a chunk, the deltas of some groups of up to sixteen rows n are gathered from
//!    their slots into `[group][m][16]`, and for each 64 columns k the inputs into `[m][k]`; the bias gradient falls out of the first.
//!    Between chunks the sums wait in dW itself, so the chain goes on where it stopped.
//! 3. The tile broadcasts a delta and multiplies 64 inputs, so dW is written in PyTorch's row-major order directly.
//! 4. On the portable leaf `matrixmultiply` takes each chunk's product.

use crate::dispatch::Isa;
use crate::pack::Slots;
use crate::product::{Source, accumulate};
use crate::simd::{Kernel, Simd};
use core::ops::Range;

/// Rows of dW that make a task of fair size.
pub const ROWS: usize = 192;
/// Values of m gathered at a time.
const CHUNK: usize = 256;
/// Groups of up to sixteen rows gathered at a time.
const GROUPS: usize = ROWS / 16;
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
    /// Rows of the matrix to compute.
    pub rows: Range<usize>,
    /// [rows, K], overwritten.
    pub weight: &'a mut [f32],
    /// `[rows]`, overwritten; or empty.
    pub bias: &'a mut [f32],
}

/// Consecutive rows whose deltas lie side by side in one block.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// The first row, counted within the call.
    row: usize,
    /// Where its deltas lie in a stored row.
    place: usize,
    /// How many rows, 1 to 16.
    count: usize,
}

impl<P: Pairs + ?Sized> WeightGradient<'_, P> {
    /// Computes the rows.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn run_on(self, isa: Isa) {
        let gates = self.slots.gates.iter().max().map_or(0, |gate| gate + 1);
        assert!(self.rows.end <= gates * self.slots.hidden, "rows {:?}", self.rows);
        assert_eq!(self.weight.len(), self.rows.len() * self.depth, "weight gradient");
        assert!(self.bias.is_empty() || self.bias.len() == self.rows.len(), "bias gradient");
        self.weight.fill(0.0);
        self.bias.fill(0.0);
        if !self.rows.is_empty() {
            isa.run(self);
        }
    }

    /// The next groups from row `row` of the call on, as many as are gathered together.
    fn groups(&self, mut row: usize, groups: &mut [Group; GROUPS]) -> usize {
        let mut found = 0;
        while found < GROUPS && row < self.rows.len() {
            let unit = (self.rows.start + row) % self.slots.hidden;
            let count = (16 - unit % 16).min(self.slots.hidden - unit).min(self.rows.len() - row);
            groups[found] = Group { row, place: self.slots.place(self.rows.start + row), count };
            (row, found) = (row + count, found + 1);
        }
        found
    }
}

impl<P: Pairs + ?Sized> Kernel for WeightGradient<'_, P> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut deltas = [0.0f32; GROUPS * CHUNK * 16];
        let mut inputs = [0.0f32; CHUNK * COLUMNS];
        let (mut groups, mut row) = ([Group::default(); GROUPS], 0);
        while row < self.rows.len() {
            let found = self.groups(row, &mut groups);
            let groups = &groups[..found];
            row = groups.last().map_or(self.rows.len(), |group| group.row + group.count);
            for from in (0..self.pairs.len()).step_by(CHUNK) {
                let chunk = from..(from + CHUNK).min(self.pairs.len());
                gather_deltas(s, self.pairs, chunk.clone(), groups, &mut deltas);
                if !self.bias.is_empty() {
                    add_deltas(&deltas, groups, chunk.len(), self.bias);
                }
                for first in (0..self.depth).step_by(COLUMNS) {
                    let columns = first..(first + COLUMNS).min(self.depth);
                    gather_inputs(s, self.pairs, chunk.clone(), columns.clone(), &mut inputs);
                    let part = Part { inputs: &inputs, depth: chunk.len(), columns, stride: self.depth };
                    for (group, deltas) in groups.iter().zip(deltas.chunks_exact(CHUNK * 16)) {
                        part.multiply(s, deltas, group.count, &mut self.weight[group.row * self.depth..]);
                    }
                }
            }
        }
    }
}

/// Copies the deltas of a chunk to [group][m][16]. Row by row, so that a stored row is read in one go.
#[inline(always)]
fn gather_deltas<S: Simd, P: Pairs + ?Sized>(
    s: S,
    pairs: &P,
    chunk: Range<usize>,
    groups: &[Group],
    to: &mut [f32; GROUPS * CHUNK * 16],
) {
    let mut at = 0;
    for (m, run) in runs(pairs, chunk) {
        let from = pairs.delta(m);
        for i in 0..run.rows {
            let from = &from[i * run.delta_stride..];
            for (group, to) in groups.iter().zip(to.chunks_exact_mut(CHUNK * 16)) {
                copy16(s, &from[group.place..][..group.count], &mut to[at * 16..][..16]);
            }
            at += 1;
        }
    }
}

/// Continues the sums of the deltas.
#[inline(always)]
fn add_deltas(deltas: &[f32; GROUPS * CHUNK * 16], groups: &[Group], depth: usize, bias: &mut [f32]) {
    for (group, deltas) in groups.iter().zip(deltas.chunks_exact(CHUNK * 16)) {
        let bias = &mut bias[group.row..][..group.count];
        let mut sums = [0.0f32; 16];
        sums[..group.count].copy_from_slice(bias);
        for m in deltas.chunks_exact(16).take(depth) {
            sums.iter_mut().zip(m).for_each(|(sum, delta)| *sum += delta);
        }
        bias.copy_from_slice(&sums[..group.count]);
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

/// The inputs of a chunk of m, in up to 64 columns.
struct Part<'a> {
    inputs: &'a [f32; CHUNK * COLUMNS],
    depth: usize,
    columns: Range<usize>,
    /// Floats in a row of the weight gradient.
    stride: usize,
}

impl Part<'_> {
    /// Continues the sums of `count` rows of the gradient with their `deltas` [m][16].
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, deltas: &[f32], count: usize, weight: &mut [f32]) {
        if S::PORTABLE {
            return self.multiply_portable(deltas, count, weight);
        }
        let tiles = count.div_ceil(S::ROWS).max(1);
        for i in 0..tiles {
            let (row, end) = (count * i / tiles, count * (i + 1) / tiles);
            let (deltas, weight) = (&deltas[row..], &mut weight[row * self.stride..]);
            match end - row {
                1 => self.rows::<S, 1>(s, deltas, weight),
                2 => self.rows::<S, 2>(s, deltas, weight),
                3 if S::ROWS >= 3 => self.rows::<S, 3>(s, deltas, weight),
                4 if S::ROWS >= 4 => self.rows::<S, 4>(s, deltas, weight),
                5 if S::ROWS >= 5 => self.rows::<S, 5>(s, deltas, weight),
                6 if S::ROWS >= 6 => self.rows::<S, 6>(s, deltas, weight),
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&self, s: S, deltas: &[f32], weight: &mut [f32]) {
        for half in (0..16).step_by(S::LANES) {
            match self.columns.len().div_ceil(16) {
                1 => self.tile::<S, R, 1>(s, half, deltas, weight),
                2 => self.tile::<S, R, 2>(s, half, deltas, weight),
                3 => self.tile::<S, R, 3>(s, half, deltas, weight),
                _ => self.tile::<S, R, 4>(s, half, deltas, weight),
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const W: usize>(
        &self,
        s: S,
        half: usize,
        deltas: &[f32],
        weight: &mut [f32],
    ) {
        let stride = self.stride;
        let mut lanes = [0; W];
        for (w, lanes) in lanes.iter_mut().enumerate() {
            // Those of vector w that are columns of the matrix.
            *lanes = self.columns.len().saturating_sub(w * 16 + half).min(S::LANES);
        }
        let out = weight[self.columns.start..][..(R - 1) * stride + self.columns.len()].as_mut_ptr();
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
            let deltas = Source { base: deltas.as_ptr(), row: 1 };
            accumulate::<S, R, W, W, 0, 16>(s, &mut acc, deltas, self.depth, self.inputs.as_ptr().add(half));
            for (r, sums) in acc.into_iter().enumerate() {
                for (w, sum) in sums.into_iter().enumerate() {
                    let to = out.wrapping_add(r * stride + w * 16 + half);
                    s.store_up_to(to, lanes[w], sum);
                }
            }
        }
    }

    fn multiply_portable(&self, deltas: &[f32], rows: usize, weight: &mut [f32]) {
        let width = self.columns.len().next_multiple_of(16) as isize;
        let out = weight[self.columns.start..][..(rows - 1) * self.stride + self.columns.len()].as_mut_ptr();
        // SAFETY: the gathered arrays hold `depth` values of m, `out` reaches to the last column of the last row.
        unsafe {
            matrixmultiply::sgemm(
                rows,
                self.depth,
                self.columns.len(),
                1.0,
                deltas.as_ptr(),
                1,
                16,
                self.inputs.as_ptr(),
                width,
                1,
                1.0,
                out,
                self.stride as isize,
                1,
            );
        }
    }
}

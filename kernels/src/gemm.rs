//! The gradient of a weight matrix: one product for the whole window, after the time loop.
//!
//! ```text
//! dW[n][k] = sum over m of delta[m][n] x[m][k]       m = (step, row) ascending, one FMA chain per element
//! db[n]    = sum over m of delta[m][n]               likewise
//! ```
//!
//! 1. A call computes some rows n of dW, so that threads divide outputs and never a sum.
//! 2. m is walked in chunks of `CHUNK`, so that its deltas and inputs stay in the second cache while every tile of rows and
//!    columns goes over them; both are read where they lie, but for deltas whose rows are so far apart that they would drive
//!    each other out of that cache: these are gathered first. Between chunks the sums wait in dW itself, so the chain goes
//!    on where it stopped.
//! 3. The tile broadcasts a delta and multiplies 64 inputs, so dW is written in PyTorch's row-major order directly.
//! 4. On the portable leaf `matrixmultiply` takes each chunk's product, of gathered deltas and inputs.

use crate::dispatch::Isa;
use crate::pack::{Slots, padded, product};
use crate::product::{Factors, Starts, Sums, Tile, multiply, rows_of};
use crate::simd::{Kernel, Simd};
use crate::strips::{Gathered, Strip, look_up};
use core::mem::MaybeUninit;
use core::ops::Range;

/// Rows of dW that make a task of fair size.
pub const ROWS: usize = 192;
/// Values of m walked at a time.
pub(crate) const CHUNK: usize = 256;
/// Groups of up to sixteen rows walked together.
const GROUPS: usize = ROWS / 16;
/// Columns of a tile.
const COLUMNS: usize = 64;

/// Stored rows of at least so many floats are gathered.
const FAR: usize = 1024;

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
    /// The input of m; and of the rest of its run. The last row is readable in whole vectors of sixteen, whatever lies
    /// behind its last value.
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
pub(crate) fn runs(pairs: &dyn Pairs, chunk: Range<usize>) -> impl Iterator<Item = (usize, Run)> {
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
pub struct WeightGradient<'a> {
    /// Deltas and inputs.
    pub pairs: &'a dyn Pairs,
    /// Where the deltas of this matrix lie.
    pub slots: &'a Slots,
    /// Columns K of the matrix.
    pub depth: usize,
    /// Rows of the matrix to compute.
    pub rows: Range<usize>,
    /// Whether the sums go on from what `weight` and `bias` hold, or start from zero.
    pub continues: bool,
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

impl WeightGradient<'_> {
    /// Computes the rows.
    ///
    /// # Panics
    /// When a slice has not the stated length, or the slots do not lie within a stored row.
    pub fn run_on(self, isa: Isa) {
        self.slots.check();
        let gates = self.slots.gates.iter().max().map_or(0, |gate| gate.saturating_add(1));
        assert!(self.rows.end <= product([gates, self.slots.hidden]), "rows {:?}", self.rows);
        assert_eq!(self.weight.len(), product([self.rows.len(), self.depth]), "weight gradient");
        assert!(self.bias.is_empty() || self.bias.len() == self.rows.len(), "bias gradient");
        if !self.continues {
            self.weight.fill(0.0);
            self.bias.fill(0.0);
        }
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

impl Kernel for WeightGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut strips = [Strip::EMPTY; CHUNK];
        let mut gathered = MaybeUninit::uninit();
        let gather = S::PORTABLE || self.slots.width() >= FAR;
        let (mut groups, mut row) = ([Group::default(); GROUPS], 0);
        while row < self.rows.len() {
            let found = self.groups(row, &mut groups);
            let (places, groups) = (groups.map(|group| group.place), &mut groups[..found]);
            row = groups.last().map_or(self.rows.len(), |group| group.row + group.count);
            if gather {
                groups.iter_mut().enumerate().for_each(|(g, group)| group.place = g * 16 + group.place % 16);
            }
            let groups = &*groups;
            for from in (0..self.pairs.len()).step_by(CHUNK) {
                let chunk = from..(from + CHUNK).min(self.pairs.len());
                let count = look_up(self.pairs, chunk, self.slots.width(), padded(self.depth), &mut strips);
                if gather {
                    Gathered::take(&mut gathered, s, &mut strips[..count], &places[..found]);
                }
                let strips = &strips[..count];
                if !self.bias.is_empty() {
                    add_deltas(s, strips, groups, self.bias);
                }
                for first in (0..self.depth).step_by(COLUMNS) {
                    let columns = first..(first + COLUMNS).min(self.depth);
                    let part = Part { strips, columns, stride: self.depth };
                    if S::PORTABLE {
                        part.multiply_portable(groups, self.weight);
                        continue;
                    }
                    for group in groups {
                        part.multiply(s, group, &mut self.weight[group.row * self.depth..]);
                    }
                }
            }
        }
    }
}

/// Continues the sums of the deltas.
#[inline(always)]
fn add_deltas<S: Simd>(s: S, strips: &[Strip], groups: &[Group], bias: &mut [f32]) {
    for group in groups {
        for half in (0..group.count).step_by(S::LANES) {
            let lanes = (group.count - half).min(S::LANES);
            // SAFETY: `look_up` has checked the strips, within whose rows the group lies.
            unsafe {
                let to = bias[group.row + half..][..lanes].as_mut_ptr();
                let mut sum = s.load_up_to(to, lanes, 0.0);
                for strip in strips {
                    let from = strip.deltas.add(group.place + half);
                    for i in 0..strip.run.rows {
                        sum = s.add(sum, s.load_up_to(from.add(i * strip.run.delta_stride), lanes, 0.0));
                    }
                }
                s.store_up_to(to, lanes, sum);
            }
        }
    }
}

/// Where a tile begins.
#[derive(Clone, Copy)]
struct Place {
    /// Its first row's deltas within a stored row.
    place: usize,
    /// Its first column within the part.
    first: usize,
}

/// A chunk of m, in up to 64 columns.
struct Part<'a> {
    strips: &'a [Strip],
    columns: Range<usize>,
    /// Floats in a row of the weight gradient.
    stride: usize,
}

impl Part<'_> {
    /// Continues the sums of a group of rows of the gradient. A last vector that is at most half full goes by itself.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, group: &Group, weight: &mut [f32]) {
        let columns = self.columns.len();
        let (all, whole) = (columns.div_ceil(16), (columns + 7) / 16);
        for half in (0..16).step_by(S::LANES) {
            self.half(s, (0..whole, half), group, weight);
        }
        self.half(s.narrow(), (whole..all, 0), group, weight);
    }

    /// Some vectors of columns, or one half of each.
    #[inline(always)]
    fn half<S: Simd>(&self, s: S, (vectors, half): (Range<usize>, usize), group: &Group, weight: &mut [f32]) {
        let first = vectors.start * 16 + half;
        let width = vectors.len();
        if width == 0 {
            return;
        }
        let tiles = group.count.div_ceil(rows_of::<S>(width)).max(1);
        for i in 0..tiles {
            let (row, end) = (group.count * i / tiles, group.count * (i + 1) / tiles);
            let (place, weight) = (group.place + row, &mut weight[row * self.stride..]);
            self.tile(s, (end - row, width), Place { place, first }, weight);
        }
    }

    /// Continues the sums of some rows by some vectors.
    #[inline(always)]
    fn tile<S: Simd>(&self, s: S, (rows, width): (usize, usize), at: Place, weight: &mut [f32]) {
        let Place { place, first } = at;
        let out = weight[self.columns.start..][..(rows - 1) * self.stride + self.columns.len()].as_mut_ptr();
        let out = out.wrapping_add(first);
        let factors =
            Factors::Tokens { strips: self.strips, delta: place, input: self.columns.start + first };
        let mut tile = Tile {
            start: Starts::rows(out, self.stride, 16),
            factors: &[factors],
            out,
            out_row: self.stride,
        };
        // Columns of the matrix in the last vector.
        let lanes = self.columns.len().saturating_sub((width - 1) * 16 + first).min(S::LANES);
        // SAFETY: `weight` reaches to the last column of the last row, and no more lanes than columns are touched;
        // `look_up` has checked the strips.
        unsafe {
            if lanes == S::LANES {
                return multiply(s, rows, width, &tile);
            }
            let edge = Sums::new();
            let place = |r: usize, w: usize| edge.base().wrapping_add(r * Sums::ROW + w * 16);
            let lanes = |w: usize| if w + 1 == width { lanes } else { S::LANES };
            for (r, w) in (0..rows).flat_map(|r| (0..width).map(move |w| (r, w))) {
                let from = out.wrapping_add(r * self.stride + w * 16);
                s.store(place(r, w), s.load_up_to(from, lanes(w), 0.0));
            }
            tile.start = Starts::rows(edge.base(), Sums::ROW, 16);
            (tile.out, tile.out_row) = (edge.base(), Sums::ROW);
            multiply(s, rows, width, &tile);
            for (r, w) in (0..rows).flat_map(|r| (0..width).map(move |w| (r, w))) {
                let to = out.wrapping_add(r * self.stride + w * 16);
                s.store_up_to(to, lanes(w), s.load(place(r, w)));
            }
        }
    }

    /// Continues the sums of all groups, whose deltas are gathered, by one product for the whole chunk: `matrixmultiply`
    /// begins a sum anew in each call, so a call for each run would let the runs show in the sums.
    fn multiply_portable(&self, groups: &[Group], weight: &mut [f32]) {
        let Some(Strip { deltas, run, .. }) = self.strips.first() else { return };
        let columns = self.columns.len();
        let (mut inputs, mut rows) = ([[0.0; COLUMNS]; CHUNK], 0);
        for strip in self.strips {
            for i in 0..strip.run.rows {
                let from = strip.inputs.wrapping_add(i * strip.run.input_stride + self.columns.start);
                // SAFETY: `look_up` has checked the strips.
                inputs[rows][..columns]
                    .copy_from_slice(unsafe { core::slice::from_raw_parts(from, columns) });
                rows += 1;
            }
        }
        for Group { row, place, count } in groups {
            let out = &mut weight[row * self.stride + self.columns.start..];
            let out = out[..(count - 1) * self.stride + columns].as_mut_ptr();
            let (from, by) = (deltas.wrapping_add(*place), run.delta_stride as isize);
            let (x, x_by, stride) = (inputs.as_ptr().cast(), COLUMNS as isize, self.stride as isize);
            // SAFETY: the deltas of a chunk lie behind each other, and `out` reaches to the last column of the last row.
            unsafe {
                matrixmultiply::sgemm(
                    *count, rows, columns, 1.0, from, 1, by, x, x_by, 1, 1.0, out, stride, 1,
                );
            }
        }
    }
}

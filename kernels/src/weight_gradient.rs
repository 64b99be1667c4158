//! The gradient of a weight matrix: one product for the whole window, after the time loop.
//!
//! ```text
//! dW[n][k] = sum over m of delta[m][n] x[m][k]       m = (step, row) ascending, one FMA chain per element
//! db[n]    = sum over m of delta[m][n]               likewise
//! ```
//!
//! 1. A call computes some rows n of dW, so that threads divide outputs and never a sum.
//! 2. m is walked in chunks. Between chunks the sums wait in dW itself, so each chain goes on where it stopped.
//! 3. On AVX2 the deltas and inputs of a chunk are copied side by side (`side_by_side.rs`): in place they lie kilobytes apart,
//!    and rows that are a power of two apart push each other out of the caches. Sixteen deltas and a vector of inputs of each
//!    m stay in the first-level cache while a tile multiplies them; all deltas of the chunk stay in the second. AVX-512, whose
//!    tiles are wider, reads them in place unless rows are long (`FAR`).
//! 4. The tile broadcasts a delta and multiplies neighboring inputs, so dW is written in PyTorch's row-major order directly.
//! 5. On the portable backend `matrixmultiply` takes each chunk's product.

use crate::bias_gradient::add_deltas;
use crate::dispatch::Isa;
use crate::microkernel::{Factors, Starts, Sums, Tile, multiply};
use crate::pack::{Slots, padded, product};
use crate::processor::caches;
use crate::side_by_side::{GROUP, Gathered, Strip, look_up};
use crate::simd::{Kernel, Simd};
use crate::tile_shapes::rows_of;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Rows of dW that make a task of fair size.
pub const ROWS: usize = 192;
/// The most values of m walked at a time.
pub(crate) const CHUNK: usize = 256;
/// Groups of up to sixteen rows walked together.
pub(crate) const GROUPS: usize = ROWS / 16;
/// AVX-512 copies deltas whose stored rows are at least so many floats long, and then also inputs of at least so many columns.
const FAR: usize = 1024;
/// The most vectors of a tile.
pub(crate) const VECTORS: usize = 4;

/// How a chunk is read.
#[derive(Clone, Copy)]
struct Walk {
    /// Values of m in a chunk.
    chunk: usize,
    /// Whether deltas are copied side by side, and whether inputs are.
    deltas: bool,
    inputs: bool,
}

impl Walk {
    /// For stored rows of `width` floats and inputs of `depth` columns.
    #[inline(always)]
    fn of<S: Simd>(width: usize, depth: usize) -> Self {
        if S::REGISTERS > 1 {
            return Self { chunk: Self::fitting(caches().first), deltas: true, inputs: true };
        }
        // `matrixmultiply` starts a new sum in each call. So the portable backend's chunks must be equal on all machines.
        let deltas = S::PORTABLE || width >= FAR;
        Self { chunk: CHUNK, deltas, inputs: S::PORTABLE || deltas && depth >= FAR }
    }

    /// So many that sixteen deltas and a vector of inputs of each take two thirds of a first-level cache of `bytes` bytes.
    fn fitting(bytes: usize) -> usize {
        let rows = bytes * 2 / 3 / (2 * 16 * size_of::<f32>());
        (rows / 32 * 32).clamp(64, CHUNK)
    }
}

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
pub(crate) struct Group {
    /// The first row, counted within the call.
    pub(crate) row: usize,
    /// Where its deltas lie in a stored row.
    pub(crate) place: usize,
    /// How many rows, 1 to 16.
    pub(crate) count: usize,
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
            isa.run_rows(usize::MAX, self);
        }
    }

    /// The next groups from row `row` of the call on, as many as are walked together.
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
    fn run<S: Simd>(mut self, s: S) {
        let walk = Walk::of::<S>(self.slots.width(), self.depth);
        let (mut strips, mut groups, mut row) = ([Strip::EMPTY; CHUNK], [Group::default(); GROUPS], 0);
        let mut gathered = MaybeUninit::uninit();
        while row < self.rows.len() {
            let found = self.groups(row, &mut groups);
            let groups = &groups[..found];
            row = groups.last().map_or(self.rows.len(), |group| group.row + group.count);
            for from in (0..self.pairs.len()).step_by(walk.chunk) {
                let chunk = from..(from + walk.chunk).min(self.pairs.len());
                let count = look_up(self.pairs, chunk, self.slots.width(), padded(self.depth), &mut strips);
                self.multiply(s, walk, groups, &mut strips[..count], &mut gathered);
            }
        }
    }
}

impl WeightGradient<'_> {
    /// Continues the sums of some groups over a chunk of m.
    #[inline(always)]
    fn multiply<S: Simd>(
        &mut self,
        s: S,
        walk: Walk,
        groups: &[Group],
        strips: &mut [Strip],
        gathered: &mut MaybeUninit<Gathered>,
    ) {
        let mut moved = [Group::default(); GROUPS];
        let moved = &mut moved[..groups.len()];
        moved.copy_from_slice(groups);
        if walk.deltas {
            Gathered::take_deltas(gathered, s, strips, groups.iter().map(|group| group.place));
            moved.iter_mut().enumerate().for_each(|(g, group)| group.place = g * GROUP + group.place % 16);
        }
        if !self.bias.is_empty() {
            add_deltas(s, strips, moved, self.bias);
        }
        for columns in tiles_of::<S>(self.depth) {
            let joined;
            let (strips, input) = if walk.inputs {
                joined = [Gathered::take_inputs(gathered, s, strips, columns.clone())];
                (&joined[..], 0)
            } else {
                (&*strips, columns.start)
            };
            let part = Part { strips, input, columns, stride: self.depth };
            for group in &*moved {
                part.multiply(s, group, &mut self.weight[group.row * self.depth..]);
            }
        }
    }
}

/// Divides the columns among tiles of nearly equal width: on AVX2 of one vector, and otherwise of up to four.
#[inline(always)]
fn tiles_of<S: Simd>(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let vectors = depth.div_ceil(16);
    let count = vectors.div_ceil(if S::REGISTERS > 1 { 1 } else { VECTORS });
    let bound = move |i: usize| if S::PORTABLE { i * 64 } else { vectors * i / count * 16 }.min(depth);
    (0..count).map(move |i| bound(i)..bound(i + 1))
}

/// Where a tile begins.
#[derive(Clone, Copy)]
struct Place {
    /// Its first row's deltas within a stored row.
    delta: usize,
    /// Its first column within the part.
    first: usize,
}

/// A chunk of m, in the columns of one tile.
struct Part<'a> {
    strips: &'a [Strip],
    /// The first column within an input vector.
    input: usize,
    columns: Range<usize>,
    /// Floats in a row of the weight gradient.
    stride: usize,
}

impl Part<'_> {
    /// Continues the sums of a group of rows of the gradient. A last vector that is at most half full goes by itself.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, group: &Group, weight: &mut [f32]) {
        if S::PORTABLE {
            return self.multiply_portable(group, weight);
        }
        let columns = self.columns.len();
        let (all, whole) = (columns.div_ceil(16), (columns + 7) / 16);
        self.vectors(s, 0..whole, group, weight);
        self.vectors(s.narrow(), whole..all, group, weight);
    }

    /// Some vectors of columns.
    #[inline(always)]
    fn vectors<S: Simd>(&self, s: S, vectors: Range<usize>, group: &Group, weight: &mut [f32]) {
        if vectors.is_empty() {
            return;
        }
        let tiles = group.count.div_ceil(rows_of::<S>(vectors.len())).max(1);
        for i in 0..tiles {
            let (row, end) = (group.count * i / tiles, group.count * (i + 1) / tiles);
            let place = Place { delta: group.place + row, first: vectors.start * 16 };
            self.tile(s, (end - row, vectors.len()), place, &mut weight[row * self.stride..]);
        }
    }

    /// Continues the sums of some rows by some vectors.
    #[inline(always)]
    fn tile<S: Simd>(&self, s: S, (rows, width): (usize, usize), at: Place, weight: &mut [f32]) {
        let Place { delta, first } = at;
        let out = weight[self.columns.start..][..(rows - 1) * self.stride + self.columns.len()].as_mut_ptr();
        let out = out.wrapping_add(first);
        let mut tile = Tile {
            start: Starts::rows(out, self.stride, 16),
            factors: &[Factors::Tokens { strips: self.strips, delta, input: self.input + first }],
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

    /// Continues the sums of a group by one product for the whole chunk. `matrixmultiply` starts a new sum in each call, so with
    /// one call for each run the sums would depend on the runs.
    fn multiply_portable(&self, group: &Group, weight: &mut [f32]) {
        let [Strip { deltas, inputs, run }] = *self.strips else { return };
        let columns = self.columns.len();
        let out = weight[self.columns.start..][..(group.count - 1) * self.stride + columns].as_mut_ptr();
        let (from, by) = (deltas.wrapping_add(group.place), run.delta_stride as isize);
        let (x_by, stride) = (run.input_stride as isize, self.stride as isize);
        // SAFETY: deltas and inputs lie side by side, and `out` reaches to the last column of the last row.
        unsafe {
            matrixmultiply::sgemm(
                group.count,
                run.rows,
                columns,
                1.0,
                from,
                1,
                by,
                inputs,
                x_by,
                1,
                1.0,
                out,
                stride,
                1,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Walk;

    #[test]
    fn chunks_follow_the_first_level_cache() {
        assert_eq!([0, 16 << 10, 32 << 10, 48 << 10, 1 << 20].map(Walk::fitting), [64, 64, 160, 256, 256]);
    }
}

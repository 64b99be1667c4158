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
use crate::microkernel::{Factors, Tile, TileStart, TileSums, multiply};
use crate::pack::{Slots, padded, product};
use crate::pairs::Pairs;
use crate::processor::caches;
use crate::row_group::RowGroup;
use crate::side_by_side::{CHUNK, GROUP_STRIDE, GROUPS, SideBySide, Strip, VECTORS, look_up};
use crate::simd::{Kernel, Simd};
use crate::tile_shapes::rows_of;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Rows of dW that make a task of fair size.
pub const ROWS: usize = GROUPS * 16;
/// AVX-512 copies deltas whose stored rows are at least so many floats long, and then also inputs of at least so many columns.
const FAR: usize = 1024;

/// How a chunk is read.
#[derive(Clone, Copy)]
struct ReadPlan {
    /// Values of m in a chunk.
    chunk: usize,
    /// Whether deltas are copied side by side, and whether inputs are.
    deltas: bool,
    inputs: bool,
}

impl ReadPlan {
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
}

impl Kernel for WeightGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let walk = ReadPlan::of::<S>(self.slots.width(), self.depth);
        let (mut strips, mut groups, mut row) = ([Strip::EMPTY; CHUNK], [RowGroup::default(); GROUPS], 0);
        let mut beside = MaybeUninit::uninit();
        while row < self.rows.len() {
            let rest = self.rows.start + row..self.rows.end;
            let groups = RowGroup::fill(&mut groups, self.slots, rest, self.rows.start);
            row = groups.last().map_or(self.rows.len(), |group| group.row + group.count);
            for from in (0..self.pairs.len()).step_by(walk.chunk) {
                let chunk = from..(from + walk.chunk).min(self.pairs.len());
                let count = look_up(self.pairs, chunk, self.slots.width(), padded(self.depth), &mut strips);
                self.multiply(s, walk, groups, &mut strips[..count], &mut beside);
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
        walk: ReadPlan,
        groups: &[RowGroup],
        strips: &mut [Strip],
        beside: &mut MaybeUninit<SideBySide>,
    ) {
        let mut moved = [RowGroup::default(); GROUPS];
        let moved = &mut moved[..groups.len()];
        moved.copy_from_slice(groups);
        if walk.deltas {
            SideBySide::take_deltas(beside, s, strips, groups.iter().map(|group| group.place));
            moved
                .iter_mut()
                .enumerate()
                .for_each(|(g, group)| group.place = g * GROUP_STRIDE + group.place % 16);
        }
        if !self.bias.is_empty() {
            add_deltas(s, strips, moved, self.bias);
        }
        for columns in tiles_of::<S>(self.depth) {
            let joined;
            let (strips, input) = if walk.inputs {
                joined = [SideBySide::take_inputs(beside, s, strips, columns.clone())];
                (&joined[..], 0)
            } else {
                (&*strips, columns.start)
            };
            let part = TileColumns { strips, input, columns, stride: self.depth };
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
struct TileOrigin {
    /// Its first row's deltas within a stored row.
    delta: usize,
    /// Its first column within the part.
    first: usize,
}

/// A chunk of m, in the columns of one tile.
struct TileColumns<'a> {
    strips: &'a [Strip],
    /// The first column within an input vector.
    input: usize,
    columns: Range<usize>,
    /// Floats in a row of the weight gradient.
    stride: usize,
}

impl TileColumns<'_> {
    /// Continues the sums of a group of rows of the gradient. A last vector that is at most half full goes by itself.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, group: &RowGroup, weight: &mut [f32]) {
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
    fn vectors<S: Simd>(&self, s: S, vectors: Range<usize>, group: &RowGroup, weight: &mut [f32]) {
        if vectors.is_empty() {
            return;
        }
        let tiles = group.count.div_ceil(rows_of::<S>(vectors.len())).max(1);
        for i in 0..tiles {
            let (row, end) = (group.count * i / tiles, group.count * (i + 1) / tiles);
            let place = TileOrigin { delta: group.place + row, first: vectors.start * 16 };
            self.tile(s, (end - row, vectors.len()), place, &mut weight[row * self.stride..]);
        }
    }

    /// Continues the sums of some rows by some vectors.
    #[inline(always)]
    fn tile<S: Simd>(&self, s: S, (rows, width): (usize, usize), at: TileOrigin, weight: &mut [f32]) {
        let TileOrigin { delta, first } = at;
        let out = weight[self.columns.start..][..(rows - 1) * self.stride + self.columns.len()].as_mut_ptr();
        let out = out.wrapping_add(first);
        let mut tile = Tile {
            start: TileStart::rows(out, self.stride, 16),
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
            let edge = TileSums::new();
            let place = |r: usize, w: usize| edge.base().wrapping_add(r * TileSums::ROW + w * 16);
            let lanes = |w: usize| if w + 1 == width { lanes } else { S::LANES };
            for (r, w) in (0..rows).flat_map(|r| (0..width).map(move |w| (r, w))) {
                let from = out.wrapping_add(r * self.stride + w * 16);
                s.store(place(r, w), s.load_up_to(from, lanes(w), 0.0));
            }
            tile.start = TileStart::rows(edge.base(), TileSums::ROW, 16);
            (tile.out, tile.out_row) = (edge.base(), TileSums::ROW);
            multiply(s, rows, width, &tile);
            for (r, w) in (0..rows).flat_map(|r| (0..width).map(move |w| (r, w))) {
                let to = out.wrapping_add(r * self.stride + w * 16);
                s.store_up_to(to, lanes(w), s.load(place(r, w)));
            }
        }
    }

    /// Continues the sums of a group by one product for the whole chunk. `matrixmultiply` starts a new sum in each call, so with
    /// one call for each run the sums would depend on the runs.
    fn multiply_portable(&self, group: &RowGroup, weight: &mut [f32]) {
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
    use super::ReadPlan;

    #[test]
    fn chunks_follow_the_first_level_cache() {
        assert_eq!(
            [0, 16 << 10, 32 << 10, 48 << 10, 1 << 20].map(ReadPlan::fitting),
            [64, 64, 160, 256, 256]
        );
    }
}

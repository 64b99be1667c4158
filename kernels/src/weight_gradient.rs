//! The gradient of a weight matrix: one product for the whole window, after the time loop.
//!
//! ```text
//! dW[n][k] = sum over m of delta[m][n] x[m][k]       m = (step, row) ascending
//! db[n]    = sum over m of delta[m][n]
//! ```
//!
//! 1. Each element is one FMA chain, each db one chain of additions.
//! 2. A call computes some rows n of dW. So threads divide outputs and never a sum.
//! 3. m is walked in chunks. Between chunks the sums wait in dW, and each chain continues from
//!    there.
//! 4. On AVX2 the deltas and inputs of a chunk are copied side by side (`side_by_side.rs`). In
//!    place they are kilobytes apart, and rows a power of two apart evict each other from the
//!    caches. Sixteen deltas and a vector of inputs of each m stay in the first-level cache while a
//!    tile multiplies them. All deltas of the chunk stay in the second-level cache.
//! 5. AVX-512 has wider tiles and reads deltas and inputs in place, unless rows are long (`FAR`).
//! 6. The tile broadcasts a delta and multiplies neighboring inputs. So dW is written directly in
//!    PyTorch's row-major order.
//! 7. In bf16, deltas and inputs are always copied side by side, as pairs of two tokens: m = 2 j in
//!    the low half of a word, and m = 2 j + 1 in its high half. Chunks have an even number of tokens.
//!    The bias gradient sums f32 deltas. On backends with tiles, chunks have a multiple of 32 tokens;
//!    zeros fill the last one.
//! 8. On the portable backend `matrixmultiply` computes each chunk's product of f32 values.

use crate::bias_gradient::add_deltas;
use crate::isa::Isa;
use crate::microkernel::{Factors, Tile, TileStart, TileSums, multiply};
use crate::pack::{Slots, check_len, padded, product};
use crate::pairs::Pairs;
use crate::processor::caches;
use crate::row_group::RowGroup;
use crate::side_by_side::{CHUNK, GROUP_STRIDE, GROUPS, SideBySide, Strip, VECTORS, look_up};
use crate::simd::{Kernel, Simd};
use crate::tile_shapes::rows_of;
use core::mem::MaybeUninit;
use core::ops::Range;

/// A good number of rows of dW for one task.
pub const ROWS: usize = GROUPS * 16;
/// AVX-512 copies deltas side by side if their stored rows have at least this many floats, and then
/// also inputs with at least this many columns.
const FAR: usize = 1024;

/// The way to read a chunk.
#[derive(Clone, Copy)]
struct ReadPlan {
    /// Values of m in a chunk.
    chunk: usize,
    /// True if deltas are copied side by side.
    deltas: bool,
    /// True if inputs are copied side by side.
    inputs: bool,
}

impl ReadPlan {
    /// Returns the plan for stored rows of `width` floats and inputs of `depth` columns.
    #[inline(always)]
    fn of<S: Simd>(width: usize, depth: usize) -> Self {
        if S::REGISTERS > 1 || S::TERMS > 1 {
            return Self { chunk: Self::fitting(caches().first), deltas: true, inputs: true };
        }
        // `matrixmultiply` starts a new sum in each call. So the chunks of the portable backend
        // must be equal on all machines.
        let deltas = S::PORTABLE || width >= FAR;
        Self { chunk: CHUNK, deltas, inputs: S::PORTABLE || deltas && depth >= FAR }
    }

    /// Returns how many m fit: sixteen deltas and a vector of inputs of each fill two thirds of a
    /// first-level cache of `bytes` bytes.
    fn fitting(bytes: usize) -> usize {
        let rows = bytes * 2 / 3 / (2 * 16 * size_of::<f32>());
        (rows / 32 * 32).clamp(64, CHUNK)
    }
}

/// Some rows of a weight gradient.
pub struct WeightGradient<'a> {
    /// Deltas and inputs.
    pub pairs: &'a dyn Pairs,
    /// The places of this matrix's deltas in a stored row.
    pub slots: &'a Slots,
    /// Number of columns (K) of the matrix.
    pub depth: usize,
    /// Rows of the matrix to compute.
    pub rows: Range<usize>,
    /// True if the sums continue from the values of `weight` and `bias`; false if they start from
    /// zero.
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
    /// If a slice has the wrong length, or the slots do not fit in a stored row.
    pub fn run_on(self, isa: Isa) {
        self.slots.check();
        let gates = self.slots.gates.iter().max().map_or(0, |gate| gate.saturating_add(1));
        let (end, all) = (self.rows.end, product([gates, self.slots.hidden]));
        assert!(end <= all, "the rows end at {end}, expected at most {all}");
        check_len("the weight gradient", self.weight.len(), product([self.rows.len(), self.depth]));
        let (found, expected) = (self.bias.len(), self.rows.len());
        assert!(
            found == 0 || found == expected,
            "the bias gradient has length {found}, expected {expected} or 0"
        );
        if !self.continues {
            self.weight.fill(0.0);
            self.bias.fill(0.0);
        }
        if !self.rows.is_empty() {
            isa.run_words(usize::MAX, self);
        }
    }
}

impl Kernel for WeightGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let plan = ReadPlan::of::<S>(self.slots.width(), self.depth);
        let (mut strips, mut groups, mut row) = ([Strip::EMPTY; CHUNK], [RowGroup::default(); GROUPS], 0);
        let mut beside = MaybeUninit::uninit();
        while row < self.rows.len() {
            let rest = self.rows.start + row..self.rows.end;
            let groups = RowGroup::fill(&mut groups, self.slots, rest, self.rows.start);
            row = groups.last().map_or(self.rows.len(), |group| group.row + group.count);
            for from in (0..self.pairs.len()).step_by(plan.chunk) {
                let chunk = from..(from + plan.chunk).min(self.pairs.len());
                let count = look_up(self.pairs, chunk, self.slots.width(), padded(self.depth), &mut strips);
                self.multiply(s, plan, groups, &mut strips[..count], &mut beside);
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
        plan: ReadPlan,
        groups: &[RowGroup],
        strips: &mut [Strip],
        beside: &mut MaybeUninit<SideBySide>,
    ) {
        let mut moved = [RowGroup::default(); GROUPS];
        let moved = &mut moved[..groups.len()];
        moved.copy_from_slice(groups);
        if S::TERMS > 1 {
            if !self.bias.is_empty() {
                add_deltas(s, strips, groups, self.bias);
            }
            SideBySide::pair_deltas(beside, s, strips, groups.iter().map(|group| group.place));
        } else if plan.deltas {
            SideBySide::copy_deltas(beside, s, strips, groups.iter().map(|group| group.place));
        }
        if plan.deltas {
            moved
                .iter_mut()
                .enumerate()
                .for_each(|(g, group)| group.place = g * GROUP_STRIDE + group.place % 16);
        }
        if S::TERMS == 1 && !self.bias.is_empty() {
            add_deltas(s, strips, moved, self.bias);
        }
        for columns in tiles_of::<S>(self.depth) {
            let joined;
            let (strips, input) = if plan.inputs {
                joined = [match S::TERMS {
                    1 => SideBySide::copy_inputs(beside, s, strips, columns.clone()),
                    _ => SideBySide::pair_inputs(beside, s, strips, columns.clone()),
                }];
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

/// Divides the columns among tiles of nearly equal width: one vector on AVX2, otherwise up to four.
#[inline(always)]
fn tiles_of<S: Simd>(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let vectors = depth.div_ceil(16);
    let count = vectors.div_ceil(if S::REGISTERS > 1 { 1 } else { VECTORS });
    let bound = move |i: usize| if S::PORTABLE { i * 64 } else { vectors * i / count * 16 }.min(depth);
    (0..count).map(move |i| bound(i)..bound(i + 1))
}

/// The origin of a tile.
#[derive(Clone, Copy)]
struct TileOrigin {
    /// The deltas of its first row within a stored row.
    delta: usize,
    /// Its first column within the columns of the chunk.
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
    /// Continues the sums of a group of rows of the gradient. A last vector that is at most half
    /// full is a separate tile, except on backends with tiles.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, group: &RowGroup, weight: &mut [f32]) {
        if S::PORTABLE && S::TERMS == 1 {
            return self.multiply_portable(group, weight);
        }
        let columns = self.columns.len();
        let all = columns.div_ceil(16);
        let whole = if S::TILES { all } else { (columns + 7) / 16 };
        self.vectors(s, 0..whole, group, weight);
        self.vectors(s.narrow(), whole..all, group, weight);
    }

    /// Continues the sums of a group for some vectors of columns.
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

    /// Continues the sums of some rows by some vectors: one tile.
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
        // The columns of the matrix in the last vector.
        let lanes = self.columns.len().saturating_sub((width - 1) * 16 + first).min(S::LANES);
        // SAFETY: `weight` reaches to the last column of the last row, and no lanes beyond the
        // columns are touched; `look_up` has checked the strips.
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

    /// Continues the sums of a group by one product for the whole chunk. `matrixmultiply` starts a
    /// new sum in each call, so with one call for each run the sums would depend on the runs.
    fn multiply_portable(&self, group: &RowGroup, weight: &mut [f32]) {
        let [Strip { deltas, inputs, run }] = *self.strips else { return };
        let columns = self.columns.len();
        let out = weight[self.columns.start..][..(group.count - 1) * self.stride + columns].as_mut_ptr();
        let (from, by) = (deltas.wrapping_add(group.place), run.delta_stride as isize);
        let (x_by, stride) = (run.input_stride as isize, self.stride as isize);
        // SAFETY: deltas and inputs are side by side, and `out` reaches to the last column of the
        // last row.
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
    fn chunks_fit_the_first_level_cache() {
        assert_eq!(
            [0, 16 << 10, 32 << 10, 48 << 10, 1 << 20].map(ReadPlan::fitting),
            [64, 64, 160, 256, 256]
        );
    }
}

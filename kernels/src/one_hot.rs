//! One-hot inputs: a table lookup instead of a product.
//!
//! ```text
//! table[d] = bias + column symbol(d) of W                                     forward
//! table[id(m)][n] = table[id(m)][n] + delta[m][n],  sum[n] = sum[n] + delta[m][n]     backward
//! ```
//!
//! A table has one stored row (see [`crate::pack`]) for each symbol of the window, including the
//! summed bias. The gradient of a symbol's column is summed in the same row.

use crate::denormals::flush;
use crate::isa::Isa;
use crate::pack::{Slots, check_len};
use crate::pairs::{Pairs, runs};
use crate::simd::{Kernel, Simd};
use core::ops::Range;

/// Adds to each stored row of `table` [D, stored] the weights of symbol `symbols[d]`: a column of
/// `weight` [G * H, V]. The rows start as the summed bias.
///
/// # Panics
/// If a slice has the wrong length, or a symbol is not below V.
pub fn add_columns(weight: &[f32], vocabulary: usize, slots: &Slots, symbols: &[u32], table: &mut [f32]) {
    check_len("the one-hot input weight", weight.len(), slots.depth() * vocabulary);
    check_len("the table", table.len(), symbols.len() * slots.width());
    flush(|| add_groups(weight, vocabulary, slots, symbols, table));
}

/// Adds the columns, one group of neighboring rows of the matrix after another.
fn add_groups(weight: &[f32], vocabulary: usize, slots: &Slots, symbols: &[u32], table: &mut [f32]) {
    for (group, place) in slots.groups(0..slots.depth()) {
        let (rows, weight) = (group.len(), &weight[group.start * vocabulary..group.end * vocabulary]);
        let table = symbols.iter().zip(table.chunks_exact_mut(slots.width()));
        let table = table.map(|(symbol, row)| (*symbol as usize, &mut row[place..][..rows]));
        if rows == 16 {
            add_block(weight, vocabulary, table);
            continue;
        }
        for (symbol, to) in table {
            to.iter_mut().enumerate().for_each(|(lane, to)| *to += weight[lane * vocabulary + symbol]);
        }
    }
}

/// Adds the columns of a whole block of rows.
fn add_block<'a>(weight: &[f32], vocabulary: usize, table: impl Iterator<Item = (usize, &'a mut [f32])>) {
    let rows: [&[f32]; 16] = core::array::from_fn(|lane| &weight[lane * vocabulary..][..vocabulary]);
    for (symbol, to) in table {
        let column: [f32; 16] = core::array::from_fn(|lane| rows[lane][symbol]);
        to.iter_mut().zip(column).for_each(|(to, weight)| *to += weight);
    }
}

/// The inverse of [`add_columns`], for gradients: row d of a table becomes column `symbols[d]` of a
/// weight matrix [G * H, V].
#[derive(Clone, Copy, Debug)]
pub struct TakeColumns<'a> {
    /// [D, columns] for each `strip` columns of a stored row, and for the rest of the columns.
    pub table: &'a [f32],
    /// Columns of a strip, a multiple of sixteen.
    pub strip: usize,
    /// Size of the vocabulary (V).
    pub vocabulary: usize,
    /// The places of the matrix rows in a stored row.
    pub slots: &'a Slots,
    /// `[D]`, each symbol once. The columns of other symbols become zero.
    pub symbols: &'a [u32],
}

impl TakeColumns<'_> {
    /// Writes some rows of the matrix, `weight` [rows, V].
    ///
    /// # Panics
    /// If a slice has the wrong length, or a symbol is not below V.
    pub fn run(&self, rows: Range<usize>, weight: &mut [f32]) {
        let Self { table, strip, vocabulary, slots, symbols } = *self;
        check_len("the one-hot input weight", weight.len(), rows.len() * vocabulary);
        check_len("the table", table.len(), symbols.len() * slots.width());
        assert!(
            strip > 0 && strip.is_multiple_of(16),
            "strip is {strip}, expected a multiple of 16, at least 16"
        );
        if symbols.len() < vocabulary {
            weight.fill(0.0);
        }
        for (group, place) in slots.groups(rows.clone()) {
            let weight = &mut weight[(group.start - rows.start) * vocabulary..];
            let before = place - place % strip;
            let columns = strip.min(slots.width() - before);
            let values = &table[before * symbols.len()..][..columns * symbols.len()];
            for (lane, to) in weight.chunks_exact_mut(vocabulary).take(group.len()).enumerate() {
                let column = values.iter().skip(place % strip + lane).step_by(columns);
                symbols.iter().zip(column).for_each(|(symbol, from)| to[*symbol as usize] = *from);
            }
        }
    }
}

/// Adds the deltas of each token to the table row of its symbol, for some columns of the stored
/// row, m ascending.
pub struct Scatter<'a> {
    /// The deltas. The inputs are not read.
    pub pairs: &'a dyn Pairs,
    /// The table row of each m.
    pub ids: &'a [u32],
    /// The columns; their number is a multiple of sixteen.
    pub columns: Range<usize>,
    /// [D, columns], overwritten.
    pub table: &'a mut [f32],
    /// `[columns]`, overwritten: the gradient of the bias.
    pub sum: &'a mut [f32],
}

impl Scatter<'_> {
    /// Adds the deltas of all tokens.
    ///
    /// # Panics
    /// If a slice has the wrong length, or an id is not a row of the table.
    pub fn run_on(self, isa: Isa) {
        let width = self.columns.len();
        assert!(width.is_multiple_of(16), "{width} columns, expected a multiple of 16");
        check_len("sum", self.sum.len(), width);
        check_len("ids", self.ids.len(), self.pairs.len());
        self.table.fill(0.0);
        isa.run_rows(usize::MAX, self);
    }
}

impl Kernel for Scatter<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (mut column, whole) = (0, SUMS * S::LANES);
        while column < self.columns.len() {
            if self.columns.len() - column >= whole {
                self.sum_columns::<S, SUMS>(s, column);
                column += whole;
            } else {
                self.sum_columns::<S, 1>(s, column);
                column += S::LANES;
            }
        }
    }
}

/// Number of vectors of the bias's gradient that are summed in registers.
const SUMS: usize = 4;

impl Scatter<'_> {
    /// Adds W vectors of columns, from `column` of this call on.
    #[inline(always)]
    fn sum_columns<S: Simd, const W: usize>(&mut self, s: S, column: usize) {
        let (width, lanes) = (self.columns.len(), W * S::LANES);
        let mut sums = [s.splat(0.0); W];
        for (m, run) in runs(self.pairs, 0..self.ids.len()) {
            let deltas = self.pairs.delta(m);
            for (i, id) in self.ids[m..][..run.rows].iter().enumerate() {
                let delta = deltas[i * run.delta_stride..][self.columns.clone()][column..][..lanes].as_ptr();
                let row = self.table[*id as usize * width..][column..][..lanes].as_mut_ptr();
                for (w, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `delta` and `row` come from slices of W vectors.
                    unsafe {
                        let (delta, to) = (s.load(delta.add(w * S::LANES)), row.add(w * S::LANES));
                        s.store(to, s.add(s.load(to), delta));
                        *sum = s.add(*sum, delta);
                    }
                }
            }
        }
        for (sum, to) in sums.into_iter().zip(self.sum[column..][..lanes].chunks_exact_mut(S::LANES)) {
            // SAFETY: `to` has the floats of a vector.
            unsafe { s.store(to.as_mut_ptr(), sum) };
        }
    }
}

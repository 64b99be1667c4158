//! The first layer multiplies nothing: a symbol's input product is a row of a table, and its gradient is added up there.
//!
//! A table has one stored row (see [`crate::pack`]) for each symbol of the window, the summed bias included.

use crate::dispatch::Isa;
use crate::gemm::{Pairs, runs};
use crate::pack::Slots;
use crate::simd::{Kernel, Simd};
use core::ops::Range;

/// Adds to each stored row of `table` [D, stored] the weights of one-hot input number `symbols[d]`: a column of
/// `weight` [G * H, V]. The rows start as the summed bias.
///
/// # Panics
/// When a slice has not the stated length or a symbol is not below V.
pub fn add_columns(weight: &[f32], vocabulary: usize, slots: &Slots, symbols: &[u32], table: &mut [f32]) {
    assert_eq!(weight.len(), slots.depth() * vocabulary, "one-hot input weights");
    assert_eq!(table.len(), symbols.len() * slots.width(), "table of {} symbols", symbols.len());
    for first in (0..slots.depth()).step_by(16) {
        for (symbol, to) in symbols.iter().zip(table.chunks_exact_mut(slots.width())) {
            for row in first..(first + 16).min(slots.depth()) {
                to[slots.place(row)] += weight[row * vocabulary + *symbol as usize];
            }
        }
    }
}

/// The inverse for gradients: writes column `symbols[d]` of `weight` [G * H, V] from row d of `table`.
///
/// # Panics
/// When a slice has not the stated length or a symbol is not below V.
pub fn take_columns(table: &[f32], vocabulary: usize, slots: &Slots, symbols: &[u32], weight: &mut [f32]) {
    assert_eq!(weight.len(), slots.depth() * vocabulary, "one-hot input weights");
    assert_eq!(table.len(), symbols.len() * slots.width(), "table of {} symbols", symbols.len());
    weight.fill(0.0);
    for (row, to) in weight.chunks_exact_mut(vocabulary).enumerate() {
        let place = slots.place(row);
        for (symbol, from) in symbols.iter().zip(table.chunks_exact(slots.width())) {
            to[*symbol as usize] = from[place];
        }
    }
}

/// Adds the deltas of each token to the table row of its symbol, for some columns of the stored row.
///
/// ```text
/// table[id(m)][n] = table[id(m)][n] + delta[m][n],  sum[n] = sum[n] + delta[m][n]       m ascending
/// ```
pub struct Scatter<'a> {
    /// Whose deltas are added; the inputs are not read.
    pub pairs: &'a dyn Pairs,
    /// The table row of each m.
    pub ids: &'a [u32],
    /// The columns, a multiple of sixteen.
    pub columns: Range<usize>,
    /// [D, columns], overwritten.
    pub table: &'a mut [f32],
    /// `[columns]`, overwritten: the gradient of the bias.
    pub sum: &'a mut [f32],
}

impl Scatter<'_> {
    /// Adds up all tokens.
    ///
    /// # Panics
    /// When a slice has not the stated length or an id is no row of the table.
    pub fn run_on(self, isa: Isa) {
        let width = self.columns.len();
        assert!(width.is_multiple_of(16) && self.sum.len() == width, "{width} columns");
        assert_eq!(self.ids.len(), self.pairs.len(), "an id for each token");
        self.table.fill(0.0);
        self.sum.fill(0.0);
        isa.run(self);
    }
}

impl Kernel for Scatter<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.columns.len();
        for (m, run) in runs(self.pairs, 0..self.ids.len()) {
            let deltas = self.pairs.delta(m);
            for (i, id) in self.ids[m..][..run.rows].iter().enumerate() {
                let delta = &deltas[i * run.delta_stride..][self.columns.clone()];
                add_to(s, &mut self.table[*id as usize * width..][..width], delta);
                add_to(s, self.sum, delta);
            }
        }
    }
}

/// to = to + from, both of a multiple of sixteen floats.
#[inline(always)]
fn add_to<S: Simd>(s: S, to: &mut [f32], from: &[f32]) {
    assert!(to.len() == from.len() && to.len().is_multiple_of(16));
    for i in (0..to.len()).step_by(S::LANES) {
        // SAFETY: i + LANES <= len, for a multiple of sixteen.
        unsafe {
            let at = to.as_mut_ptr().add(i);
            s.store(at, s.add(s.load(at), s.load(from.as_ptr().add(i))));
        }
    }
}

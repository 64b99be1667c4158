//! Slots: the places of gate values in a stored row.

use super::sizes::{depth_of, padded, product};
use core::ops::Range;

/// The gates that a weight matrix feeds, and the places of their values in a stored row
/// `[block][slot][16]`.
///
/// `gates` lists, slot after slot from `first` on, the gate's number in PyTorch's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Hidden width (H).
    pub hidden: usize,
    /// Slots per unit in a stored row.
    pub stored: usize,
    /// The first slot that this matrix feeds.
    pub first: usize,
    /// PyTorch's gate in each slot from there on.
    pub gates: &'static [usize],
}

impl Slots {
    /// Returns the slots of a row of plain values: one slot, one gate.
    pub fn plain(width: usize) -> Self {
        Self { hidden: width, stored: 1, first: 0, gates: &[0] }
    }

    /// Checks that the gates have slots, and that a stored row fits in memory.
    pub(crate) fn check(&self) {
        let fit = self.stored <= 4 && self.gates.len() <= self.stored.saturating_sub(self.first);
        assert!(fit, "more gates than slots: {self:?}");
        product([self.hidden.saturating_add(15), self.stored, size_of::<f32>()]);
    }

    /// Returns the floats in a stored row.
    pub fn width(&self) -> usize {
        padded(self.hidden) * self.stored
    }

    /// Returns the number of values of k in a product over these slots: H for each gate.
    pub fn depth(&self) -> usize {
        self.hidden * self.gates.len()
    }

    /// Returns the floats of a weight matrix with K columns, packed by `Panels::gates` of these
    /// slots.
    pub fn packed_len(&self, depth: usize) -> usize {
        padded(self.hidden) * self.gates.len() * depth
    }

    /// Checks that `pieces` are ranges of a stored row and hold as many values as these slots have.
    pub(crate) fn check_pieces(&self, pieces: &[Range<usize>]) {
        let width = self.width();
        let depth = depth_of(pieces, width);
        assert!(
            depth == self.depth(),
            "pieces of depth {depth} in rows of {width}, expected depth {} for {self:?}",
            self.depth()
        );
    }

    /// Returns the matrix row of each k, in the order of a stored row.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows_from(0)
    }

    /// Returns the matrix row of each k from `first` on.
    pub(crate) fn rows_from(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        // Only the last block has fewer units.
        let before = first / (16 * self.gates.len().max(1)) * 16;
        let rows = (before..self.hidden).step_by(16).flat_map(move |block| {
            let units = block..(block + 16).min(self.hidden);
            self.gates.iter().flat_map(move |gate| units.clone().map(move |unit| gate * self.hidden + unit))
        });
        rows.skip(first - before * self.gates.len())
    }

    /// Returns the place of matrix row `row` in a stored row.
    pub fn place(&self, row: usize) -> usize {
        let (gate, unit) = (row / self.hidden, row % self.hidden);
        let slot = self.gates.iter().position(|&g| g == gate).unwrap_or(0) + self.first;
        (unit / 16 * self.stored + slot) * 16 + unit % 16
    }

    /// Splits `rows` of a matrix into groups whose values are side by side in one block of a stored
    /// row. Returns each group with the place of its first value.
    pub fn groups(&self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
        let (hidden, mut row) = (self.hidden, rows.start);
        core::iter::from_fn(move || {
            let (first, unit) = (row, row % hidden.max(1));
            row += (16 - unit % 16).min(hidden - unit).min(rows.end - first);
            (first < row).then(|| (first..row, self.place(first)))
        })
    }

    /// Returns the contiguous pieces of a stored row that hold the values of k, in order.
    pub fn pieces(&self) -> Vec<Range<usize>> {
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for place in self.rows().map(|row| self.place(row)) {
            match pieces.last_mut() {
                Some(last) if last.end == place => last.end += 1,
                _ => pieces.push(place..place + 1),
            }
        }
        pieces
    }
}

//! Rows of a weight matrix whose deltas are neighbors in a stored row.

use crate::pack::Slots;
use core::ops::Range;

/// Consecutive rows whose deltas are side by side in one block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowGroup {
    /// The first row, counted within the call.
    pub(crate) row: usize,
    /// The place of its deltas in a stored row.
    pub(crate) place: usize,
    /// Number of rows, 1 to 16.
    pub(crate) count: usize,
}

impl RowGroup {
    /// Finds the groups of `rows` of a matrix, as many as `groups` has room for. `first` is the
    /// first row of the call.
    pub(crate) fn fill<'g>(
        groups: &'g mut [Self],
        slots: &Slots,
        rows: Range<usize>,
        first: usize,
    ) -> &'g [Self] {
        let mut found = 0;
        for (group, (rows, place)) in groups.iter_mut().zip(slots.groups(rows)) {
            *group = Self { row: rows.start - first, place, count: rows.len() };
            found += 1;
        }
        &groups[..found]
    }
}

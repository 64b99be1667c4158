//! Random sizes of cases. The fuzz targets use `cases.rs` without them.

use crate::cases::CaseSizes;
use proptest::prelude::*;

/// Sizes of small windows with up to `most_hidden` hidden units.
pub fn sizes(most_hidden: usize) -> impl Strategy<Value = CaseSizes> {
    let (width, table) = (prop_oneof![Just(0usize), 1usize..=40], prop_oneof![Just(0usize), 1usize..=7]);
    let hidden = 1..=most_hidden;
    let parts = (1usize..=5, 1usize..=14, hidden, width, table, any::<bool>(), 0usize..=3, any::<u64>());
    parts.prop_map(|(steps, rows, hidden, width, table, keep, offset, seed)| CaseSizes {
        steps,
        rows,
        hidden,
        width,
        table,
        keep,
        offset,
        seed,
    })
}

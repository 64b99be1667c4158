//! The id of a symbol that is not in the vocabulary.

/// Means "no such symbol" in a table of ids.
pub(super) const UNKNOWN: u32 = u32::MAX;

//! The text inside the library, which `build.rs` creates.

/// The documents of this project, and then its sources in the order of their paths.
pub(super) const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/embedded.txt"));

//! The text inside the binary, which `build.rs` puts together.

/// The project's sources and documents, in the order of their paths.
pub(super) const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/embedded.txt"));

//! The text inside the library, which `build.rs` puts together.

/// The sources and documents of this project, in the order of their paths.
pub(super) const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/embedded.txt"));

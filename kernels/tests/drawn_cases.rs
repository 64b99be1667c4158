//! The number of cases that a property test draws.

use proptest::prelude::*;

/// Returns a configuration of `cases` cases, or of as few as `PROPTEST_CASES` says.
pub fn config(cases: u32) -> ProptestConfig {
    let fewer = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.min(fewer.unwrap_or(cases)),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

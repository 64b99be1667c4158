//! The integration tests: one binary, a module per subject.

#[cfg(feature = "cli")]
mod cli;
mod library;
mod numbers;

//! The integration tests: one binary, a module per subject.

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "convert")]
mod convert;
mod library;
mod numbers;

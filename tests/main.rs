//! One integration-test binary, a module per subject.

mod library;
mod numbers;

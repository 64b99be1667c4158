//! Short ways to create the most frequent errors.

use super::{Error, Result};
use std::{io, path::PathBuf};

impl Error {
    /// Creates [`Error::Setting`]: the setting `name` has the invalid value `found`. `expected`
    /// says which values are valid, or what to do.
    pub fn setting(name: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Setting { name, found: found.to_string(), expected: expected.into() }
    }

    /// Creates [`Error::Batch`].
    pub fn batch(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Batch { found: found.into(), expected: expected.into() }
    }

    /// Creates [`Error::Tensor`] for the tensor `tensor`.
    pub fn tensor(tensor: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Tensor { tensor: tensor.into(), found: found.into(), expected: expected.into() }
    }

    /// Creates [`Error::Io`] for a file that cannot be read.
    pub(crate) fn unreadable(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action: "read", path: path.into(), source }
    }

    /// Creates [`Error::WrongAnswer`].
    pub(crate) fn wrong_answer(
        what: impl Into<String>,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::WrongAnswer { what: what.into(), found: found.to_string(), expected: expected.to_string() }
    }

    /// Creates [`Error::Resume`].
    pub(crate) fn resume(reason: impl Into<String>) -> Self {
        Self::Resume { reason: reason.into() }
    }
}

/// Returns [`Error::Setting`] for the setting `name` unless `valid`.
pub(crate) fn require(
    valid: bool,
    name: &'static str,
    found: impl ToString,
    expected: impl Into<String>,
) -> Result<()> {
    if valid { Ok(()) } else { Err(Error::setting(name, found, expected)) }
}

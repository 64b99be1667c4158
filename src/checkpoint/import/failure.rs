//! The error of a failed import.

use crate::{CheckpointError, Error};
use std::path::Path;

/// The error for a file that cannot be imported.
pub(super) fn failed(path: &Path, reason: impl Into<String>) -> Error {
    Error::Checkpoint(CheckpointError::Import { path: path.to_owned(), reason: reason.into() })
}

//! Models from files.

use crate::status::Failure;
use std::path::Path;
use unrolled::convert;
use unrolled::model::Model;

/// Reads a model from a file of any known format.
pub(crate) fn load(path: &Path) -> Result<Model, Failure> {
    Ok(convert::load(path)?.model)
}

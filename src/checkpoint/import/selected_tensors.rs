//! Reads tensors of a file, except those that the import ignores.

use super::super::tensor_file::TensorFile;
use crate::Result;

/// A file, and the names of its ignored tensors.
#[derive(Clone, Copy)]
pub(super) struct SelectedTensors<'a> {
    pub(super) file: &'a TensorFile,
    pub(super) ignored: &'a [String],
}

/// The message for an ignored tensor that is needed.
pub(super) const IGNORED: &str = "--ignore for it";

impl SelectedTensors<'_> {
    pub(super) fn floats(self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.check(name, shape)?;
        self.file.floats(name, shape)
    }

    /// Checks that a tensor is not ignored.
    pub(super) fn check(self, name: &str, shape: &[usize]) -> Result<()> {
        match self.ignored.iter().any(|ignored| ignored == name) {
            true => Err(self.file.mismatch(name, IGNORED, format!("F32 {shape:?}"))),
            false => Ok(()),
        }
    }
}

//! Tensors of any safetensors file, by name.

use super::read::{floats, one_line};
use crate::{Error, Result};
use safetensors::{SafeTensors, tensor::Dtype};
use std::path::{Path, PathBuf};

/// A safetensors file: a checkpoint of `unrolled train`, or what PyTorch saved with
/// `safetensors.torch.save_file(module.state_dict(), path)`. [`crate::fixed`] fills its cells from one.
#[derive(Clone, Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, or is no safetensors file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        Self::from_bytes(bytes, path)
    }

    /// The same for the bytes of a file; `path` is only for the messages.
    ///
    /// # Errors
    /// When they are no safetensors file.
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let file = Self { path: path.to_owned(), bytes };
        file.parse().map(drop)?;
        Ok(file)
    }

    /// The numbers of a tensor, row-major.
    ///
    /// # Errors
    /// [`Error::TensorFile`] when there is none of that name, or it has another shape, another type than F32, or a number
    /// that is not finite.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let misfit = |found: String, expected: String| Error::TensorFile {
            path: self.path.clone(),
            tensor: one_line(name),
            found,
            expected,
        };
        let file = self.parse()?;
        let Ok(view) = file.tensor(name) else {
            return Err(misfit("nothing".to_owned(), format!("F32 {shape:?}")));
        };
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            return Err(misfit(format!("{} {:?}", view.dtype(), view.shape()), format!("F32 {shape:?}")));
        }
        let values = floats(view.data());
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(value) => Err(misfit(value.to_string(), "finite numbers".to_owned())),
        }
    }

    fn parse(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| Error::NotTensors {
            path: self.path.clone(),
            reason: one_line(&error.to_string()),
        })
    }
}

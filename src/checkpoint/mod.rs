//! The only code that knows the file format. [`Checkpoint`] is a whole run; [`TensorFile`] is any safetensors
//! file, and [`Import`] makes a checkpoint of one.
//!
//! A checkpoint is one safetensors file. Its tensors are the parameters under their PyTorch names, the optimiser's
//! moments as `optimizer.{moment}.{parameter}`, and the carried state as `state.h_l{l}` and, for an LSTM,
//! `state.c_l{l}` [B, H]. Its metadata holds strings: `checksum`, `format` ("unrolled"), `version`, and as JSON
//! `config` (the [`Settings`]), `vocabulary`, `progress`, and `checksums`, the CRC-32 of every tensor.
//!
//! The checksum is the CRC-32 of the whole file with the checksum's own eight digits read as zeros, so a flipped
//! byte anywhere is found. It stands first in the header, at a place known before anything is parsed. The same
//! content always gives the same bytes.

mod file;
mod import;
mod numbers;
mod read;
mod tensors;
mod write;

use crate::{
    Error, Result, Settings,
    corpus::Vocabulary,
    exec::State,
    model::{CustomCell, Model, ModelConfig, Parameters},
    train::Progress,
};
pub(crate) use file::replace;
pub use import::{Import, Imported, ImportedTensor};
use std::{ops::Range, path::Path};
pub(crate) use tensors::prefix;
pub use tensors::{TensorFile, TensorInfo};

const FORMAT: &str = "unrolled";
const VERSION: &str = "1";
/// How every header starts.
const PREFIX: &[u8] = br#"{"__metadata__":{"checksum":""#;
const NO_CHECKSUM: &str = "00000000";
/// What follows the checksum in every header.
const AFTER_CHECKSUM: &[u8] = br#"","format":"unrolled","version":"1","config":"{"#;
/// Where the checksum's digits lie in the file: after the header's length and its start.
const CHECKSUM_PLACE: Range<usize> = 8 + PREFIX.len()..16 + PREFIX.len();

/// Everything that a run needs to go on, or a model to be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The run's settings.
    pub settings: Settings,
    /// Symbols in id order.
    pub vocabulary: Vocabulary,
    /// Under their PyTorch names.
    pub parameters: Parameters,
    /// The optimiser's moments by name (`m`, `v`, `accumulator`, ...; no dots): arenas parallel to the parameters.
    pub moments: Vec<(String, Vec<f32>)>,
    /// The hidden state carried to the next window, with as many rows as the settings' batch.
    pub state: Option<State>,
    /// Where the run stands.
    pub progress: Progress,
}

impl Checkpoint {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// A file that cannot be read, that is no safetensors file or none of ours, that is cut short, of another
    /// version, damaged (any byte), or whose tensors do not fit its own configuration.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        read::decode(&bytes, path, &[])
    }

    /// [`Checkpoint::load`] for a model with cells of one's own, of which a file has the names alone: `cells` are those that
    /// its names stand for.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`], and [`Error::CheckpointContent`] when a cell is missing or has other variables.
    pub fn load_with(path: &Path, cells: &[CustomCell]) -> Result<Self> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        read::decode(&bytes, path, cells)
    }

    /// The same for the bytes of a file; `path` is only for the messages.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        read::decode(bytes, path, &[])
    }

    /// Writes to a temporary file beside `path`, syncs it and renames it into place.
    ///
    /// # Errors
    /// A checkpoint that could not be loaded again ([`Error::CheckpointUnfit`] and others), one with a number that is
    /// not finite ([`Error::Diverged`]), and whatever the disk says; the old file then stays as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        let image = write::Image::new(self)?;
        replace(path, |out| image.write(out))
    }

    /// The bytes that [`Checkpoint::save`] writes.
    ///
    /// # Errors
    /// A checkpoint that could not be loaded again, or one with a number that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write::Image::new(self)?.write(&mut bytes).expect("a vector takes every byte");
        Ok(bytes)
    }

    /// The model.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the parameters, which are public, were given another shape.
    pub fn model(&self) -> Result<Model> {
        Model::with_parameters(self.config()?, self.parameters.clone())
    }

    fn config(&self) -> Result<ModelConfig> {
        ModelConfig::new(&self.settings, self.vocabulary.len())
    }
}

#[cfg(test)]
mod tests;

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

mod checksum;
mod file;
mod header;
mod import;
mod numbers;
mod read;
mod source;
mod strings;
mod tensors;
mod write;

use crate::{
    Result, Settings,
    corpus::{CorpusOptions, Vocabulary},
    exec::State,
    model::{CustomCell, Model, ModelConfig, Parameters},
    train::Progress,
};
pub(crate) use file::replace;
pub use import::{Import, Imported, ImportedTensor};
use source::Source;
use std::{borrow::Cow, ops::Range, path::Path};
pub(crate) use tensors::prefix;
pub use tensors::{TensorFile, TensorInfo};
pub(crate) use write::Snapshot;

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
        read::decode(Source::open(path)?, &[])
    }

    /// [`Checkpoint::load`] for a model with cells of one's own, of which a file has the names alone: `cells` are those that
    /// its names stand for.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`], and [`Error::CheckpointContent`](crate::Error::CheckpointContent) when a cell is missing or
    /// has other variables.
    pub fn load_with(path: &Path, cells: &[CustomCell]) -> Result<Self> {
        read::decode(Source::open(path)?, cells)
    }

    /// The same for the bytes of a file; `path` is only for the messages.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        read::decode(Source::of(bytes, path), &[])
    }

    /// Checks that a file is an intact checkpoint (every byte, by its checksum) and gives where its run stands, without
    /// holding its tensors: it takes no more memory than the header.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`], but for tensors that do not fit the configuration.
    pub fn verify(path: &Path) -> Result<Progress> {
        read::verify(Source::open(path)?)
    }

    /// Writes to a temporary file beside `path`, syncs it and renames it into place.
    ///
    /// # Errors
    /// A checkpoint that could not be loaded again ([`Error::CheckpointUnfit`](crate::Error::CheckpointUnfit) and others), one
    /// with a number that is not finite ([`Error::Diverged`](crate::Error::Diverged)), and whatever the disk says; the old file
    /// then stays as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.snapshot().save(path)
    }

    /// The bytes that [`Checkpoint::save`] writes.
    ///
    /// # Errors
    /// A checkpoint that could not be loaded again, or one with a number that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write::Image::new(&self.snapshot())?.write(&mut bytes).expect("a vector takes every byte");
        Ok(bytes)
    }

    /// The model.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) when the parameters, which are public, were given another shape.
    pub fn model(&self) -> Result<Model> {
        Model::with_parameters(self.config()?, self.parameters.clone())
    }

    /// How the run's own text is opened again: all that its settings say of texts, and its vocabulary.
    pub fn text_options(&self) -> CorpusOptions<'_> {
        CorpusOptions {
            vocabulary: Some(&self.vocabulary),
            ..CorpusOptions::of(&self.settings.data, self.settings.run.seed)
        }
    }

    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            settings: &self.settings,
            vocabulary: &self.vocabulary,
            parameters: &self.parameters,
            moments: self.moments.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect(),
            state: self.state.as_ref().map(Cow::Borrowed),
            progress: &self.progress,
        }
    }

    fn config(&self) -> Result<ModelConfig> {
        ModelConfig::new(&self.settings.model, self.vocabulary.len())
    }
}

#[cfg(test)]
mod tests;

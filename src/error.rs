//! The one error type: a variant per cause, whose message names what was found, what was expected and what to do.

use crate::model::bytes;
use std::path::PathBuf;

/// What [`Error`] wraps in every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant per cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read, written or mapped.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setting has a value that cannot work.
    #[error("{name} = {found} cannot work: {expected}")]
    Setting {
        /// The setting's name, as in the configuration file and (with `--`) on the command line.
        name: &'static str,
        /// The value found.
        found: String,
        /// What is expected, and what to do.
        expected: String,
    },
    /// The loss or the gradient is no longer a finite number.
    #[error(
        "the loss is {loss} at step {step}: training diverged; try a lower learning-rate (now {learning_rate}) \
         or a smaller clip; the last checkpoint is kept"
    )]
    NotFinite {
        /// The optimiser step, counted from 1.
        step: u64,
        /// The loss found.
        loss: f64,
        /// The learning rate of that step.
        learning_rate: f64,
    },
    /// The sizes asked for need more memory than there is.
    #[error(
        "the model and its training need about {} of memory, more than the {} there are: \
         lower hidden, layers, embedding, batch or steps",
        bytes(*needed), bytes(*available)
    )]
    Memory {
        /// Bytes needed, about.
        needed: f64,
        /// Bytes of the machine, or that an address can reach.
        available: f64,
    },
    /// A tensor does not fit the model.
    #[error("tensor {tensor}: found {found}, expected {expected}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// Its shape, or that there is none.
        found: String,
        /// What the model's configuration asks for.
        expected: String,
    },
    /// A file that is no checkpoint of ours.
    #[error("{} is not a checkpoint: {reason}; name a file that `unrolled train` wrote", path.display())]
    NotCheckpoint {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        reason: String,
    },
    /// A checkpoint without its end.
    #[error(
        "{} is cut short: found {found} bytes, expected {expected} or more; take another copy, or the run's other \
         checkpoint",
        path.display()
    )]
    CheckpointTruncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length that its header tells.
        expected: u64,
    },
    /// A checkpoint in a format that this program does not know.
    #[error(
        "{} has checkpoint version {found}, expected {expected}: read it with the version of unrolled that wrote it",
        path.display()
    )]
    CheckpointVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The version known here.
        expected: &'static str,
    },
    /// A checkpoint that is not what was written.
    #[error(
        "{} is damaged: its content has checksum {found}, expected the {recorded} that it records; take another copy, \
         or the run's other checkpoint",
        path.display()
    )]
    CheckpointDamaged {
        /// The file.
        path: PathBuf,
        /// The checksum of its bytes.
        found: String,
        /// The checksum that it was written with.
        recorded: String,
    },
    /// A part of a checkpoint's metadata that cannot be used.
    #[error("the {part} in {} cannot be used: {reason}; take another copy, or write it again", path.display())]
    CheckpointContent {
        /// The file.
        path: PathBuf,
        /// "config", "vocabulary" or "progress".
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor of a checkpoint that does not fit its configuration.
    #[error(
        "{} does not fit its own configuration: tensor {tensor}: found {found}, expected {expected}; take another \
         copy, or write it again",
        path.display()
    )]
    CheckpointTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its type and shape, or that there is none.
        found: String,
        /// What the configuration asks for.
        expected: String,
    },
    /// A checkpoint that could not be loaded again if it were written.
    #[error("this checkpoint is not written, for it could not be loaded again: {reason}")]
    CheckpointUnfit {
        /// What is wrong with it.
        reason: String,
    },
}

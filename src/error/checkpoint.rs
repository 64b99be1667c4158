//! Errors of checkpoint files.

use std::path::PathBuf;

/// A checkpoint that cannot be read, written or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file is not a checkpoint of this program.
    #[error("{} is not a checkpoint: {reason}; name a file that `unrolled train` wrote", path.display())]
    NotCheckpoint {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A file cannot be converted to a checkpoint.
    #[error("cannot import {}: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// The problem, and what to do.
        reason: String,
    },
    /// A safetensors file that another program wrote, perhaps from a checkpoint.
    #[error(
        "{} differs from what `unrolled train` wrote: {reason}; if another program changed it on purpose, convert it \
         with `unrolled import {0} --out NEW.safetensors --like RUN`",
        path.display()
    )]
    Rewritten {
        /// The file.
        path: PathBuf,
        /// The difference.
        reason: &'static str,
    },
    /// A checkpoint is incomplete.
    #[error(
        "{} is truncated: found {found} bytes, expected {expected} or more; use another copy, or the previous checkpoint \
         of the run",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length according to its header.
        expected: u64,
    },
    /// A checkpoint has an unknown format version.
    #[error(
        "{} has checkpoint version {found}, expected {expected}; read it with the version of unrolled that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The version that this program reads.
        expected: &'static str,
    },
    /// Bytes of a checkpoint changed after it was written.
    #[error(
        "{} is damaged in its {place}: found checksum {found}, expected {recorded}; use another copy, or the previous \
         checkpoint of the run; if another program changed it on purpose, convert it with `unrolled import`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// "header", or the damaged tensors.
        place: String,
        /// The checksum of its bytes.
        found: String,
        /// The checksum stored in the file.
        recorded: String,
    },
    /// A part of the metadata is invalid.
    #[error("{}: its {part} is invalid: {reason}; use another copy, or write it again", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// "config", "vocabulary", "progress" or "quantized".
        part: &'static str,
        /// The reason.
        reason: String,
    },
    /// A tensor does not match the configuration in the same file.
    #[error(
        "{} does not match its own configuration: tensor {tensor}: found {found}, expected {expected}; use another copy, \
         or write it again",
        path.display()
    )]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its type and shape, or "nothing".
        found: String,
        /// The type and shape in the configuration.
        expected: String,
    },
    /// A checkpoint was not written because it could not be loaded again.
    #[error("the checkpoint was not written, because it could not be loaded again: {reason}")]
    Unfit {
        /// The reason.
        reason: String,
    },
}

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
}

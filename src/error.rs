//! The one error type: a variant per cause, whose message names what was found, what was expected and what to do.

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
}

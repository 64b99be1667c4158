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
    /// A text without a single symbol.
    #[error("{text} is empty: name a text with at least 2 symbols")]
    EmptyText {
        /// What a person would call the text.
        text: String,
    },
    /// A folder below which no file holds text.
    #[error(
        "no text below {}: its files are hidden, empty or binary (a NUL byte in the first 8 KiB); \
         name another folder, or the files themselves", path.display()
    )]
    NoText {
        /// The folder.
        path: PathBuf,
    },
    /// Bytes that are not UTF-8, in a text that is to be read as characters.
    #[error(
        "{text}: the bytes at offset {offset} are not UTF-8: pass --invalid replace or --invalid skip to read \
         around them, or --unit byte to read bytes"
    )]
    InvalidUtf8 {
        /// The file, or what a person would call the text.
        text: String,
        /// Bytes before the first bad one.
        offset: usize,
    },
    /// A symbol that the vocabulary lacks.
    #[error(
        "{text}: the symbol {symbol} at offset {offset} is not among the {known} of the vocabulary: remove it, or \
         train a model on a text that has it"
    )]
    UnknownSymbol {
        /// The file, or what a person would call the text.
        text: String,
        /// The symbol, readable: `'\u{e9}' (U+00E9)` or `byte 0xE9`.
        symbol: String,
        /// Bytes before it.
        offset: usize,
        /// Symbols in the vocabulary.
        known: usize,
    },
    /// A list of symbols that is no vocabulary.
    #[error("the vocabulary is damaged: {0}; take it from an intact checkpoint")]
    Vocabulary(String),
    /// A part of a text that does not hold one window.
    #[error("too few symbols: {purpose} needs {needed}, found {found}; {advice}")]
    TooFewSymbols {
        /// Symbols found.
        found: usize,
        /// Symbols needed.
        needed: usize,
        /// What needs them.
        purpose: String,
        /// What to do.
        advice: &'static str,
    },
    /// A text that was written to while it was open.
    #[error("{} was changed while it was being read: run again, on a file that stays as it is", path.display())]
    TextChanged {
        /// The file.
        path: PathBuf,
    },
}

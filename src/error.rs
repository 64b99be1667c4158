//! Errors: one variant per cause. A message says what was found, what was expected, what to do.

mod advice;
mod checkpoint;
mod constructors;
mod quantities;

use advice::{or_clip, remedy, short};
pub use checkpoint::CheckpointError;
pub(crate) use constructors::require;
pub(crate) use quantities::{Number, bytes};
use std::{io, path::PathBuf};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant per cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read, written or mapped.
    #[error("cannot {action} {}: {source}{}", path.display(), remedy(source))]
    Io {
        /// The attempted action: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A setting has an invalid value.
    #[error("{name} = {found} is invalid: {expected}")]
    Setting {
        /// The setting's name, as in the configuration file and (with `--`) on the command line.
        name: &'static str,
        /// The value found.
        found: String,
        /// The valid values, and what to do.
        expected: String,
    },
    /// A setting contradicts the weights that a run starts from.
    #[error("{key} is {found}, but the initial weights have {expected}; omit it, or give {expected}")]
    OtherModel {
        /// The setting's name; in a stack preceded by the layer: `layer 1: hidden`.
        key: String,
        /// The requested value.
        found: String,
        /// The value of the weights.
        expected: String,
    },
    /// The loss (in training or validation) or the gradient is not a finite number.
    #[error(
        "the loss is {} and the gradient norm {} at step {step}: training diverged at learning rate {}; lower \
         learning-rate{}; the last checkpoint is kept",
        short(*loss), short(*gradient_norm), short(*learning_rate), or_clip(*clip)
    )]
    NotFinite {
        /// The optimizer step, counted from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The norm of the gradient.
        gradient_norm: f64,
        /// The learning rate of that step, after the schedule.
        learning_rate: f64,
        /// The clipping threshold; 0 without clipping.
        clip: f32,
    },
    /// Two ways to compute the same value disagree.
    #[error(
        "the {what} is {found}, expected {expected}: this is a bug in unrolled; please report it with the settings and \
         the name of the processor"
    )]
    WrongAnswer {
        /// The computed value.
        what: String,
        /// The value found.
        found: String,
        /// The value of the other computation.
        expected: String,
    },
    /// The requested sizes need more memory than is available.
    #[error(
        "the model and its training need about {} of memory, more than the {} {of}; \
         lower hidden, layers, embedding, batch or steps",
        bytes(*needed), bytes(*available)
    )]
    Memory {
        /// Approximate number of bytes needed.
        needed: f64,
        /// Bytes available.
        available: f64,
        /// The limit: "of this machine", "that `ulimit -v` allows".
        of: String,
    },
    /// The operating system refused an allocation.
    #[error(
        "the system refused {} of memory; end other programs, raise the limit (`ulimit -v` or the container's), \
         or lower hidden, layers, embedding, batch or steps",
        bytes(*needed as f64)
    )]
    Allocation {
        /// Bytes requested.
        needed: usize,
    },
    /// A tensor does not fit the model.
    #[error("tensor {tensor}: found {found}, expected {expected}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// The shape found, or "nothing" if it is missing.
        found: String,
        /// The shape expected by the model's configuration.
        expected: String,
    },
    /// A file is not in the safetensors format.
    #[error("{} is not a safetensors file: {reason}; name a checkpoint, or save the tensors with safetensors", path.display())]
    NotTensors {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A tensor of a file does not fit the model that is filled from it.
    #[error(
        "{}: tensor {tensor}: found {found}, expected {expected}; name another file, or change the names and sizes in \
         the program",
        path.display()
    )]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its type and shape, or "nothing".
        found: String,
        /// The type and shape that the program expects.
        expected: String,
    },
    /// Tensors of a file were not used.
    #[error(
        "{}: these tensors have no place in the model: {tensors}; add their layers, directions and options to the model, \
         or skip the tensors with TensorFile::ignore",
        path.display()
    )]
    UnusedTensors {
        /// The file.
        path: PathBuf,
        /// Their names, types and shapes; the first few of many.
        tensors: String,
    },
    /// A checkpoint could not be read, written or imported.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// The instruction set that `UNROLLED_ISA` forces is unknown or not available.
    #[error(transparent)]
    Isa(unrolled_kernels::IsaError),
    /// A state that belongs to another model, or has another number of rows.
    #[error(
        "invalid state: found {found}, expected {expected}; use a state of the same model and number of rows"
    )]
    StateShape {
        /// Rows, layers and sizes found.
        found: String,
        /// Rows, layers and sizes expected.
        expected: String,
    },
    /// A quantized model was given to training.
    #[error(
        "a quantized model cannot be trained, because its weights are 8-bit integers; train the model that it was \
        made from"
    )]
    Quantized,
    /// A run that cannot be continued.
    #[error("cannot resume this run: {reason}")]
    Resume {
        /// The reason, and what to do.
        reason: String,
    },
    /// A corpus without symbols.
    #[error("{text} is empty; name a corpus with at least 2 symbols")]
    EmptyText {
        /// The file, or a description of the corpus.
        text: String,
    },
    /// A folder without text files.
    #[error(
        "no text found below {}: its files are hidden, ignored (by .gitignore or .ignore; see no-ignore), empty, \
         binary (a NUL byte in the first 8 KiB) or compressed (see include){filters}; name another folder, or the files", path.display()
    )]
    NoText {
        /// The folder.
        path: PathBuf,
        /// The file patterns in force, as a part of the sentence; may be empty.
        filters: String,
    },
    /// A path that is neither a file nor a folder, such as a device.
    #[error("{} is {found}, not a text; name a file or a folder", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
        /// A description of what it is.
        found: &'static str,
    },
    /// A file of a known format that is not plain text.
    #[error("{text} is {found}, not plain text; {advice}")]
    NotPlainText {
        /// The file, or a description of the text.
        text: String,
        /// Its format.
        found: String,
        /// The advice at the end of the message.
        advice: String,
    },
    /// A text in a format that this build does not read.
    #[error("{text} is {found}, which this build does not read; build unrolled with the feature {feature}")]
    Feature {
        /// The file, or a description of the text.
        text: String,
        /// Its format.
        found: String,
        /// The cargo feature that reads it.
        feature: &'static str,
    },
    /// Compressed data that are truncated or corrupt.
    #[error(
        "{text}: damaged {compression} data at offset {offset}: {reason}; use another copy, or create the file again"
    )]
    DamagedText {
        /// The file, or a description of the text.
        text: String,
        /// The format.
        compression: &'static str,
        /// Number of compressed bytes read before the damage was found.
        offset: u64,
        /// The reason.
        reason: String,
    },
    /// A text that is too large after decompression, or for the space of temporary files.
    #[error("{text} {problem}")]
    TextTooLarge {
        /// The file, or a description of the text.
        text: String,
        /// The problem, and what to do.
        problem: String,
    },
    /// Bytes that are invalid in the given encoding.
    #[error(
        "{text}: the bytes at offset {offset} are not {encoding}; pass the right --encoding, or --invalid replace or \
         --invalid skip"
    )]
    InvalidEncoding {
        /// The file, or a description of the text.
        text: String,
        /// The encoding.
        encoding: String,
        /// Offset of the first invalid byte, after decompression.
        offset: u64,
    },
    /// Bytes that are not UTF-8, in a text that is read as characters.
    #[error(
        "{text}: the bytes at offset {offset} are not UTF-8{}; pass {}--invalid replace or --invalid skip, or --unit \
         byte to read bytes",
        looks.as_ref().map_or_else(String::new, |name| format!(", and look like {name}")),
        looks.as_ref().map_or_else(String::new, |name| format!("--encoding {name} (or the right encoding), "))
    )]
    InvalidUtf8 {
        /// The file, or a description of the text.
        text: String,
        /// Offset of the first invalid byte.
        offset: usize,
        /// The likely encoding, if most non-ASCII characters are not UTF-8.
        looks: Option<String>,
    },
    /// A symbol that is not in the vocabulary.
    #[error(
        "{text}: the symbol {symbol} at offset {offset} is not among the {known} symbols of the vocabulary; remove it, \
         pass --unknown skip or --unknown replace, or use a model or vocabulary that has it"
    )]
    UnknownSymbol {
        /// The file, or a description of the text.
        text: String,
        /// The symbol, readable: `'\u{e9}' (U+00E9)` or `byte 0xE9`.
        symbol: String,
        /// Its offset in bytes.
        offset: usize,
        /// Number of symbols in the vocabulary.
        known: usize,
    },
    /// An id of a corpus that is not below the size of the vocabulary.
    #[error(
        "{text}: found id {id} at position {position}, expected ids below the vocabulary size of {vocabulary}; check \
         --id-width, or raise --vocabulary-size"
    )]
    UnknownId {
        /// The file, or a description of the ids.
        text: String,
        /// The id.
        id: u32,
        /// Number of ids before it in the file.
        position: usize,
        /// Number of ids in the vocabulary.
        vocabulary: usize,
    },
    /// A file of ids that ends within an id.
    #[error(
        "{text} has {bytes} bytes, expected a multiple of {}, for ids of {width} bits; check --id-width, or make the \
         file again", width / 8
    )]
    IdLength {
        /// The file, or a description of the ids.
        text: String,
        /// Number of bytes.
        bytes: usize,
        /// Number of bits of an id.
        width: usize,
    },
    /// A word of a text that is not an id of the vocabulary.
    #[error(
        "found {found:?} at offset {offset}, expected ids from 0 to {} in decimal, separated by spaces; give ids of \
         the model's tokenizer", vocabulary.saturating_sub(1)
    )]
    IdText {
        /// The word.
        found: String,
        /// Number of bytes before it.
        offset: usize,
        /// Number of ids in the vocabulary.
        vocabulary: usize,
    },
    /// A stored vocabulary is invalid.
    #[error("the vocabulary is damaged: {0}; take it from an intact checkpoint")]
    Vocabulary(String),
    /// A file is not a list of symbols.
    #[error("{} is not a vocabulary: {problem}; give one symbol per line, or a JSON array or object of symbols", path.display())]
    VocabularyFile {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A corpus or one of its splits has too few symbols for its use.
    #[error("too few symbols: {purpose} needs {needed}, found {found}; {advice}")]
    TooFewSymbols {
        /// Symbols found.
        found: usize,
        /// Symbols needed.
        needed: usize,
        /// The use of the symbols, such as training or an evaluation.
        purpose: String,
        /// The advice at the end of the message.
        advice: &'static str,
    },
    /// A file of the corpus changed after it was opened.
    #[error("{} was {change} while it was being read; restore the text to continue, or start a new run", path.display())]
    TextChanged {
        /// The file.
        path: PathBuf,
        /// The change: "cut short", "written to", "changed", "replaced" or "deleted".
        change: &'static str,
    },
    /// Another process of a divided run failed, or has another run.
    #[error("rank {rank}: {reason}")]
    OtherRank {
        /// The rank of the process.
        rank: usize,
        /// The cause, and what to do.
        reason: String,
    },
    /// A step or an evaluation was interrupted on request.
    #[error("the run was interrupted; it continues with the interrupted step or evaluation")]
    Interrupted,
    /// A tensor has a non-finite value after an update.
    #[error(
        "{tensor} has a non-finite value after step {step}: training diverged at learning rate {}; lower \
         learning-rate{}; the last checkpoint is kept",
        short(*learning_rate), or_clip(*clip)
    )]
    Diverged {
        /// The tensor's name in a checkpoint.
        tensor: String,
        /// Optimizer steps done.
        step: u64,
        /// The learning rate.
        learning_rate: f64,
        /// The clipping threshold; 0 without clipping.
        clip: f32,
    },
    /// MPI could not be started.
    #[error("cannot start MPI: {0}")]
    Mpi(String),
    /// Inputs, targets or other arrays that do not fit the model or each other.
    #[error("invalid batch: found {found}, expected {expected}")]
    Batch {
        /// The part that does not fit.
        found: String,
        /// The sizes or values expected.
        expected: String,
    },
}

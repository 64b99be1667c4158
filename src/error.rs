//! The one error type: a variant per cause, whose message names what was found, what was expected and what to do.

mod advice;

use crate::model::bytes;
use advice::{or_clip, remedy, short};
use std::{io, path::PathBuf};

/// What [`Error`] wraps in every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant per cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read, written or mapped.
    #[error("cannot {action} {}: {source}{}", path.display(), remedy(source))]
    Io {
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
    /// A setting contradicts the weights that a run starts from.
    #[error(
        "{key} is {found}, but the weights that the run starts from have {key} = {expected}: leave {key} out, or give {expected}"
    )]
    OtherModel {
        /// The setting's name; of a layer of a stack with the layer before it: `layer 1: hidden`.
        key: String,
        /// The value asked for.
        found: String,
        /// The value that the weights have.
        expected: String,
    },
    /// The loss (in training or in validation) or the gradient is no longer a finite number.
    #[error(
        "the loss is {} and the gradient's norm {} at step {step}: training diverged at a learning rate of {}: lower \
         learning-rate{}; the last checkpoint is kept",
        short(*loss), short(*gradient_norm), short(*learning_rate), or_clip(*clip)
    )]
    NotFinite {
        /// The optimiser step, counted from 1.
        step: u64,
        /// The loss found.
        loss: f64,
        /// The gradient's norm found.
        gradient_norm: f64,
        /// The learning rate of that step: the setting, as the schedule has it there.
        learning_rate: f64,
        /// The clipping threshold; 0 without clipping.
        clip: f32,
    },
    /// Two ways to compute the same disagree.
    #[error(
        "the {what} came out as {found}, expected {expected}: a defect of this program; please report it with the \
         settings and the name of the processor"
    )]
    WrongAnswer {
        /// What was computed.
        what: String,
        /// The value found.
        found: String,
        /// What the other way gave.
        expected: String,
    },
    /// The sizes asked for need more memory than there is.
    #[error(
        "the model and its training need about {} of memory, more than the {} {of}: \
         lower hidden, layers, embedding, batch or steps",
        bytes(*needed), bytes(*available)
    )]
    Memory {
        /// Bytes needed, about.
        needed: f64,
        /// Bytes that may be used.
        available: f64,
        /// Which limit that is: "of this machine", "that `ulimit -v` allows".
        of: String,
    },
    /// The system did not give the memory that was asked for.
    #[error(
        "the system has no {} of memory left: end other programs, raise the limit (`ulimit -v`, or that of the container), \
         or lower hidden, layers, embedding, batch or steps",
        bytes(*needed as f64)
    )]
    Allocation {
        /// Bytes asked for.
        needed: usize,
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
    /// A file that holds no tensors.
    #[error("{} is not a safetensors file: {reason}; name a checkpoint, or save the tensors with safetensors", path.display())]
    NotTensors {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        reason: String,
    },
    /// A tensor of a file that does not fit what is to be filled from it.
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
        /// Its type and shape, or that there is none.
        found: String,
        /// What the sizes in the program ask for.
        expected: String,
    },
    /// Tensors of a file that nothing was filled from.
    #[error(
        "{}: these tensors have no place in the program's model and would be left out: {tensors}; give the model their layers, \
         directions and options, or leave them out with TensorFile::ignore",
        path.display()
    )]
    UnusedTensors {
        /// The file.
        path: PathBuf,
        /// Their names, types and shapes; the first few of many.
        tensors: String,
    },
    /// A file that is no checkpoint of ours.
    #[error("{} is not a checkpoint: {reason}; name a file that `unrolled train` wrote", path.display())]
    NotCheckpoint {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        reason: String,
    },
    /// A file of which no checkpoint can be made.
    #[error("cannot import {}: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is missing or does not fit, and what to do.
        reason: String,
    },
    /// A safetensors file that another program wrote, perhaps from a checkpoint.
    #[error(
        "{} is not as `unrolled train` wrote it: {reason}; if another program changed it on purpose, \
         `unrolled import {0} --out NEW.safetensors --like RUN` makes a checkpoint of it",
        path.display()
    )]
    Rewritten {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        reason: &'static str,
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
        "{} is damaged in its {place}: it has checksum {found}, expected the {recorded} that it records; take another \
         copy, or the run's other checkpoint; if another program changed it on purpose, `unrolled import` takes it back",
        path.display()
    )]
    CheckpointDamaged {
        /// The file.
        path: PathBuf,
        /// "header", or the tensors that are not as they were written.
        place: String,
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
    /// The instruction set that is forced cannot be had.
    #[error(transparent)]
    Isa(unrolled_kernels::IsaError),
    /// A state of another model, or of another number of rows.
    #[error("this state has {found}; the model expects {expected}; take one that the same model gave")]
    StateShape {
        /// Rows, layers and sizes found.
        found: String,
        /// And expected.
        expected: String,
    },
    /// A run that cannot be continued as asked.
    #[error("cannot resume this run: {reason}")]
    Resume {
        /// Why not, and what to do.
        reason: String,
    },
    /// A text without a single symbol.
    #[error("{text} is empty: name a text with at least 2 symbols")]
    EmptyText {
        /// What a person would call the text.
        text: String,
    },
    /// A folder below which no file holds text.
    #[error(
        "no text below {}: its files are hidden, ignored (by a .gitignore or .ignore; see no-ignore), empty, \
         binary (a NUL byte in the first 8 KiB) or compressed (see include){filters}; name another folder, or the files themselves", path.display()
    )]
    NoText {
        /// The folder.
        path: PathBuf,
        /// The patterns that files had to pass, as a part of the sentence; may be empty.
        filters: String,
    },
    /// Something that gives bytes without end.
    #[error("{} is {found}, and not a text: name a file or a folder", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A file of a known format that is no plain text.
    #[error("{text} is {found}, not plain text: {advice}")]
    NotPlainText {
        /// The file, or what a person would call the text.
        text: String,
        /// What it is.
        found: String,
        /// What to do.
        advice: String,
    },
    /// A text that this build of the library does not read.
    #[error(
        "{text} is {found}, which this program was built without: build unrolled with its feature {feature}"
    )]
    Feature {
        /// The file, or what a person would call the text.
        text: String,
        /// What it is.
        found: String,
        /// The cargo feature that reads it.
        feature: &'static str,
    },
    /// Compressed data that end too early or are not what they were.
    #[error(
        "{text} is damaged at offset {offset} of its {compression} data: {reason}; take another copy, or make the file again"
    )]
    DamagedText {
        /// The file, or what a person would call the text.
        text: String,
        /// The format.
        compression: &'static str,
        /// Compressed bytes that were read before that was seen.
        offset: u64,
        /// How it was seen.
        reason: String,
    },
    /// A text that grows beyond all bounds as it is decompressed, or that temporary files have no room for.
    #[error("{text} {problem}")]
    TextTooLarge {
        /// The file, or what a person would call the text.
        text: String,
        /// What it does, and what to do.
        problem: String,
    },
    /// Bytes without a meaning in the encoding that the text is said to have.
    #[error(
        "{text}: the bytes at offset {offset} are not {encoding}: pass the --encoding that the text has, or --invalid replace or \
         --invalid skip to read around them"
    )]
    InvalidEncoding {
        /// The file, or what a person would call the text.
        text: String,
        /// The encoding.
        encoding: String,
        /// Bytes before the first bad one, after decompression.
        offset: u64,
    },
    /// Bytes that are not UTF-8, in a text that is to be read as characters.
    #[error(
        "{text}: the bytes at offset {offset} are not UTF-8{}: pass {}--invalid replace or --invalid skip to read \
         around them, or --unit byte to read bytes",
        looks.as_ref().map_or_else(String::new, |name| format!(", and look like {name}")),
        looks.as_ref().map_or_else(String::new, |name| format!("--encoding {name} (or the encoding that the text has), "))
    )]
    InvalidUtf8 {
        /// The file, or what a person would call the text.
        text: String,
        /// Bytes before the first bad one.
        offset: usize,
        /// The encoding that the text seems to have, where most of its characters are not UTF-8.
        looks: Option<String>,
    },
    /// A symbol that the vocabulary lacks.
    #[error(
        "{text}: the symbol {symbol} at offset {offset} is not among the {known} of the vocabulary: remove it, pass \
         --unknown skip or --unknown replace, or take a model or vocabulary that has it"
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
    /// An id of a corpus that is not below the size of the vocabulary.
    #[error(
        "{text}: found id {id} at position {position}, expected ids below the vocabulary size of {vocabulary}; check \
         --id-width, or raise --vocabulary-size"
    )]
    UnknownId {
        /// The file, or a name for the ids.
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
        /// The file, or a name for the ids.
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
    /// A list of symbols that is no vocabulary.
    #[error("the vocabulary is damaged: {0}; take it from an intact checkpoint")]
    Vocabulary(String),
    /// A file that lists no vocabulary.
    #[error(
        "{} is not a vocabulary: {problem}; give one symbol a line, or a JSON array or object of symbols", path.display()
    )]
    VocabularyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
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
    /// A text that is no longer what it was when it was opened.
    #[error(
        "{} was {change} while it was being read: bring back the text as it was to go on, or begin again with the new one",
        path.display()
    )]
    TextChanged {
        /// The file.
        path: PathBuf,
        /// "cut short", "written to", "changed", "replaced" or "deleted".
        change: &'static str,
    },
    /// A step or an evaluation that was asked to end.
    #[error("the run was interrupted: it goes on with the step or evaluation that it was in")]
    Interrupted,
    /// An update has left a tensor that is not finite.
    #[error(
        "{tensor} holds a number that is not finite after step {step}: training diverged at a learning rate of {}: lower \
         learning-rate{}; the last checkpoint is kept",
        short(*learning_rate), or_clip(*clip)
    )]
    Diverged {
        /// The tensor's name in a checkpoint.
        tensor: String,
        /// Optimiser steps done.
        step: u64,
        /// The learning rate.
        learning_rate: f64,
        /// The clipping threshold; 0 without clipping.
        clip: f32,
    },
    /// A batch that a model cannot run.
    #[error("this batch cannot be used: found {found}, expected {expected}")]
    Batch {
        /// What does not fit.
        found: String,
        /// What would.
        expected: String,
    },
}

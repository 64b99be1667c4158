//! Text to ids.

mod vocabulary;
use crate::{Invalid, Result, Unit, Windows};
use std::{ops::Range, path::PathBuf};
pub use vocabulary::Vocabulary;

/// A text as a sequence of symbol ids, read in place from memory-mapped files.
#[derive(Debug)]
pub struct Corpus {}

impl Corpus {
    /// Opens files, and all text files below folders (sorted by path), as one text.
    pub fn open(_paths: &[PathBuf], _unit: Unit, _invalid: Invalid) -> Result<Self> {
        unimplemented!()
    }
    /// The same with a vocabulary that is given (a trained model's); a symbol it lacks is an error.
    pub fn open_with(_paths: &[PathBuf], _vocabulary: &Vocabulary, _invalid: Invalid) -> Result<Self> {
        unimplemented!()
    }
    /// A text in memory.
    pub fn from_text(_text: impl Into<String>, _unit: Unit) -> Result<Self> {
        unimplemented!()
    }
    /// A text in memory, with a vocabulary that is given.
    pub fn from_text_with(_text: impl Into<String>, _vocabulary: &Vocabulary) -> Result<Self> {
        unimplemented!()
    }
    /// The text inside this library: its own sources and documents.
    pub fn embedded(_unit: Unit) -> Result<Self> {
        unimplemented!()
    }
    /// Number of symbols.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Whether there is no symbol. (Never: opening an empty text is an error.)
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    /// The symbols of the whole text.
    pub fn vocabulary(&self) -> &Vocabulary {
        unimplemented!()
    }
    /// Writes the ids of the symbols from `start` on into `ids`.
    pub fn read(&self, _start: usize, _ids: &mut [u32]) {
        unimplemented!()
    }
    /// The contiguous train, validation and test parts.
    pub fn split(&self, _val: f64, _test: f64) -> Result<Split> {
        unimplemented!()
    }
    /// Checksum of the text's bytes, to recognise it when a run is resumed.
    pub fn fingerprint(&self) -> u32 {
        unimplemented!()
    }
    /// What a person would call it: the path, "3 files below books", "the built-in text".
    pub fn name(&self) -> String {
        unimplemented!()
    }
}

/// Contiguous parts of a text, in symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The first floor(n (1 - val - test)) symbols.
    pub train: Range<usize>,
    /// What follows, up to the test part.
    pub validation: Range<usize>,
    /// The tail.
    pub test: Range<usize>,
}

/// Cuts a part of the text into windows of T steps by B rows: a pure function of the step number.
#[derive(Clone, Debug)]
pub struct Batches {}

/// One window: ids in, ids to predict.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Steps T.
    pub steps: usize,
    /// Rows B.
    pub rows: usize,
    /// [T, B], time-major.
    pub inputs: Vec<u32>,
    /// [T, B], time-major: the symbol after each input.
    pub targets: Vec<u32>,
    /// Whether the state starts from zero.
    pub fresh: bool,
}

impl Batches {
    /// Windows over `part`; an error when it has too few symbols for one batch.
    pub fn new(
        _part: Range<usize>,
        _windows: Windows,
        _rows: usize,
        _steps: usize,
        _seed: u64,
    ) -> Result<Self> {
        unimplemented!()
    }
    /// Whole windows in one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        unimplemented!()
    }
    /// Fills `batch` with window number `step` (from 0; epochs follow each other).
    pub fn fill(&self, _corpus: &Corpus, _step: u64, _batch: &mut Batch) {
        unimplemented!()
    }
}

/// Reads a part as `rows` contiguous streams of equal length, window by window, each symbol once: for evaluation.
/// Every stream has floor((n - 1) / rows) targets; the last window may be shorter.
#[derive(Clone, Debug)]
pub struct Streams {}
impl Streams {
    /// Fewer rows are used when the part has fewer than `rows` + 1 symbols; an error below 2 symbols.
    pub fn new(_part: Range<usize>, _rows: usize, _steps: usize) -> Result<Self> {
        unimplemented!()
    }
    /// Number of windows.
    pub fn windows(&self) -> usize {
        unimplemented!()
    }
    /// Fills `batch` with window number `index`; `fresh` only for the first.
    pub fn fill(&self, _corpus: &Corpus, _index: usize, _batch: &mut Batch) {
        unimplemented!()
    }
}

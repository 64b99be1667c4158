//! Corpora: memory-mapped files or data in memory, their vocabulary, and the windows of training
//! and evaluation.
//!
//! A [`Corpus`] stores neither the ids of its symbols nor a copy of its files. Opening it scans the
//! bytes once, in parallel, for the [`Vocabulary`] and a sparse index. Reading it decodes in place.
//! [`Batches`] and [`Streams`] say which symbols make up a window, as a pure function of its
//! number.
//!
//! # Ids of your own tokenizer
//!
//! With [`Unit::Ids`](crate::Unit::Ids) a corpus is a sequence of token ids. Files hold them as
//! 16-bit or 32-bit numbers in little-endian order without a header, as the `.bin` files of
//! [nanoGPT](https://github.com/karpathy/nanoGPT) do, and are read in place:
//!
//! ```no_run
//! # #[cfg(feature = "files")]
//! # fn main() -> unrolled::Result<()> {
//! use unrolled::corpus::{CorpusOptions, Vocabulary};
//! use unrolled::{IdWidth, Unit};
//!
//! let gpt2 = Vocabulary::of_ids(50_257)?;
//! let options = CorpusOptions {
//!     unit: Unit::Ids,
//!     id_width: IdWidth::Bits16,
//!     vocabulary: Some(&gpt2),
//!     ..CorpusOptions::default()
//! };
//! let corpus = options.open(&["train.bin".into(), "val.bin".into()])?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "files"))]
//! # fn main() {}
//! ```
//!
//! Without a given vocabulary, its size is the highest id plus 1. [`Corpus::from_ids`] takes ids in
//! memory.
//!
//! # Files that change
//!
//! A mapped file can be truncated by another program. The read then raises SIGBUS, which ends the
//! process. Call `install_truncation_guard` (feature `files`) once to get
//! [`Error::TextChanged`](crate::Error::TextChanged) instead. It installs a process-wide signal
//! handler, so no other function of this library does it.

mod batches;
mod check_timer;
mod create;
mod decoding;
mod documents;
mod draft;
mod embedded;
mod guess;
mod invalid_utf8;
mod nul_bytes;
mod options;
mod pages;
mod scan;
mod seen_symbols;
mod shuffle;
mod source;
mod span;
mod split;
mod starts;
mod streams;
mod unknown_id;
mod unknown_symbols;
mod vocabulary;

#[cfg(feature = "files")]
mod decode;
#[cfg(feature = "files")]
mod file_list;
#[cfg(feature = "files")]
mod files;
#[cfg(feature = "files")]
mod folders;
#[cfg(feature = "files")]
mod intake;
#[cfg(feature = "files")]
mod map;
#[cfg(feature = "files")]
mod mapped_file;
#[cfg(feature = "files")]
mod open;
#[cfg(feature = "files")]
mod opened;
#[cfg(feature = "files")]
mod recognize;
#[cfg(feature = "files")]
mod spool;
#[cfg(feature = "files")]
mod standard_input;
#[cfg(feature = "files")]
mod unpack;

#[cfg(all(test, feature = "folders"))]
mod tests;

use crate::{IdWidth, Invalid, Result, Unknown};
use decoding::Decoding;
use serde::{Deserialize, Serialize};
use source::CorpusSource;
use span::ScanSpan;
use unknown_id::UNKNOWN;

pub use batches::{Batch, Batches};
pub use check_timer::CheckTimer;
#[cfg(feature = "files")]
pub use map::install_truncation_guard;
pub use options::CorpusOptions;
pub use split::Split;
#[cfg(feature = "files")]
pub use standard_input::is_standard_input;
pub use streams::Streams;
pub use vocabulary::Vocabulary;

/// A sequence of symbols, read in place from memory-mapped files or from memory.
///
/// Each file is decoded separately, so no character spans two files.
#[derive(Debug)]
pub struct Corpus {
    name: String,
    /// The files, and after them the separator or marker, if there is one.
    sources: Vec<CorpusSource>,
    /// Number of sources that are files.
    documents: usize,
    /// The document marker: the text that ends a document within a file; may be empty.
    marker: String,
    /// True if the documents that the marker ends are shuffled.
    shuffled: bool,
    /// CRC-32 of each source.
    checksums: Vec<u32>,
    skipped: SkippedFiles,
    /// The stretches of the sources that hold symbols, in order.
    spans: Vec<ScanSpan>,
    id_width: IdWidth,
    invalid: Invalid,
    vocabulary: Vocabulary,
    /// The treatment of symbols that are not in the vocabulary.
    unknown: Unknown,
    /// Number of these symbols.
    unknown_symbols: usize,
    /// The id of these symbols, if they are replaced.
    stand_in: u32,
    len: usize,
    fingerprint: u32,
}

/// One file of a corpus, as the manifest of a run lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CorpusFile<'a> {
    /// The path of the file, or a description if it has none.
    pub path: &'a str,
    /// Number of bytes.
    pub bytes: u64,
    /// CRC-32 of its bytes, as eight hexadecimal digits.
    pub checksum: String,
    /// Its compression: "gzip", "zstd", "bzip2" or "xz". Length and checksum are of the
    /// decompressed bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<&'a str>,
    /// The encoding that it was decoded from, by its WHATWG name. Length and checksum are of the
    /// text as UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'a str>,
}

/// The numbers of files in the corpus folders that were skipped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFiles {
    /// Files that have a NUL byte in the first 8 KiB, have a known format that is not text, or are
    /// compressed.
    pub binary: usize,
    /// Empty files.
    pub empty: usize,
}

impl Corpus {
    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no symbol. Always false: opening an empty corpus is an error.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The symbols of the whole corpus.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Number of occurrences of symbols that are not in the vocabulary. [`Unknown::Skip`] skips
    /// them, so [`Corpus::len`] does not count them. [`Unknown::Replace`] replaces them, so it
    /// does. 0 with [`Unknown::Error`].
    pub fn unknown_symbols(&self) -> usize {
        self.unknown_symbols
    }

    /// Writes the ids of the symbols from `start` on into `ids`.
    ///
    /// # Panics
    /// If the corpus ends before `start + ids.len()`.
    pub fn read(&self, start: usize, ids: &mut [u32]) {
        self.each(start, ids.len(), |at, id| ids[at] = id);
    }

    /// The files of the corpus, in its order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = CorpusFile<'_>> {
        self.sources[..self.documents].iter().zip(&self.checksums).map(|(source, checksum)| CorpusFile {
            path: &source.name,
            bytes: source.bytes().len() as u64,
            checksum: format!("{checksum:08x}"),
            compression: source.conversion.compression,
            encoding: source.conversion.encoding.as_deref(),
        })
    }

    /// Number of bytes that are read in place from mapped files.
    pub fn mapped(&self) -> usize {
        self.sources.iter().filter(|source| source.is_mapped()).map(|source| source.bytes().len()).sum()
    }

    /// Number of bytes in a temporary file: text that was decompressed, decoded or read from a
    /// pipe.
    pub fn spooled(&self) -> usize {
        self.sources.iter().map(|source| source.bytes().len() - source.memory()).sum::<usize>()
            - self.mapped()
    }

    /// Number of bytes of memory that the corpus takes: its index, and the sources that are neither
    /// mapped nor in a temporary file.
    pub fn memory(&self) -> usize {
        self.sources.iter().map(CorpusSource::memory).sum::<usize>()
            + self.spans.iter().map(ScanSpan::memory).sum::<usize>()
    }

    /// The numbers of skipped files in folders.
    pub fn skipped(&self) -> SkippedFiles {
        self.skipped
    }

    /// Checksum (CRC-32) of the bytes, to recognize the corpus when a run is resumed.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// The name in messages: the path, "3 files below books", "the built-in text".
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Checks that no file was written to, replaced or deleted since it was opened.
    ///
    /// The ids read from such a file are still below V, but may be wrong.
    ///
    /// # Errors
    /// [`Error::TextChanged`](crate::Error::TextChanged) names the first such file.
    pub fn check_unchanged(&self) -> Result<()> {
        self.sources.iter().try_for_each(CorpusSource::check_unchanged)
    }

    /// Checks that no mapped file was truncated before the bytes read from it. The lost part of a
    /// truncated file reads as zeros, if `install_truncation_guard` was called. One atomic load in
    /// the usual case, so a training step can call it.
    ///
    /// # Errors
    /// [`Error::TextChanged`](crate::Error::TextChanged) names the first file that was truncated.
    pub fn check_truncation(&self) -> Result<()> {
        #[cfg(feature = "files")]
        if map::any_truncated() {
            return self.sources.iter().try_for_each(CorpusSource::check_truncation);
        }
        Ok(())
    }

    /// Calls `symbol` with 0, 1, ... and the ids of `count` symbols from `start` on.
    #[inline]
    fn each(&self, start: usize, count: usize, mut symbol: impl FnMut(usize, u32)) {
        // An id that is not in the vocabulary comes from a file that has changed, or is replaced.
        let stand_in = self.stand_in;
        match self.vocabulary.table() {
            Some(table) => self.each_value(start, count, |at, value| {
                let id = table.get(value);
                symbol(at, if id == UNKNOWN { stand_in } else { id });
            }),
            None => self.each_value(start, count, |at, id| symbol(at, id.min(stand_in))),
        }
    }

    /// Calls `symbol` with 0, 1, ... and the values of `count` symbols from `start` on.
    #[inline]
    fn each_value(&self, start: usize, count: usize, mut symbol: impl FnMut(usize, u32)) {
        let end = start.saturating_add(count);
        assert!(end <= self.len, "symbols {start}..{end} of a text of {}", self.len);
        let decoding = self.decoding();
        let first = self.spans.partition_point(|span| span.first + span.symbols() <= start);
        for span in self.spans[first..].iter().take_while(|span| span.first < end) {
            let from = start.max(span.first);
            let symbols = from - span.first..end.min(span.first + span.symbols()) - span.first;
            let before = from - start;
            span.read(self.bytes(span), decoding, symbols, |at, value| symbol(before + at, value));
        }
    }

    fn decoding(&self) -> Decoding<'_> {
        let known = self.vocabulary.table().filter(|_| self.unknown == Unknown::Skip);
        Decoding { unit: self.vocabulary.unit(), id_width: self.id_width, invalid: self.invalid, known }
    }

    fn bytes(&self, span: &ScanSpan) -> &[u8] {
        &self.sources[span.source as usize].bytes()[span.bytes()]
    }
}

//! Text to ids: memory-mapped files, their distinct symbols, and how training and evaluation walk over them.
//!
//! A [`Corpus`] never holds the text as ids, nor a copy of a file. Opening it scans the bytes once, in parallel, for
//! the [`Vocabulary`] and a sparse index; reading it decodes in place. [`Batches`] and [`Streams`] say which symbols
//! make up a window, as a pure function of its number.

mod batches;
mod decode;
mod documents;
mod draft;
mod embedded;
mod files;
mod intake;
mod map;
mod options;
mod pages;
mod recognise;
mod scan;
mod source;
mod split;
mod spool;
mod streams;
#[cfg(test)]
mod tests;
mod unpack;
mod vocabulary;

use crate::{Error, Invalid, Result, SplitBy, Unit, Unknown};
pub use batches::{Batch, Batches};
use documents::Documents;
use draft::Draft;
pub use intake::is_standard_input;
use memchr::memmem;
pub use options::Options;
use rayon::prelude::*;
use scan::{Reading, Span};
use serde::Serialize;
use source::Source;
pub use split::Split;
use std::path::PathBuf;
pub use streams::Streams;
use vocabulary::UNKNOWN;
pub use vocabulary::Vocabulary;

/// A text as a sequence of symbol ids, read in place from memory-mapped files.
///
/// Each file is decoded by itself: no character reaches from one into the next.
#[derive(Debug)]
pub struct Corpus {
    name: String,
    /// The documents, and at the end what stands between them, if anything does.
    sources: Vec<Source>,
    documents: usize,
    /// What ends a document within a file; may be empty.
    marker: String,
    /// Whether these documents are shuffled.
    shuffled: bool,
    /// CRC-32 of each source.
    checksums: Vec<u32>,
    skipped: Skipped,
    /// Non-empty stretches of the sources, in order.
    spans: Vec<Span>,
    invalid: Invalid,
    vocabulary: Vocabulary,
    /// What was done with symbols that the vocabulary lacks.
    unknown: Unknown,
    /// How many there are.
    unknown_symbols: usize,
    /// The id that such a symbol has, where it is replaced.
    stand_in: u32,
    len: usize,
    fingerprint: u32,
}

/// One file of a text, as the manifest of a run lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document<'a> {
    /// The path, or what a person would call it.
    pub path: &'a str,
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of its bytes, as eight hexadecimal digits.
    pub checksum: String,
    /// How it was compressed: "gzip", "zstd", "bzip2" or "xz". Length and checksum are those of what it held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<&'a str>,
    /// What it was decoded from, by its WHATWG name. Length and checksum are those of the text as UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'a str>,
}

/// Files below folders that are no part of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// With a NUL byte in the first 8 KiB, of a known format that is no text, or compressed.
    pub binary: usize,
    /// Without a byte.
    pub empty: usize,
}

impl Corpus {
    /// Opens files, and all text files below folders (sorted by path), as one text; [`Options`] has more to choose.
    ///
    /// # Errors
    /// Those of [`Options::open`].
    pub fn open(paths: &[PathBuf], unit: Unit, invalid: Invalid) -> Result<Self> {
        Options { unit, invalid, ..Options::default() }.open(paths)
    }

    /// The same with a vocabulary that is given (a trained model's).
    ///
    /// # Errors
    /// Those of [`Options::open`].
    pub fn open_with(paths: &[PathBuf], vocabulary: &Vocabulary, invalid: Invalid) -> Result<Self> {
        Options { invalid, vocabulary: Some(vocabulary), ..Options::default() }.open(paths)
    }

    /// A text in memory.
    ///
    /// # Errors
    /// [`Error::EmptyText`].
    pub fn from_text(text: impl Into<String>, unit: Unit) -> Result<Self> {
        Options { unit, ..Options::default() }.read(Draft::text(text.into()))
    }

    /// A text in memory, with a vocabulary that is given.
    ///
    /// # Errors
    /// [`Error::EmptyText`], and [`Error::UnknownSymbol`] for a symbol that the vocabulary lacks.
    pub fn from_text_with(text: impl Into<String>, vocabulary: &Vocabulary) -> Result<Self> {
        Options { vocabulary: Some(vocabulary), ..Options::default() }.read(Draft::text(text.into()))
    }

    /// The text inside this library: its own sources and documents.
    ///
    /// # Errors
    /// [`Error::EmptyText`] if it was built without them.
    pub fn embedded(unit: Unit) -> Result<Self> {
        Options { unit, ..Options::default() }.embedded()
    }

    /// The same text with another vocabulary, without another look at it: that of a checkpoint, say, which has symbols that this
    /// text lacks.
    ///
    /// # Errors
    /// [`Error::UnknownSymbol`] for a symbol of the text that the vocabulary lacks, unless such symbols are replaced, and
    /// [`Error::Setting`] for a vocabulary of the other unit, or for a text that was opened without the symbols that its
    /// first vocabulary lacked: open that one with this vocabulary.
    pub fn with_vocabulary(mut self, vocabulary: &Vocabulary) -> Result<Self> {
        if *vocabulary == self.vocabulary {
            return Ok(self);
        }
        self.vocabulary.check_unit(vocabulary)?;
        if self.unknown == Unknown::Skip {
            let expected = "it was opened with another vocabulary, and without the symbols that lacks; open it with this one";
            let (name, found) = ("unknown", "skip".to_owned());
            return Err(Error::setting(name, found, expected));
        }
        let complete = self.unknown_symbols == 0 && self.vocabulary.places_in(vocabulary).is_ok();
        self.stand_in = vocabulary.stand_in(if complete { Unknown::Error } else { self.unknown })?;
        self.vocabulary = vocabulary.clone();
        self.unknown_symbols = 0;
        if !complete {
            self.look_for_unknown()?;
        }
        Ok(self)
    }

    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no symbol. (Never: opening an empty text is an error.)
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The symbols of the whole text.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Number of symbols in the text that the vocabulary lacks, each counted as often as it occurs. [`Unknown::Skip`] leaves them
    /// out, so [`Corpus::len`] does not count them; [`Unknown::Replace`] replaces them, so it does. 0 for [`Unknown::Error`].
    pub fn unknown_symbols(&self) -> usize {
        self.unknown_symbols
    }

    /// Writes the ids of the symbols from `start` on into `ids`.
    ///
    /// # Panics
    /// If the text ends before `start + ids.len()`.
    pub fn read(&self, start: usize, ids: &mut [u32]) {
        self.each(start, ids.len(), |at, id| ids[at] = id);
    }

    /// The contiguous train, validation and test parts: fractions of the text, in symbols, or the borders between
    /// documents that lie next to them.
    ///
    /// # Errors
    /// [`Error::Setting`] when a fraction lies outside [0, 1), when nothing would be left to train on, or when there are
    /// fewer documents than parts.
    pub fn split(&self, by: SplitBy, val: f64, test: f64) -> Result<Split> {
        let split = Split::new(self.len, val, test)?;
        match by {
            SplitBy::Tail => Ok(split),
            SplitBy::Document => split.between(&self.beginnings()),
        }
    }

    /// The files of the text, in its order.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = Document<'_>> {
        self.sources[..self.documents].iter().zip(&self.checksums).map(|(source, checksum)| Document {
            path: &source.name,
            bytes: source.bytes().len() as u64,
            checksum: format!("{checksum:08x}"),
            compression: source.origin.compression,
            encoding: source.origin.encoding.as_deref(),
        })
    }

    /// Bytes of the text that lie in mapped files.
    pub fn mapped(&self) -> usize {
        self.sources.iter().filter(|source| source.is_mapped()).map(|source| source.bytes().len()).sum()
    }

    /// Bytes of the text that lie in a temporary file: decompressed, decoded or read from a pipe.
    pub fn spooled(&self) -> usize {
        self.sources.iter().map(|source| source.bytes().len() - source.memory()).sum::<usize>()
            - self.mapped()
    }

    /// Bytes of memory that the text takes besides: its index, and what could not be mapped.
    pub fn memory(&self) -> usize {
        self.sources.iter().map(Source::memory).sum::<usize>()
            + self.spans.iter().map(Span::memory).sum::<usize>()
    }

    /// What was passed over below folders.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Number of documents that have a symbol: files, or what the document marker ends within them.
    pub fn document_count(&self) -> usize {
        self.beginnings().len()
    }

    /// Whether the document marker stands anywhere in the files; false when there is none.
    pub fn has_document_marker(&self) -> bool {
        let finder = memmem::Finder::new(&self.marker);
        let mut files = self.sources[..self.documents].iter();
        !self.marker.is_empty() && files.any(|source| finder.find(source.bytes()).is_some())
    }

    /// The first symbol of every document that has any.
    fn beginnings(&self) -> Vec<usize> {
        let spans = self.spans.iter().filter(|span| (span.source as usize) < self.documents);
        if self.marker.is_empty() || self.shuffled {
            let mut beginnings: Vec<_> = spans.collect();
            beginnings.dedup_by_key(|span| span.document);
            return beginnings.into_iter().map(|span| span.first).collect();
        }
        let files = self.spans.chunk_by(|one, next| one.source == next.source);
        let mut beginnings: Vec<_> = files.flat_map(|spans| self.beginnings_within(spans)).collect();
        beginnings.dedup();
        beginnings
    }

    /// The first symbols of the documents within one file, whose spans are given. A document of which nothing is read
    /// begins where the next one does, or, behind the last symbol of the file, nowhere.
    fn beginnings_within<'a>(&'a self, spans: &'a [Span]) -> impl Iterator<Item = usize> + 'a {
        let source = spans[0].source as usize;
        let bytes = if source < self.documents { self.sources[source].bytes() } else { &[] };
        let end = spans.last().map_or(0, |span| span.first + span.symbols());
        let mut at = 0;
        let beginnings = Documents::new(bytes, self.marker.as_bytes()).map(move |document| {
            while at + 1 < spans.len() && spans[at].bytes().end <= document.start {
                at += 1;
            }
            let span = &spans[at];
            let offset = document.start.saturating_sub(span.bytes().start).min(span.bytes().len());
            span.first + span.symbols_before(self.bytes(span), self.reading(), offset)
        });
        beginnings.filter(move |&first| first < end)
    }

    /// Checksum (CRC-32) of the text's bytes, to recognise it when a run is resumed.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// What a person would call it: the path, "3 files below books", "the built-in text".
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Asks the system whether a file was written to, replaced or deleted since it was opened.
    ///
    /// The ids read from such a file are still below V, but they may no longer be its text.
    ///
    /// # Errors
    /// [`Error::TextChanged`] names the first such file.
    pub fn unchanged(&self) -> Result<()> {
        self.sources.iter().try_for_each(Source::unchanged)
    }

    /// Whether all bytes that were read were there: what a file has lost while it was mapped reads as zeros. One load,
    /// so that a training step can ask it.
    ///
    /// # Errors
    /// [`Error::TextChanged`] names the first file that was cut short.
    pub fn whole(&self) -> Result<()> {
        match source::any_lost() {
            true => self.sources.iter().try_for_each(Source::whole),
            false => Ok(()),
        }
    }

    /// Calls `symbol` with 0, 1, ... and the ids of `count` symbols from `start` on.
    #[inline]
    fn each(&self, start: usize, count: usize, mut symbol: impl FnMut(usize, u32)) {
        let end = start.saturating_add(count);
        assert!(end <= self.len, "symbols {start}..{end} of a text of {}", self.len);
        let (ids, reading) = (self.vocabulary.ids(), self.reading());
        let first = self.spans.partition_point(|span| span.first + span.symbols() <= start);
        for span in self.spans[first..].iter().take_while(|span| span.first < end) {
            let from = start.max(span.first);
            let symbols = from - span.first..end.min(span.first + span.symbols()) - span.first;
            span.read(self.bytes(span), reading, symbols, |at, value| {
                let id = ids.get(value);
                symbol(from - start + at, if id == UNKNOWN { self.stand_in } else { id });
            });
        }
    }

    fn reading(&self) -> Reading<'_> {
        let known = (self.unknown == Unknown::Skip).then_some(self.vocabulary.ids());
        Reading { unit: self.vocabulary.unit(), invalid: self.invalid, known }
    }

    fn bytes(&self, span: &Span) -> &[u8] {
        &self.sources[span.source as usize].bytes()[span.bytes()]
    }

    /// The vocabulary lacks symbols of the text that are read: counts them where they are replaced, or else refuses the first.
    fn look_for_unknown(&mut self) -> Result<()> {
        match self.unknown {
            Unknown::Error => self.all_known(),
            Unknown::Skip => Ok(()),
            Unknown::Replace => {
                self.unknown_symbols = self.spans.par_iter().map(|span| self.count_unknown(span)).sum();
                Ok(())
            }
        }
    }

    fn count_unknown(&self, span: &Span) -> usize {
        let (ids, mut count) = (self.vocabulary.ids(), 0);
        span.read(self.bytes(span), self.reading(), 0..span.symbols(), |_, symbol| {
            count += usize::from(ids.get(symbol) == UNKNOWN);
        });
        count
    }

    /// An error for the first symbol that the vocabulary lacks.
    fn all_known(&self) -> Result<()> {
        let table = self.vocabulary.ids();
        let found = self.spans.par_iter().find_map_first(|span| {
            let found = span.find(self.bytes(span), self.invalid, table, UNKNOWN);
            found.map(|(symbol, offset)| (symbol, span.source as usize, span.bytes().start + offset))
        });
        match found {
            None => Ok(()),
            Some((symbol, source, offset)) => {
                let source = &self.sources[source];
                Err(self.vocabulary.unknown(&source.name, symbol, offset + source.mark))
            }
        }
    }
}

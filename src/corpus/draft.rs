//! From sources to a corpus: the order of the pieces, the scan, and the vocabulary.

use super::{
    Corpus, CorpusOptions, SkippedFiles, Vocabulary,
    decoding::Decoding,
    documents::{self, Piece},
    nul_bytes,
    scan::{SPAN, Scan, ScanCallback},
    seen_symbols::SeenSymbols,
    shuffle::shuffle,
    source::CorpusSource,
};
use crate::{Error, IdWidth, Result, Unit, Unknown};

/// A corpus whose bytes are available and not yet scanned.
pub(super) struct Draft<'a> {
    pub name: String,
    pub sources: Vec<CorpusSource>,
    /// The text between two sources, or the marker that ends a document.
    pub separator: Option<CorpusSource>,
    pub marker: String,
    /// The seed that shuffles the documents that the marker ends.
    pub shuffle: Option<u64>,
    pub skipped: SkippedFiles,
    /// True if NULs are characters like all others.
    pub nul: bool,
    pub progress: Option<ScanCallback<'a>>,
}

impl Draft<'_> {
    /// Sources that follow each other.
    pub fn of(sources: Vec<CorpusSource>) -> Self {
        let name = sources.first().map_or_else(String::new, |source| source.name.clone());
        Self {
            name,
            sources,
            separator: None,
            marker: String::new(),
            shuffle: None,
            skipped: SkippedFiles::default(),
            nul: true,
            progress: None,
        }
    }

    /// Text in memory.
    pub fn text(text: String) -> Self {
        Self::of(vec![CorpusSource::held("the text", text.into_bytes())])
    }

    /// Ids in memory.
    pub fn ids(ids: Vec<u32>) -> Self {
        Self::of(vec![CorpusSource::of_ids("the ids", ids)])
    }

    /// Scans the bytes, in spans of about `span` bytes.
    pub fn read(mut self, options: &CorpusOptions, span: usize) -> Result<Corpus> {
        self.sources.retain(|source| !source.bytes().is_empty());
        let documents = self.sources.len();
        self.sources.extend(self.separator.take());
        let unknown = options.unknown();
        let known = options.vocabulary.filter(|_| unknown == Unknown::Skip).and_then(Vocabulary::table);
        let (unit, id_width) = (options.unit(), options.id_width);
        self.check_id_lengths(unit, id_width)?;
        let decoding = Decoding { unit, id_width, invalid: options.invalid, known };
        let (pieces, shuffled) = (self.pieces(documents), self.shuffle.is_some());
        let scan = Scan::new(&self.sources, &pieces, shuffled, decoding, span, self.progress);
        // A file that was truncated meanwhile is not an invalid text.
        self.sources.iter().try_for_each(CorpusSource::check_truncation)?;
        let scan = scan?;
        // A given vocabulary says which symbols there are, so that a NUL may be one of them.
        if !self.nul && options.vocabulary.is_none() && unit == Unit::Char && scan.seen.listed.get(0) {
            nul_bytes::refuse(&self.sources)?;
        }
        match scan.symbols {
            0 => Err(self.empty(known.is_some())),
            _ => self.corpus(scan, documents, options),
        }
    }

    /// The pieces that are read, in order. After the documents there may be the separator.
    fn pieces(&self, documents: usize) -> Vec<Piece> {
        let sources = &self.sources;
        let between = (sources.len() > documents).then_some(documents);
        match (between, self.shuffle) {
            (Some(at), Some(seed)) if !self.marker.is_empty() => {
                documents::shuffled(sources, at, |pieces| shuffle(pieces, seed))
            }
            (Some(at), None) if !self.marker.is_empty() => documents::marked(sources, at),
            _ => documents::whole(sources, between),
        }
    }

    /// Refuses a file that ends within an id.
    fn check_id_lengths(&self, unit: Unit, id_width: IdWidth) -> Result<()> {
        let cut = |source: &&CorpusSource| !source.bytes().len().is_multiple_of(id_width.bytes());
        match self.sources.iter().filter(|_| unit == Unit::Ids).find(cut) {
            None => Ok(()),
            Some(source) => {
                let (text, bytes) = (source.name.clone(), source.bytes().len());
                Err(Error::IdLength { text, bytes, width: id_width.bits() })
            }
        }
    }

    fn empty(self, skipping: bool) -> Error {
        let text = match skipping {
            true => format!("{}, without the symbols that are not in the vocabulary,", self.name),
            false => self.name,
        };
        Error::EmptyText { text }
    }

    /// The scanned corpus, with the given vocabulary or the one that the scan found.
    fn corpus(self, scan: Scan, documents: usize, options: &CorpusOptions) -> Result<Corpus> {
        let Self { name, sources, marker, shuffle, skipped, .. } = self;
        let Scan { spans, seen, symbols: len, skipped: left_out, checksum: fingerprint, checksums } = scan;
        let complete = options.vocabulary.is_none_or(|vocabulary| vocabulary.has_all(&seen));
        let vocabulary = match options.vocabulary {
            Some(vocabulary) => vocabulary.clone(),
            None => collected(options.unit, &seen)?,
        };
        let unknown = options.unknown();
        let stand_in = vocabulary.stand_in(if complete { Unknown::Error } else { unknown })?;
        let mut corpus = Corpus {
            name,
            sources,
            documents,
            marker,
            shuffled: shuffle.is_some(),
            checksums,
            skipped,
            spans,
            id_width: options.id_width,
            invalid: options.invalid,
            vocabulary,
            unknown,
            unknown_symbols: left_out,
            stand_in,
            len,
            fingerprint,
        };
        if !complete {
            corpus.check_unknown()?;
        }
        Ok(corpus)
    }
}

impl CorpusOptions<'_> {
    /// Scans the bytes, in spans of the usual size.
    pub(super) fn read(&self, draft: Draft<'_>) -> Result<Corpus> {
        draft.read(self, SPAN)
    }
}

/// The vocabulary of the symbols that occur.
fn collected(unit: Unit, seen: &SeenSymbols) -> Result<Vocabulary> {
    match unit {
        Unit::Ids => Vocabulary::of_ids(seen.highest_id.map_or(0, |highest| highest as usize + 1)),
        Unit::Char | Unit::Byte => Ok(Vocabulary::from_sorted(unit, seen.listed.symbols().collect())),
    }
}

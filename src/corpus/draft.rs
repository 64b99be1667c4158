//! From sources at hand to a text: the pieces in their order, the scan, and the vocabulary.

use super::{
    Corpus, Skipped, Vocabulary, documents, options,
    scan::{Reading, Scan},
    source::Source,
    vocabulary,
};
use crate::{Error, Result};

/// A text whose bytes are at hand and not yet looked at.
pub(super) struct Draft<'a> {
    pub name: String,
    pub sources: Vec<Source>,
    /// What stands between two sources, or else the marker that ends a document.
    pub separator: Option<Source>,
    pub marker: String,
    /// Shuffles the documents that the marker ends, by this seed.
    pub shuffle: Option<u64>,
    pub skipped: Skipped,
    pub progress: Option<&'a (dyn Fn(u64, u64) + Sync)>,
}

impl Draft<'_> {
    /// Sources that follow each other.
    pub fn of(sources: Vec<Source>) -> Self {
        let name = sources.first().map_or_else(String::new, |source| source.name.clone());
        Self {
            name,
            sources,
            separator: None,
            marker: String::new(),
            shuffle: None,
            skipped: Skipped::default(),
            progress: None,
        }
    }

    /// A text in memory.
    pub fn text(text: String) -> Self {
        Self::of(vec![Source::held("the text", text.into_bytes())])
    }

    /// Scans the bytes, in spans of about `span` of them.
    pub fn read(self, reading: Reading, given: Option<&Vocabulary>, span: usize) -> Result<Corpus> {
        let Self { name, mut sources, separator, marker, shuffle, skipped, progress } = self;
        sources.retain(|source| !source.bytes().is_empty());
        let documents = sources.len();
        sources.extend(separator);
        let shuffled = shuffle.is_some();
        let between = (sources.len() > documents).then_some(documents);
        let pieces = match (between, shuffle) {
            (Some(at), Some(seed)) if !marker.is_empty() => {
                documents::shuffled(&sources, at, |pieces| options::shuffle(pieces, seed))
            }
            (Some(at), None) if !marker.is_empty() => documents::marked(&sources, at),
            _ => documents::whole(&sources, between),
        };
        let scan = Scan::new(&sources, &pieces, shuffled, reading, span, progress);
        // A file that was cut short meanwhile is no text with mistakes.
        sources.iter().try_for_each(Source::whole)?;
        let Scan { spans, seen, symbols: len, checksum, checksums } = scan?;
        if len == 0 {
            return Err(Error::EmptyText { text: name });
        }
        let complete = given.is_none_or(|v| seen.symbols().all(|s| v.ids().get(s) != vocabulary::UNKNOWN));
        let vocabulary = match given {
            Some(vocabulary) => vocabulary.clone(),
            None => Vocabulary::from_sorted(reading.unit, seen.symbols().collect()),
        };
        let invalid = reading.invalid;
        let fingerprint = checksum;
        let corpus = Corpus {
            name,
            sources,
            documents,
            marker,
            shuffled,
            checksums,
            skipped,
            spans,
            invalid,
            vocabulary,
            len,
            fingerprint,
        };
        if !complete {
            corpus.all_known()?;
        }
        Ok(corpus)
    }
}

//! From sources at hand to a text: the pieces in their order, the scan, and the vocabulary.

use super::{
    Corpus, Options, Skipped, Vocabulary,
    documents::{self, Piece},
    options,
    recognise::NUL_ADVICE,
    scan::{Reading, Scan},
    source::Source,
    vocabulary::UNKNOWN,
};
use crate::{Error, Result, Unit, Unknown};

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
    /// Whether NULs are characters as all others.
    pub nul: bool,
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
            nul: true,
            progress: None,
        }
    }

    /// A text in memory.
    pub fn text(text: String) -> Self {
        Self::of(vec![Source::held("the text", text.into_bytes())])
    }

    /// Scans the bytes, in spans of about `span` of them.
    pub fn read(mut self, options: &Options, span: usize) -> Result<Corpus> {
        self.sources.retain(|source| !source.bytes().is_empty());
        let documents = self.sources.len();
        self.sources.extend(self.separator.take());
        let unknown = options.unknown();
        let known = options.vocabulary.filter(|_| unknown == Unknown::Skip).map(Vocabulary::ids);
        let unit = options.vocabulary.map_or(options.unit, Vocabulary::unit);
        let reading = Reading { unit, invalid: options.invalid, known };
        let (pieces, shuffled) = (self.pieces(documents), self.shuffle.is_some());
        let scan = Scan::new(&self.sources, &pieces, shuffled, reading, span, self.progress);
        // A file that was cut short meanwhile is no text with mistakes.
        self.sources.iter().try_for_each(Source::whole)?;
        let scan = scan?;
        // A trained model's vocabulary says what is a symbol.
        if !self.nul && options.vocabulary.is_none() && unit == Unit::Char && scan.seen.get(0) {
            self.no_nul()?;
        }
        match scan.symbols {
            0 => Err(self.empty(known.is_some())),
            _ => self.corpus(scan, documents, options),
        }
    }

    /// What is read, in its order; behind the documents there may be what stands between them.
    fn pieces(&self, documents: usize) -> Vec<Piece> {
        let sources = &self.sources;
        let between = (sources.len() > documents).then_some(documents);
        match (between, self.shuffle) {
            (Some(at), Some(seed)) if !self.marker.is_empty() => {
                documents::shuffled(sources, at, |pieces| options::shuffle(pieces, seed))
            }
            (Some(at), None) if !self.marker.is_empty() => documents::marked(sources, at),
            _ => documents::whole(sources, between),
        }
    }

    /// Refuses a NUL behind the first bytes, which were looked at before.
    fn no_nul(&self) -> Result<()> {
        for source in &self.sources {
            if let Some(at) = memchr::memchr(0, source.bytes()) {
                let found = format!("binary (it has a NUL byte at offset {})", at + source.mark);
                let (text, advice) = (source.name.clone(), NUL_ADVICE.to_owned());
                return Err(Error::NotPlainText { text, found, advice });
            }
        }
        Ok(())
    }

    fn empty(self, skipping: bool) -> Error {
        let text = match skipping {
            true => format!("{}, without the symbols that the vocabulary lacks,", self.name),
            false => self.name,
        };
        Error::EmptyText { text }
    }

    /// The text that was scanned, with the vocabulary that is given or has been found.
    fn corpus(self, scan: Scan, documents: usize, options: &Options) -> Result<Corpus> {
        let Self { name, sources, marker, shuffle, skipped, .. } = self;
        let Scan { spans, seen, symbols: len, left_out, checksum: fingerprint, checksums } = scan;
        let (given, unknown) = (options.vocabulary, options.unknown());
        let complete = given.is_none_or(|v| seen.symbols().all(|s| v.ids().get(s) != UNKNOWN));
        let vocabulary = match given {
            Some(vocabulary) => vocabulary.clone(),
            None => Vocabulary::from_sorted(options.unit, seen.symbols().collect()),
        };
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
            invalid: options.invalid,
            vocabulary,
            unknown,
            unknown_symbols: left_out,
            stand_in,
            len,
            fingerprint,
        };
        if !complete {
            corpus.look_for_unknown()?;
        }
        Ok(corpus)
    }
}

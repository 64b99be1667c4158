//! Creating corpora: from files, text, ids and the text of this library, and with another
//! vocabulary.

use super::{Corpus, CorpusOptions, Vocabulary, draft::Draft, span::ScanSpan, vocabulary::UNKNOWN};
use crate::{Error, IdWidth, Result, Unit, Unknown};
use rayon::prelude::*;
#[cfg(feature = "files")]
use {crate::Invalid, std::path::PathBuf};

impl Corpus {
    /// Opens files, and all text files in folders (sorted by path), as one corpus.
    /// [`CorpusOptions`] has more options.
    ///
    /// # Errors
    /// As for [`CorpusOptions::open`].
    #[cfg(feature = "files")]
    pub fn open(paths: &[PathBuf], unit: Unit, invalid: Invalid) -> Result<Self> {
        CorpusOptions { unit, invalid, ..CorpusOptions::default() }.open(paths)
    }

    /// The same with a given vocabulary, such as that of a trained model.
    ///
    /// # Errors
    /// As for [`CorpusOptions::open`].
    #[cfg(feature = "files")]
    pub fn open_with(paths: &[PathBuf], vocabulary: &Vocabulary, invalid: Invalid) -> Result<Self> {
        CorpusOptions { invalid, vocabulary: Some(vocabulary), ..CorpusOptions::default() }.open(paths)
    }

    /// Opens files of token ids as one corpus: numbers of `width` bits in little-endian order,
    /// without a header. The files are mapped and read in place. The highest id decides the size of
    /// the vocabulary; [`CorpusOptions`] takes a given one.
    ///
    /// # Errors
    /// As for [`CorpusOptions::open`].
    #[cfg(feature = "files")]
    pub fn open_ids(paths: &[PathBuf], width: IdWidth) -> Result<Self> {
        CorpusOptions { unit: Unit::Ids, id_width: width, ..CorpusOptions::default() }.open(paths)
    }

    /// Creates a corpus from text in memory.
    ///
    /// # Errors
    /// [`Error::EmptyText`].
    pub fn from_text(text: impl Into<String>, unit: Unit) -> Result<Self> {
        match unit {
            Unit::Char | Unit::Byte => {
                CorpusOptions { unit, ..CorpusOptions::default() }.read(Draft::text(text.into()))
            }
            Unit::Ids => Err(no_text()),
        }
    }

    /// Creates a corpus from text in memory, with a given vocabulary.
    ///
    /// # Errors
    /// [`Error::EmptyText`], and [`Error::UnknownSymbol`] for a symbol that is not in the
    /// vocabulary.
    pub fn from_text_with(text: impl Into<String>, vocabulary: &Vocabulary) -> Result<Self> {
        match vocabulary.unit() {
            Unit::Char | Unit::Byte => {
                let options = CorpusOptions { vocabulary: Some(vocabulary), ..CorpusOptions::default() };
                options.read(Draft::text(text.into()))
            }
            Unit::Ids => Err(no_text()),
        }
    }

    /// Creates a corpus from token ids in memory. The highest id decides the size of the
    /// vocabulary.
    ///
    /// # Errors
    /// [`Error::EmptyText`], and [`Error::Setting`] for the id 2^32 - 1, which is too large.
    pub fn from_ids(ids: impl Into<Vec<u32>>) -> Result<Self> {
        ids_in_memory().read(Draft::ids(ids.into()))
    }

    /// Creates a corpus from token ids in memory, with a given vocabulary of ids.
    ///
    /// # Errors
    /// [`Error::EmptyText`], [`Error::UnknownId`] for an id that is not below the size of the
    /// vocabulary, and [`Error::Setting`] for a vocabulary of another unit.
    pub fn from_ids_with(ids: impl Into<Vec<u32>>, vocabulary: &Vocabulary) -> Result<Self> {
        match vocabulary.unit() {
            Unit::Ids => {
                let options = CorpusOptions { vocabulary: Some(vocabulary), ..ids_in_memory() };
                options.read(Draft::ids(ids.into()))
            }
            unit => Err(Error::Setting {
                name: "unit",
                found: unit.name().to_owned(),
                expected: "the corpus has ids; give a vocabulary of ids (Vocabulary::of_ids)".to_owned(),
            }),
        }
    }

    /// Creates a corpus from the text inside this library: its own sources and documents.
    ///
    /// # Errors
    /// [`Error::EmptyText`] if the library was built without them.
    pub fn embedded(unit: Unit) -> Result<Self> {
        CorpusOptions { unit, ..CorpusOptions::default() }.embedded()
    }

    /// Returns the corpus with another vocabulary, such as that of a checkpoint, which may have
    /// symbols that do not occur in the corpus. Does not scan the corpus again unless a symbol is
    /// missing.
    ///
    /// # Errors
    /// [`Error::UnknownSymbol`] or [`Error::UnknownId`] for a symbol of the corpus that is not in
    /// the vocabulary, unless such symbols are replaced. [`Error::Setting`] for a vocabulary of
    /// another unit, and for a corpus that skipped symbols that were not in its first vocabulary:
    /// open that one with this vocabulary.
    pub fn with_vocabulary(mut self, vocabulary: &Vocabulary) -> Result<Self> {
        if *vocabulary == self.vocabulary {
            return Ok(self);
        }
        self.vocabulary.check_unit(vocabulary)?;
        if self.unknown == Unknown::Skip {
            let expected = "it was opened with another vocabulary and skipped the symbols that are not in it; open it \
                            with this one";
            let (name, found) = ("unknown", "skip".to_owned());
            return Err(Error::Setting { name, found, expected: expected.to_owned() });
        }
        let complete = self.unknown_symbols == 0 && self.vocabulary.places_in(vocabulary).is_ok();
        self.stand_in = vocabulary.stand_in(if complete { Unknown::Error } else { self.unknown })?;
        self.vocabulary = vocabulary.clone();
        self.unknown_symbols = 0;
        if !complete {
            self.check_unknown()?;
        }
        Ok(self)
    }

    /// Handles symbols that are read and not in the vocabulary: counts them if they are replaced,
    /// and otherwise refuses the first.
    pub(super) fn check_unknown(&mut self) -> Result<()> {
        match self.unknown {
            Unknown::Error => self.check_all_known(),
            Unknown::Skip => Ok(()),
            Unknown::Replace => {
                self.unknown_symbols = self.spans.par_iter().map(|span| self.count_unknown(span)).sum();
                Ok(())
            }
        }
    }

    fn count_unknown(&self, span: &ScanSpan) -> usize {
        let mut count = 0;
        span.read(self.bytes(span), self.decoding(), 0..span.symbols(), |_, symbol| {
            count += usize::from(self.vocabulary.id_of(symbol) == UNKNOWN);
        });
        count
    }

    /// Returns an error for the first symbol that is not in the vocabulary.
    fn check_all_known(&self) -> Result<()> {
        let is_unknown = |symbol| self.vocabulary.id_of(symbol) == UNKNOWN;
        let found = self.spans.par_iter().find_map_first(|span| {
            let found = span.find(self.bytes(span), self.decoding(), is_unknown);
            found.map(|(symbol, offset)| (symbol, span.source as usize, span.bytes().start + offset))
        });
        match found {
            None => Ok(()),
            Some((symbol, source, offset)) => Err(self.unknown_error(symbol, source, offset)),
        }
    }

    /// The error for a symbol at a byte offset of a source.
    fn unknown_error(&self, symbol: u32, source: usize, offset: usize) -> Error {
        let source = &self.sources[source];
        match self.vocabulary.unit() {
            Unit::Ids => Error::UnknownId {
                text: source.name.clone(),
                id: symbol,
                position: offset / self.decoding().symbol_bytes(),
                vocabulary: self.vocabulary.len(),
            },
            _ => self.vocabulary.unknown(&source.name, symbol, offset + source.mark),
        }
    }
}

/// The options for ids in memory, which have 32 bits.
fn ids_in_memory<'a>() -> CorpusOptions<'a> {
    CorpusOptions { unit: Unit::Ids, id_width: IdWidth::Bits32, ..CorpusOptions::default() }
}

/// The error for text where ids are expected.
pub(super) fn no_text() -> Error {
    Error::Setting {
        name: "unit",
        found: Unit::Ids.name().to_owned(),
        expected: "a text has no ids; give a file of ids, or ids in memory (Corpus::from_ids)".to_owned(),
    }
}

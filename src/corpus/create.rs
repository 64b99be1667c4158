//! Creating corpora: from files, text, ids and the text of this library.

use super::{Corpus, CorpusOptions, Vocabulary, draft::Draft, embedded, source::CorpusSource};
use crate::{Error, IdWidth, Result, Unit};
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
            unit => {
                let expected = "the corpus has ids; give a vocabulary of ids (Vocabulary::of_ids)";
                Err(Error::setting("unit", unit.name(), expected))
            }
        }
    }

    /// Creates a corpus from the text inside this library: its own sources and documents.
    ///
    /// # Errors
    /// [`Error::EmptyText`] if the library was built without them.
    pub fn embedded(unit: Unit) -> Result<Self> {
        CorpusOptions { unit, ..CorpusOptions::default() }.embedded()
    }
}

impl CorpusOptions<'_> {
    /// Opens the text of this library, as [`Corpus::embedded`] does, with the vocabulary of these
    /// options.
    ///
    /// # Errors
    /// As for [`Corpus::embedded`], and [`Error::UnknownSymbol`].
    pub fn embedded(&self) -> Result<Corpus> {
        if self.unit() == Unit::Ids {
            return Err(no_text());
        }
        let source = CorpusSource::held("the built-in text", embedded::TEXT.as_bytes());
        self.read(Draft::of(vec![source]))
    }
}

/// The options for ids in memory, which have 32 bits.
fn ids_in_memory<'a>() -> CorpusOptions<'a> {
    CorpusOptions { unit: Unit::Ids, id_width: IdWidth::Bits32, ..CorpusOptions::default() }
}

/// The error for text where ids are expected.
fn no_text() -> Error {
    let expected = "a text has no ids; give a file of ids, or ids in memory (Corpus::from_ids)";
    Error::setting("unit", Unit::Ids.name(), expected)
}

//! The options that turn files into a corpus.

use super::Vocabulary;
use crate::{DataSettings, Encoding, IdWidth, Invalid, Unit, Unknown};
use std::fmt;
#[cfg(feature = "files")]
use {super::recognize::FileRules, crate::Result};

/// The options that turn files into a corpus: the files in folders, their order, the text between
/// them and the meaning of their bytes.
#[derive(Clone, Default)]
pub struct CorpusOptions<'a> {
    /// The kind of symbol.
    pub unit: Unit,
    /// Number of bits of an id in the files, with [`Unit::Ids`].
    pub id_width: IdWidth,
    /// The treatment of bytes that are not UTF-8.
    pub invalid: Invalid,
    /// The encoding of the files, which are decoded when they are opened. If `None`: UTF-8, or the
    /// encoding of a byte-order mark.
    pub encoding: Option<Encoding>,
    /// In folders, only files that match one of these patterns, as in a `.gitignore`: `*.c`,
    /// `src/**/*.rs`, `docs/`. Empty for all files.
    pub include: Vec<String>,
    /// In folders, no file that matches one of these patterns.
    pub exclude: Vec<String>,
    /// In folders, also files that a `.gitignore` or `.ignore` names.
    pub no_ignore: bool,
    /// Shuffles the documents, each as a whole, by this seed. If `None`, they have the order of the
    /// paths, sorted by path in folders.
    pub shuffle: Option<u64>,
    /// The text between one file and the next.
    pub separator: String,
    /// The text at the end of each document within a file. If empty, each file is one document. The
    /// marker is a part of the text. It is added to a file that does not end with it and that
    /// another file follows. Not together with a separator.
    pub document_marker: String,
    /// Limit on the bytes in memory of all texts that were decompressed, decoded or read from a
    /// pipe. The rest goes to a temporary file without a name. If `None`: 64 MiB, or an eighth of
    /// the memory that this process may use, if that is less.
    pub memory: Option<usize>,
    /// The vocabulary of a trained model, instead of all symbols of the corpus.
    pub vocabulary: Option<&'a Vocabulary>,
    /// The treatment of symbols that are not in this vocabulary. If `None`, they are an error.
    pub unknown: Option<Unknown>,
    /// A function that is called with the number of bytes scanned and the number of all bytes, from
    /// any thread, every few hundred KB.
    pub progress: Option<&'a (dyn Fn(u64, u64) + Sync)>,
}

impl fmt::Debug for CorpusOptions<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, id_width, invalid, encoding, include, exclude, .. } = self;
        let Self { shuffle, separator, document_marker, .. } = self;
        write!(out, "{unit:?} {id_width:?} {invalid:?} {encoding:?} {include:?} {exclude:?} ")?;
        write!(out, "{shuffle:?} {separator:?} {document_marker:?}")
    }
}

impl<'a> CorpusOptions<'a> {
    /// The options that the settings of a run give. The random seed shuffles documents.
    pub fn of(settings: &DataSettings, seed: u64) -> Self {
        Self {
            unit: settings.unit,
            id_width: settings.id_width,
            invalid: settings.invalid,
            include: settings.include.clone(),
            exclude: settings.exclude.clone(),
            no_ignore: settings.no_ignore,
            encoding: settings.encoding.clone(),
            shuffle: settings.shuffle_documents.then_some(seed),
            separator: settings.separator.clone(),
            document_marker: settings.document_marker.clone(),
            memory: None,
            vocabulary: None,
            unknown: settings.unknown,
            progress: None,
        }
    }

    /// The treatment of unknown symbols. Without a vocabulary, all symbols of the corpus are
    /// known.
    pub(super) fn unknown(&self) -> Unknown {
        self.unknown.filter(|_| self.vocabulary.is_some()).unwrap_or(Unknown::Error)
    }

    /// The unit of the given vocabulary, or else of these options.
    pub(super) fn unit(&self) -> Unit {
        self.vocabulary.map_or(self.unit, Vocabulary::unit)
    }
}

#[cfg(feature = "files")]
impl CorpusOptions<'_> {
    /// Refuses options that contradict each other.
    pub(super) fn check(&self, unit: Unit) -> Result<()> {
        let settings = DataSettings {
            unit,
            invalid: self.invalid,
            unknown: self.unknown,
            encoding: self.encoding.clone(),
            separator: self.separator.clone(),
            document_marker: self.document_marker.clone(),
            ..DataSettings::default()
        };
        settings.validate()
    }

    /// The rules for the bytes of files.
    pub(super) fn rules(&self) -> FileRules {
        FileRules {
            unit: self.unit(),
            invalid: self.invalid,
            encoding: self.encoding.clone(),
            nul: self.separator.contains('\0') || self.document_marker.contains('\0'),
            as_stored: false,
        }
    }
}

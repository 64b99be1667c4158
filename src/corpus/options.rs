//! The options that say how files become a corpus.

use super::{Corpus, Vocabulary, create::no_text, draft::Draft, embedded, scan::SPAN, source::CorpusSource};
use crate::{DataSettings, Encoding, IdWidth, Invalid, Result, Unit, Unknown};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::fmt;
#[cfg(feature = "files")]
use {
    super::{
        files::{self, is_standard_input},
        intake,
        recognize::FileRules,
    },
    std::{
        fs,
        path::{Path, PathBuf},
    },
};

/// Separates these draws from all others of the same seed.
const PURPOSE: &[u8; 8] = b"document";

/// How files become a corpus: which files, in which order, with what between them, and what their
/// bytes mean.
#[derive(Clone, Default)]
pub struct CorpusOptions<'a> {
    /// The kind of symbol.
    pub unit: Unit,
    /// Number of bits of an id in the files, with [`Unit::Ids`].
    pub id_width: IdWidth,
    /// What to do with bytes that are not UTF-8.
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
    /// What to do with symbols that are not in this vocabulary. If `None`, they are an error.
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

    /// Opens the text of this library, as [`Corpus::embedded`] does, with the vocabulary of these
    /// options.
    ///
    /// # Errors
    /// As for [`Corpus::embedded`], and [`crate::Error::UnknownSymbol`].
    pub fn embedded(&self) -> Result<Corpus> {
        if self.unit() == Unit::Ids {
            return Err(no_text());
        }
        let source = CorpusSource::held("the built-in text", embedded::TEXT.as_bytes());
        self.read(Draft::of(vec![source]))
    }

    pub(super) fn read(&self, draft: Draft<'_>) -> Result<Corpus> {
        draft.read(self, SPAN)
    }

    /// What to do with unknown symbols. Without a vocabulary, all symbols of the corpus are known.
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
    /// Opens files, and all text files in folders, as one corpus. The path `-` means standard
    /// input.
    ///
    /// In a folder, these are skipped: hidden files and folders, files that a `.gitignore` or
    /// `.ignore` names, binary files (a NUL byte in the first 8 KiB, or a known format), links to
    /// folders, folders of training runs and, unless there are patterns to include, compressed
    /// files. Files of ids need such patterns. Folders need the feature `folders`.
    ///
    /// Files in gzip, zstd, bzip2 and xz are recognized by their first bytes and decompressed once.
    /// A text that is larger than 1 GiB and than 250 times its file is an error. A byte-order mark
    /// is not a part of the text, unless symbols are bytes, and UTF-16 after a mark is decoded.
    /// Files of ids are read as they are.
    ///
    /// Files are mapped, not copied. See
    /// [`install_truncation_guard`](super::install_truncation_guard) for files that another program
    /// may truncate.
    ///
    /// # Errors
    /// - [`Error::Io`](crate::Error::Io) for a file that is missing or unreadable.
    /// - [`Error::NotText`](crate::Error::NotText) for a device.
    /// - [`Error::NoText`](crate::Error::NoText) for a folder without text.
    /// - [`Error::NotPlainText`](crate::Error::NotPlainText) for a named file that is not text or
    ///   has a NUL byte.
    /// - [`Error::DamagedText`](crate::Error::DamagedText) and
    ///   [`Error::TextTooLarge`](crate::Error::TextTooLarge) for compressed files.
    /// - [`Error::InvalidEncoding`](crate::Error::InvalidEncoding) for bytes that are invalid in
    ///   the encoding.
    /// - [`Error::InvalidUtf8`](crate::Error::InvalidUtf8) for bytes that are not UTF-8, unless
    ///   `invalid` says to replace or skip them.
    /// - [`Error::IdLength`](crate::Error::IdLength) for a file of ids whose length is not a
    ///   multiple of their width.
    /// - [`Error::Feature`](crate::Error::Feature) for a file that this build cannot read.
    /// - [`Error::Setting`](crate::Error::Setting) for an invalid pattern, and for options that
    ///   contradict each other.
    /// - [`Error::EmptyText`](crate::Error::EmptyText) for a corpus without a symbol.
    /// - [`Error::UnknownSymbol`](crate::Error::UnknownSymbol) and
    ///   [`Error::UnknownId`](crate::Error::UnknownId) for a symbol that is not in the given
    ///   vocabulary.
    /// - [`Error::TextChanged`](crate::Error::TextChanged) for a file that changes meanwhile.
    pub fn open(&self, paths: &[PathBuf]) -> Result<Corpus> {
        self.open_as(paths, self.rules())
    }

    /// Opens a corpus that was opened before and had this fingerprint.
    ///
    /// Earlier versions read files as they are stored, with byte-order marks, and decompressed
    /// nothing. If the corpus has another fingerprint now, and this one when it is read as stored,
    /// it is read as stored. Otherwise this is [`CorpusOptions::open`], and the caller must compare
    /// the fingerprints.
    ///
    /// # Errors
    /// As for [`CorpusOptions::open`].
    pub fn reopen(&self, paths: &[PathBuf], fingerprint: u32) -> Result<Corpus> {
        let opened = self.open(paths);
        let same = |corpus: &Corpus| corpus.fingerprint() == fingerprint;
        let repeatable = self.unit() != Unit::Ids && paths.iter().all(|path| can_be_read_twice(path));
        if opened.as_ref().is_ok_and(same) || !repeatable {
            return opened;
        }
        let stored = self.open_as(paths, FileRules { as_stored: true, ..self.rules() });
        stored.ok().filter(same).map_or(opened, Ok)
    }

    /// Reads the text of one file (or of `-`, standard input), decompressed and decoded, without a
    /// byte-order mark. For a prompt, for example.
    ///
    /// # Errors
    /// As for [`CorpusOptions::open`] with a named file. An empty file is not an error.
    pub fn read_to_string(&self, path: &Path) -> Result<String> {
        intake::read_to_string(path, FileRules { unit: Unit::Char, ..self.rules() })
    }

    fn open_as(&self, paths: &[PathBuf], rules: FileRules) -> Result<Corpus> {
        self.check(rules.unit)?;
        // In folders, the first bytes decide which files are text.
        let nul = rules.allows_nul() || paths.iter().any(|path| path.is_dir());
        let (mut sources, skipped) = files::open(paths, self, rules)?;
        let name = files::name(paths, sources.len());
        let marker = self.document_marker.clone();
        if let Some(seed) = self.shuffle.filter(|_| marker.is_empty()) {
            shuffle(&mut sources, seed);
        }
        let separator = [("the separator", &self.separator), ("the document marker", &marker)]
            .into_iter()
            .find(|(_, text)| !text.is_empty())
            .map(|(name, text)| CorpusSource::held(name, text.clone().into_bytes()));
        let shuffle = self.shuffle.filter(|_| !marker.is_empty());
        let progress = self.progress;
        self.read(Draft { name, sources, separator, marker, shuffle, skipped, nul, progress })
    }

    /// Refuses options that contradict each other.
    fn check(&self, unit: Unit) -> Result<()> {
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

    fn rules(&self) -> FileRules {
        FileRules {
            unit: self.unit(),
            invalid: self.invalid,
            encoding: self.encoding.clone(),
            nul: self.separator.contains('\0') || self.document_marker.contains('\0'),
            as_stored: false,
        }
    }
}

#[cfg(feature = "files")]
fn can_be_read_twice(path: &Path) -> bool {
    !is_standard_input(path) && fs::metadata(path).is_ok_and(|found| found.is_file() || found.is_dir())
}

/// Shuffles documents. The order is a function of the seed and of the number of documents.
pub(super) fn shuffle<T>(documents: &mut [T], seed: u64) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(PURPOSE);
    let mut draws = ChaCha8Rng::from_seed(key);
    for last in (1..documents.len()).rev() {
        documents.swap(last, super::batches::below(draws.next_u64(), last + 1));
    }
}

//! How files become a text.

use super::{
    Corpus, Draft, Vocabulary, embedded, files,
    intake::{self, is_standard_input},
    recognise::How,
    scan::SPAN,
    source::Source,
};
use crate::{DataSettings, Encoding, Invalid, Result, Unit, Unknown};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Keeps these draws apart from all others of the same seed.
const PURPOSE: &[u8; 8] = b"document";

/// How files become a text: which of them, in what order, with what between them, and what their bytes mean.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// What a symbol is.
    pub unit: Unit,
    /// What to do with bytes that are not UTF-8.
    pub invalid: Invalid,
    /// The encoding of the files, which are decoded as they are opened. When absent: UTF-8, or what a byte-order mark says.
    pub encoding: Option<Encoding>,
    /// Below folders, only files that one of these patterns names, as in a `.gitignore`: `*.c`, `src/**/*.rs`, `docs/`.
    pub include: Vec<String>,
    /// Below folders, no file that one of these patterns names.
    pub exclude: Vec<String>,
    /// Below folders, also files that a `.gitignore` or `.ignore` names.
    pub no_ignore: bool,
    /// Shuffle the documents, each as a whole, by this seed; otherwise they stand as named, and sorted by path below folders.
    pub shuffle: Option<u64>,
    /// What stands between one file and the next.
    pub separator: String,
    /// The text at the end of each document within a file; when empty, each file is one document. It is a part of the text;
    /// where a file ends without it, and another follows, it is added. Not together with a separator.
    pub document_marker: String,
    /// Bytes of texts that were decompressed, decoded or read from a pipe, all of them together, that stay in memory: 64 MiB
    /// when absent, or an eighth of the memory that this process may use, where that is less. What exceeds them goes to a temporary file without a name.
    pub memory: Option<usize>,
    /// A vocabulary that is given (a trained model's), instead of all symbols of the text.
    pub vocabulary: Option<&'a Vocabulary>,
    /// What to do with symbols that this vocabulary lacks; they are an error when absent.
    pub unknown: Option<Unknown>,
    /// Called with the bytes scanned so far and the bytes in all, from any thread, every few hundred KB.
    pub progress: Option<&'a (dyn Fn(u64, u64) + Sync)>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, invalid, encoding, include, exclude, shuffle, separator, document_marker, .. } =
            self;
        write!(
            out,
            "{unit:?} {invalid:?} {encoding:?} {include:?} {exclude:?} {shuffle:?} {separator:?} {document_marker:?}"
        )
    }
}

impl<'a> Options<'a> {
    /// As the settings say, with the random seed that shuffles documents.
    pub fn of(settings: &DataSettings, seed: u64) -> Self {
        Self {
            unit: settings.unit,
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

    /// Opens files, and all text files below folders, as one text. The path `-` stands for standard input.
    ///
    /// Below a folder, hidden files and folders are passed over, and so are what a `.gitignore` or `.ignore` names, binary files (a
    /// NUL byte in the first 8 KiB, or a known format), links to folders, the folders of training runs, and, unless there are
    /// patterns to include, compressed files.
    ///
    /// Files in gzip, zstd, bzip2 and xz are recognised by their first bytes and decompressed once. A text that grows beyond 250
    /// times the size of its file, and beyond 1 GiB, is refused. A byte-order mark is no part of the text, unless symbols are bytes,
    /// and UTF-16 behind a mark is decoded.
    ///
    /// # Errors
    /// [`crate::Error::Io`] for what is missing or unreadable, [`crate::Error::NotText`] for a device, [`crate::Error::NoText`] for a folder
    /// without text, [`crate::Error::NotPlainText`] for a file that is named and no text, or has a NUL byte, [`crate::Error::DamagedText`] and
    /// [`crate::Error::TextTooLarge`] for compressed files, [`crate::Error::InvalidEncoding`] for bytes that the encoding lacks,
    /// [`crate::Error::Feature`] for what this build cannot read,
    /// [`crate::Error::Setting`] for a pattern that is none and for options that contradict each other, [`crate::Error::EmptyText`]
    /// when there is no symbol at all,
    /// [`crate::Error::InvalidUtf8`] when characters are asked for and `invalid` does not say how to read around what is none,
    /// [`crate::Error::UnknownSymbol`] for a symbol that a given vocabulary lacks, and [`crate::Error::TextChanged`] for a file that
    /// changes meanwhile.
    pub fn open(&self, paths: &[PathBuf]) -> Result<Corpus> {
        self.open_as(paths, self.how())
    }

    /// Opens a text that was opened before, when it had this fingerprint. Earlier versions read files as they are stored, with
    /// byte-order marks, and decompressed nothing: where the text as it is opened now has another fingerprint, and as it
    /// was opened then has this one, it is opened as it was then. Otherwise this is [`Options::open`], and the caller has to compare.
    ///
    /// # Errors
    /// Those of [`Options::open`].
    pub fn reopen(&self, paths: &[PathBuf], fingerprint: u32) -> Result<Corpus> {
        let opened = self.open(paths);
        let same = |corpus: &Corpus| corpus.fingerprint() == fingerprint;
        if opened.as_ref().is_ok_and(same) || !paths.iter().all(|path| can_be_read_twice(path)) {
            return opened;
        }
        let stored = self.open_as(paths, How { as_stored: true, ..self.how() });
        stored.ok().filter(same).map_or(opened, Ok)
    }

    /// The text of one file (or of `-`, standard input), decompressed and decoded, without a byte-order mark: a prompt, say.
    ///
    /// # Errors
    /// Those of [`Options::open`] for a file that is named; an empty one is no error.
    pub fn read_to_string(&self, path: &Path) -> Result<String> {
        intake::read_to_string(path, How { unit: Unit::Char, ..self.how() })
    }

    fn open_as(&self, paths: &[PathBuf], how: How) -> Result<Corpus> {
        let checked = DataSettings {
            unit: how.unit,
            encoding: self.encoding.clone(),
            separator: self.separator.clone(),
            document_marker: self.document_marker.clone(),
            ..DataSettings::default()
        };
        checked.validate()?;
        // Of files below folders, the first bytes decide.
        let nul = how.allows_nul() || paths.iter().any(|path| path.is_dir());
        let (mut sources, skipped) = files::open(paths, self, how)?;
        let name = files::name(paths, sources.len());
        let marker = self.document_marker.clone();
        if let Some(seed) = self.shuffle.filter(|_| marker.is_empty()) {
            shuffle(&mut sources, seed);
        }
        let separator = [("the separator", &self.separator), ("the document marker", &marker)]
            .into_iter()
            .find(|(_, text)| !text.is_empty())
            .map(|(name, text)| Source::held(name, text.clone().into_bytes()));
        let shuffle = self.shuffle.filter(|_| !marker.is_empty());
        let progress = self.progress;
        self.read(Draft { name, sources, separator, marker, shuffle, skipped, nul, progress })
    }

    /// The text inside this library, as [`Corpus::embedded`] has it, with the vocabulary of these options.
    ///
    /// # Errors
    /// As for [`Corpus::embedded`], and [`crate::Error::UnknownSymbol`].
    pub fn embedded(&self) -> Result<Corpus> {
        let source = Source::held("the built-in text", embedded::TEXT.as_bytes());
        self.read(Draft::of(vec![source]))
    }

    pub(super) fn read(&self, draft: Draft<'_>) -> Result<Corpus> {
        draft.read(self, SPAN)
    }

    /// Without a vocabulary, all symbols of the text are known.
    pub(super) fn unknown(&self) -> Unknown {
        self.unknown.filter(|_| self.vocabulary.is_some()).unwrap_or(Unknown::Error)
    }

    fn how(&self) -> How {
        How {
            unit: self.vocabulary.map_or(self.unit, Vocabulary::unit),
            invalid: self.invalid,
            encoding: self.encoding.clone(),
            nul: self.separator.contains('\0') || self.document_marker.contains('\0'),
            as_stored: false,
        }
    }
}

fn can_be_read_twice(path: &Path) -> bool {
    !is_standard_input(path) && fs::metadata(path).is_ok_and(|found| found.is_file() || found.is_dir())
}

/// Puts documents in an order that is a function of the seed and their number.
pub(super) fn shuffle<T>(documents: &mut [T], seed: u64) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(PURPOSE);
    let mut draws = ChaCha8Rng::from_seed(key);
    for last in (1..documents.len()).rev() {
        documents.swap(last, super::batches::below(draws.next_u64(), last + 1));
    }
}

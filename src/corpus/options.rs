//! How files become a text.

use super::{Corpus, Draft, Vocabulary, embedded, files, scan::SPAN, source::Source};
use crate::{Invalid, Result, Settings, Unit, Unknown};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{fmt, path::PathBuf};

/// Keeps these draws apart from all others of the same seed.
const PURPOSE: &[u8; 8] = b"document";

/// How files become a text: which of them, in what order, with what between them, and what their bytes mean.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// What a symbol is.
    pub unit: Unit,
    /// What to do with bytes that are not UTF-8.
    pub invalid: Invalid,
    /// Below folders, only files that one of these patterns names, as in a `.gitignore`: `*.c`, `src/**/*.rs`, `docs/`.
    pub include: Vec<String>,
    /// Below folders, no file that one of these patterns names.
    pub exclude: Vec<String>,
    /// Below folders, also files that a `.gitignore` or `.ignore` names.
    pub no_ignore: bool,
    /// Shuffle the files, each as a whole, by this seed; otherwise they stand as named, and sorted by path below folders.
    pub shuffle: Option<u64>,
    /// What stands between one file and the next.
    pub separator: String,
    /// A vocabulary that is given (a trained model's), instead of all symbols of the text.
    pub vocabulary: Option<&'a Vocabulary>,
    /// What to do with symbols that this vocabulary lacks; they are an error when absent.
    pub unknown: Option<Unknown>,
    /// Called with the bytes scanned so far and the bytes in all, from any thread, every few hundred KB.
    pub progress: Option<&'a (dyn Fn(u64, u64) + Sync)>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, invalid, include, exclude, shuffle, separator, .. } = self;
        write!(out, "{unit:?} {invalid:?} {include:?} {exclude:?} {shuffle:?} {separator:?}")
    }
}

impl<'a> Options<'a> {
    /// As a run's settings say.
    pub fn of(settings: &Settings) -> Self {
        Self {
            unit: settings.unit,
            invalid: settings.invalid,
            include: settings.include.clone(),
            exclude: settings.exclude.clone(),
            no_ignore: settings.no_ignore,
            shuffle: settings.shuffle_documents.then_some(settings.seed),
            separator: settings.separator.clone(),
            vocabulary: None,
            unknown: settings.unknown,
            progress: None,
        }
    }

    /// Opens files, and all text files below folders, as one text.
    ///
    /// Below a folder, hidden files and folders are passed over, and so are what a `.gitignore` or `.ignore` names, binary files (a
    /// NUL byte in the first 8 KiB), links to folders, and the folders of training runs.
    ///
    /// # Errors
    /// [`crate::Error::Io`] for what is missing or unreadable, [`crate::Error::NotText`] for a device, [`crate::Error::NoText`] for a folder
    /// without text, [`crate::Error::Setting`] for a pattern that is none, [`crate::Error::EmptyText`] when there is no symbol at all,
    /// [`crate::Error::InvalidUtf8`] when characters are asked for and `invalid` does not say how to read around what is none,
    /// [`crate::Error::UnknownSymbol`] for a symbol that a given vocabulary lacks, and [`crate::Error::TextChanged`] for a file that
    /// changes meanwhile.
    pub fn open(&self, paths: &[PathBuf]) -> Result<Corpus> {
        let (mut sources, skipped) = files::open(paths, self)?;
        let name = files::name(paths, sources.len());
        if let Some(seed) = self.shuffle {
            shuffle(&mut sources, seed);
        }
        let separator = (!self.separator.is_empty())
            .then(|| Source::held("the separator", self.separator.clone().into_bytes()));
        let draft = Draft { name, sources, separator, skipped, progress: self.progress };
        self.read(draft)
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
}

/// Puts the files in an order that is a function of the seed and their number.
fn shuffle(sources: &mut [Source], seed: u64) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(PURPOSE);
    let mut draws = ChaCha8Rng::from_seed(key);
    for last in (1..sources.len()).rev() {
        sources.swap(last, super::batches::below(draws.next_u64(), last + 1));
    }
}

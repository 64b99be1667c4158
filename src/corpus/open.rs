//! Opening files as a corpus.

use super::{
    Corpus, CorpusOptions, draft::Draft, files, intake, recognize::FileRules, shuffle::shuffle,
    source::CorpusSource, standard_input::is_standard_input,
};
use crate::{Result, Unit};
use std::{
    fs,
    path::{Path, PathBuf},
};

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
}

fn can_be_read_twice(path: &Path) -> bool {
    !is_standard_input(path) && fs::metadata(path).is_ok_and(|found| found.is_file() || found.is_dir())
}

//! `manifest.json`: the files of the corpus that a run reads.

use crate::cli::number_format::{counted, grouped};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use unrolled::corpus::{Corpus, CorpusFile, SkippedFiles};

/// The files of a corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorpusManifest {
    /// Size of all files together.
    pub bytes: u64,
    /// Number of symbols (characters or bytes).
    pub symbols: usize,
    /// CRC-32 of the whole corpus, as eight hexadecimal digits.
    pub checksum: String,
    /// Number of skipped files.
    pub skipped: SkippedFiles,
    /// The files in the order in which they are read.
    pub documents: Vec<ManifestFile>,
}

/// One file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// The path, or a name such as "standard input".
    pub path: String,
    /// The length.
    pub bytes: u64,
    /// CRC-32 of the bytes, as eight hexadecimal digits.
    pub checksum: String,
    /// How the file is compressed; length and checksum are of the decompressed bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// The encoding of the file; length and checksum are of the text as UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

impl CorpusManifest {
    /// Lists the files of a corpus.
    pub fn of(corpus: &Corpus) -> Self {
        let documents: Vec<ManifestFile> = corpus.files().map(ManifestFile::from).collect();
        Self {
            bytes: documents.iter().map(|document| document.bytes).sum(),
            symbols: corpus.len(),
            checksum: format!("{:08x}", corpus.fingerprint()),
            skipped: corpus.skipped(),
            documents,
        }
    }

    /// Describes the corpus in a few words.
    pub fn line(&self) -> String {
        let (files, bytes) = (counted(self.documents.len() as u64, "file"), grouped(self.bytes));
        format!("{files}, {bytes} bytes, checksum {}", self.checksum)
    }

    /// Describes the first file of `corpus` that this manifest lacks, or else the first file of
    /// this manifest that `corpus` lacks. Compares contents, not paths: the manifest may have been
    /// written in another folder, with paths relative to that.
    pub fn difference(&self, corpus: &Corpus) -> Option<String> {
        let documents: Vec<_> = corpus.files().collect();
        if documents.len().max(self.documents.len()) < 2 {
            return None; // the name of the corpus says it already
        }
        let mut counts: HashMap<(u64, &str), usize> = HashMap::new();
        for file in &self.documents {
            *counts.entry((file.bytes, &file.checksum)).or_default() += 1;
        }
        for document in &documents {
            match counts.get_mut(&(document.bytes, &*document.checksum)).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => return Some(format!("{} is new or has changed", document.path)),
            }
        }
        let gone = self.documents.iter().find(|file| counts[&(file.bytes, &*file.checksum)] > 0);
        gone.map(|file| format!("{} is missing", file.path))
    }
}

impl From<CorpusFile<'_>> for ManifestFile {
    fn from(document: CorpusFile) -> Self {
        Self {
            path: document.path.to_owned(),
            bytes: document.bytes,
            checksum: document.checksum,
            compression: document.compression.map(str::to_owned),
            encoding: document.encoding.map(str::to_owned),
        }
    }
}

//! `manifest.json`: the files of the text that a run reads.

use crate::cli::figures::{counted, grouped};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use unrolled::corpus::{self, Corpus};

/// A text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of all files together.
    pub bytes: u64,
    /// Characters or bytes that are read.
    pub symbols: usize,
    /// CRC-32 of all that is read, as eight hexadecimal digits.
    pub checksum: String,
    /// What was passed over.
    pub skipped: Skipped,
    /// The files in the order they are read in.
    pub documents: Vec<Document>,
}

/// Files below folders that are no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// With a NUL byte near their beginning.
    pub binary: usize,
    /// Without a byte.
    pub empty: usize,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its path, or what a person would call it.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of its bytes, as eight hexadecimal digits.
    pub checksum: String,
    /// How the file is compressed; length and checksum are those of what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// What the file was decoded from; length and checksum are those of the text as UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

impl Manifest {
    /// Of a text.
    pub fn of(corpus: &Corpus) -> Self {
        let documents: Vec<Document> = corpus.files().map(Document::from).collect();
        Self {
            bytes: documents.iter().map(|document| document.bytes).sum(),
            symbols: corpus.len(),
            checksum: format!("{:08x}", corpus.fingerprint()),
            skipped: corpus.skipped().into(),
            documents,
        }
    }

    /// The text in a few words.
    pub fn line(&self) -> String {
        let (files, bytes) = (counted(self.documents.len() as u64, "file"), grouped(self.bytes));
        format!("{files}, {bytes} bytes, checksum {}", self.checksum)
    }

    /// The first file of a text that this one lacks, or else the first of this one that the text lacks. Files are told
    /// apart by their content: the manifest may have been written in another folder, with paths relative to that.
    pub fn difference(&self, corpus: &Corpus) -> Option<String> {
        let documents: Vec<_> = corpus.files().collect();
        if documents.len().max(self.documents.len()) < 2 {
            return None; // the text's name says it already
        }
        let mut counts: HashMap<(u64, &str), usize> = HashMap::new();
        for file in &self.documents {
            *counts.entry((file.bytes, &file.checksum)).or_default() += 1;
        }
        for document in &documents {
            match counts.get_mut(&(document.bytes, &*document.checksum)).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => return Some(format!("{} is new or another one", document.path)),
            }
        }
        let gone = self.documents.iter().find(|file| counts[&(file.bytes, &*file.checksum)] > 0);
        gone.map(|file| format!("{} is missing", file.path))
    }
}

impl From<corpus::CorpusFile<'_>> for Document {
    fn from(document: corpus::CorpusFile) -> Self {
        Self {
            path: document.path.to_owned(),
            bytes: document.bytes,
            checksum: document.checksum,
            compression: document.compression.map(str::to_owned),
            encoding: document.encoding.map(str::to_owned),
        }
    }
}

impl From<corpus::SkippedFiles> for Skipped {
    fn from(corpus::SkippedFiles { binary, empty }: corpus::SkippedFiles) -> Self {
        Self { binary, empty }
    }
}

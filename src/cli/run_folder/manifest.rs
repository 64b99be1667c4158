//! `manifest.json`: the files of the text that a run reads.

use crate::cli::figures::{counted, grouped};
use serde::{Deserialize, Serialize};
use unrolled::corpus;

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
}

impl Manifest {
    /// The text in a few words.
    pub fn line(&self) -> String {
        let (files, bytes) = (counted(self.documents.len() as u64, "file"), grouped(self.bytes));
        format!("{files}, {bytes} bytes, checksum {}", self.checksum)
    }
}

impl From<corpus::Document<'_>> for Document {
    fn from(document: corpus::Document) -> Self {
        Self { path: document.path.to_owned(), bytes: document.bytes, checksum: document.checksum }
    }
}

impl From<corpus::Skipped> for Skipped {
    fn from(corpus::Skipped { binary, empty }: corpus::Skipped) -> Self {
        Self { binary, empty }
    }
}

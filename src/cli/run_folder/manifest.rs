//! `manifest.json`: the files that a run was trained on.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use unrolled::corpus::{Corpus, Document, Skipped};

#[derive(Serialize)]
struct Manifest<'a> {
    bytes: u64,
    symbols: usize,
    checksum: String,
    skipped: Skipped,
    documents: Vec<Document<'a>>,
}

/// What of it is compared.
#[derive(Deserialize)]
struct Recorded {
    documents: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    bytes: u64,
    checksum: String,
}

/// The whole file.
pub fn text(corpus: &Corpus) -> String {
    let documents: Vec<_> = corpus.documents().collect();
    let manifest = Manifest {
        bytes: documents.iter().map(|document| document.bytes).sum(),
        symbols: corpus.len(),
        checksum: format!("{:08x}", corpus.fingerprint()),
        skipped: corpus.skipped(),
        documents,
    };
    serde_json::to_string_pretty(&manifest).expect("texts and numbers") + "\n"
}

/// The first file of a text that the manifest lacks, or else the first of the manifest that the text lacks. Files are told
/// apart by their content: the manifest may have been written in another folder, with paths relative to that.
pub fn difference(manifest: &[u8], corpus: &Corpus) -> Option<String> {
    let recorded: Recorded = serde_json::from_slice(manifest).ok()?;
    if corpus.documents().len().max(recorded.documents.len()) < 2 {
        return None; // the text's name says it already
    }
    let mut counts: HashMap<(u64, String), usize> = HashMap::new();
    recorded
        .documents
        .iter()
        .for_each(|file| *counts.entry((file.bytes, file.checksum.clone())).or_default() += 1);
    for document in corpus.documents() {
        match counts.get_mut(&(document.bytes, document.checksum)).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => return Some(format!("{} is new or another one", document.path)),
        }
    }
    let gone = recorded.documents.iter().find(|file| counts[&(file.bytes, file.checksum.clone())] > 0);
    gone.map(|file| format!("{} is missing", file.path))
}

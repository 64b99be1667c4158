//! Any bytes as a file, read with every option, and compared with a decode of the whole file by the
//! standard library. Compressed bytes, UTF-16 with a byte-order mark and other formats may be
//! errors, but never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use unrolled::{
    Encoding, Error, IdWidth, Invalid, Result, Unit,
    corpus::{Corpus, CorpusOptions},
};

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("space for it");
    let open = |unit, invalid| Corpus::open(&[file.path().into()], unit, invalid);
    compare(open(Unit::Byte, Invalid::Error), bytes, bytes.iter().map(|&byte| byte.into()).collect());
    let mark = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let text = &bytes[mark..];
    let skipped: String = text.utf8_chunks().map(|chunk| chunk.valid()).collect();
    let replaced = String::from_utf8_lossy(text);
    compare(open(Unit::Char, Invalid::Replace), bytes, replaced.chars().map(u32::from).collect());
    compare(open(Unit::Char, Invalid::Skip), bytes, skipped.chars().map(u32::from).collect());
    match (open(Unit::Char, Invalid::Error), std::str::from_utf8(text)) {
        (opened, Ok(text)) => compare(opened, bytes, text.chars().map(u32::from).collect()),
        (Err(Error::InvalidUtf8 { offset, .. }), Err(error)) => {
            assert_eq!(offset, mark + error.valid_up_to());
        }
        (opened, Err(_)) => assert!(is_another_form(&opened), "{opened:?}"),
    }
    ids(bytes, &[file.path().into()]);
    decode(&[file.path().into()]);
    documents(&[file.path().into()], &replaced);
});

/// Returns whether the bytes are something else than plain UTF-8 text.
fn is_another_form(corpus: &Result<Corpus>) -> bool {
    match corpus {
        Ok(corpus) => corpus.files().any(|file| file.compression.is_some() || file.encoding.is_some()),
        Err(error) => matches!(
            error,
            Error::NotPlainText { .. }
                | Error::DamagedText { .. }
                | Error::TextTooLarge { .. }
                | Error::InvalidEncoding { .. }
        ),
    }
}

/// Returns whether the bytes can be the start of a compressed stream or of UTF-16.
fn begins_packed(bytes: &[u8]) -> bool {
    matches!(bytes[0], 0x1F | 0x28 | 0x50..=0x5F | b'B' | 0xFD..=0xFF)
}

/// Checks that reads from any place return these code points (or bytes).
fn compare(corpus: Result<Corpus>, bytes: &[u8], symbols: Vec<u32>) {
    if is_another_form(&corpus) {
        return;
    }
    let corpus = match corpus {
        // The bytes of an empty compressed stream are not symbols.
        Err(Error::EmptyText { .. }) if symbols.is_empty() || begins_packed(bytes) => return,
        corpus => corpus.expect("a text with symbols opens"),
    };
    let sorted: Vec<u32> = BTreeSet::from_iter(symbols.iter().copied()).into_iter().collect();
    assert_eq!((corpus.len(), corpus.vocabulary().len()), (symbols.len(), sorted.len()));
    for start in (0..symbols.len()).step_by(symbols.len().div_ceil(8)) {
        let mut ids = vec![0; symbols.len() - start];
        corpus.read(start, &mut ids);
        assert!(ids.iter().zip(&symbols[start..]).all(|(&id, symbol)| sorted[id as usize] == *symbol));
    }
}

/// Files of ids are the numbers of their bytes.
fn ids(bytes: &[u8], paths: &[std::path::PathBuf]) {
    let two = bytes.chunks(2).map(|id| u32::from(id[0]) | u32::from(*id.last().unwrap()) << 8).collect();
    let four =
        bytes.chunks(4).map(|id| id.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte))).collect();
    for (width, ids) in [(IdWidth::Bits16, two), (IdWidth::Bits32, four)] {
        let ids: Vec<u32> = ids;
        match Corpus::open_ids(paths, width) {
            Ok(corpus) => {
                let mut read = vec![0; corpus.len()];
                corpus.read(0, &mut read);
                assert!(read == ids && corpus.vocabulary().len() == *ids.iter().max().unwrap() as usize + 1);
            }
            Err(Error::EmptyText { .. }) => assert!(bytes.is_empty()),
            Err(Error::IdLength { .. }) => assert!(!bytes.len().is_multiple_of(width.bytes())),
            Err(error) => assert!(ids.contains(&u32::MAX), "{error}"),
        }
    }
}

/// Decoders take any bytes, in memory and through a temporary file, to the same text.
fn decode(paths: &[std::path::PathBuf]) {
    for name in ["utf-16le", "utf-16be", "windows-1252", "shift_jis", "gb18030"] {
        let encoding = Encoding::new(name).ok();
        let invalid = Invalid::Replace;
        let [one, other] = [None, Some(0)].map(|memory| {
            let options =
                CorpusOptions { encoding: encoding.clone(), invalid, memory, ..CorpusOptions::default() };
            options.open(paths).map(|corpus| (corpus.len(), corpus.fingerprint()))
        });
        assert_eq!(one.ok(), other.ok());
    }
}

/// Checks that shuffled documents have the symbols of the text, and the added markers.
fn documents(paths: &[std::path::PathBuf], text: &str) {
    let options = CorpusOptions {
        invalid: Invalid::Replace,
        document_marker: "\n".into(),
        shuffle: Some(1),
        ..CorpusOptions::default()
    };
    let corpus = options.open(paths);
    if is_another_form(&corpus) {
        return;
    }
    let Ok(corpus) = corpus else { return };
    let symbols = text.chars().count();
    assert!((symbols..=symbols + 1).contains(&corpus.len()), "{} of {symbols}", corpus.len());
    assert!(corpus.document_count() <= symbols);
}

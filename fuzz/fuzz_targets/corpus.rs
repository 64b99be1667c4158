//! Any bytes, as a file read with every option, against a decode of the whole by the standard library.
//! `cargo +nightly fuzz run corpus`
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use unrolled::{Error, Invalid, Unit, corpus::Corpus};

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("space for it");
    let open = |unit, invalid| Corpus::open(&[file.path().into()], unit, invalid);
    let skipped: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
    compare(
        open(Unit::Char, Invalid::Replace),
        String::from_utf8_lossy(bytes).chars().map(u32::from).collect(),
    );
    compare(open(Unit::Char, Invalid::Skip), skipped.chars().map(u32::from).collect());
    compare(open(Unit::Byte, Invalid::Error), bytes.iter().map(|&byte| byte.into()).collect());
    match std::str::from_utf8(bytes) {
        Ok(text) => compare(open(Unit::Char, Invalid::Error), text.chars().map(u32::from).collect()),
        Err(error) => {
            let opened = open(Unit::Char, Invalid::Error);
            let offset = error.valid_up_to();
            assert!(matches!(opened, Err(Error::InvalidUtf8 { offset: found, .. }) if found == offset));
        }
    }
});

/// The symbols read must be these code points (or bytes), whatever the place where the read begins.
fn compare(corpus: Result<Corpus, Error>, symbols: Vec<u32>) {
    if symbols.is_empty() {
        assert!(matches!(corpus, Err(Error::EmptyText { .. })));
        return;
    }
    let corpus = corpus.expect("a text with symbols opens");
    let sorted: Vec<u32> = BTreeSet::from_iter(symbols.iter().copied()).into_iter().collect();
    assert_eq!((corpus.len(), corpus.vocabulary().len()), (symbols.len(), sorted.len()));
    for start in (0..symbols.len()).step_by(symbols.len().div_ceil(8)) {
        let mut ids = vec![0; symbols.len() - start];
        corpus.read(start, &mut ids);
        assert!(ids.iter().zip(&symbols[start..]).all(|(&id, symbol)| sorted[id as usize] == *symbol));
    }
}

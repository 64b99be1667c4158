//! A vocabulary's JSON, a line end, and a text: the accepted, encoded and decoded values are
//! compared with the standard library.
//!
//! Exactly the ascending lists of characters or of bytes must be accepted; ids must be the indices
//! in the list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use unrolled::corpus::{Corpus, Vocabulary};
use unrolled::{Error, Unit};

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (json, text) = bytes.split_at(cut);
    let Ok(json) = str::from_utf8(json) else { return };
    let text = String::from_utf8_lossy(text.get(1..).unwrap_or_default()).into_owned();
    let found = Vocabulary::from_json(json);
    if found.as_ref().is_ok_and(|vocabulary| vocabulary.unit() == Unit::Ids) {
        return check_ids(&found.expect("ids"), &text);
    }
    match expected(json) {
        Some((unit, symbols)) => {
            let vocabulary = found.expect("an ascending list of symbols");
            assert_eq!((vocabulary.unit(), vocabulary.len()), (unit, symbols.len()));
            assert_eq!(Vocabulary::from_json(&vocabulary.to_json()).expect("its own form"), vocabulary);
            check_text(&vocabulary, &symbols, &text);
        }
        None => assert!(matches!(found, Err(Error::Vocabulary(_))), "{json} is no vocabulary"),
    }
    if !text.is_empty() {
        check_collected(&text, Unit::Char);
        check_collected(&text, Unit::Byte);
    }
});

/// Returns the symbols of the JSON if it is an ascending list of one kind.
fn expected(json: &str) -> Option<(Unit, Vec<u32>)> {
    let only = |text: &String| text.parse::<char>().ok().map(u32::from);
    let (unit, symbols): (_, Vec<u32>) = match serde_json::from_str::<Vec<String>>(json) {
        Ok(strings) => (Unit::Char, strings.iter().map(only).collect::<Option<_>>()?),
        Err(_) => {
            let bytes: Vec<u8> = serde_json::from_str(json).ok()?;
            (Unit::Byte, bytes.into_iter().map(u32::from).collect())
        }
    };
    let sorted: Vec<u32> = BTreeSet::from_iter(symbols.iter().copied()).into_iter().collect();
    (!symbols.is_empty() && sorted == symbols).then_some((unit, symbols))
}

/// Returns the symbols of a text, each with its offset in bytes.
fn symbols_of(text: &str, unit: Unit) -> Vec<(usize, u32)> {
    match unit {
        Unit::Char => text.char_indices().map(|(at, c)| (at, u32::from(c))).collect(),
        Unit::Byte => text.bytes().map(u32::from).enumerate().collect(),
        Unit::Ids => unreachable!("a text has no ids"),
    }
}

fn check_text(vocabulary: &Vocabulary, symbols: &[u32], text: &str) {
    let read = symbols_of(text, vocabulary.unit());
    let stranger = read.iter().find(|(_, symbol)| !symbols.contains(symbol));
    let encoded = vocabulary.encode(text);
    if let Some(&(at, _)) = stranger {
        assert!(matches!(encoded, Err(Error::UnknownSymbol { offset, .. }) if offset == at));
        let corpus = Corpus::from_text_with(text, vocabulary);
        assert!(matches!(corpus, Err(Error::UnknownSymbol { offset, .. }) if offset == at));
        return;
    }
    let ids = encoded.expect("all symbols are known");
    assert!(ids.iter().map(|&id| symbols[id as usize]).eq(read.iter().map(|&(_, symbol)| symbol)));
    assert_eq!(vocabulary.decode(&ids), text);
    if !text.is_empty() {
        let corpus = Corpus::from_text_with(text, vocabulary).expect("all symbols are known");
        let mut again = vec![0; corpus.len()];
        corpus.read(0, &mut again);
        assert_eq!(again, ids);
    }
}

/// Ids are decimal numbers below the size of the vocabulary, separated by white space.
fn check_ids(vocabulary: &Vocabulary, text: &str) {
    assert_eq!(Vocabulary::from_json(&vocabulary.to_json()).expect("its own form"), *vocabulary);
    let is_known = |id: &Option<usize>| id.is_some_and(|id| id < vocabulary.len());
    let ids: Vec<Option<usize>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    match vocabulary.encode(text) {
        Ok(encoded) => {
            assert!(encoded.iter().map(|&id| Some(id as usize)).eq(ids));
            assert_eq!(vocabulary.encode(&vocabulary.decode(&encoded)).expect("its own form"), encoded);
        }
        Err(error) => assert!(matches!(error, Error::IdText { .. }) && !ids.iter().all(is_known)),
    }
}

/// A vocabulary collected from the text is its distinct symbols, and survives its JSON.
fn check_collected(text: &str, unit: Unit) {
    let corpus = Corpus::from_text(text, unit).expect("a text with symbols");
    let sorted: BTreeSet<u32> = symbols_of(text, unit).into_iter().map(|(_, symbol)| symbol).collect();
    let (_, listed) = expected(&corpus.vocabulary().to_json()).expect("an ascending list of symbols");
    assert!(sorted.into_iter().eq(listed.iter().copied()));
    check_text(corpus.vocabulary(), &listed, text);
}

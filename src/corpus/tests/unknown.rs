//! Text with symbols that are not in the given vocabulary.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn unknown_symbols_are_skipped_or_replaced(
        files in prop::collection::vec(bytes(), 1..4),
        (unit, span) in (unit(), span()),
        kept in prop::collection::vec(any::<prop::sample::Index>(), 1..9),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 9),
    ) {
        let plain = CorpusOptions { unit, invalid: Invalid::Replace, ..CorpusOptions::default() };
        let text = naive(&files, &plain);
        prop_assume!(!text.is_empty());
        let mut symbols: BTreeSet<u32> = kept.iter().map(|kept| text[kept.index(text.len())]).collect();
        symbols.insert(u32::from(' '));
        let vocabulary = Vocabulary::from_sorted(unit, symbols.into_iter().collect());
        let stand_in = vocabulary.stand_in(Unknown::Replace).unwrap();
        let id = |symbol: &u32| vocabulary.id_of(*symbol);
        for unknown in [Unknown::Skip, Unknown::Replace] {
            let expected: Vec<u32> = match unknown {
                Unknown::Skip => text.iter().map(id).filter(|id| *id != UNKNOWN).collect(),
                _ => text.iter().map(id).map(|id| if id == UNKNOWN { stand_in } else { id }).collect(),
            };
            let options = CorpusOptions { vocabulary: Some(&vocabulary), unknown: Some(unknown), ..plain.clone() };
            let corpus = draft(&files).read(&options, span).unwrap();
            prop_assert_eq!(corpus.len(), expected.len());
            let lacking = text.iter().filter(|symbol| id(symbol) == UNKNOWN).count();
            prop_assert_eq!(corpus.unknown_symbols(), lacking);
            prop_assert_eq!(corpus.fingerprint(), crc32fast::hash(&files.concat()));
            for (one, other) in &cuts {
                let (one, other) = (one.index(expected.len() + 1), other.index(expected.len() + 1));
                let range = one.min(other)..one.max(other);
                let mut read = vec![u32::MAX; range.len()];
                corpus.read(range.start, &mut read);
                prop_assert_eq!(&read, &expected[range]);
            }
        }
    }
}

fn chars(text: &str) -> Vocabulary {
    Vocabulary::of_chars(text.chars()).unwrap()
}

fn ids(corpus: &Corpus) -> Vec<u32> {
    let mut ids = vec![0; corpus.len()];
    corpus.read(0, &mut ids);
    ids
}

#[test]
fn a_corpus_takes_another_vocabulary_that_has_its_symbols() {
    let corpus = || Corpus::from_text("abba", Unit::Char).unwrap();
    let larger = corpus().with_vocabulary(&chars("!abc")).unwrap();
    assert_eq!((ids(&larger), larger.vocabulary().len()), (vec![1, 2, 2, 1], 4));
    let refused = |vocabulary: &Vocabulary| corpus().with_vocabulary(vocabulary).unwrap_err().to_string();
    assert!(refused(&chars("!bc")).starts_with("the text: the symbol 'a' (U+0061) at offset 0"));
    assert!(refused(&Vocabulary::all_bytes()).starts_with("unit = byte is invalid"));
}

#[test]
fn a_corpus_that_skipped_symbols_keeps_its_vocabulary() {
    let (small, large) = (chars("ab"), chars("abc"));
    let open = |unknown| {
        let options =
            CorpusOptions { vocabulary: Some(&small), unknown: Some(unknown), ..CorpusOptions::default() };
        options.read(Draft::text("abcab".into())).unwrap()
    };
    assert_eq!(ids(&open(Unknown::Skip)), [0, 1, 0, 1]);
    open(Unknown::Skip).with_vocabulary(&small).unwrap();
    let refused = open(Unknown::Skip).with_vocabulary(&large).unwrap_err().to_string();
    assert!(
        refused.starts_with("unknown = skip is invalid: it was opened with another vocabulary and skipped"),
        "{refused}"
    );
}

#[test]
fn a_symbol_that_cannot_be_replaced_is_an_error() {
    let small = chars("ab");
    let options = CorpusOptions {
        vocabulary: Some(&small),
        unknown: Some(Unknown::Replace),
        ..CorpusOptions::default()
    };
    assert_eq!(ids(&options.read(Draft::text("abba".into())).unwrap()), [0, 1, 1, 0]);
    let refused = options.read(Draft::text("abc".into())).unwrap_err().to_string();
    assert!(refused.contains("neither U+FFFD nor a space"), "{refused}");
}

#[test]
fn the_built_in_text_takes_a_given_vocabulary() {
    let all = Vocabulary::all_bytes();
    let corpus = CorpusOptions { vocabulary: Some(&all), ..CorpusOptions::default() }.embedded().unwrap();
    assert_eq!(corpus.vocabulary(), &all);
    assert_eq!(corpus.fingerprint(), Corpus::embedded(Unit::Char).unwrap().fingerprint());
}

#[test]
fn another_vocabulary_changes_the_number_of_unknown_symbols() {
    let (few, more) = (chars(" a"), chars(" ab"));
    let options = |vocabulary| CorpusOptions {
        vocabulary: Some(vocabulary),
        unknown: Some(Unknown::Replace),
        ..CorpusOptions::default()
    };
    let corpus = options(&few).read(Draft::text("abba cab".into())).unwrap();
    assert_eq!(corpus.unknown_symbols(), 4);
    let corpus = corpus.with_vocabulary(&more).unwrap();
    assert_eq!((corpus.unknown_symbols(), ids(&corpus)), (1, vec![1, 2, 2, 1, 0, 0, 1, 2]));
    assert_eq!(corpus.with_vocabulary(&chars(" abc")).unwrap().unknown_symbols(), 0);
}

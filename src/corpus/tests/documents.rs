//! Documents within files, against a naive decode of each.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn documents_start_where_a_naive_decode_has_them(
        files in prop::collection::vec(bytes(), 1..4),
        marker in prop_oneof![Just("|"), Just("\n\n"), Just("\u{e9}")],
        span in span(),
        known in prop::option::of(Just("ab \n|\u{e0}\u{e9}")),
    ) {
        let known = known.map(|symbols| Vocabulary::of_chars(symbols.chars()).unwrap());
        let reading = &CorpusOptions {
            invalid: Invalid::Replace,
            vocabulary: known.as_ref(),
            unknown: Some(Unknown::Skip),
            ..CorpusOptions::default()
        };
        let is_known = |symbol: &u32| known.as_ref().is_none_or(|v| v.id_of(*symbol) != UNKNOWN);
        let files: Vec<_> = files.into_iter().filter(|file| !file.is_empty()).collect();
        prop_assume!(!files.is_empty());
        let whole = Draft {
            separator: Some(CorpusSource::held("the marker", marker.as_bytes())),
            marker: marker.into(),
            ..draft(&files)
        };
        let corpus = match whole.read(reading, span) {
            Err(Error::EmptyText { .. }) if known.is_some() => return Ok(()),
            corpus => corpus.unwrap(),
        };
        // Each document by itself, and the markers that were added after those that lack it.
        let mut texts: Vec<Vec<Vec<u8>>> = Vec::new();
        for file in &files {
            texts.push(Documents::new(file, marker.as_bytes()).map(|range| file[range].to_vec()).collect());
        }
        let (mut starts, mut symbols) = (Vec::new(), 0);
        let last = texts.len() - 1;
        for (at, documents) in texts.iter().enumerate() {
            for document in documents {
                let read = naive(std::slice::from_ref(document), reading);
                let count = read.iter().filter(|symbol| is_known(symbol)).count();
                // A document without a symbol has no start.
                starts.extend((count > 0).then_some(symbols));
                symbols += count;
            }
            let end = documents.last().unwrap();
            let body = String::from_utf8_lossy(end);
            let ended = body.rfind(marker).is_some_and(|found| {
                body[found + marker.len()..].bytes().all(|byte| byte.is_ascii_whitespace())
            });
            symbols += if ended || at == last { 0 } else { marker.chars().count() };
        }
        prop_assert_eq!((corpus.starts(), corpus.len()), (starts, symbols));
    }
}

#[test]
fn a_nul_is_a_part_of_the_text_if_the_marker_has_one() {
    let folder = folder(&[("x", b"one\0two\0")]);
    let options = CorpusOptions { document_marker: "\0".into(), ..CorpusOptions::default() };
    let corpus = options.open(&[folder.path().join("x")]).unwrap();
    assert_eq!((text(&corpus).as_str(), corpus.document_count()), ("one\0two\0", 2));
}

#[test]
fn documents_within_files_are_shuffled_and_split() {
    let lines: String = (0..50).map(|n| format!("document {n} \u{e9}|")).collect();
    let folder = folder(&[("a", lines.as_bytes()), ("b", b"last"), ("c", b"x|y|\n")]);
    let paths = ["a", "b", "c"].map(|name| folder.path().join(name));
    let open = |shuffle| {
        CorpusOptions { document_marker: "|".into(), shuffle, ..CorpusOptions::default() }
            .open(&paths)
            .unwrap()
    };
    let plain = open(None);
    assert_eq!(text(&plain), format!("{lines}last|x|y|\n"));
    assert_eq!((plain.document_count(), plain.files().len(), plain.has_document_marker()), (53, 3, true));
    let split = plain.split(SplitBy::Document, 0.1, 0.0).unwrap();
    let border = text(&plain).chars().take(split.train.end).last();
    assert_eq!(border, Some('|'));
    let [one, two] = [Some(1), Some(2)].map(|seed| text(&open(seed)));
    assert!(one != two && one != text(&plain));
    let documents = |text: &str| {
        text.split('|')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(documents(&one), documents(&text(&plain)));
    let shuffled = open(Some(1));
    assert_eq!((shuffled.document_count(), text(&shuffled)), (53, one.clone()));
    assert_eq!(shuffled.fingerprint(), crc32fast::hash(one.as_bytes()));
    let checksums: Vec<_> = shuffled.files().map(|file| file.checksum).collect();
    assert_eq!(checksums[1], format!("{:08x}", crc32fast::hash(b"last")));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let folder = folder(&[("x", b"text")]);
    let message = |options: CorpusOptions| options.open(&[folder.path().join("x")]).unwrap_err().to_string();
    let both =
        CorpusOptions { separator: "-".into(), document_marker: "|".into(), ..CorpusOptions::default() };
    assert!(message(both).starts_with("separator = \"-\" is invalid: the marker ends every document"));
    let bytes = CorpusOptions {
        unit: Unit::Byte,
        encoding: crate::Encoding::new("utf-16le").ok(),
        ..CorpusOptions::default()
    };
    assert!(message(bytes).starts_with("encoding = utf-16le is invalid: the bytes of a text are decoded"));
}

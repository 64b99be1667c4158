//! Corpora of token ids.

use super::*;

fn two_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|&id| u16::try_from(id).unwrap().to_le_bytes()).collect()
}

fn four_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn read(corpus: &Corpus) -> Vec<u32> {
    let mut ids = vec![u32::MAX; corpus.len()];
    corpus.read(0, &mut ids);
    ids
}

fn message(result: Result<Corpus>) -> String {
    result.map(drop).unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_part_of_the_ids_is_read_back(
        files in prop::collection::vec(prop::collection::vec(0..60_000_u32, 1..700), 1..4),
        span in prop_oneof![1..40_usize, Just(SPAN)],
        wide in any::<bool>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 9),
    ) {
        let bytes: Vec<_> = files.iter().map(|ids| if wide { four_bytes(ids) } else { two_bytes(ids) }).collect();
        let id_width = if wide { IdWidth::Bits32 } else { IdWidth::Bits16 };
        let options = CorpusOptions { unit: Unit::Ids, id_width, ..CorpusOptions::default() };
        let corpus = draft(&bytes).read(&options, span).unwrap();
        let ids = files.concat();
        prop_assert_eq!(corpus.vocabulary(), &Vocabulary::of_ids(*ids.iter().max().unwrap() as usize + 1).unwrap());
        prop_assert_eq!((corpus.len(), corpus.fingerprint()), (ids.len(), crc32fast::hash(&bytes.concat())));
        prop_assert_eq!(corpus.starts().len(), files.len());
        for (one, other) in cuts {
            let (one, other) = (one.index(ids.len() + 1), other.index(ids.len() + 1));
            let range = one.min(other)..one.max(other);
            let mut part = vec![u32::MAX; range.len()];
            corpus.read(range.start, &mut part);
            prop_assert_eq!(&part, &ids[range]);
        }
    }
}

#[test]
fn files_of_ids_are_read_in_place() {
    let ids: Vec<u32> = (0..200_000).map(|n| n * 7919 % 50_257).collect();
    let folder = folder(&[("two.bin", &two_bytes(&ids)), ("four.bin", &four_bytes(&ids))]);
    for (name, width, bytes) in [("two.bin", IdWidth::Bits16, 2), ("four.bin", IdWidth::Bits32, 4)] {
        let corpus = Corpus::open_ids(&[folder.path().join(name)], width).unwrap();
        assert_eq!((corpus.mapped(), corpus.spooled()), (bytes * ids.len(), 0));
        assert!(corpus.memory() < 1000, "{}", corpus.memory());
        assert_eq!((read(&corpus), corpus.vocabulary().len()), (ids.clone(), 50_257));
    }
}

#[test]
fn bytes_that_look_like_a_format_are_ids() {
    for head in [&b"\x1F\x8B\x08\0"[..], b"\xEF\xBB\xBF\0", b"%PDF-1.4", b"\xFF\xFEa\0"] {
        let folder = folder(&[("x.bin", head)]);
        let corpus = Corpus::open_ids(&[folder.path().join("x.bin")], IdWidth::Bits16).unwrap();
        assert_eq!(corpus.len(), head.len() / 2);
        assert_eq!(corpus.fingerprint(), crc32fast::hash(head));
    }
}

#[test]
fn ids_in_memory_are_a_corpus() {
    let ids = vec![3, 0, 70_000, 2];
    let corpus = Corpus::from_ids(ids.clone()).unwrap();
    assert_eq!((read(&corpus), corpus.vocabulary().len()), (ids.clone(), 70_001));
    let larger = Vocabulary::of_ids(80_000).unwrap();
    let corpus = Corpus::from_ids_with(ids, &larger).unwrap();
    assert_eq!(corpus.vocabulary(), &larger);
    assert!(message(Corpus::from_ids(vec![])).starts_with("the ids is empty"));
    assert!(message(Corpus::from_ids(vec![1, u32::MAX])).starts_with("vocabulary-size = 4294967296 "));
    assert!(message(Corpus::from_ids_with(vec![1], &Vocabulary::all_bytes())).starts_with("unit = byte "));
    assert!(message(Corpus::from_text("12 7", Unit::Ids)).starts_with("unit = ids "));
    assert!(message(Corpus::embedded(Unit::Ids)).starts_with("unit = ids "));
}

#[test]
fn an_id_beyond_the_vocabulary_is_an_error_with_its_file_and_position() {
    let small = Vocabulary::of_ids(5).unwrap();
    let folder = folder(&[("a.bin", &two_bytes(&[4, 1])), ("b.bin", &two_bytes(&[0, 3, 7, 9]))]);
    let paths = ["a.bin", "b.bin"].map(|name| folder.path().join(name));
    let options = CorpusOptions { unit: Unit::Ids, vocabulary: Some(&small), ..CorpusOptions::default() };
    let expected = format!(
        "{}: found id 7 at position 2, expected ids below the vocabulary size of 5; check --id-width, or raise \
         --vocabulary-size",
        paths[1].display()
    );
    assert_eq!(message(options.open(&paths)), expected);
    let opened = Corpus::open_ids(&paths, IdWidth::Bits16).unwrap();
    assert_eq!(message(opened.with_vocabulary(&small)), expected);
    let large = Vocabulary::of_ids(100).unwrap();
    let opened = Corpus::open_ids(&paths, IdWidth::Bits16).unwrap().with_vocabulary(&large).unwrap();
    assert_eq!((opened.vocabulary().len(), read(&opened)), (100, vec![4, 1, 0, 3, 7, 9]));
}

#[test]
fn a_file_that_ends_within_an_id_is_refused() {
    let folder = folder(&[("odd.bin", b"\x01\0\x02"), ("half.bin", b"\x01\0\x02\0\x03\0")]);
    let open = |name: &str, width| message(Corpus::open_ids(&[folder.path().join(name)], width));
    let odd = open("odd.bin", IdWidth::Bits16);
    assert!(odd.contains("odd.bin has 3 bytes, expected a multiple of 2, for ids of 16 bits;"), "{odd}");
    let half = open("half.bin", IdWidth::Bits32);
    assert!(half.contains("half.bin has 6 bytes, expected a multiple of 4, for ids of 32 bits;"), "{half}");
    assert!(open("missing.bin", IdWidth::Bits16).starts_with("cannot read "));
}

#[test]
fn a_folder_of_ids_needs_a_pattern() {
    let folder =
        folder(&[("train.bin", &two_bytes(&[1, 2])), ("meta.pkl", b"\x80\x04"), ("val.bin", b"\x03\0")]);
    let open = |include: &[&str]| {
        let include = include.iter().map(|&glob| glob.to_owned()).collect();
        CorpusOptions { unit: Unit::Ids, include, ..CorpusOptions::default() }.open(&[folder.path().into()])
    };
    assert!(message(open(&[])).contains("with unit = ids a folder needs include, such as *.bin"));
    assert_eq!(read(&open(&["*.bin"]).unwrap()), [1, 2, 3]);
}

#[test]
fn two_files_are_the_training_and_the_validation_split() {
    let folder = folder(&[("train.bin", &two_bytes(&[1; 70])), ("val.bin", &two_bytes(&[2; 30]))]);
    let paths = ["train.bin", "val.bin"].map(|name| folder.path().join(name));
    let corpus = Corpus::open_ids(&paths, IdWidth::Bits16).unwrap();
    let split = corpus.split(SplitBy::Document, 0.1, 0.0).unwrap();
    assert_eq!((split.train, split.validation, split.test), (0..70, 70..100, 100..100));
}

#[test]
fn options_for_text_are_refused() {
    let folder = folder(&[("x.bin", &two_bytes(&[1, 2, 3]))]);
    let path = [folder.path().join("x.bin")];
    let ids = || CorpusOptions { unit: Unit::Ids, ..CorpusOptions::default() };
    for (options, start) in [
        (CorpusOptions { invalid: Invalid::Skip, ..ids() }, "invalid = skip "),
        (CorpusOptions { separator: "-".into(), ..ids() }, "separator = \"-\" "),
        (CorpusOptions { document_marker: "|".into(), ..ids() }, "document-marker = \"|\" "),
        (CorpusOptions { unknown: Some(Unknown::Skip), ..ids() }, "unknown = skip "),
        (CorpusOptions { encoding: crate::Encoding::new("utf-8").ok(), ..ids() }, "encoding = utf-8 "),
    ] {
        let message = message(options.open(&path));
        assert!(message.starts_with(start), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn ids_from_a_pipe_are_stored_at_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    let pipes = ["a", "b"].map(|name| folder.path().join(name));
    let status = std::process::Command::new("mkfifo").args(&pipes).status().unwrap();
    assert!(status.success());
    let ids: Vec<u32> = (0..3000).collect();
    let (paths, bytes) = (pipes.clone(), two_bytes(&ids));
    let writer = std::thread::spawn(move || paths.iter().for_each(|path| fs::write(path, &bytes).unwrap()));
    let options = CorpusOptions { unit: Unit::Ids, memory: Some(10), ..CorpusOptions::default() };
    let corpus = options.open(&pipes).unwrap();
    writer.join().unwrap();
    assert_eq!((read(&corpus), corpus.spooled()), ([&ids[..], &ids].concat(), 12_000));
}

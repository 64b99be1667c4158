//! Corpora against naive decodes, and every way to fail to open one.

mod changes;
mod documents;
mod folders;
mod forms;
mod ids;
mod unknown;

use super::{documents::Documents, draft::Draft, scan::SPAN, *};
use crate::{Error, SplitBy, Unit};
use proptest::prelude::*;
use std::{collections::BTreeSet, fs, path::Path};

/// A draft with one source for each file.
fn draft(files: &[Vec<u8>]) -> Draft<'static> {
    let sources =
        (1..).zip(files).map(|(n, bytes)| CorpusSource::held(&format!("file {n}"), bytes.clone())).collect();
    Draft { name: "the draft".into(), ..Draft::of(sources) }
}

/// The symbols of files that are decoded as a whole.
fn naive(files: &[Vec<u8>], reading: &CorpusOptions) -> Vec<u32> {
    let file = |bytes: &Vec<u8>| -> Vec<u32> {
        match (reading.unit, reading.invalid) {
            (Unit::Byte, _) => bytes.iter().map(|&b| b.into()).collect(),
            (Unit::Char, Invalid::Skip) => {
                bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars().map(u32::from)).collect()
            }
            (Unit::Char, _) => String::from_utf8_lossy(bytes).chars().map(u32::from).collect(),
            (Unit::Ids, _) => unreachable!("ids have tests of their own"),
        }
    };
    files.iter().flat_map(file).collect()
}

/// Bytes that stress a decoder: text of all lengths, cut and stray sequences, and plain noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        6 => "[a-z \n]{0,40}".prop_map(String::into_bytes),
        2 => "[\u{e0}-\u{ff}]{0,300}".prop_map(String::into_bytes),
        1 => (any::<char>(), 1..4_usize).prop_map(|(c, n)| {
            let bytes = c.to_string().into_bytes();
            bytes[..n.min(bytes.len())].to_vec()
        }),
        1 => prop::collection::vec(0x80..0xC0_u8, 0..6),
        1 => prop::collection::vec(0xC0..=0xFF_u8, 0..3),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![3 => Just(Unit::Char), 1 => Just(Unit::Byte)]
}

fn invalid() -> impl Strategy<Value = Invalid> {
    prop_oneof![Just(Invalid::Error), Just(Invalid::Replace), Just(Invalid::Skip)]
}

fn span() -> impl Strategy<Value = usize> {
    prop_oneof![1..40_usize, Just(SPAN)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_corpus_reads_the_symbols_of_a_naive_decode(
        files in prop::collection::vec(bytes(), 0..5),
        (unit, invalid, span) in (unit(), invalid(), span()),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 20),
    ) {
        let reading = &CorpusOptions { unit, invalid, ..CorpusOptions::default() };
        let expected = naive(&files, reading);
        let bad = files.iter().position(|bytes| std::str::from_utf8(bytes).is_err());
        let corpus = match draft(&files).read(reading, span) {
            Err(Error::InvalidUtf8 { text, offset, .. }) => {
                let bad = bad.expect("all files are valid");
                prop_assert_eq!((unit, invalid, text), (Unit::Char, Invalid::Error, format!("file {}", bad + 1)));
                prop_assert_eq!(offset, std::str::from_utf8(&files[bad]).unwrap_err().valid_up_to());
                return Ok(());
            }
            Err(error) => {
                prop_assert_eq!(error.to_string(), "the draft is empty; name a corpus with at least 2 symbols");
                prop_assert!(expected.is_empty());
                return Ok(());
            }
            Ok(corpus) => corpus,
        };
        prop_assert!(bad.is_none() || (unit, invalid) != (Unit::Char, Invalid::Error));
        prop_assert_eq!(corpus.fingerprint(), crc32fast::hash(&files.concat()));
        let symbols: Vec<u32> = BTreeSet::from_iter(&expected).into_iter().copied().collect();
        prop_assert_eq!(corpus.vocabulary(), &Vocabulary::from_sorted(unit, symbols.clone()));
        let ids: Vec<u32> = expected.iter().map(|s| symbols.binary_search(s).unwrap() as u32).collect();
        prop_assert_eq!(corpus.len(), ids.len());
        for (one, other) in cuts {
            let (one, other) = (one.index(ids.len() + 1), other.index(ids.len() + 1));
            let range = one.min(other)..one.max(other);
            let mut read = vec![u32::MAX; range.len()];
            corpus.read(range.start, &mut read);
            prop_assert_eq!(&read, &ids[range]);
        }
    }

    #[test]
    fn a_given_vocabulary_is_used_or_the_first_unknown_symbol_is_named(
        files in prop::collection::vec(bytes(), 1..4),
        (unit, span) in (unit(), span()),
        dropped in any::<prop::sample::Index>(),
    ) {
        let reading = &CorpusOptions { unit, invalid: Invalid::Replace, ..CorpusOptions::default() };
        let text = naive(&files, reading);
        prop_assume!(!text.is_empty());
        let mut symbols = BTreeSet::from_iter(text.iter().copied());
        symbols.extend([0x41, 0x42]);
        let full = Vocabulary::from_sorted(unit, symbols.iter().copied().collect());
        let corpus = draft(&files).read(&CorpusOptions { vocabulary: Some(&full), ..reading.clone() }, span).unwrap();
        prop_assert_eq!(corpus.vocabulary(), &full);
        let mut ids = vec![0; text.len()];
        corpus.read(0, &mut ids);
        prop_assert!(ids.iter().zip(&text).all(|(&id, &symbol)| id == full.id_of(symbol)));

        let dropped = text[dropped.index(text.len())];
        symbols.remove(&dropped);
        let lacking = Vocabulary::from_sorted(unit, symbols.into_iter().collect());
        let error = draft(&files).read(&CorpusOptions { vocabulary: Some(&lacking), ..reading.clone() }, span).unwrap_err();
        let (file, offset) = first_position(&files, reading, dropped);
        let expected = lacking.unknown(&format!("file {}", file + 1), dropped, offset);
        prop_assert_eq!(error.to_string(), expected.to_string());
    }
}

/// The file and byte offset of the first occurrence of a symbol.
fn first_position(files: &[Vec<u8>], reading: &CorpusOptions, symbol: u32) -> (usize, usize) {
    let file = files.iter().position(|f| naive(std::slice::from_ref(f), reading).contains(&symbol)).unwrap();
    if reading.unit == Unit::Byte {
        return (file, files[file].iter().position(|&b| u32::from(b) == symbol).unwrap());
    }
    let mut offset = 0;
    for chunk in files[file].utf8_chunks() {
        if let Some((at, _)) = chunk.valid().char_indices().find(|&(_, c)| u32::from(c) == symbol) {
            return (file, offset + at);
        }
        offset += chunk.valid().len();
        if symbol == 0xFFFD && !chunk.invalid().is_empty() {
            return (file, offset);
        }
        offset += chunk.invalid().len();
    }
    unreachable!("the symbol occurs in this file")
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn open(path: &Path) -> Result<Corpus> {
    Corpus::open(&[path.into()], Unit::Char, Invalid::Error)
}

fn text(corpus: &Corpus) -> String {
    let mut ids = vec![0; corpus.len()];
    corpus.read(0, &mut ids);
    corpus.vocabulary().decode(&ids)
}

#[test]
fn a_named_file_may_be_binary_or_a_link() {
    let folder = folder(&[("x", b"a\0\xFFb")]);
    let path = folder.path().join("x");
    let corpus = Corpus::open(std::slice::from_ref(&path), Unit::Byte, Invalid::Error).unwrap();
    assert_eq!((corpus.len(), corpus.vocabulary().to_json().as_str()), (4, "[0,97,98,255]"));
    assert_eq!(corpus.name(), path.display().to_string());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
        fs::write(&path, "ab").unwrap();
        assert_eq!(text(&open(folder.path()).unwrap()), "abab");
    }
}

#[test]
fn missing_and_unreadable_paths_are_named() {
    let folder = folder(&[("file", b"text")]);
    let missing = folder.path().join("missing.txt");
    let message = open(&missing).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot read {}: No such file", missing.display())), "{message}");
    // A path through a file cannot be read by anyone, root included.
    let through = folder.path().join("file/inside");
    let message = open(&through).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot read {}: Not a directory", through.display())), "{message}");
    assert_eq!(Corpus::open(&[], Unit::Char, Invalid::Error).unwrap_err().to_string(), NO_PATH);
}
const NO_PATH: &str = "the list of files is empty; name a corpus with at least 2 symbols";

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&[("shut", b"text")]);
    let path = folder.path().join("shut");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return; // Root reads everything.
    }
    for named in [path.as_path(), folder.path()] {
        let message = open(named).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("cannot read {}: Permission denied", path.display())),
            "{message}"
        );
    }
}

#[test]
fn empty_corpora_are_refused() {
    let folder = folder(&[("empty", b""), ("full", b"ab"), ("bad", b"\xFF\xFD")]);
    let [empty, full, bad] = ["empty", "full", "bad"].map(|name| folder.path().join(name));
    let message = open(&empty).unwrap_err().to_string();
    assert_eq!(message, format!("{} is empty; name a corpus with at least 2 symbols", empty.display()));
    let skipped = Corpus::open(&[bad], Unit::Char, Invalid::Skip).unwrap_err();
    assert!(matches!(skipped, Error::EmptyText { .. }), "{skipped}");
    let both = Corpus::open(&[empty, full], Unit::Char, Invalid::Error).unwrap();
    assert_eq!(text(&both), "ab");
    let message = Corpus::from_text("", Unit::Byte).unwrap_err().to_string();
    assert_eq!(message, "the text is empty; name a corpus with at least 2 symbols");
}

#[test]
fn one_character_is_a_corpus_without_a_window() {
    let corpus = Corpus::from_text("\u{e9}", Unit::Char).unwrap();
    assert_eq!((corpus.len(), corpus.is_empty()), (1, false));
    for windows in [crate::Windows::Stream, crate::Windows::Random, crate::Windows::Sliding] {
        let message = Batches::new(0..1, windows, 1, 1, 1).unwrap_err().to_string();
        assert!(
            message.starts_with("too few symbols: one ") && message.contains("needs 2, found 1;"),
            "{message}"
        );
    }
    assert!(Streams::new(0..1, 1, 1).is_err());
}

#[test]
fn bytes_that_are_not_utf8_are_an_error_with_their_offset() {
    let folder = folder(&[("good", b"abc"), ("latin1", b"caf\xE9 au lait")]);
    let message = open(folder.path()).unwrap_err().to_string();
    let path = folder.path().join("latin1");
    assert_eq!(
        message,
        format!(
            "{}: the bytes at offset 3 are not UTF-8{}--invalid replace or --invalid skip, or --unit byte to read bytes",
            path.display(),
            match cfg!(feature = "encodings") {
                true =>
                    ", and look like windows-1252; pass --encoding windows-1252 (or the right encoding), ",
                false => "; pass ",
            }
        )
    );
    let read = |unit, invalid| text(&Corpus::open(std::slice::from_ref(&path), unit, invalid).unwrap());
    assert_eq!(read(Unit::Char, Invalid::Replace), "caf\u{FFFD} au lait");
    assert_eq!(read(Unit::Char, Invalid::Skip), "caf au lait");
    assert_eq!(read(Unit::Byte, Invalid::Error), "caf\u{FFFD} au lait");
}

#[test]
fn no_character_spans_two_files() {
    let folder = folder(&[("1", b"a\xC3"), ("2", b"\xA9b")]);
    let message = open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("1: the bytes at offset 1 are not UTF-8"), "{message}");
    let corpus = Corpus::open(&[folder.path().into()], Unit::Char, Invalid::Replace).unwrap();
    assert_eq!(text(&corpus), "a\u{FFFD}\u{FFFD}b");
}

#[test]
fn an_unknown_symbol_is_named_with_its_file_and_offset() {
    let known = Corpus::from_text("abc\n", Unit::Char).unwrap();
    let folder = folder(&[("1", b"abc"), ("2", "cab\u{e9}".as_bytes())]);
    let paths = [folder.path().to_path_buf()];
    let message = Corpus::open_with(&paths, known.vocabulary(), Invalid::Error).unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "{}: the symbol '\u{e9}' (U+00E9) at offset 3 is not among the 4 symbols of the vocabulary; remove it, pass \
             --unknown skip or --unknown replace, or use a model or vocabulary that has it",
            folder.path().join("2").display()
        )
    );
    let message = Corpus::from_text_with("abd", known.vocabulary()).unwrap_err().to_string();
    assert!(message.starts_with("the text: the symbol 'd' (U+0064) at offset 2"), "{message}");
    let corpus = Corpus::from_text_with("cba", known.vocabulary()).unwrap();
    assert_eq!(text(&corpus), "cba");
}

#[test]
fn the_built_in_text_is_the_source_of_this_project() {
    let corpus = Corpus::embedded(Unit::Char).unwrap();
    let text = text(&corpus);
    assert!(text.contains(include_str!("mod.rs")) && text.contains(include_str!("../lib.rs")));
    assert!(!text.contains('\r'));
    assert_eq!(corpus.name(), "the built-in text");
    // It is large enough for the defaults: 32 rows by 64 steps in nine tenths of the text.
    let split = corpus.split(SplitBy::Tail, 0.1, 0.0).unwrap();
    assert!(Batches::new(split.train, crate::Windows::Stream, 32, 64, 1).is_ok());
    assert!(Corpus::embedded(Unit::Byte).unwrap().len() >= corpus.len());
}

#[test]
#[should_panic(expected = "symbols 2..5 of a text of 4")]
fn reading_past_the_end_panics_with_both_sizes() {
    Corpus::from_text("abcd", Unit::Char).unwrap().read(2, &mut [0; 3]);
}

#[test]
fn the_progress_of_the_scan_is_reported() {
    let folder = folder(&[("a", &b"some text".repeat(100_000)), ("b", b"more")]);
    let (done, calls) = (std::sync::atomic::AtomicU64::new(0), std::sync::atomic::AtomicU64::new(0));
    let report = |now: u64, all: u64| {
        assert!(now <= all && all == 900_004);
        done.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
        calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    CorpusOptions { progress: Some(&report), ..CorpusOptions::default() }
        .open(&[folder.path().into()])
        .unwrap();
    assert_eq!((done.into_inner(), calls.into_inner()), (900_004, 5));
}

#[cfg(unix)]
#[test]
fn a_device_is_refused() {
    let message = open(Path::new("/dev/zero")).unwrap_err().to_string();
    assert_eq!(message, "/dev/zero is a device, not a text; name a file or a folder");
}

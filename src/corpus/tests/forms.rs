//! Text that is not in plain UTF-8 files.

use super::*;

#[test]
fn a_byte_order_mark_is_not_a_symbol_unless_symbols_are_bytes() {
    let folder =
        folder(&[("a", b"\xEF\xBB\xBFone "), ("b", b"\xEF\xBB\xBFtwo\xFF"), ("c", "x\u{FEFF}y".as_bytes())]);
    let paths = |names: &[&str]| names.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>();
    let read = |names: &[&str], unit, invalid| Corpus::open(&paths(names), unit, invalid);
    let corpus = read(&["a", "b"], Unit::Char, Invalid::Skip).unwrap();
    assert_eq!(text(&corpus), "one two");
    assert_eq!(corpus.fingerprint(), crc32fast::hash(b"one two\xFF"));
    let bytes = read(&["a"], Unit::Byte, Invalid::Error).unwrap();
    assert_eq!(text(&bytes), "\u{FEFF}one ");
    // Inside a text it is a symbol.
    assert_eq!(text(&read(&["c"], Unit::Char, Invalid::Error).unwrap()), "x\u{FEFF}y");
    // Offsets count from the start of the file.
    let message = read(&["b"], Unit::Char, Invalid::Error).unwrap_err().to_string();
    assert!(message.contains("the bytes at offset 6 are not UTF-8"), "{message}");
    let known = Corpus::from_text("two", Unit::Char).unwrap();
    let unknown =
        Corpus::open_with(&paths(&["a"]), known.vocabulary(), Invalid::Error).unwrap_err().to_string();
    assert!(unknown.contains("the symbol 'n' (U+006E) at offset 4"), "{unknown}");
}

#[test]
fn a_text_is_reopened_as_the_run_read_it() {
    let folder = folder(&[("marked", b"\xEF\xBB\xBFone"), ("plain", b"one"), ("nul", b"a\0b")]);
    let reopen =
        |name: &str, fingerprint| CorpusOptions::default().reopen(&[folder.path().join(name)], fingerprint);
    let (old, new) = (crc32fast::hash(b"\xEF\xBB\xBFone"), crc32fast::hash(b"one"));
    assert_eq!(text(&reopen("marked", old).unwrap()), "\u{FEFF}one");
    assert_eq!(text(&reopen("marked", new).unwrap()), "one");
    assert_eq!(reopen("plain", old).unwrap().fingerprint(), new, "the caller sees that it is another");
    assert_eq!(text(&reopen("nul", crc32fast::hash(b"a\0b")).unwrap()), "a\0b");
    assert!(matches!(reopen("nul", 1), Err(Error::NotPlainText { .. })));
}

#[test]
fn a_file_that_is_not_text_is_refused_with_every_option_for_invalid_bytes() {
    let wide: Vec<u8> = "Some text, and more of it.\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = folder(&[
        ("wide", &wide),
        ("zip", b"PK\x03\x04\x14\0"),
        ("pdf", b"%PDF-1.4 text"),
        ("nul", b"ab\0cd"),
    ]);
    for invalid in [Invalid::Error, Invalid::Replace, Invalid::Skip] {
        let refused = |name: &str| {
            let path = folder.path().join(name);
            let error =
                Corpus::open(std::slice::from_ref(&path), Unit::Char, invalid).unwrap_err().to_string();
            error.strip_prefix(&path.display().to_string()).expect("the file is named").to_owned()
        };
        assert_eq!(
            refused("wide"),
            " is UTF-16 without a byte-order mark, not plain text; pass --encoding utf-16le, or --unit ids for token ids"
        );
        assert!(refused("zip").starts_with(" is a zip archive (also .docx"));
        assert_eq!(refused("pdf"), " is a PDF document, not plain text; extract its text first: pdftotext");
        assert!(refused("nul").starts_with(" is binary (it has NUL bytes), not plain text; "));
    }
    let bytes = Corpus::open(&[folder.path().join("nul")], Unit::Byte, Invalid::Error).unwrap();
    assert_eq!(text(&bytes), "ab\0cd");
    // In folders they are skipped, like all binary files.
    fs::write(folder.path().join("text"), "text").unwrap();
    let corpus = open(folder.path()).unwrap();
    assert_eq!((text(&corpus).as_str(), corpus.skipped().binary), ("text", 4));
}

#[test]
fn a_nul_anywhere_in_a_named_file_is_refused() {
    let late = [&b"text ".repeat(4000)[..], b"\0, and more"].concat();
    let folder = folder(&[("late", &late), ("plain", b"text")]);
    let path = [folder.path().join("late")];
    let message = Corpus::open(&path, Unit::Char, Invalid::Replace).unwrap_err().to_string();
    let expected = "late is binary (it has a NUL byte at offset 20000), not plain text; name a text, ";
    assert!(message.contains(expected), "{message}");
    let utf8 =
        CorpusOptions { encoding: Some(crate::Encoding::new("utf-8").unwrap()), ..CorpusOptions::default() };
    let corpus = utf8.open(&path).unwrap();
    assert!(corpus.vocabulary().encode("\0").is_ok());
    // A vocabulary with that symbol allows it.
    let known = CorpusOptions { vocabulary: Some(corpus.vocabulary()), ..CorpusOptions::default() };
    assert_eq!(known.open(&path).unwrap().len(), late.len());
    assert_eq!(CorpusOptions::default().reopen(&path, crc32fast::hash(&late)).unwrap().len(), late.len());
    assert_eq!(Corpus::open(&path, Unit::Byte, Invalid::Error).unwrap().len(), late.len());
    assert_eq!(Corpus::from_text("a\0b", Unit::Char).unwrap().len(), 3);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_once_into_memory_or_a_temporary_file() {
    for memory in [None, Some(1000)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (written, expected) = (path.clone(), "caf\u{e9} ".repeat(20_000));
        let content = expected.clone();
        let writer = std::thread::spawn(move || fs::write(written, content).unwrap());
        let corpus = CorpusOptions { memory, ..CorpusOptions::default() }.open(&[path]).unwrap();
        writer.join().unwrap();
        assert_eq!(text(&corpus), expected);
        assert_eq!(corpus.mapped(), 0);
        assert_eq!(corpus.memory() > expected.len(), memory.is_none());
        corpus.check_unchanged().unwrap();
    }
}

#[cfg(feature = "encodings")]
#[test]
fn other_encodings_are_decoded_once() {
    let expected = "na\u{ef}ve caf\u{e9}\n".repeat(1000);
    let wide: Vec<u8> = expected.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = [&b"\xFE\xFF"[..], &wide].concat();
    let latin: Vec<u8> = expected.chars().map(|c| c as u8).collect();
    let folder =
        folder(&[("wide", &wide), ("marked", &marked), ("latin", &latin), ("utf8", expected.as_bytes())]);
    let open = |name: &str, encoding: Option<&str>, memory| {
        let encoding = encoding.map(|label| crate::Encoding::new(label).unwrap());
        CorpusOptions { encoding, memory, ..CorpusOptions::default() }
            .open(&[folder.path().join(name)])
            .unwrap()
    };
    for memory in [None, Some(10)] {
        let all = [
            open("wide", Some("utf-16be"), memory),
            open("marked", None, memory),
            open("marked", Some("latin1"), memory),
            open("latin", Some("latin1"), memory),
        ];
        for corpus in &all {
            assert_eq!(text(corpus), expected);
            assert_eq!(corpus.fingerprint(), crc32fast::hash(expected.as_bytes()));
        }
        let names = all.each_ref().map(|corpus| corpus.files().next().unwrap().encoding.map(str::to_owned));
        assert_eq!(names.map(Option::unwrap), ["utf-16be", "utf-16be", "utf-16be", "windows-1252"]);
    }
    let plain = open("utf8", Some("utf-8"), None);
    assert_eq!((plain.mapped(), plain.files().next().unwrap().encoding), (expected.len(), None));
    // In a folder, a file with a mark is read. Without a mark it has NULs and is skipped.
    fs::remove_file(folder.path().join("latin")).unwrap();
    let corpus = super::open(folder.path()).unwrap();
    assert_eq!((corpus.files().len(), corpus.skipped().binary), (2, 1));
}

#[cfg(not(feature = "compression"))]
#[test]
fn a_missing_feature_is_named() {
    let folder = folder(&[("x.gz", b"\x1F\x8B\x08\0\0\0"), ("wide", b"\xFF\xFEa\0")]);
    let gzip = open(&folder.path().join("x.gz")).unwrap_err().to_string();
    assert!(
        gzip.contains("x.gz is compressed with gzip, which this program was built without: build"),
        "{gzip}"
    );
    #[cfg(not(feature = "encodings"))]
    {
        let wide = open(&folder.path().join("wide")).unwrap_err().to_string();
        assert!(wide.ends_with("build unrolled with its feature encodings"), "{wide}");
    }
}

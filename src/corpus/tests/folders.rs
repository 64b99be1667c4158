//! Folders: which files, in which order, with what between them.

use super::*;

#[test]
fn the_text_files_of_a_folder_are_sorted_by_path() {
    let mut late = vec![b'z'; 9000];
    late.push(0);
    let folder = folder(&[
        ("b.txt", b"two "),
        ("a/z.md", "\u{e9}ne ".as_bytes()),
        ("a.txt", b"before? "),
        ("c", b"three"),
        ("c.bin", b"no\0t this"),
        ("late", &late),
        ("empty", b""),
        (".hidden", b"nor this"),
        ("d/.git/x", b"nor this"),
        ("runs/1/config.toml", b"nor this"),
        ("runs/1/checkpoint.safetensors", b"nor this"),
    ]);
    let corpus = open(folder.path()).unwrap();
    // By components: the files in `a` come before `a.txt`.
    assert_eq!(text(&corpus), format!("\u{e9}ne before? two three{}\0", "z".repeat(9000)));
    assert_eq!(corpus.name(), format!("5 files below {}", folder.path().display()));
    let paths = ["c", "b.txt"].map(|name| folder.path().join(name));
    let corpus = Corpus::open(&paths, Unit::Byte, Invalid::Error).unwrap();
    assert_eq!((text(&corpus).as_str(), corpus.name().as_str()), ("threetwo ", "2 files"));
}

#[test]
fn a_folder_without_text_is_refused() {
    let folder = folder(&[("binary", b"\0"), (".hidden", b"text"), ("empty", b"")]);
    let message = open(folder.path()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("no text found below {}: ", folder.path().display())), "{message}");
    assert!(message.ends_with("name another folder, or the files"), "{message}");
    let options = CorpusOptions { include: vec!["*.c".into(), "*.h".into()], ..CorpusOptions::default() };
    let message = options.open(&[folder.path().into()]).unwrap_err().to_string();
    assert!(
        message.contains("(a NUL byte in the first 8 KiB) or compressed (see include), or filtered out by include *.c, *.h;"),
        "{message}"
    );
}

/// Opens a small tree of files.
fn tree(options: &CorpusOptions) -> Result<Corpus> {
    let folder = folder(&[
        (".gitignore", b"*.o\nbuild/\n"),
        ("a.c", b"A1"),
        ("a.o", b"no"),
        ("b/b.c", b"B22"),
        ("b/b.h", b"H333"),
        ("build/c.c", b"no"),
        ("b/empty", b""),
        ("b/binary", b"\0"),
    ]);
    options.open(&[folder.path().into()])
}

#[test]
fn patterns_and_gitignore_select_files_in_a_folder() {
    let read = |include: &[&str], exclude: &[&str]| {
        let [include, exclude] =
            [include, exclude].map(|globs| globs.iter().map(|&g| g.to_owned()).collect());
        text(&tree(&CorpusOptions { include, exclude, ..CorpusOptions::default() }).unwrap())
    };
    assert_eq!(read(&[], &[]), "A1B22H333");
    assert_eq!(read(&["*.c"], &[]), "A1B22");
    assert_eq!(read(&["*.c", "*.h"], &["a.*"]), "B22H333");
    assert_eq!(read(&["b/"], &[]), "B22H333");
    assert_eq!(read(&[], &["/b/*.h"]), "A1B22");
    let all = CorpusOptions { no_ignore: true, ..CorpusOptions::default() };
    assert_eq!(text(&tree(&all).unwrap()), "A1noB22H333no");
    for wrong in ["", " ", "!*.c", "# c", "[z-a]"] {
        let error =
            tree(&CorpusOptions { exclude: vec![wrong.into()], ..CorpusOptions::default() }).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("exclude = {wrong:?} is invalid: ")), "{message}");
    }
}

#[test]
fn files_are_listed_with_their_checksums_and_skipped_files_are_counted() {
    let corpus = tree(&CorpusOptions::default()).unwrap();
    assert_eq!(corpus.skipped(), SkippedFiles { binary: 1, empty: 1 });
    let files: Vec<_> = corpus.files().collect();
    let sizes: Vec<_> = files.iter().map(|file| file.bytes).collect();
    assert_eq!(sizes, [2, 3, 4]);
    assert!(files[1].path.ends_with("b/b.c"), "{}", files[1].path);
    assert_eq!(files[1].checksum, format!("{:08x}", crc32fast::hash(b"B22")));
}

#[test]
fn a_separator_is_between_files_and_is_not_a_document() {
    let corpus = tree(&CorpusOptions { separator: "\n--\n".into(), ..CorpusOptions::default() }).unwrap();
    assert_eq!(text(&corpus), "A1\n--\nB22\n--\nH333");
    assert_eq!(corpus.fingerprint(), crc32fast::hash(b"A1\n--\nB22\n--\nH333"));
    assert_eq!((corpus.files().len(), corpus.starts()), (3, vec![0, 6, 13]));
    let split = corpus.split(SplitBy::Document, 0.3, 0.0).unwrap();
    assert_eq!((split.train, split.validation), (0..13, 13..17));
}

#[test]
fn shuffled_documents_stay_whole_and_keep_their_bits() {
    let folder = tempfile::tempdir().unwrap();
    for name in 'a'..='j' {
        fs::write(folder.path().join(name.to_string()), name.to_string().repeat(3)).unwrap();
    }
    let read = |seed| {
        text(
            &CorpusOptions { shuffle: seed, ..CorpusOptions::default() }
                .open(&[folder.path().into()])
                .unwrap(),
        )
    };
    let [plain, one, two] = [None, Some(1), Some(2)].map(read);
    assert_eq!(plain, "aaabbbcccdddeeefffggghhhiiijjj");
    assert_eq!(one, read(Some(1)));
    assert!(one != plain && one != two);
    let sorted: BTreeSet<_> = one.as_bytes().chunks(3).map(|chunk| String::from_utf8_lossy(chunk)).collect();
    assert_eq!(sorted.into_iter().collect::<String>(), plain);
    assert_eq!(one, "jjjeeeaaaiiigggbbbcccdddhhhfff");
}

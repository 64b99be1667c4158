//! Texts that are not plain UTF-8 files: other encodings, compressed files, streams, and documents
//! within a file.

use super::{
    resume::{assert_same, checkpoint},
    *,
};
use std::io::Write;

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

pub fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn manifest(home: &Home, run: &str) -> Value {
    serde_json::from_str(&home.read(&format!("{run}/manifest.json"))).expect("JSON")
}

/// Asserts that both runs read the same text and trained the same weights.
fn assert_equal(home: &Home, one: &str, other: &str) {
    let [a, b] = [one, other].map(|run| checkpoint(home, run));
    assert!(a.parameters == b.parameters, "{one} and {other}");
    assert_eq!(manifest(home, one)["checksum"], manifest(home, other)["checksum"]);
}

#[test]
fn every_form_of_a_text_trains_the_same_weights() {
    let home = Home::new();
    let plain = home.read("text.txt");
    home.train("--out plain").success();
    let (before, after) = plain.split_at(plain.len() / 2);
    let forms = [
        ("marked.txt", [b"\xEF\xBB\xBF", plain.as_bytes()].concat(), "", ""),
        ("wide.txt", [b"\xFF\xFE", &utf16(&plain)[..]].concat(), "", "utf-16le"),
        ("unmarked", utf16(&plain), "--encoding UTF-16LE", "utf-16le"),
        ("text.gz", gzip(plain.as_bytes()), "", ""),
        ("text.bz2", bzip2(plain.as_bytes()), "", ""),
        // Two streams, and a name without an extension.
        ("packed", [zstd(before.as_bytes()), zstd(after.as_bytes())].concat(), "", ""),
        ("wide.gz", gzip(&utf16(&plain)), "--encoding utf-16le", "utf-16le"),
    ];
    for (name, bytes, flags, encoding) in forms {
        home.write(name, bytes);
        home.run(&format!("train {name} {flags} {TINY} --stop-after 7 --out of-{name}")).success();
        home.run(&format!("train --resume --out of-{name}")).success();
        assert_equal(&home, "plain", &format!("of-{name}"));
        let file = &manifest(&home, &format!("of-{name}"))["documents"][0];
        assert!(file["path"].as_str().is_some_and(|path| path.ends_with(name)), "{file}");
        assert_eq!(file["encoding"].as_str().unwrap_or_default(), encoding, "{file}");
        home.run(&format!("eval of-{name}")).success();
    }
    assert_eq!(manifest(&home, "of-packed")["documents"][0]["compression"], "zstd");
}

#[test]
fn the_encoding_is_a_part_of_the_run() {
    let home = Home::new();
    home.write("latin.txt", b"caf\xe9 and na\xefve people\n".repeat(40));
    home.run(&format!("train latin.txt --encoding latin1 {TINY} --stop-after 6 --out here")).success();
    assert!(home.read("here/config.toml").contains("encoding = \"windows-1252\"\n"));
    refused(
        home.run("train --resume --out here --encoding utf-16le"),
        2,
        &["--encoding contradicts the run in here, which has encoding = ", "windows-1252"],
    );
    home.run("train --resume --out here --encoding iso-8859-1").success();
    // Another text has the encoding of the run, unless a flag says otherwise.
    home.write("other.txt", b"na\xefve caf\xe9 and people\n".repeat(3));
    home.write("utf8.txt", "na\u{ef}ve people and caf\u{e9}\n".repeat(3));
    home.run("eval here other.txt").success();
    home.run("eval here utf8.txt --encoding utf-8").success();
    refused(home.run("eval here utf8.txt"), 1, &["utf8.txt: the symbol '\u{c3}'"]);
    refused(home.run("eval here --encoding utf-8"), 2, &["<PATH>"]);
    // A prompt has its own encoding.
    home.write("prompt", b"caf\xe9");
    refused(
        home.run("sample here --prompt-file prompt"),
        1,
        &[
            "prompt: the bytes at offset 3 are not UTF-8, and look like windows-1252: pass --encoding windows-1252",
        ],
    );
    let written =
        stdout(&home.run("sample here --prompt-file prompt --encoding latin1 --length 5").success());
    assert!(written.starts_with("caf\u{e9}"), "{written}");
    let marked = [b"\xEF\xBB\xBF", "caf\u{e9}".as_bytes()].concat();
    let piped = home.command("sample here --prompt-file - --length 5").write_stdin(marked).assert();
    assert_eq!(stdout(&piped.success()), written);
}

#[test]
fn bytes_that_are_invalid_in_the_encoding_follow_the_option_invalid() {
    let home = Home::new();
    home.write("japanese", b"\x83\x65\x83\x4c\x83\x58\x83\x67 abc \xff def\n".repeat(40));
    let train = |invalid: &str| {
        home.run(&format!("train japanese --encoding sjis --invalid {invalid} {TINY} --out {invalid}"))
    };
    refused(
        train("error"),
        1,
        &["japanese: the bytes at offset 13 are not Shift_JIS; pass the right --encoding"],
    );
    train("replace").success();
    train("skip").success();
    let symbols = |run| manifest(&home, run)["symbols"].as_u64().expect("a number");
    assert_eq!((symbols("replace"), symbols("skip")), (40 * 15, 40 * 14));
}

/// A run of an earlier version, in which the byte-order mark of the text was a symbol.
#[test]
fn a_run_of_an_earlier_version_keeps_its_byte_order_mark() {
    let home = Home::new();
    let mark = "\u{FEFF}";
    let text = home.read("text.txt");
    // The first mark is dropped. The second is a symbol now, as the first was in earlier versions.
    home.write("twice.txt", format!("{mark}{mark}{text}"));
    home.run(&format!("train twice.txt {TINY} --out whole")).success();
    home.run(&format!("train twice.txt {TINY} --stop-after 12 --out halves")).success();
    home.write("twice.txt", format!("{mark}{text}"));
    home.run("train --resume --out halves").success();
    assert_same(&home, "whole", "halves");
    home.run("eval halves").success();
    home.write("twice.txt", format!("{mark}{text}more"));
    refused(home.run("eval halves"), 1, &["is not the corpus that halves was trained on"]);
}

#[test]
fn a_run_from_standard_input_is_resumed_with_the_same_input() {
    let home = Home::new();
    let text = home.read("text.txt");
    home.train("--out plain").success();
    let begin = |run: &str| {
        let mut command = home.command(&format!("train - {TINY} --stop-after 6 --out {run}"));
        command.write_stdin(text.clone()).assert().success()
    };
    let begun = begin("here");
    assert!(
        stderr(&begun).contains("to resume this run, give the same corpus there again"),
        "{}",
        stderr(&begun)
    );
    assert!(stderr(&begun).contains("train --resume --out here < CORPUS"), "{}", stderr(&begun));
    assert!(home.read("here/config.toml").contains("paths = [\"-\"]"));
    let resume = |text: &str| home.command("train --resume --out here").write_stdin(text.to_owned()).assert();
    refused(resume(""), 1, &["standard input: the corpus of this run came from there, and now it is empty"]);
    refused(
        resume("another"),
        1,
        &["standard input is not the corpus", "give the original corpus on standard input"],
    );
    resume(&text).success();
    assert_equal(&home, "plain", "here");
    let eval = |arguments: &str| home.command(arguments).write_stdin(gzip(text.as_bytes())).assert();
    let [piped, named] =
        ["eval here - --json", "eval here text.txt --json"].map(|a| stdout(&eval(a).success()));
    assert_eq!(piped, named);
    refused(eval("eval here - -"), 2, &["standard input, twice is invalid"]);
    home.command(&format!("find-rate - {TINY} --trials 10")).write_stdin(text.clone()).assert().success();
    // A file with the same text works too.
    begin("again");
    home.run("train text.txt --resume --out again").success();
    assert_equal(&home, "plain", "again");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_no_longer_exists_is_an_error() {
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_unrolled");
    let shell = |script: String| {
        let mut command = Command::new("sh");
        command.current_dir(home.path("")).arg("-c").arg(script).assert()
    };
    let begun =
        shell(format!("cat text.txt | {program} train /dev/fd/3 {TINY} --stop-after 6 --out here 3<&0"));
    let message = stderr(&begun.success());
    assert!(message.contains("warning: a resumed run cannot read /dev/fd/3 again"), "{message}");
    refused(
        home.run("train --resume --out here"),
        1,
        &[
            "/dev/fd/3: the corpus of this run came through this pipe, which is gone: name the same corpus again",
        ],
    );
    home.run("train text.txt --resume --out here").success();
    home.train("--out plain").success();
    assert_equal(&home, "plain", "here");
}

#[test]
fn a_stream_that_is_named_twice_has_one_note() {
    let home = Home::new();
    for paths in ["- -", "- /dev/stdin"] {
        let assert = home.command(&format!("train {paths} --out here")).write_stdin(text()).assert();
        let message = stderr(&assert.code(2));
        assert_eq!(message.matches("note: the corpus comes from standard input").count(), 1, "{message}");
        assert!(message.contains("standard input, twice is invalid"), "{message}");
    }
}

#[test]
fn gzip_may_be_padded_with_zeros() {
    let home = Home::new();
    home.write("padded.gz", [gzip(home.read("text.txt").as_bytes()), vec![0; 700]].concat());
    home.train("--out plain").success();
    home.run(&format!("train padded.gz {TINY} --out padded")).success();
    assert_equal(&home, "plain", "padded");
}

#[test]
fn damaged_files_leave_nothing_behind() {
    let home = Home::new();
    let packed = gzip(home.read("text.txt").as_bytes());
    home.write("cut.gz", &packed[..packed.len() - 100]);
    refused(
        home.run(&format!("train cut.gz {TINY} --out here")),
        1,
        &["cut.gz: damaged gzip data at offset ", ": it ends too early"],
    );
    home.write("twice.gz", gzip(&packed));
    refused(home.run("train twice.gz --out here"), 1, &["twice.gz is compressed more than once"]);
    home.write("page.gz", gzip(b"%PDF-1.4 ..."));
    refused(home.run("train page.gz --out here"), 1, &["page.gz is a PDF document"]);
    assert!(!home.path("here").exists());
}

#[test]
fn compressed_files_in_a_folder_are_read_only_if_a_pattern_includes_them() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).expect("a folder");
    home.write("folder/a.txt", "plain text\n".repeat(50));
    home.write("folder/b.txt.gz", gzip("more text\n".repeat(50).as_bytes()));
    let symbols = |flags: &str, run: &str| {
        home.run(&format!("train folder {flags} {TINY} --out {run}")).success();
        let listed = manifest(&home, run);
        (
            listed["symbols"].as_u64().expect("a number"),
            listed["skipped"]["binary"].as_u64().expect("a number"),
        )
    };
    assert_eq!(symbols("", "plain"), (550, 1));
    assert_eq!(symbols("--include *.txt", "one"), (550, 0));
    assert_eq!(symbols("--include *.txt --include *.txt.gz", "both"), (1050, 0));
}

#[test]
fn documents_within_a_file_are_shuffled_split_and_written() {
    let home = Home::new();
    let documents: String = (0..90).map(|n| format!("Document {n:02}, caf\u{e9}.<|end|>")).collect();
    home.write("documents.txt", &documents);
    let train = |arguments: &str| home.run(&format!("train documents.txt {TINY} {arguments}"));
    let flags = "--document-marker <|end|> --shuffle-documents --split-by document";
    train(&format!("{flags} --out whole")).success();
    train(&format!("{flags} --out here --stop-after 6")).success();
    let config = home.read("here/config.toml");
    assert!(config.contains("document-marker = \"<|end|>\""), "{config}");
    home.run("train --resume --out here").success();
    assert_same(&home, "whole", "here");
    let checksum = format!("{:08x}", crc32fast::hash(documents.as_bytes()));
    assert_eq!(manifest(&home, "here")["documents"][0]["checksum"].as_str(), Some(&*checksum));
    assert_ne!(manifest(&home, "here")["checksum"].as_str(), Some(&*checksum));
    // The validation split is a number of whole documents.
    let evaluated = json_lines(&stdout(&home.run("eval here --json --eval-streams 1").success()));
    assert!(evaluated[0]["symbols"].as_u64().is_some_and(|n| (n + 1) % 25 == 0), "{evaluated:?}");
    let opened = stdout(&home.run("sample here --length 20").success());
    let prompted = stdout(&home.run("sample here --length 20 --prompt <|end|>").success());
    assert_eq!(format!("<|end|>{opened}"), prompted);
    home.run("sample here --document --length 20").success();
    refused(
        home.run("train --resume --out here --document-marker x"),
        2,
        &["--document-marker contradicts the run in here"],
    );
}

#[test]
fn options_for_missing_documents_are_refused() {
    let home = Home::new();
    let refuse = |flags: &str, part: &str| refused(home.train(&format!("{flags} --out here")), 2, &[part]);
    refuse(
        "--shuffle-documents",
        "shuffle-documents = true is invalid: text.txt is one document; name more files",
    );
    refuse(
        "--document-marker <|eot|>",
        "document-marker = \"<|eot|>\" is invalid: it does not occur in text.txt",
    );
    refuse(
        "--document-marker \\n --separator x",
        "separator = \"x\" is invalid: the marker ends every document",
    );
    refuse("--document-marker \\q", "after a backslash found 'q'");
    home.train("--out here").success();
    refused(home.run("sample here --document"), 2, &["--document: this run has no document-marker"]);
}

//! `--vocabulary`.

use super::resume::checkpoint;
use super::*;
use unrolled::{Unit, corpus::Vocabulary};

const SHORT: &str = "--hidden 16 --batch 4 --steps 8 --max-steps 12 --eval-every 5 --threads 1";

fn trained(home: &Home, flags: &str, run: &str) -> Vocabulary {
    home.run(&format!("train text.txt {SHORT} {flags} --out {run} --stop-after 5")).success();
    home.run(&format!("train --resume --out {run}")).success();
    home.run(&format!("eval {run}")).success();
    checkpoint(home, run).vocabulary
}

#[test]
fn a_vocabulary_is_a_list_json_a_run_a_checkpoint_or_all_bytes() {
    let home = Home::new();
    let all = Vocabulary::all_bytes();
    assert_eq!(trained(&home, "--vocabulary all-bytes", "bytes"), all);
    assert_eq!(checkpoint(&home, "bytes").settings.data.unit, Unit::Byte);
    assert_eq!(trained(&home, "--vocabulary bytes --unit byte", "run"), all);
    assert_eq!(trained(&home, "--vocabulary bytes/best.safetensors", "file"), all);
    let list: String = (0..=255).map(|byte| format!("\\x{byte:02x}\n")).collect();
    home.write("bytes.txt", list);
    assert_eq!(trained(&home, "--vocabulary bytes.txt --unit byte", "list"), all);
    let symbols: std::collections::BTreeSet<char> = text().chars().chain("XYZ".chars()).collect();
    let numbered: serde_json::Map<String, Value> =
        (1..).zip(&symbols).map(|(n, c)| (c.to_string(), Value::from(n))).collect();
    home.write("vocab.json", Value::from(numbered).to_string());
    let expected = Vocabulary::of_chars(symbols).expect("symbols");
    assert_eq!(trained(&home, "--vocabulary vocab.json", "json"), expected);
}

#[test]
fn unknown_symbols_of_the_corpus_are_errors_skipped_or_replaced() {
    let home = Home::new();
    let symbols: String = text().chars().filter(|c| c.is_ascii() && !c.is_ascii_digit()).collect();
    let lines: String = symbols.escape_default().to_string().replace("\\n", "");
    let lines: String = lines
        .chars()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .fold("\\n\n".to_owned(), |lines, c| lines + &format!("{c}\n"));
    home.write("symbols.txt", lines);
    let train = |flags: &str| format!("train text.txt {SHORT} --vocabulary symbols.txt --out none {flags}");
    refused(home.run(&train("")), 1, &["text.txt: the symbol '0' (U+0030) at offset 5", "--unknown skip"]);
    for unknown in ["skip", "replace"] {
        let known = trained(&home, &format!("--vocabulary symbols.txt --unknown {unknown}"), unknown);
        assert!(known.encode("0").is_err());
        assert!(home.read(&format!("{unknown}/config.toml")).contains(&format!("unknown = \"{unknown}\"")));
    }
    refused(home.run(&format!("train text.txt {SHORT} --unknown skip")), 2, &["--unknown has no effect"]);
}

#[test]
fn an_invalid_vocabulary_is_an_error_before_anything_is_written() {
    let home = Home::new();
    home.train("--out chars").success();
    home.write("two.txt", "a\nbc\n");
    let message = |flags: &str, code: i32, expected: &str| {
        refused(home.run(&format!("train text.txt {SHORT} --out none {flags}")), code, &[expected]);
        assert!(!home.path("none").exists());
    };
    message(
        "--vocabulary two.txt",
        1,
        "two.txt is not a vocabulary: line 2: found \"bc\", expected one symbol",
    );
    message("--vocabulary none.txt", 1, "cannot read none.txt");
    message(
        "--vocabulary chars --unit byte",
        2,
        "--vocabulary chars has the unit char, expected byte as --unit says",
    );
    message("--vocabulary all-bytes --unit char", 2, "--vocabulary all-bytes has the unit byte");
    message(
        "--vocabulary all-bytes --init-from chars",
        2,
        "--vocabulary all-bytes has the unit byte, expected char as in the weights of chars",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_vocabulary_may_come_through_a_pipe() {
    let home = Home::new();
    let arguments = format!("train text.txt {SHORT} --vocabulary /dev/stdin --unknown replace --out here");
    home.command(&arguments).write_stdin("a\n \ne\n").assert().success();
    let expected = Vocabulary::of_chars("a e".chars()).expect("symbols");
    assert_eq!(checkpoint(&home, "here").vocabulary, expected);
    home.run("train --resume --out here").success();
}

#[test]
fn a_corpus_of_unknown_symbols_only_is_an_error() {
    let home = Home::new();
    home.write("list.txt", "X\n");
    let refusal =
        home.run(&format!("train text.txt {SHORT} --vocabulary list.txt --unknown skip --out none"));
    refused(refusal, 1, &["text.txt, without the symbols that are not in the vocabulary, is empty"]);
}

#[test]
fn a_vocabulary_is_added_to_that_of_the_weights() {
    let home = Home::new();
    home.train("--out first").success();
    home.write("more.txt", "X\nY\na\n");
    let known = trained(&home, "--init-from first --vocabulary more.txt", "second");
    let first = checkpoint(&home, "first").vocabulary;
    let more = Vocabulary::of_chars("XY".chars()).expect("symbols");
    assert_eq!(known, first.union(&more).expect("characters"));
    home.write("text.txt", text() + "\u{20ac}");
    let refusal = format!("train text.txt {SHORT} --init-from first --vocabulary more.txt --out none");
    refused(home.run(&refusal), 1, &["'\u{20ac}' (U+20AC)"]);
}

#[test]
fn prompts_and_other_corpora_may_have_unknown_symbols() {
    let home = Home::new();
    home.train("--out here").success();
    home.write("other.txt", "Line \u{20ac} Line Line");
    home.write("clean.txt", "Line  Line Line");
    let loss = |arguments: &str| {
        let found = home.run(&format!("eval here {arguments} --eval-streams 1 --json")).success();
        json_lines(&stdout(&found))[0]["loss"].as_f64()
    };
    assert_eq!(loss("other.txt --unknown skip"), loss("clean.txt"));
    home.write("clean.txt", "Line   Line Line");
    assert_eq!(loss("other.txt --unknown replace"), loss("clean.txt"));
    refused(home.run("eval here other.txt"), 1, &["\u{20ac}", "--unknown skip"]);
    let sample = |flags: &str| stdout(&home.run(&format!("sample here --length 30 {flags}")).success());
    let after =
        |text: &str, prompt: &str| text.strip_prefix(prompt).expect("the prompt comes first").to_owned();
    let clean = after(&sample("--prompt Line"), "Line");
    assert_eq!(after(&sample("--prompt Li\u{20ac}ne --unknown skip"), "Li\u{20ac}ne"), clean);
    sample("--prompt Li\u{20ac}ne --unknown replace");
    refused(home.run("sample here --prompt Li\u{20ac}ne"), 1, &["--prompt: the symbol '\u{20ac}'"]);
}

/// The replacement is U+FFFD, else a space, else an error.
#[test]
fn a_vocabulary_without_a_replacement_is_an_error() {
    let home = Home::new();
    home.write("text.txt", "abcd".repeat(300));
    home.train("--out here").success();
    let message = home.run("sample here --prompt ax --unknown replace");
    refused(message, 2, &["unknown = replace is invalid: the vocabulary has neither U+FFFD nor a space"]);
}

#[test]
fn a_note_says_how_many_symbols_are_unknown() {
    let home = Home::new();
    home.train("--out here").success();
    home.write("other.txt", "Line \u{20ac} Line \u{20ac} Line".repeat(40));
    let note = |arguments: &str| {
        let message = stderr(&home.run(arguments).success());
        let notes: Vec<_> = message.lines().filter(|line| line.contains("vocabulary")).collect();
        notes.join("\n")
    };
    let skipped = "note: 80 of 720 symbols of other.txt are not in the vocabulary: skipped";
    let replaced = skipped.replace("skipped", "replaced");
    assert_eq!(note("eval here other.txt --unknown skip"), skipped);
    assert_eq!(note("eval here other.txt --unknown replace --json"), replaced);
    let tiny = "--init-from here --batch 4 --steps 8 --threads 1";
    assert_eq!(note(&format!("find-rate other.txt {tiny} --trials 10 --unknown skip")), skipped);
    let train = format!("train other.txt {tiny} --max-steps 2 --unknown replace --out there");
    assert_eq!(note(&train), replaced);
    let sample = "sample here --length 3 --count 2 --unknown skip --prompt";
    assert_eq!(
        note(&format!("{sample} Li\u{20ac}ne")),
        "note: 1 of 5 symbols of the prompt is not in the vocabulary: skipped"
    );
    // No note if all symbols are known.
    assert_eq!(note(&format!("{sample} Line")), "");
    assert_eq!(note("eval here text.txt --unknown skip"), "");
}

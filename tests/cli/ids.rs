//! Corpora of token ids: files as nanoGPT's `.bin`, prompts and samples as numbers.

use super::{
    resume::{assert_same, checkpoint},
    *,
};
use unrolled::{Unit, corpus::Vocabulary};

fn two_bytes(ids: impl IntoIterator<Item = u32>) -> Vec<u8> {
    ids.into_iter().flat_map(|id| u16::try_from(id).expect("16 bits").to_le_bytes()).collect()
}

fn four_bytes(ids: impl IntoIterator<Item = u32>) -> Vec<u8> {
    ids.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Ids below 50 in a pattern that a tiny model can learn.
fn ids(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| n * n % 50)
}

fn home() -> Home {
    let home = Home::new();
    home.write("train.bin", two_bytes(ids(4000)));
    home.write("val.bin", two_bytes(ids(700)));
    home
}

fn train(home: &Home, arguments: &str) -> Assert {
    home.run(&format!("train {arguments} --unit ids {TINY}"))
}

/// The decimal numbers of a line.
fn numbers(line: &str) -> Vec<u32> {
    line.split(' ').map(|word| word.parse().expect("a decimal number")).collect()
}

#[test]
fn a_file_of_ids_trains_a_model_and_a_run_is_resumed_with_its_bits() {
    let home = home();
    let run = train(&home, "train.bin --vocabulary-size 60 --out whole").success();
    assert!(stderr(&run).contains("train.bin: 4,000 ids, 60 symbols"), "{}", stderr(&run));
    assert!(stderr(&run).contains(" ids/s\n"), "{}", stderr(&run));
    train(&home, "train.bin --vocabulary-size 60 --out halves --stop-after 7").success();
    home.run("train --resume --out halves").success();
    assert_same(&home, "whole", "halves");
    let trained = checkpoint(&home, "whole");
    assert_eq!(
        (trained.settings.data.unit, &trained.vocabulary),
        (Unit::Ids, &Vocabulary::of_ids(60).unwrap())
    );
    let config = home.read("whole/config.toml");
    assert!(config.contains("unit = \"ids\"\n") && config.contains("vocabulary-size = 60\n"), "{config}");
    assert!(!config.contains("id-width"), "{config}");
    home.run("train --config whole/config.toml --out again").success();
    assert!(checkpoint(&home, "again").parameters == trained.parameters);
}

#[test]
fn both_widths_train_the_same_weights() {
    let home = home();
    home.write("wide.bin", four_bytes(ids(4000)));
    train(&home, "train.bin --out narrow").success();
    train(&home, "wide.bin --id-width 32 --out wide --stop-after 4").success();
    assert!(home.read("wide/config.toml").contains("id-width = 32\n"));
    home.run("train --resume --out wide").success();
    let [narrow, wide] = ["narrow", "wide"].map(|run| checkpoint(&home, run));
    assert!(narrow.parameters == wide.parameters && narrow.vocabulary == wide.vocabulary);
    let [narrow, wide] =
        ["narrow", "wide"].map(|run| stdout(&home.run(&format!("eval {run} --json")).success()));
    assert_eq!(narrow, wide);
    let other = stdout(&home.run("eval narrow wide.bin --id-width 32 --split val --json").success());
    assert_eq!(other, narrow);
    refused(
        home.run("train --resume --out wide --id-width 16"),
        2,
        &["--id-width contradicts the run in wide, which has id-width = 32"],
    );
}

#[test]
fn one_file_trains_and_the_other_validates() {
    let home = home();
    train(&home, "train.bin val.bin --split-by document --out here").success();
    let evaluated = json_lines(&stdout(&home.run("eval here --eval-streams 1 --json").success()));
    assert_eq!(evaluated[0]["symbols"], 699);
    let all = json_lines(&stdout(&home.run("eval here val.bin --eval-streams 1 --json").success()));
    assert_eq!(all[0]["loss"], evaluated[0]["loss"]);
}

#[test]
fn samples_are_lines_of_decimal_numbers() {
    let home = home();
    train(&home, "train.bin --out here").success();
    let sample = |arguments: &str| stdout(&home.run(&format!("sample here {arguments}")).success());
    let two = sample("--length 9 --count 2");
    let lines: Vec<_> = two.lines().map(numbers).collect();
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [9, 9], "{two}");
    assert!(two.ends_with('\n') && lines.concat().iter().all(|&id| id < 50), "{two}");
    home.write("prompt", "12\n7  9\n");
    let continued = sample("--prompt-file prompt --length 4");
    assert!(continued.starts_with("12 7 9 ") && numbers(continued.trim_end()).len() == 7, "{continued}");
    let drawn = numbers(continued.trim_end())[4].to_string();
    let stopped = sample(&format!("--prompt-file prompt --length 4 --stop {drawn}"));
    assert!(continued.starts_with(stopped.trim_end()) && stopped.trim_end().ends_with(&drawn), "{stopped}");
    assert_eq!(sample("--length 0"), "\n");
    let lines = json_lines(&home.read("here/samples.jsonl"));
    assert_eq!(numbers(lines[0]["text"].as_str().expect("a text")).len(), 200);
}

#[test]
fn wrong_prompts_are_refused() {
    let home = home();
    train(&home, "train.bin --out here").success();
    home.write("prompt", "1 2 x");
    let expected = "found \"x\" at offset 4, expected ids from 0 to 49 in decimal";
    refused(home.run("sample here --prompt-file prompt"), 1, &["prompt: ", expected]);
    refused(home.run("sample here --prompt 50"), 1, &["--prompt: found \"50\" at offset 0"]);
    refused(home.run("sample here --stop x"), 1, &["--stop: found \"x\" at offset 0"]);
    refused(home.run("sample here --prompt 1 --unknown skip"), 2, &["unknown = skip ", "with unit = ids"]);
    refused(home.run("sample here --document"), 2, &["--document: this run has no document-marker"]);
}

#[test]
fn all_commands_take_a_run_of_ids() {
    let home = home();
    train(&home, "train.bin --out here").success();
    let shown = stdout(&home.run("inspect here").success());
    assert!(shown.contains("vocabulary: 50 symbols\n  ids 0 to 49\n"), "{shown}");
    let inspected = json_lines(&stdout(&home.run("inspect here --json").success()));
    assert_eq!(inspected[0]["vocabulary"], serde_json::json!({ "ids": 50 }));
    home.run("report here").success();
    home.run("watch here --once").success();
    home.run("compare here here").success();
    let found = home.run(&format!("find-rate train.bin --unit ids --vocabulary-size 70 {TINY} --trials 10"));
    let note = "note: no effect on find-rate: --eval-every, --max-steps; --from, --to and --trials";
    assert!(stderr(&found.success()).contains(note));
    home.run("bench --vocab 50 --hidden 8 --batch 2 --steps 4 --seconds 0.01").success();
}

#[test]
fn fine_tuning_keeps_the_ids_and_adds_new_ones() {
    let home = home();
    train(&home, "train.bin --out base").success();
    train(&home, "val.bin --init-from base --out same").success();
    assert_eq!(checkpoint(&home, "same").vocabulary.len(), 50);
    home.write("more.bin", two_bytes((0..900).map(|n| n % 53)));
    let grown = train(&home, "more.bin --init-from base --out grown").success();
    assert!(stderr(&grown).contains("new     3 symbols that base lacks"), "{}", stderr(&grown));
    assert_eq!(checkpoint(&home, "grown").vocabulary.len(), 53);
    train(&home, "val.bin --init-from base --vocabulary-size 64 --out larger").success();
    assert_eq!(checkpoint(&home, "larger").vocabulary.len(), 64);
    train(&home, "val.bin --vocabulary base --out named").success();
    refused(
        train(&home, "val.bin --init-from base --vocabulary-size 40 --out none"),
        2,
        &["--vocabulary-size 40 is below the 50 ids that base knows"],
    );
}

#[test]
fn bad_files_and_flags_are_refused_and_leave_nothing_behind() {
    let home = home();
    home.write("odd.bin", b"\x01\0\x02");
    let refuse = |arguments: &str, code: i32, parts: &[&str]| {
        refused(home.run(&format!("train {arguments} {TINY} --out here")), code, parts);
    };
    refuse("odd.bin --unit ids", 1, &["odd.bin has 3 bytes, expected a multiple of 2, for ids of 16 bits"]);
    refuse(
        "train.bin --unit ids --vocabulary-size 30",
        1,
        &[
            "train.bin: found id 36 at position 6, expected ids below the vocabulary size of 30; check --id-width",
        ],
    );
    refuse("train.bin --unit ids --id-width 8", 2, &["'8' for '--id-width <BITS>'", "16, 32"]);
    refuse("train.bin --unit ids --encoding utf-8", 2, &["encoding = utf-8 "]);
    refuse("train.bin --unit ids --document-marker x", 2, &["document-marker = \"x\" "]);
    refuse("train.bin --unit ids --vocabulary-size 0", 2, &["'0' for '--vocabulary-size <N>'"]);
    refuse("train.bin --vocabulary-size 60", 2, &["--vocabulary-size 60 is for a corpus of token ids"]);
    refuse("train.bin --id-width 32", 2, &["--id-width 32 is for a corpus of token ids; pass --unit ids"]);
    refuse("--unit ids", 2, &["unit = ids ", "name them, or leave it out"]);
    refuse(".  --unit ids", 2, &["corpus = . ", "with unit = ids a folder needs include"]);
    home.write("list", "a\nb\n");
    refuse(
        "train.bin --unit ids --vocabulary list",
        1,
        &["with unit = ids the vocabulary is a number of ids"],
    );
    assert!(!home.path("here").exists());
    home.write("config.toml", "unit = \"ids\"\nid-width = 8\n");
    refused(
        home.run("train train.bin --config config.toml"),
        2,
        &["key id-width: found 8, expected 16 or 32"],
    );
    train(&home, "train.bin --out here").success();
    refused(
        home.run("eval here text.txt"),
        1,
        &["text.txt: found id ", "expected ids below the vocabulary size of 50"],
    );
}

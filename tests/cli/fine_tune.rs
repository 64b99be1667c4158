//! `--init-from`: runs that start from the weights of another.

use super::resume::{assert_same, checkpoint};
use super::*;

/// Returns a folder with a run `first` and a corpus `sub.txt` that lacks some of its symbols.
fn home() -> Home {
    let home = Home::new();
    home.train("--out first").success();
    home.write("sub.txt", text().replace(['L', '\u{2014}', '7'], ""));
    home
}

/// Settings that fine-tuning may change.
const FREE: &str = "--batch 3 --steps 9 --max-steps 18 --eval-every 4 --threads 1";

#[test]
fn a_run_whose_corpus_lacks_symbols_resumes() {
    let home = home();
    let tune = |flags: &str| home.run(&format!("train sub.txt --init-from first {FREE} {flags}"));
    tune("--out whole").success();
    tune("--out half --stop-after 7").success();
    home.run("train --resume --out half --threads 2").success();
    assert_same(&home, "whole", "half");
    assert_eq!(checkpoint(&home, "half").vocabulary, checkpoint(&home, "first").vocabulary);
    home.run("eval half").success();
    home.write("sub.txt", text());
    refused(
        home.run("train --resume --out half"),
        1,
        &["sub.txt is not the corpus that half was trained on"],
    );
    refused(home.run("eval half"), 1, &["sub.txt is not the corpus that half was trained on"]);
}

#[test]
fn a_run_on_the_built_in_corpus_keeps_the_vocabulary() {
    let home = home();
    home.run("train --init-from first --batch 3 --steps 9 --max-steps 2 --eval-symbols 500 --out own")
        .success();
    let (own, first) = (checkpoint(&home, "own"), checkpoint(&home, "first"));
    assert!(own.vocabulary.len() > first.vocabulary.len());
    first.vocabulary.places_in(&own.vocabulary).expect("the symbols of both");
    home.run("eval own --split test").failure();
    home.run("train --resume --out own").success();
}

#[test]
fn model_and_unit_come_from_the_first_run() {
    let home = home();
    home.train("--out bytes --unit byte --cell gru --layers 2 --input one-hot").success();
    home.run(&format!("train sub.txt --init-from bytes {FREE} --dropout 0.3 --out tuned")).success();
    let (tuned, bytes) = (checkpoint(&home, "tuned"), checkpoint(&home, "bytes"));
    assert_eq!(tuned.settings.with_model_of(&bytes.settings), tuned.settings);
    assert_eq!((tuned.settings.run.batch, tuned.settings.model.dropout), (3, 0.3));
    assert!(home.read("tuned/config.toml").contains("unit = \"byte\"\n"));
    // The settings of a preset that are not of the model apply.
    home.run(&format!("train sub.txt --init-from bytes --preset torch-rnn {FREE} --out preset")).success();
    let preset = checkpoint(&home, "preset").settings;
    assert_eq!((preset.model.hidden, preset.schedule.learning_rate), (16, 2e-3));
    home.run("train --resume --out tuned").success();
}

#[test]
fn a_setting_that_contradicts_the_weights_is_an_error_that_names_it() {
    let home = home();
    home.train("--out bytes --unit byte").success();
    home.run(&format!("train text.txt {FREE} --layer hidden=16 --layer hidden=8 --out stacked")).success();
    let message = |run: &str, flags: &str, expected: &str| {
        let asked = home.run(&format!("train sub.txt --init-from {run} {FREE} --out none {flags}"));
        refused(asked, 2, &[expected]);
        assert!(!home.path("none").exists());
    };
    for (flags, expected) in [
        ("--unit byte", "--unit = byte contradicts the weights of first, which have char; leave it out"),
        ("--hidden 17", "--hidden = 17 contradicts the weights of first, which have 16"),
        ("--layers 2", "--layers = 2 contradicts the weights of first, which have 1"),
        ("--cell gru", "--cell = gru contradicts the weights of first, which have lstm"),
        ("--input one-hot", "--input = one-hot contradicts the weights of first, which have embedding"),
        ("--embedding 9", "--embedding = 9 contradicts the weights of first, which have 16"),
        ("--bias single", "--bias = single contradicts"),
        ("--forget-bias 3", "--forget-bias = 3 contradicts"),
        ("--forget-bias-at run-time", "--forget-bias-at = run-time contradicts"),
        (
            "--layer hidden=17",
            "--layer: layer 0: hidden = 17 contradicts the weights of first, which have 16",
        ),
        ("--layer hidden=16 --layer hidden=16", "--layer: layers = 2 contradicts"),
        ("--layer hidden=16 --unit byte", "--unit = byte contradicts"),
        ("--layer hidden=16 --input one-hot", "--input = one-hot contradicts"),
        ("--config c.toml", "c.toml: key hidden = 17 contradicts the weights of first, which have 16"),
        ("--config c.toml --layers 3", "--layers = 3 contradicts"),
    ] {
        home.write("c.toml", "hidden = 17\n");
        message("first", flags, expected);
    }
    message("bytes", "--unit char", "--unit = char contradicts the weights of bytes, which have byte");
    message("stacked", "--hidden 16", "--hidden has no effect, because stacked has a [[stack]] of layers");
    home.write("c.toml", "[[stack]]\nhidden = 16\n[[stack]]\nhidden = 9\n");
    message("stacked", "--config c.toml", "c.toml: key stack: layer 1: hidden = 9 contradicts");
    let agreed = "--hidden 16 --cell lstm --embedding 16 --unit char";
    home.run(&format!("train sub.txt --init-from first {FREE} {agreed} --out agreed")).success();
    let layer = "--layer hidden=16,input-keep-prob=0.5";
    home.run(&format!("train sub.txt --init-from first {FREE} {layer} --out layer")).success();
    home.run("train --resume --out layer").success();
}

#[test]
fn new_symbols_are_added_skipped_replaced_or_errors() {
    let home = home();
    home.write("new.txt", text() + "\u{20ac}\u{fc}");
    let tune = |flags: &str| home.run(&format!("train new.txt --init-from first {FREE} {flags}"));
    let message = stderr(&tune("--out grown --stop-after 5").success());
    assert!(
        message.contains("new     2 symbols that first lacks, with random weights: \"\u{fc}\", \"\u{20ac}\"")
    );
    home.run("train --resume --out grown").success();
    assert_eq!(checkpoint(&home, "grown").vocabulary.len(), 31);
    for (unknown, symbols) in [("skip", 0), ("replace", 2)] {
        tune(&format!("--unknown {unknown} --out {unknown} --stop-after 5")).success();
        home.run(&format!("train --resume --out {unknown}")).success();
        assert_eq!(checkpoint(&home, unknown).vocabulary.len(), 29);
        home.run(&format!("eval {unknown}")).success();
        let manifest: Value =
            serde_json::from_str(&home.read(&format!("{unknown}/manifest.json"))).expect("JSON");
        assert_eq!(manifest["symbols"], text().chars().count() + symbols);
    }
    refused(tune("--unknown error --out none"), 1, &["new.txt: the symbol '\u{20ac}'", "--unknown skip"]);
    refused(home.run("train --resume --out skip --unknown replace"), 2, &["--unknown", "has unknown = skip"]);
    refused(home.run("eval skip --unknown replace"), 2, &["--unknown needs another corpus"]);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_again_from_the_same_weights() {
    let home = home();
    let tune = |flags: &str| home.run(&format!("train sub.txt --init-from first {FREE} --seed 3 {flags}"));
    tune("--out whole").success();
    tune("--out here --stop-after 6").success();
    for file in file_names(&home.path("here")).iter().filter(|name| *name != "config.toml") {
        fs::remove_file(home.path("here").join(file)).expect("a file");
    }
    home.run("train --resume --out here --threads 1").success();
    assert_same(&home, "whole", "here");
}

#[test]
fn find_rate_starts_from_the_weights() {
    let home = home();
    let found = |flags: &str| {
        let tried = home.run(&format!("find-rate sub.txt {FREE} --trials 10 --json {flags}")).success();
        json_lines(&stdout(&tried))[0]["loss"].as_f64().expect("a loss")
    };
    assert!(found("--init-from first") < found("--hidden 16"));
    home.run(&format!("train sub.txt --init-from first {FREE} --out second")).success();
    assert!(found("--config second/config.toml") < found("--hidden 16"));
    let refusal = home.run("find-rate sub.txt --init-from first --hidden 9");
    refused(refusal, 2, &["--hidden = 9 contradicts the weights of first"]);
}

//! `--precision`: the number format of the operands of products.

use super::resume::{assert_same, checkpoint};
use super::*;
use unrolled::Precision;

/// Returns a folder with a run in bf16.
fn trained() -> Home {
    let home = Home::new();
    home.train("--out here --precision bf16").success();
    home
}

#[test]
fn a_run_records_its_precision() {
    let home = trained();
    assert!(home.read("here/config.toml").contains("precision = \"bf16\"\n"));
    assert_eq!(checkpoint(&home, "here").settings.run.precision, Precision::Bf16);
    let shown = json_lines(&stdout(&home.run("inspect here --json").success())).remove(0);
    assert_eq!(shown["settings"]["precision"], "bf16", "{shown}");
    home.train("--out plain --precision f32").success();
    assert!(!home.read("plain/config.toml").contains("precision"), "f32 is the default");
    home.run("train --config here/config.toml --out again --threads 2").success();
    assert_same(&home, "here", "again");
}

#[test]
fn a_run_names_its_precision_when_it_starts() {
    let home = Home::new();
    for precision in ["f32", "bf16"] {
        let started = stderr(&home.train(&format!("--out {precision} --precision {precision}")).success());
        let line = started.lines().find(|line| line.starts_with("cpu ")).expect("a line for the processor");
        assert!(line.ends_with(&format!(", products in {precision}, static")), "{line}");
    }
}

#[test]
fn eval_and_sample_have_the_precision_of_the_run() {
    let home = trained();
    let eval = |flags: &str| {
        let report = json_lines(&stdout(&home.run(&format!("eval here --json {flags}")).success())).remove(0);
        report["loss"].as_f64().expect("a number")
    };
    let metrics = json_lines(&home.read("here/metrics.jsonl"));
    let losses = metrics.iter().filter_map(|line| line["val_loss"].as_f64());
    let best = losses.fold(f64::INFINITY, f64::min);
    assert!((eval("") - best).abs() < 1e-9, "the validation loss of the best checkpoint");
    assert_eq!(eval("").to_bits(), eval("--precision bf16").to_bits());
    assert!((eval("--precision f32") - best).abs() < 0.05, "{} and {best}", eval("--precision f32"));
    let table = |flags: &str| stdout(&home.run(&format!("eval here {flags}")).success());
    assert!(table("").contains("precision    bf16\n"), "{}", table(""));
    assert!(table("--precision f32").contains("precision    f32\n"));
    let draw = |flags: &str| stdout(&home.run(&format!("sample here {flags}")).success());
    let sample = |flags: &str| draw(&format!("--length 60 {flags}"));
    assert_eq!(sample(""), sample("--precision bf16"));
    assert_eq!(sample("--precision f32").chars().count(), 60);
    let [f32, bf16] = ["f32", "bf16"].map(|name| draw(&format!("--length 5000 --precision {name}")));
    assert_ne!(f32, bf16);
}

#[test]
fn an_unknown_precision_is_an_error() {
    let home = trained();
    for command in ["train text.txt", "find-rate text.txt", "eval here", "sample here", "bench"] {
        let expected = ["'f16' for '--precision", "[possible values: f32, bf16"];
        refused(home.run(&format!("{command} --precision f16")), 2, &expected);
    }
}

#[test]
fn integers_are_measured_without_training() {
    let flags = "bench --hidden 16 --batch 4 --steps 8 --seconds 0.01 --threads 1 --precision int8";
    let home = Home::new();
    assert_eq!(json_lines(&stdout(&home.run(&format!("{flags} --json")).success()))[0]["precision"], "int8");
    let text = stdout(&home.run(flags).success());
    assert!(text.contains(", products in int8, training in f32\n"), "{text}");
}

#[test]
fn a_rate_is_found_in_bf16() {
    let home = Home::new();
    let flags = "--hidden 16 --batch 4 --steps 8 --trials 20 --threads 1 --json --precision";
    let [bf16, f32] = ["bf16", "f32"].map(|precision| {
        json_lines(&stdout(&home.run(&format!("find-rate text.txt {flags} {precision}")).success()))
    });
    assert_eq!(bf16.last().map(|line| &line["done"]), Some(&true.into()));
    assert!(bf16[1]["loss"].is_number() && bf16[1]["loss"] != f32[1]["loss"], "{} {}", bf16[1], f32[1]);
}

#[test]
fn an_extended_run_may_change_its_precision() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    let resume = |flags: &str| home.run(&format!("train --resume --out here {flags}"));
    let expected = "--precision changes the run in here, which has precision = the default: add --extend";
    refused(resume("--precision bf16"), 2, &[expected]);
    resume("--extend --precision bf16 --stop-after 9").success();
    assert!(home.read("here/config.toml").contains("precision = \"bf16\"\n"));
    resume("--stop-after 12").success();
    resume("--extend --precision f32").success();
    assert!(!home.read("here/config.toml").contains("precision"));
    let stored = checkpoint(&home, "here");
    assert_eq!((stored.progress.step, stored.settings.run.precision), (20, Precision::F32));
    let changes: Vec<_> = stored
        .progress
        .changes
        .iter()
        .map(|change| format!("{} {}: {} to {}", change.step, change.key, change.from, change.to))
        .collect();
    assert_eq!(changes, ["6 precision: the default to bf16", "12 precision: bf16 to the default"]);
    let shown = stdout(&home.run("inspect here").success());
    assert!(shown.contains("  after step         12  precision: bf16 to the default\n"), "{shown}");
    let expected = "--precision has no effect: max-steps ends the run at step 20, where it is now";
    refused(resume("--extend --precision bf16"), 2, &[expected]);
}

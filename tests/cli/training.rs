//! `train`: the run folder, JSON and settings.

use super::*;

const RECORD: [&str; 8] = [
    "chars",
    "chars_per_second",
    "learning_rate",
    "seconds",
    "step",
    "train_loss",
    "val_accuracy",
    "val_loss",
];

#[test]
fn a_run_writes_its_files() {
    let home = Home::new();
    let run = home.train("--out here").success();
    let files = [
        ".lock",
        "best.safetensors",
        "checkpoint-15.safetensors",
        "checkpoint.safetensors",
        "config.toml",
        "loss.svg",
        "manifest.json",
        "metrics.jsonl",
        "samples.jsonl",
        "status.json",
        "steps.jsonl",
    ];
    assert_eq!(file_names(&home.path("here")), files);
    let message = stderr(&run);
    for part in ["text.txt", "LSTM, 1 layer of 16", "step  5/20", "done", "validation loss", "sample here"] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    assert!(!message.contains('\u{1b}'), "no progress bar without a terminal: {message:?}");
    assert_eq!(stdout(&run).chars().count(), 301, "a sample and its newline");
    assert!(home.read("here/loss.svg").starts_with("<svg"));
}

#[test]
fn json_has_the_documented_fields_and_is_the_only_output() {
    let home = Home::new();
    let lines = json_lines(&stdout(&home.train("--out here --json").success()));
    assert_eq!(lines.len(), 5, "four evaluations and the end");
    let (last, evaluations) = lines.split_last().expect("lines");
    assert!(evaluations.iter().all(|line| keys(line) == RECORD));
    for (key, value) in evaluations[3].as_object().expect("an object") {
        assert_eq!(&last[key], value, "{key}");
    }
    assert_eq!((last["done"].as_bool(), last["step"].as_u64()), (Some(true), Some(20)));
    assert_eq!(last["chars"], 20 * 4 * 8);
    assert!(last["best_val_loss"].as_f64().is_some_and(|loss| loss > 0.0 && loss < 5.0));
    assert_eq!(
        Path::new(last["checkpoint"].as_str().expect("a path")),
        Path::new("here/checkpoint.safetensors")
    );
    assert_eq!(json_lines(&home.read("here/metrics.jsonl")), evaluations);
}

#[test]
fn without_a_validation_split_its_fields_are_null() {
    let home = Home::new();
    let run = home.train("--out here --json --val-fraction 0").success();
    let lines = json_lines(&stdout(&run));
    assert!(lines.iter().all(|line| line["val_loss"].is_null() && line["val_accuracy"].is_null()));
    assert!(lines[lines.len() - 1]["best_val_loss"].is_null());
    assert!(!home.path("here/best.safetensors").exists());
    home.run("sample here --length 10").success();
}

#[test]
fn runs_are_numbered() {
    let home = Home::new();
    home.train("").success();
    home.train("--cell gru").success();
    assert_eq!(file_names(&home.path("runs")), ["1", "2"]);
    let newest = stdout(&home.run("inspect --json").success());
    assert_eq!(json_lines(&newest)[0]["settings"]["cell"], "gru");
}

#[test]
fn a_recorded_configuration_starts_the_same_run() {
    let home = Home::new();
    home.train("--out one --cell rnn --seed 7").success();
    home.run("train --config one/config.toml --out two --threads 1").success();
    assert_eq!(home.read("one/config.toml"), home.read("two/config.toml"));
    assert_eq!(losses(&home, "one"), losses(&home, "two"));
    home.run("train --config one/config.toml --out three --threads 1 --seed 8").success();
    assert_ne!(losses(&home, "one"), losses(&home, "three"));
}

fn losses(home: &Home, run: &str) -> Vec<Value> {
    let lines = json_lines(&home.read(&format!("{run}/metrics.jsonl")));
    lines.into_iter().map(|line| line["train_loss"].clone()).collect()
}

#[test]
fn flags_win_over_the_file_and_the_preset() {
    let home = Home::new();
    home.write("c.toml", "preset = \"torch-rnn\"\nhidden = 8\nlayers = 3\n");
    home.run("train text.txt --config c.toml --layers 1 --max-steps 2 --batch 4 --steps 8 --out here")
        .success();
    let config = home.read("here/config.toml");
    for line in ["hidden = 8\n", "layers = 1\n", "embedding = 64\n", "epoch-decay = 0.5\n"] {
        assert!(config.contains(line), "{line} in {config}");
    }
}

#[test]
fn every_preset_trains() {
    let home = Home::new();
    for preset in unrolled::Preset::NAMES {
        let arguments =
            format!("train text.txt --preset {preset} --hidden 8 --batch 4 --steps 4 --max-steps 2");
        home.run(&format!("{arguments} --json --out {preset}")).success();
    }
}

#[test]
fn training_without_a_path_uses_the_built_in_corpus() {
    let home = Home::new();
    home.run("train --hidden 8 --max-steps 2 --out here --json").success();
    assert!(home.read("here/config.toml").contains("paths = []"));
    home.run("eval here --json").success();
}

#[test]
fn a_loss_that_is_not_finite_keeps_the_last_checkpoint() {
    let home = Home::new();
    let rates = "--optimizer sgd --learning-rate 1e38 --init-scale 100 --clip 0 --schedule constant";
    let run = home.train(&format!("--out here {rates}")).code(1);
    let last = stderr(&run).lines().last().expect("a line").to_owned();
    for part in ["error: the loss is ", " at step ", "learning-rate", "the last checkpoint is kept"] {
        assert!(last.contains(part), "{part:?} in {last}");
    }
    home.run("inspect here").success();
}

#[test]
fn find_rate_prints_a_learning_rate() {
    let home = Home::new();
    let found = home
        .run("find-rate text.txt --hidden 16 --batch 4 --steps 8 --threads 1 --trials 60 --json")
        .success();
    let lines = json_lines(&stdout(&found));
    assert_eq!(keys(&lines[0]), ["loss", "rate", "smoothed"]);
    let rate = lines.last().expect("lines")["learning_rate"].as_f64().expect("a rate");
    assert!((1e-4..0.5).contains(&rate), "{rate}");
    let text = stdout(&home.run("find-rate text.txt --hidden 16 --batch 4 --steps 8 --trials 60").success());
    assert!(text.contains("the loss falls fastest at --learning-rate "), "{text}");
    refused(home.run("find-rate text.txt --from 1 --to 0.1"), 2, &["to = 0.1 is invalid"]);
}

#[test]
fn a_run_may_start_from_the_weights_of_another() {
    let home = Home::new();
    home.train("--out first").success();
    home.write("more.txt", text().replace("more", "some").repeat(2));
    let from = |flags: &str| home.run(&format!("train more.txt {TINY} --init-from first {flags}"));
    from("--out second --learning-rate 1e-9").success();
    let loss = |run: &str| json_lines(&home.read(&format!("{run}/metrics.jsonl")))[0]["train_loss"].as_f64();
    assert!(loss("second") < loss("first"), "{:?} {:?}", loss("second"), loss("first"));
    refused(
        from("--layers 2 --out third"),
        2,
        &["--layers = 2 contradicts the weights of first, which have 1"],
    );
    home.write("more.txt", "\u{20ac}".repeat(900));
    refused(from("--unknown error --out third"), 1, &["more.txt: the symbol '\u{20ac}'"]);
    assert!(!home.path("third").exists());
}

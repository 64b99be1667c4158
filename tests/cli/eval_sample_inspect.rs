//! `eval`, `sample`, `inspect` and `presets`.

use super::*;
use unrolled::model::Model;
use unrolled::train::{Trainer, TrainerSettings};
use unrolled::{Layer, ModelSettings};

fn trained() -> Home {
    let home = Home::new();
    home.train("--out here --test-fraction 0.1").success();
    home
}

#[test]
fn eval_gives_the_validation_loss_of_the_run() {
    let home = trained();
    let eval = |arguments: &str| {
        let run = home.run(&format!("eval here --json {arguments}")).success();
        json_lines(&stdout(&run)).remove(0)
    };
    let report = eval("");
    assert_eq!(keys(&report), ["accuracy", "bits_per_symbol", "loss", "perplexity", "symbols"]);
    let loss = report["loss"].as_f64().expect("a number");
    let bits = report["bits_per_symbol"].as_f64().expect("a number");
    assert!((bits - loss / std::f64::consts::LN_2).abs() < 1e-9);
    let metrics = json_lines(&home.read("here/metrics.jsonl"));
    let losses = metrics.iter().filter_map(|line| line["val_loss"].as_f64());
    let best = losses.fold(f64::INFINITY, f64::min);
    assert!((loss - best).abs() < 1e-9, "the best checkpoint's own validation loss: {loss} and {best}");
    let last = metrics[metrics.len() - 1]["val_loss"].as_f64().expect("a number");
    let again = eval("--checkpoint last")["loss"].as_f64().expect("a number");
    assert!((again - last).abs() < 1e-9, "{again} and {last}");
    let count = |report: Value| report["symbols"].as_u64().expect("a number");
    assert!(count(eval("--split all")) > count(eval("--split train")));
    assert!(count(eval("--split test --eval-streams 1")) > 0);
    assert_eq!(count(eval("text.txt")), count(eval("--split all")));
    let within = |k: usize| eval(&format!("--top-k {k}"))["top_k_accuracy"].as_f64().expect("a number");
    assert!(report["accuracy"].as_f64().is_some_and(|share| share <= within(1)));
    assert!(within(1) <= within(3) && within(3) < 1.0, "{} and {}", within(1), within(3));
    assert_eq!(within(9999), 1.0, "of all symbols");
    refused(home.run("eval here --top-k 0"), 2, &["--top-k"]);
}

#[test]
fn eval_prints_a_table() {
    let home = trained();
    let table = stdout(&home.run("eval here/checkpoint.safetensors").success());
    for part in ["text.txt, validation", "nats per symbol", "perplexity", "accuracy"] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
    assert!(!table.contains("top-"), "{table}");
    let table = stdout(&home.run("eval here --top-k 5").success());
    assert!(table.lines().last().is_some_and(|line| line.starts_with("top-5        ")), "{table}");
}

#[test]
fn a_sample_has_the_given_length_and_depends_on_the_seed() {
    let home = trained();
    let sample = |arguments: &str| stdout(&home.run(&format!("sample here {arguments}")).success());
    let text = sample("--length 80");
    assert_eq!(text.chars().count(), 80);
    assert_eq!(text, sample("--length 80 --seed 1"));
    assert_ne!(text, sample("--length 80 --seed 2"));
    assert_eq!(sample("--length 30 --temperature 0"), sample("--length 30 --top-k 1 --seed 9"));
    assert!(sample("--length 5 --prompt Line").starts_with("Line"));
    home.write("prompt.txt", "caf\u{e9} ");
    assert!(sample("--length 5 --prompt-file prompt.txt").starts_with("caf\u{e9} "));
    let several = sample("--length 40 --count 3");
    let texts: Vec<_> = several.split("\n--------\n").collect();
    assert_eq!(texts.len(), 3);
    assert_eq!(texts[0], sample("--length 40"));
    assert_ne!(texts[1], texts[2]);
}

#[test]
fn a_sample_ends_with_the_stop_text() {
    let home = trained();
    let stopped = stdout(&home.run("sample here --length 5000 --stop e").success());
    assert!(stopped.ends_with('e') && stopped.matches('e').count() == 1, "{stopped}");
}

#[test]
fn inspect_shows_everything() {
    let home = trained();
    let text = stdout(&home.run("inspect here").success());
    for part in [
        "rnn.weight_hh_l0",
        "[64, 16]",
        "vocabulary: ",
        "\u{e9}",
        "\\n",
        "4 evaluations, every 5 steps",
        "loss.svg",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    for key in ["  reset ", "  activation ", "  momentum ", "  epoch-decay "] {
        assert!(!text.contains(key), "{key} is a setting of another cell, optimizer or schedule: {text}");
    }
    let report =
        json_lines(&stdout(&home.run("inspect here/checkpoint.safetensors --json").success())).remove(0);
    assert_eq!(report["history"].as_array().map(Vec::len), Some(4));
    assert_eq!(report["settings"]["hidden"], 16);
    let sizes = report["parameters"].as_array().expect("tensors").iter().map(|tensor| {
        tensor["shape"].as_array().expect("a shape").iter().filter_map(Value::as_u64).product::<u64>()
    });
    assert_eq!(report["parameter_count"].as_u64(), Some(sizes.sum()));
    let files: Vec<_> =
        report["files"].as_array().expect("files").iter().map(|file| file["name"].as_str()).collect();
    let all = file_names(&home.path("here"));
    assert_eq!(files.len(), all.iter().filter(|name| !name.starts_with('.')).count(), "{files:?}");
    assert!(files.contains(&Some("checkpoint-15.safetensors")), "{files:?}");
    assert_eq!((&report["eval_every"], &report["eval_symbols"]), (&5.into(), &Value::Null));
}

#[test]
fn inspect_shows_the_layers_of_a_stack() {
    let home = Home::new();
    let mut command = home.command("train text.txt --batch 4 --steps 8 --max-steps 2 --threads 1 --out here");
    command.args(["--layer", "cell = \"gru\", hidden = 12", "--layer", "cell = \"lstm\", hidden = 9"]);
    command.assert().success();
    let text = stdout(&home.run("inspect here").success());
    let settings = text.split("\n\n").find(|part| part.starts_with("settings:")).expect("the settings");
    let (flat, layers) = settings.split_once("layer 0\n").expect("the first layer");
    for name in ["  cell ", "  hidden ", "  layers ", "  dropout ", "  forget-bias "] {
        assert!(!flat.contains(name), "{name:?} in {flat}");
    }
    assert!(flat.contains("  batch ") && flat.contains("  seed "), "{flat}");
    let (first, second) = layers.split_once("layer 1\n").expect("the second layer");
    let has = |text: &str, key: &str, value: &str| {
        text.lines().any(|line| line.split_whitespace().eq([key, value]))
    };
    assert!(has(first, "cell", "gru") && has(first, "hidden", "12"), "{first}");
    assert!(has(second, "cell", "lstm") && has(second, "hidden", "9"), "{second}");
}

/// Checkpoints of `train::Trainer`: of vectors, and with bidirectional layers.
#[test]
fn what_is_no_language_model_is_shown_but_neither_evaluated_nor_sampled() {
    let home = Home::new();
    let both = Layer { bidirectional: true, ..Layer::lstm(6) };
    let vectors = Model::of_layers(&[both.clone(), Layer::gru(4)], 3, 2, 1).expect("a model");
    let tagger = Model::new(&ModelSettings::of_layers([both]), 7, 1).expect("a model");
    let one_way = Model::of_layers(&[Layer::gru(4)], 3, 2, 1).expect("a model");
    let sees = "bidirectional = true is invalid: its reverse direction would see the symbols to predict";
    let none = "a model of vectors predicts no symbols";
    for (model, reason) in [(vectors, sees), (tagger, sees), (one_way, none)] {
        let trainer = Trainer::new(model, TrainerSettings::default()).expect("a trainer");
        trainer.save(&home.path("model.safetensors")).expect("a written file");
        let text = stdout(&home.run("inspect model.safetensors").success());
        assert_eq!(text.contains("rnn.weight_hh_l0_reverse"), reason == sees, "{text}");
        for command in ["eval model.safetensors text.txt", "sample model.safetensors --length 5"] {
            let message = stderr(&home.run(command).failure());
            assert!(message.contains(reason), "{command}: {message}");
        }
    }
}

#[test]
fn presets_are_listed() {
    let home = Home::new();
    let text = stdout(&home.run("presets").success());
    let lines = json_lines(&stdout(&home.run("presets --json").success()));
    assert_eq!(lines.len(), unrolled::Preset::NAMES.len());
    for (line, name) in lines.iter().zip(unrolled::Preset::NAMES) {
        assert_eq!(line["name"], *name);
        assert!(line["settings"]["hidden"].is_u64() && text.contains(name));
    }
}

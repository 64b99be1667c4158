//! `unrolled quantize`: weights as 8-bit integers.

use super::*;

fn trained(arguments: &str) -> Home {
    let home = Home::new();
    let tiny = TINY.replace("--hidden 16", "--hidden 64");
    home.run(&format!("train text.txt {tiny} --out here {arguments}")).success();
    home
}

#[test]
fn a_quantized_file_is_small_and_runs() {
    let home = trained("");
    let line = &json_lines(&stdout(&home.run("quantize here -o small.safetensors --json").success()))[0];
    let expected = [
        "accuracy",
        "accuracy_before",
        "bytes",
        "checkpoint",
        "checkpoint_bytes",
        "file",
        "loss",
        "loss_before",
        "precision_before",
        "step",
        "symbols",
    ];
    assert_eq!(keys(line), expected);
    let bytes = |name: &str| home.path(name).metadata().expect("a file").len();
    assert_eq!(line["bytes"], bytes("small.safetensors"));
    assert_eq!(line["checkpoint_bytes"], bytes("here/best.safetensors"));
    home.run("export here -o weights.safetensors").success();
    let share = bytes("small.safetensors") as f64 / bytes("weights.safetensors") as f64;
    assert!(share < 0.45, "{share}");
    let loss = |name: &str| line[name].as_f64().expect("a loss");
    assert!((loss("loss") - loss("loss_before")).abs() < 0.01, "{line}");
    let output = |arguments: &str| stdout(&home.run(arguments).success());
    let evaluated = &json_lines(&output("eval small.safetensors text.txt --split val --json"))[0];
    assert_eq!(evaluated["loss"], line["loss"]);
    let before = &json_lines(&output("eval here --json"))[0];
    assert_eq!(before["loss"], line["loss_before"]);
    assert_eq!(output("sample small.safetensors -n 50").chars().count(), 50);
    let shown = output("inspect small.safetensors");
    assert!(shown.contains("quantized: weight matrices of 8-bit integers"), "{shown}");
    assert!(!output("inspect here").contains("quantized"));
    let compared = output("compare here small.safetensors --json");
    let models: Vec<_> = json_lines(&compared).iter().map(|run| run["model"].to_string()).collect();
    assert!(!models[0].contains("int8") && models[1].contains(", quantized to int8"), "{models:?}");
    assert_eq!(json_lines(&output("inspect small.safetensors --json"))[0]["quantized"], true);
}

#[test]
fn the_table_has_losses_and_sizes() {
    let home = trained("--cell gru --reset before");
    let text = stdout(&home.run("quantize here text.txt -o small.safetensors").success());
    let parts = [
        "here/best.safetensors, step ",
        ", with the optimizer state",
        "small.safetensors: ",
        "text.txt, whole corpus, ",
    ];
    for part in parts.into_iter().chain([" nats per symbol in f32, ", " in int8 ("]) {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn a_loss_needs_a_text_unless_it_is_not_wanted() {
    let home = trained("--cell rnn");
    fs::copy(home.path("here/best.safetensors"), home.path("alone.safetensors")).expect("a copy");
    refused(
        home.run("quantize alone.safetensors -o small.safetensors"),
        1,
        &["carries no corpus; name a corpus after RUN, or add --no-loss"],
    );
    assert!(!home.path("small.safetensors").exists());
    let without = home.run("quantize alone.safetensors -o small.safetensors --no-loss --json").success();
    let line = &json_lines(&stdout(&without))[0];
    assert!(line["loss"].is_null() && line["loss_before"].is_null(), "{line}");
    let again = home.run("quantize here -o again.safetensors --json").success();
    assert!(json_lines(&stdout(&again))[0]["loss"].is_f64());
    assert_eq!(fs::read(home.path("small.safetensors")).ok(), fs::read(home.path("again.safetensors")).ok());
    refused(home.run("quantize here text.txt -o other.safetensors --no-loss"), 2, &["--no-loss"]);
}

#[test]
fn other_names_and_existing_files_are_errors() {
    let home = trained("");
    refused(
        home.run("quantize here -o small.int8"),
        2,
        &["found the ending \"int8\", expected .safetensors"],
    );
    home.write("small.safetensors", "mine");
    let existing = home.run("quantize here -o small.safetensors");
    refused(existing, 2, &["small.safetensors exists already", "add --replace"]);
    assert_eq!(home.read("small.safetensors"), "mine");
    refused(home.run("quantize here -o here/best.safetensors --replace"), 2, &["is a checkpoint of a run"]);
    home.run("quantize here -o small.safetensors --replace --no-loss").success();
    let twice = home.run("quantize small.safetensors -o twice.safetensors --no-loss");
    refused(twice, 2, &["small.safetensors is quantized already; name the run that it was made from"]);
}

#[test]
fn a_quantized_file_is_exported_as_f32_but_not_trained() {
    let home = trained("");
    home.run("quantize here -o small.safetensors --no-loss").success();
    let from = home.run("train text.txt --init-from small.safetensors --max-steps 2 --out next");
    refused(
        from,
        2,
        &["--init-from small.safetensors: a quantized model cannot be trained", "train the model that"],
    );
    assert!(!home.path("next").exists());
    let exported = home.run("export small.safetensors -o wide.safetensors").success();
    assert!(stderr(&exported).contains("with f32 weights that have the values of the 8-bit ones"));
    home.run("export small.safetensors -o wide.onnx").success();
    home.run("train text.txt --init-from wide.safetensors --max-steps 2 --out next").success();
    let shown = stdout(&home.run("inspect wide.safetensors").success());
    assert!(!shown.contains("quantized"), "{shown}");
    fs::rename(home.path("small.safetensors"), home.path("here/checkpoint.safetensors")).expect("moved");
    let resumed = home.run("train --resume --out here --extend --max-steps 30");
    refused(resumed, 1, &["its checkpoint is quantized, so it cannot be trained"]);
}

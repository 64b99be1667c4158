//! `unrolled export`: weights without the optimizer state.

use super::*;

fn trained() -> Home {
    let home = Home::new();
    home.run(&format!("train text.txt {} --out here", TINY.replace("--hidden 16", "--hidden 64"))).success();
    home
}

#[test]
fn an_exported_file_is_smaller_and_has_the_same_weights() {
    let home = trained();
    let run = home.run("export here -o weights.safetensors --json").success();
    let line = &json_lines(&stdout(&run))[0];
    let bytes = |name: &str| home.path(name).metadata().expect("a file").len();
    assert_eq!(line["bytes"], bytes("weights.safetensors"));
    assert_eq!(keys(line), ["bytes", "checkpoint", "file", "step"]);
    let share = bytes("weights.safetensors") as f64 / bytes("here/best.safetensors") as f64;
    assert!(share < 0.45, "{share}");
    let output = |arguments: &str| stdout(&home.run(arguments).success());
    assert_eq!(output("sample here -n 50"), output("sample weights.safetensors -n 50"));
    assert_eq!(output("eval here text.txt --json"), output("eval weights.safetensors text.txt --json"));
    assert!(output("inspect weights.safetensors").contains("weights.safetensors: step 20 of 20"));
    home.run("train text.txt --init-from weights.safetensors --max-steps 2 --out next").success();
}

#[test]
fn an_exported_file_carries_no_corpus_even_in_the_folder_of_another_run() {
    let home = trained();
    home.write("other.txt", "another text ".repeat(90));
    home.run(&format!("train other.txt {TINY} --out other")).success();
    home.run("export here -o other/weights.safetensors").success();
    let parts = ["weights.safetensors: an exported or copied checkpoint carries no corpus; name a corpus"];
    refused(home.run("eval other/weights.safetensors"), 1, &parts);
    let shown = stdout(&home.run("inspect other/weights.safetensors").success());
    assert!(!shown.contains("metrics.jsonl"), "{shown}");
    home.run("report other/weights.safetensors").success();
    assert!(home.read("other/weights.html").contains("other/weights.safetensors"));
    let again = home.run("export other/weights.safetensors -o again.safetensors").success();
    assert!(stderr(&again).contains("weights.safetensors, which has no optimizer state either"));
    fs::remove_file(home.path("other/config.toml")).expect("there");
    refused(home.run("eval other"), 1, &["config.toml: there is no such file", "name a corpus after RUN"]);
}

#[test]
fn a_run_does_not_resume_from_an_exported_file() {
    let home = trained();
    home.run("export here -o weights.safetensors").success();
    fs::rename(home.path("weights.safetensors"), home.path("here/checkpoint.safetensors")).expect("moved");
    let resumed = home.run("train --resume --out here --extend --max-steps 30");
    refused(resumed, 1, &["its checkpoint has no optimizer state", "--init-from"]);
}

#[test]
fn other_formats_and_existing_files_are_errors() {
    let home = trained();
    refused(
        home.run("export here -o weights.gguf"),
        2,
        &["found the ending \"gguf\", expected .safetensors, .onnx or .json"],
    );
    let format = home.run("export here -o weights.safetensors --format gguf");
    refused(format, 2, &["gguf", "safetensors, onnx, rtneural"]);
    let format = home.run("export here -o weights.safetensors --format onnx");
    refused(format, 2, &["its ending is that of safetensors, but --format is onnx; change one of them"]);
    home.write("weights.safetensors", "mine");
    let existing = home.run("export here -o weights.safetensors");
    refused(existing, 2, &["weights.safetensors exists already", "add --replace"]);
    assert_eq!(home.read("weights.safetensors"), "mine");
    home.run("export here -o weights.safetensors --replace").success();
    for file in ["here/best.safetensors", "here/checkpoint.safetensors"] {
        let own = home.run(&format!("export here -o {file} --replace"));
        refused(own, 2, &["is a checkpoint of a run"]);
    }
    refused(home.run("export nowhere -o a.safetensors"), 1, &["nowhere: no such run folder or checkpoint"]);
    assert!(!home.path("a.safetensors").exists() && !home.path("weights.onnx").exists());
}

//! `import`, `inspect` and `export` with files of other programs.

use super::*;

/// Copies a fixture to the folder of the test.
fn copy(home: &Home, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/convert").join(name);
    fs::copy(path, home.path(name)).expect("a fixture");
}

#[test]
fn a_file_becomes_a_checkpoint_and_its_parts_are_listed() {
    let home = Home::new();
    for (name, format, row) in [
        ("torch-script-lstm.onnx", "ONNX", "layer 0: LSTM of 4 units"),
        ("torch-state-lstm2.safetensors", "a PyTorch state_dict", "rnn.weight_ih_l1"),
        ("guitarml-lstm.json", "RTNeural's JSON", "layer 0: an RNN (identity) without recurrent weights"),
        ("rtneural-gru.json", "RTNeural's JSON", "layer 0: GRU of 5 units"),
    ] {
        copy(&home, name);
        let shown = stdout(&home.run(&format!("inspect {name}")).success());
        assert!(shown.starts_with(&format!("{name}: {format}\n")) && shown.contains(row), "{shown}");
        assert!(shown.contains("parameters: ") && shown.contains("  head.weight"), "{shown}");
        let assert = home.run(&format!("import {name} --out new.safetensors --replace")).success();
        let table = stdout(&assert);
        assert!(table.starts_with("part ") && table.contains(row), "{table}");
        assert!(stderr(&assert).ends_with("wrote new.safetensors\n"));
        let shown = stdout(&home.run("inspect new.safetensors").success());
        assert!(shown.contains("none: the model reads vectors"), "{shown}");
    }
    let line = &json_lines(&stdout(&home.run("inspect guitarml-lstm.json --json").success()))[0];
    assert_eq!(line["format"], "RTNeural's JSON");
    let report = home.run("import guitarml-lstm.json --out other.safetensors --json").success();
    let line = &json_lines(&stdout(&report))[0];
    assert_eq!(keys(line), ["checkpoint", "notes", "parts", "step"]);
    assert_eq!(
        (&line["checkpoint"], &line["parts"][0]["kind"]),
        (&"other.safetensors".into(), &"JSON".into())
    );
}

#[test]
fn a_model_of_ids_runs_after_its_import() {
    let home = Home::new();
    copy(&home, "torch-script-embedding-gru.onnx");
    home.run("import torch-script-embedding-gru.onnx --out new.safetensors").success();
    let sample = stdout(&home.run("sample new.safetensors --length 5 --prompt 3").success());
    assert!(sample.split_whitespace().all(|id| id.parse::<u32>().is_ok_and(|id| id < 7)), "{sample}");
}

#[test]
fn an_exported_run_can_be_imported() {
    let home = Home::new();
    home.train("--out here").success();
    let assert = home.run("export here -o model.onnx").success();
    assert!(stderr(&assert).starts_with("wrote model.onnx: ") && stderr(&assert).contains("as onnx"));
    home.run("import model.onnx --out again.safetensors").success();
    home.run("export again.safetensors -o again.onnx --format onnx").success();
    assert!(
        fs::read(home.path("model.onnx")).expect("a file")
            == fs::read(home.path("again.onnx")).expect("a file")
    );
    let message = ["RTNeural's JSON has no embedding: export it as ONNX"];
    refused(home.run("export here -o model.json"), 2, &message);
    assert!(!home.path("model.json").exists());
    copy(&home, "rtneural-stack.json");
    home.run("import rtneural-stack.json --out stack.safetensors").success();
    home.run("export stack.safetensors -o stack.json").success();
    home.run("import stack.json --out stack2.safetensors").success();
    home.run("export stack2.safetensors -o stack2.json").success();
    assert_eq!(home.read("stack.json"), home.read("stack2.json"));
}

#[test]
fn options_that_a_file_does_not_need_are_errors() {
    let home = Home::new();
    copy(&home, "keras-softmax.onnx");
    let assert = home.run("import keras-softmax.onnx --out new.safetensors");
    refused(assert, 1, &["(Softmax): the model has no place for it", "--ignore sequential/dense/Softmax"]);
    let name = "sequential/dense/Softmax";
    let table = stdout(
        &home.run(&format!("import keras-softmax.onnx --out new.safetensors --ignore {name}")).success(),
    );
    assert!(table.contains("ignored"), "{table}");
    let assert = home.run("import keras-softmax.onnx --out other.safetensors --ignore none");
    refused(assert, 1, &["found nothing named none to ignore"]);
    let assert =
        home.run(&format!("import keras-softmax.onnx --out other.safetensors --ignore {name} --reset after"));
    refused(assert, 1, &["reset is for a PyTorch state_dict, and this is ONNX; leave it out"]);
    refused(home.run("import keras-softmax.onnx --out folder"), 2, &["end --out in .safetensors"]);
    assert!(!home.path("other.safetensors").exists() && !home.path("folder").exists());
}

//! The ONNX files of this library in onnxruntime, if `UNROLLED_PYTHON` names a Python that has it.

use super::golden::{Golden, folder, load, names};
use std::io::{Write, stderr};
use std::process::Command;
use unrolled::convert::onnx;
use unrolled::exec::{Inputs, Order, State, Window};
use unrolled::model::Model;
use unrolled::network::Network;

/// Returns the interpreter, if it has onnxruntime.
fn interpreter() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("UNROLLED_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python).args(["-c", "import onnxruntime, safetensors"]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    // Written directly, because the test harness hides the output of tests that pass.
    let name = python.to_string_lossy();
    let advice = "name another interpreter with UNROLLED_PYTHON";
    _ = writeln!(stderr(), "skipped: {name} has no onnxruntime and safetensors; {advice}");
    None
}

#[test]
fn onnxruntime_gives_our_outputs_and_states() {
    let Some(python) = interpreter() else { return };
    let here = tempfile::tempdir().expect("a folder");
    let [file, results] = ["model.onnx", "results.json"].map(|name| here.path().join(name));
    let mut compared = 0;
    for name in names() {
        let Ok(converted) = load(&Golden::of(&name).path()) else { continue };
        if onnx::save(&converted.model, &file).is_err() {
            continue;
        }
        // Two windows, the second from the state of the first, of other sizes.
        std::fs::write(&results, windows(converted.model, [(5, 2), (3, 2)]).to_string()).expect("written");
        let script = folder().parent().expect("the fixtures").join("check_onnx.py");
        let output = Command::new(&python).arg(script).arg(&file).arg(&results).output().expect("Python");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}");
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
}

/// Runs windows of these steps and rows one after the other. Returns inputs, outputs and states.
fn windows(model: Model, shapes: [(usize, usize); 2]) -> serde_json::Value {
    let config = model.config().clone();
    let mut network = Network::new(model, Some(1)).expect("a network");
    let mut state: Option<State> = None;
    let mut all = Vec::new();
    for (steps, rows) in shapes {
        let tokens = steps * rows;
        let ids: Vec<u32> = (0..tokens).map(|token| (token * 5 % config.vocabulary.max(1)) as u32).collect();
        let count = tokens * config.input_width(0);
        let vectors: Vec<f32> = (0..count).map(|index| (index as f32 * 0.61).sin()).collect();
        let inputs = if config.reads_symbols() { Inputs::Ids(&ids) } else { Inputs::Vectors(&vectors) };
        let mut outputs = vec![0.0; tokens * config.output_width()];
        let initial = state.as_ref();
        let window = Window { initial, order: Order::TimeMajor, ..Window::new(steps, rows, inputs) };
        network.forward(&window, &mut outputs).expect("a window");
        let next = network.state();
        let given = if config.reads_symbols() { serde_json::json!(ids) } else { serde_json::json!(vectors) };
        let states = |state: &State| {
            let part = |part: &unrolled::exec::LayerState| serde_json::json!({ "h": part.h, "c": part.c });
            serde_json::Value::from(state.layers.iter().map(part).collect::<Vec<_>>())
        };
        let zero = network.zero_state(rows);
        let before = states(state.as_ref().unwrap_or(&zero));
        let directions: Vec<usize> = config.directions().map(|direction| direction.layer).collect();
        all.push(serde_json::json!({
            "steps": steps, "rows": rows, "inputs": given, "outputs": outputs, "before": before, "after": states(&next),
            "layers": directions,
        }));
        state = Some(next);
    }
    serde_json::Value::from(all)
}

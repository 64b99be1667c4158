//! Checkpoints in PyTorch. The test runs if `python3` (or the interpreter in UNROLLED_PYTHON) has
//! torch and safetensors, and prints a note otherwise. The module `frameworks` tests without Python
//! that PyTorch's parameters give PyTorch's logits.

use super::fixture::folder;
use super::{cells, run_of, text};
use std::ffi::OsString;
use std::io::{Write, stderr};
use std::process::Command;
use std::sync::Arc;
use unrolled::exec::Plan;
use unrolled::model::Model;
use unrolled::train::Training;
use unrolled::{InputKind, ModelSettings, Reset, Settings};

fn interpreter() -> Option<OsString> {
    let python = std::env::var_os("UNROLLED_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python).args(["-c", "import torch, safetensors"]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    // Written directly, because the test harness hides the output of tests that pass.
    let name = python.to_string_lossy();
    _ = writeln!(
        stderr(),
        "skipped: {name} has no torch and safetensors; name another interpreter with UNROLLED_PYTHON"
    );
    None
}

/// The input ids of check_checkpoint.py.
fn pseudo_random(symbols: usize) -> Vec<u32> {
    let next = |x: &u64| Some((1_103_515_245 * x + 12_345) % (1 << 31));
    std::iter::successors(Some(1), next)
        .skip(1)
        .take(40)
        .map(|x| ((x >> 16) % symbols as u64) as u32)
        .collect()
}

fn logits_as_json(model: &Arc<Model>, symbols: usize) -> String {
    let mut logits = vec![f32::NAN; 40 * symbols];
    Plan::new(model.clone(), 40, 1, Some(1)).unwrap().forward(&pseudo_random(symbols), &mut logits).unwrap();
    let rows: Vec<&[f32]> = logits.chunks(symbols).collect();
    serde_json::json!({ "logits": rows }).to_string()
}

#[test]
fn pytorch_loads_our_checkpoints_and_gives_our_logits() {
    let Some(python) = interpreter() else { return };
    let folder_of_run = tempfile::tempdir().unwrap();
    let [checkpoint, logits] =
        ["checkpoint.safetensors", "logits.json"].map(|name| folder_of_run.path().join(name));
    let inputs = [InputKind::Embedding, InputKind::OneHot].into_iter().cycle();
    for (cell, input) in cells().into_iter().filter(|cell| cell.model.reset == Reset::After).zip(inputs) {
        let run = run_of(&Settings { model: ModelSettings { layers: 2, input, ..cell.model }, ..cell }, 0.0);
        let mut training = Training::new(
            text(2000),
            Settings { model: ModelSettings { hidden: 21, ..run.model }, ..run },
            Some(1),
        )
        .unwrap();
        (0..3).for_each(|_| _ = training.step().unwrap());
        training.checkpoint().save(&checkpoint).unwrap();
        std::fs::write(&logits, logits_as_json(training.model(), 40)).unwrap();
        let output = Command::new(&python)
            .arg(folder().join("check_checkpoint.py"))
            .arg(&checkpoint)
            .arg("--compare")
            .arg(&logits)
            .arg("--double")
            .output()
            .unwrap();
        let cell = training.settings().model.cell.name();
        assert!(output.status.success(), "{cell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

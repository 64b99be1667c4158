//! Checkpoints in PyTorch. Runs where `python3` (or the interpreter that UNROLLED_PYTHON names) has torch and
//! safetensors, and says so where it has not. What needs no Python is in `goldens`: PyTorch's parameters, under
//! PyTorch's names, give PyTorch's logits.

use super::golden::folder;
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
    // Past the test harness, which swallows the output of a test that passes.
    let name = python.to_string_lossy();
    _ = writeln!(stderr(), "left out: {name} has no torch and safetensors; UNROLLED_PYTHON can name another");
    None
}

/// The ids that check_checkpoint.py runs on.
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

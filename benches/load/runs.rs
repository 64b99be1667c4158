//! Training runs in processes of their own.

use std::cell::Cell;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{fs, iter};
use tempfile::TempDir;
use unrolled::random::{DrawPurpose, Draws};

/// Characters of the text.
const LENGTH: usize = 1 << 20;
/// Number of symbols.
const VOCABULARY: f64 = 65.0;

/// A model, and the steps that make the work.
pub struct Model {
    pub name: &'static str,
    flags: &'static str,
    /// About a second on one thread of a fast core: long beside the start of a process, and short
    /// enough that some rounds have the machine for themselves.
    pub steps: u32,
}

pub const MODELS: [Model; 3] = [
    Model {
        name: "LSTM 1x100, B200 T5",
        flags: "--hidden 100 --input one-hot --batch 200 --steps 5",
        steps: 500,
    },
    Model { name: "LSTM 2x128, B50 T50", flags: "--layers 2 --hidden 128 --batch 50 --steps 50", steps: 50 },
    Model { name: "LSTM 1x256, B32 T64, the default", flags: "", steps: 50 },
];

/// Runs of one model. All must end with the same loss.
pub struct Runs {
    folder: TempDir,
    flags: Vec<String>,
    started: Cell<usize>,
    loss: f64,
}

impl Runs {
    /// Writes the text and runs the model once, on one thread.
    pub fn new(model: &Model, steps: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("text"), text()).expect("room for a file");
        let fixed = format!(
            "--max-steps {steps} --epochs 1e9 --val-fraction 0 --eval-every {steps} --sample-length 0 --json"
        );
        let flags = model.flags.split_whitespace().chain(fixed.split_whitespace()).map(str::to_owned);
        let mut runs = Self { flags: flags.collect(), folder, started: Cell::new(0), loss: 0.0 };
        runs.loss = runs.start(1).finish();
        runs
    }

    /// Returns the seconds of `in_turn` times `at_once` runs, each on some threads.
    pub fn seconds(&self, [in_turn, at_once]: [usize; 2], threads: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..in_turn {
            let running: Vec<_> = iter::repeat_with(|| self.start(threads)).take(at_once).collect();
            for run in running {
                assert_eq!(run.finish().to_bits(), self.loss.to_bits(), "the loss on {threads} threads");
            }
        }
        start.elapsed().as_secs_f64()
    }

    fn start(&self, threads: usize) -> Run {
        let number = self.started.replace(self.started.get() + 1);
        let folder = self.folder.path().join(number.to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_unrolled"));
        command.arg("train").arg(self.folder.path().join("text")).args(&self.flags);
        command.arg("--out").arg(&folder).arg(format!("--threads={threads}"));
        let process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Run { process: process.expect("the program starts"), folder }
    }
}

/// A process. It is ended if it is dropped before.
struct Run {
    process: Child,
    folder: PathBuf,
}

impl Run {
    /// Waits for the end of the run, and returns its last training loss.
    fn finish(mut self) -> f64 {
        let mut text = String::new();
        let mut output = self.process.stdout.take().expect("a pipe");
        output.read_to_string(&mut text).expect("text");
        assert!(self.process.wait().expect("a process").success(), "the run failed: {text}");
        let last: serde_json::Value =
            serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        last["train_loss"].as_f64().expect("a loss")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        // A process that failed has not created it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns a random text.
fn text() -> Vec<u8> {
    let mut draws = Draws::new(1, DrawPurpose::Sample, 0, 0);
    (0..LENGTH).map(|_| b'!' + (draws.uniform_f64() * VOCABULARY) as u8).collect()
}

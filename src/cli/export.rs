//! `unrolled export`: writes the weights of a run without what only training needs.

use super::{
    failure::Failure,
    number_format::memory,
    output::{self, note},
    run_folder::{CheckpointChoice, RunCheckpoint, RunFolder, check_absent},
};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The only format so far.
const SAFETENSORS: &str = "safetensors";

/// Write the weights of a run without the optimizer state, for `sample`, `eval` and other programs
///
/// The file keeps settings, vocabulary and history, and has about a third of the size. `train
/// --init-from` starts from it; `train --resume` needs the checkpoint of the run.
#[derive(Args)]
pub struct ExportCommand {
    /// Run folder or checkpoint file [default: the newest run under runs/]
    run: Option<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Format of the file: safetensors is the only one so far
    #[arg(long, value_name = "NAME", default_value = SAFETENSORS)]
    format: String,
    /// Checkpoint of a run folder [default: best, or last in a run without a validation split]
    #[arg(long, value_enum)]
    checkpoint: Option<CheckpointChoice>,
    /// Overwrite the file of --out
    #[arg(long)]
    replace: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Exported {
    checkpoint: String,
    file: String,
    step: u64,
    bytes: u64,
}

impl ExportCommand {
    /// Writes the file.
    pub fn run(&self) -> Result<(), Failure> {
        self.check_format()?;
        let found = RunCheckpoint::find(self.run.as_deref(), self.checkpoint)?;
        self.check_out(&found)?;
        let checkpoint = found.load()?;
        let has_state = !checkpoint.moments.is_empty() || checkpoint.state.is_some();
        let weights = checkpoint.without_training_state();
        weights.save(&self.out)?;
        let size = |file: &Path| file.metadata().map_or(0, |metadata| metadata.len());
        let (before, bytes) = (size(&found.file), size(&self.out));
        if self.json {
            return output::json(&Exported {
                checkpoint: found.file.display().to_string(),
                file: self.out.display().to_string(),
                step: weights.progress.step,
                bytes,
            });
        }
        let compared = match has_state {
            true => format!("instead of {} with the optimizer state", memory(before as f64)),
            false => format!("like {}, which has no optimizer state either", found.file.display()),
        };
        note(&format!(
            "wrote {}: {} of step {}, {compared}",
            self.out.display(),
            memory(bytes as f64),
            weights.progress.step
        ));
        Ok(())
    }

    fn check_format(&self) -> Result<(), Failure> {
        let ending = self.out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match (self.format.as_str(), ending) {
            (SAFETENSORS, SAFETENSORS) => Ok(()),
            (SAFETENSORS, _) => Err(Failure::Usage(format!(
                "--out {}: found the ending {ending:?}, expected .safetensors, the only format so far",
                self.out.display()
            ))),
            (other, _) => Err(Failure::Usage(format!(
                "--format {other} is not supported, expected safetensors; PyTorch and JAX read that format"
            ))),
        }
    }

    /// Returns an error if the file exists, or if it is one of the run's own checkpoints.
    fn check_out(&self, found: &RunCheckpoint) -> Result<(), Failure> {
        let out = self.out.display();
        let same = |file: &Path| {
            file.canonicalize().ok().is_some_and(|file| self.out.canonicalize().ok() == Some(file))
        };
        let parent = RunFolder::at(self.out.parent().unwrap_or(Path::new("")));
        if same(&found.file) || same(&parent.last()) || same(&parent.best()) {
            return Err(Failure::Usage(format!("--out {out} is a checkpoint of a run; name another file")));
        }
        check_absent(&self.out, self.replace)
    }
}

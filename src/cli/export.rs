//! `unrolled export`: writes the weights of a run without what only training needs.

use super::{
    failure::Failure,
    number_format::memory,
    output::{self, note},
    run_folder::{CheckpointChoice, RunCheckpoint},
};
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use std::path::{Path, PathBuf};
use unrolled::convert::{onnx, rtneural};

/// The formats, each with the ending of its files.
const FORMATS: [(&str, &str); 3] = [(SAFETENSORS, "safetensors"), (ONNX, "onnx"), (RTNEURAL, "json")];
const SAFETENSORS: &str = "safetensors";
const ONNX: &str = "onnx";
const RTNEURAL: &str = "rtneural";

/// Write the weights of a run without the optimizer state, for `sample`, `eval` and other programs
///
/// A safetensors file keeps settings, vocabulary and history, and has about a third of the size.
/// `train --init-from` starts from it; `train --resume` needs the checkpoint of the run. ONNX and
/// RTNeural's JSON hold the model alone. The weights of a quantized file become f32.
#[derive(Args)]
pub struct ExportCommand {
    /// Run folder or checkpoint file [default: the newest run under runs/]
    run: Option<PathBuf>,
    /// File to write; its ending is that of the format: .safetensors, .onnx or .json
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Format of the file [default: by the ending of --out]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(FORMATS.map(|(name, _)| name)))]
    format: Option<String>,
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
        let format = self.format()?;
        let found = RunCheckpoint::find(self.run.as_deref(), self.checkpoint)?;
        found.check_out(&self.out, self.replace)?;
        let checkpoint = found.load()?;
        let has_state = !checkpoint.moments.is_empty() || checkpoint.state.is_some();
        let quantized = checkpoint.quantized;
        let weights = checkpoint.without_training_state().dequantized();
        match format {
            ONNX => onnx::save(&weights.model()?, &self.out)?,
            RTNEURAL => rtneural::save(&weights.model()?, &self.out)?,
            _ => weights.save(&self.out)?,
        }
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
            _ if quantized => format!("as {format}, with f32 weights that have the values of the 8-bit ones"),
            _ if format != SAFETENSORS => format!("as {format}"),
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

    /// The format that `--format` and the ending of `--out` name.
    fn format(&self) -> Result<&'static str, Failure> {
        let ending = self.out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let by_ending = FORMATS.iter().find(|(_, known)| *known == ending);
        let Some((of_ending, _)) = by_ending else {
            return Err(Failure::Usage(format!(
                "--out {}: found the ending {ending:?}, expected .safetensors, .onnx or .json",
                self.out.display()
            )));
        };
        match self.format.as_deref().filter(|format| format != of_ending) {
            None => Ok(of_ending),
            Some(format) => Err(Failure::Usage(format!(
                "--out {}: its ending is that of {of_ending}, but --format is {format}; change one of them",
                self.out.display()
            ))),
        }
    }
}

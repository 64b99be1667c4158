//! `unrolled quantize`: writes the weights of a run as 8-bit integers.

use super::{
    evaluation_text::EvaluationText,
    failure::Failure,
    number_format::{grouped, loss, memory},
    output,
    run_folder::{CheckpointChoice, RunCheckpoint},
};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use unrolled::{
    checkpoint::Checkpoint,
    corpus::Corpus,
    exec::Engine,
    model::Model,
    train::{Evaluation, EvaluationOptions, evaluate_on},
};

const ENDING: &str = "safetensors";

/// Write the weights of a run as 8-bit integers, for `sample` and `eval`, and measure the loss before
/// and after
///
/// Each row of a weight matrix becomes integers from -127 to 127 and one scale; nothing is
/// calibrated. The file has about a quarter of the size of the weights. It runs where a checkpoint
/// runs, but cannot be trained.
#[derive(Args)]
pub struct QuantizeCommand {
    /// Run folder or checkpoint file [default: the newest run under runs/]
    run: Option<PathBuf>,
    #[command(flatten)]
    text: EvaluationText,
    /// File to write; its name ends in .safetensors
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Checkpoint of a run folder [default: best, or last in a run without a validation split]
    #[arg(long, value_enum)]
    checkpoint: Option<CheckpointChoice>,
    /// Do not measure the loss, for example because the corpus is not at hand
    #[arg(long, conflicts_with_all = ["paths", "split", "eval_streams", "unknown", "threads"])]
    no_loss: bool,
    /// Overwrite the file of --out
    #[arg(long)]
    replace: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The object of `--json`. Without a measured loss the last five fields are null.
#[derive(Serialize)]
struct Quantized {
    checkpoint: String,
    file: String,
    step: u64,
    precision_before: &'static str,
    checkpoint_bytes: u64,
    bytes: u64,
    symbols: Option<u64>,
    loss_before: Option<f64>,
    loss: Option<f64>,
    accuracy_before: Option<f64>,
    accuracy: Option<f64>,
}

/// A part of a corpus, and the weights before and after that are compared on it.
struct Comparison {
    text: String,
    corpus: Corpus,
    options: EvaluationOptions,
    before: Engine,
    after: Engine,
}

impl Comparison {
    fn measure(self) -> Result<Losses, Failure> {
        let loss = |engine| evaluate_on(engine, &self.corpus, self.options.clone());
        Ok(Losses { before: loss(&self.before)?, after: loss(&self.after)?, text: self.text })
    }
}

/// The loss on a part of a corpus, before and after.
struct Losses {
    text: String,
    before: Evaluation,
    after: Evaluation,
}

impl QuantizeCommand {
    /// Writes the file, measures the losses and prints the result. What can be wrong with the text or
    /// with `--out` is an error before the losses, which take longest.
    pub fn run(&self) -> Result<(), Failure> {
        self.check_ending()?;
        let found = RunCheckpoint::find(self.run.as_deref(), self.checkpoint)?;
        found.check_out(&self.out, self.replace)?;
        let checkpoint = found.load()?;
        if checkpoint.quantized {
            let file = found.file.display();
            return Err(Failure::Usage(format!(
                "{file} is quantized already; name the run that it was made from"
            )));
        }
        let quantized = checkpoint.quantize()?;
        let comparison =
            if self.no_loss { None } else { Some(self.comparison(&found, &checkpoint, &quantized)?) };
        quantized.save(&self.out)?;
        let losses = comparison.map(Comparison::measure).transpose()?;
        let result = self.result(&found, &checkpoint, losses.as_ref());
        match self.json {
            true => output::json(&result),
            false => output::write(&table(&result, !checkpoint.moments.is_empty(), losses.as_ref())),
        }
    }

    /// Returns an error if the file to write does not look like a safetensors file.
    fn check_ending(&self) -> Result<(), Failure> {
        let ending = self.out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending == ENDING {
            true => Ok(()),
            false => Err(Failure::Usage(format!(
                "--out {}: found the ending {ending:?}, expected .{ENDING}",
                self.out.display()
            ))),
        }
    }

    /// Opens the text to measure the loss on.
    fn comparison(
        &self,
        found: &RunCheckpoint,
        checkpoint: &Checkpoint,
        quantized: &Checkpoint,
    ) -> Result<Comparison, Failure> {
        let model = checkpoint.model()?;
        if model.config().check_predicts_symbols().is_err() {
            return Err(Failure::Usage(format!(
                "{} does not predict the symbols of a text, so it has no loss on one; add --no-loss",
                found.file.display()
            )));
        }
        let (corpus, options) = self.text.open(found, checkpoint).map_err(or_no_loss)?;
        let engine = |model: Model, checkpoint: &Checkpoint| {
            Engine::with_precision(model, checkpoint.precision(), self.text.threads())
        };
        Ok(Comparison {
            text: self.text.describe(&corpus),
            corpus,
            options,
            before: engine(model, checkpoint)?,
            after: engine(quantized.model()?, quantized)?,
        })
    }

    fn result(&self, found: &RunCheckpoint, checkpoint: &Checkpoint, losses: Option<&Losses>) -> Quantized {
        let size = |file: &Path| file.metadata().map_or(0, |metadata| metadata.len());
        Quantized {
            checkpoint: found.file.display().to_string(),
            file: self.out.display().to_string(),
            step: checkpoint.progress.step,
            precision_before: checkpoint.precision().name(),
            checkpoint_bytes: size(&found.file),
            bytes: size(&self.out),
            symbols: losses.map(|losses| losses.after.symbols),
            loss_before: losses.map(|losses| losses.before.loss),
            loss: losses.map(|losses| losses.after.loss),
            accuracy_before: losses.map(|losses| losses.before.accuracy),
            accuracy: losses.map(|losses| losses.after.accuracy),
        }
    }
}

/// Adds the way to quantize without the corpus of the run.
fn or_no_loss(failure: Failure) -> Failure {
    match failure {
        Failure::NoRun { path, problem } => {
            Failure::NoRun { path, problem: format!("{problem}, or add --no-loss") }
        }
        other => other,
    }
}

/// Returns the result as text.
fn table(result: &Quantized, has_moments: bool, losses: Option<&Losses>) -> String {
    let Quantized { checkpoint, file, step, checkpoint_bytes, bytes, precision_before, .. } = result;
    let with_moments = if has_moments { ", with the optimizer state" } else { "" };
    let mut text = format!(
        "checkpoint   {checkpoint}, step {}: {}{with_moments}\nfile         {file}: {}\n",
        grouped(*step),
        memory(*checkpoint_bytes as f64),
        memory(*bytes as f64)
    );
    if let Some(Losses { text: corpus, before, after }) = losses {
        text += &format!(
            "corpus       {corpus}, {} symbols\nloss         {} nats per symbol in {}, {} in int8 ({})\n",
            grouped(after.symbols),
            loss(before.loss),
            precision_before,
            loss(after.loss),
            change(after.loss - before.loss)
        );
    }
    text
}

/// Returns a difference with its sign. One that rounds to zero has none.
fn change(difference: f64) -> String {
    match format!("{difference:+.4}").as_str() {
        "+0.0000" | "-0.0000" => "0.0000".to_owned(),
        signed => signed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn a_difference_that_rounds_to_zero_has_no_sign() {
        assert_eq!(
            [0.01234, -0.5, 0.00004, -0.00004].map(change),
            ["+0.0123", "-0.5000", "0.0000", "0.0000"]
        );
    }
}

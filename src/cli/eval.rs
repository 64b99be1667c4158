//! `unrolled eval`: measures the loss of a trained model on a corpus.

use super::{
    evaluation_text::EvaluationText,
    failure::Failure,
    number_args::whole,
    number_format::{grouped, loss, percent},
    output,
    run_folder::{CheckpointChoice, RunCheckpoint},
    value_args::precision,
};
use clap::Args;
use std::{num::NonZeroUsize, path::PathBuf};
use unrolled::{
    Precision,
    checkpoint::Checkpoint,
    corpus::Corpus,
    exec::Engine,
    train::{Evaluation, EvaluationOptions, evaluate_on},
};

/// Measure the loss of a trained model on its validation split or on another corpus
#[derive(Args)]
pub struct EvalCommand {
    /// Run folder or checkpoint file [default: the newest run under runs/]
    run: Option<PathBuf>,
    #[command(flatten)]
    text: EvaluationText,
    /// Checkpoint of a run folder [default: best, or last in a run without a validation split]
    #[arg(long, value_enum)]
    checkpoint: Option<CheckpointChoice>,
    /// Also measure how often the right symbol is among the N likeliest
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    top_k: Option<NonZeroUsize>,
    /// Number format of the operands of products [default: as in the run, or int8 for a quantized file]
    #[arg(long, value_parser = precision())]
    precision: Option<Precision>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl EvalCommand {
    /// Loads the model and the corpus, and prints the loss.
    pub fn run(&self) -> Result<(), Failure> {
        let trained = RunCheckpoint::find(self.run.as_deref(), self.checkpoint)?;
        let checkpoint = trained.load()?;
        let model = checkpoint.model()?;
        model.config().check_predicts_symbols()?;
        let (corpus, reading) = self.text.open(&trained, &checkpoint)?;
        let reading = EvaluationOptions { top_k: self.top_k, ..reading };
        let engine = Engine::with_precision(model, self.precision(&checkpoint), self.text.threads())?;
        let evaluation = evaluate_on(&engine, &corpus, reading)?;
        match self.json {
            true => output::json(&evaluation),
            false => output::write(&self.table(&trained, &corpus, &checkpoint, &evaluation)),
        }
    }

    /// The number format of the operands of products.
    fn precision(&self, checkpoint: &Checkpoint) -> Precision {
        self.precision.unwrap_or(checkpoint.precision())
    }

    fn table(
        &self,
        trained: &RunCheckpoint,
        corpus: &Corpus,
        checkpoint: &Checkpoint,
        e: &Evaluation,
    ) -> String {
        format!(
            "corpus       {}\ncheckpoint   {}, step {}\nprecision    {}\nsymbols      {}\n\
             loss         {} nats per symbol\n             {:.3} bits per symbol\n\
             perplexity   {:.3}\naccuracy     {}\n{}",
            self.text.describe(corpus),
            trained.file.display(),
            grouped(checkpoint.progress.step),
            self.precision(checkpoint).name(),
            grouped(e.symbols),
            loss(e.loss),
            e.bits_per_symbol,
            e.perplexity,
            percent(e.accuracy),
            self.top_k_line(e)
        )
    }

    fn top_k_line(&self, evaluation: &Evaluation) -> String {
        match (self.top_k, evaluation.top_k_accuracy) {
            (Some(k), Some(share)) => format!("{:<13}{}\n", format!("top-{k}"), percent(share)),
            _ => String::new(),
        }
    }
}

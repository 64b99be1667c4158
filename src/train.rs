//! Training.
use crate::{
    Result, Settings,
    checkpoint::Checkpoint,
    corpus::{Corpus, Vocabulary},
    model::Model,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One line of `metrics.jsonl`: the run at an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Optimiser steps done.
    pub step: u64,
    /// Symbols trained on.
    pub chars: u64,
    /// Time spent training, evaluation left out, summed over resumes.
    pub seconds: f64,
    /// Mean loss in nats per symbol since the last evaluation.
    pub train_loss: f64,
    /// Validation loss in nats per symbol; null without a validation part.
    pub val_loss: Option<f64>,
    /// Share of validation symbols whose likeliest prediction was right.
    pub val_accuracy: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Symbols per second of training since the last evaluation.
    pub chars_per_second: f64,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps done.
    pub step: u64,
    /// Optimiser steps of the whole run.
    pub total_steps: u64,
    /// Steps between evaluations.
    pub eval_every: u64,
    /// Time spent training.
    pub seconds: f64,
    /// Sum of the training losses since the last evaluation.
    pub loss_sum: f64,
    /// Steps since the last evaluation.
    pub loss_steps: u64,
    /// Time spent training at the last evaluation.
    pub seconds_at_record: f64,
    /// Lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Checksum of the text trained on.
    pub corpus_fingerprint: u32,
    /// All evaluations so far.
    pub history: Vec<Record>,
}

/// What one optimiser step reports.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean loss of the window in nats per symbol.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// The evaluation, when one was due.
    pub record: Option<Record>,
}

/// Loss on a part of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Symbols predicted.
    pub symbols: u64,
    /// Nats per symbol.
    pub loss: f64,
    /// The loss over ln 2.
    pub bits_per_symbol: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// Share of symbols whose likeliest prediction was right.
    pub accuracy: f64,
}

/// A training run in memory.
#[derive(Debug)]
pub struct Training {}
impl Training {
    /// Starts a run. Uses `threads` threads, or all cores.
    pub fn new(_corpus: Corpus, _settings: Settings, _threads: Option<usize>) -> Result<Self> {
        unimplemented!()
    }
    /// Continues a run on the same text; `settings` may ask for a longer horizon with a constant schedule.
    pub fn resume(
        _corpus: Corpus,
        _checkpoint: Checkpoint,
        _settings: Settings,
        _threads: Option<usize>,
    ) -> Result<Self> {
        unimplemented!()
    }
    /// One optimiser step, and an evaluation when one is due.
    pub fn step(&mut self) -> Result<StepReport> {
        unimplemented!()
    }
    /// Whether the horizon is reached.
    pub fn is_done(&self) -> bool {
        unimplemented!()
    }
    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        unimplemented!()
    }
    /// The run's settings.
    pub fn settings(&self) -> &Settings {
        unimplemented!()
    }
    /// The model as it stands.
    pub fn model(&self) -> &Model {
        unimplemented!()
    }
    /// The symbols.
    pub fn vocabulary(&self) -> &Vocabulary {
        unimplemented!()
    }
    /// The text.
    pub fn corpus(&self) -> &Corpus {
        unimplemented!()
    }
    /// Symbols per optimiser step.
    pub fn chars_per_step(&self) -> u64 {
        unimplemented!()
    }
    /// Everything to continue from here.
    pub fn checkpoint(&self) -> Checkpoint {
        unimplemented!()
    }
}

/// Loss of a model on a part of a text, read as `streams` contiguous streams.
pub fn evaluate(
    _model: &Model,
    _corpus: &Corpus,
    _part: Range<usize>,
    _streams: usize,
    _threads: Option<usize>,
) -> Result<Evaluation> {
    unimplemented!()
}

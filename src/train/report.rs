//! What a run reports, and where it stands.

use serde::{Deserialize, Serialize};

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
    /// Symbols of the validation split that each evaluation reads; the whole split when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_symbols: Option<u64>,
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
    /// What has not been logged yet.
    #[serde(default)]
    pub since_log: SinceLog,
    /// Settings that were changed when the run was resumed, in the order of the changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// A setting of a run that was changed when the run was resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Optimiser steps done before the change.
    pub step: u64,
    /// The setting's name.
    pub key: String,
    /// Its value before.
    pub from: String,
    /// Its value from there on.
    pub to: String,
}

/// The steps since [`Training::log`](super::Training::log) was last called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinceLog {
    /// How many.
    pub steps: u64,
    /// Sum of their losses.
    pub loss_sum: f64,
    /// Time spent training on them.
    pub seconds: f64,
    /// Global norm of the last gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
}

/// One line of `steps.jsonl`: the steps between two points of a training curve that is finer than the evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// Optimiser steps done.
    pub step: u64,
    /// Symbols trained on.
    pub chars: u64,
    /// Time spent training, evaluation left out, summed over resumes.
    pub seconds: f64,
    /// Mean loss in nats per symbol since the line before.
    pub loss: f64,
    /// Global norm of the last step's gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Symbols per second of training since the line before.
    pub chars_per_second: f64,
}

impl Progress {
    /// Mean of the training losses since the last evaluation; 0 where there is none.
    pub(super) fn mean_loss(&self) -> f64 {
        self.loss_sum / self.loss_steps.max(1) as f64
    }

    /// Takes one optimiser step into account.
    pub(super) fn advance(&mut self, loss: f64, seconds: f64, gradient_norm: f64, learning_rate: f64) {
        self.step += 1;
        self.loss_sum += loss;
        self.loss_steps += 1;
        self.seconds += seconds;
        let since = &mut self.since_log;
        since.steps += 1;
        since.loss_sum += loss;
        since.seconds += seconds;
        (since.gradient_norm, since.learning_rate) = (gradient_norm, learning_rate);
    }
}

/// What one optimiser step reports.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean loss of the window in nats per symbol; since the last evaluation, where an evaluation alone was owed.
    pub loss: f64,
    /// Global norm of the gradient before clipping; NaN where an evaluation alone was owed.
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
    /// Share of symbols that were among the k likeliest, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k_accuracy: Option<f64>,
}

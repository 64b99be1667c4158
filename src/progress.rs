//! The progress of a run: steps done, times, losses, and all evaluations so far.

use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`: the run at an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Optimizer steps done.
    pub step: u64,
    /// Symbols trained on.
    pub chars: u64,
    /// Training time in seconds without evaluations, summed over resumes.
    pub seconds: f64,
    /// Mean loss in nats per symbol since the last evaluation.
    pub train_loss: f64,
    /// Validation loss in nats per symbol; null without a validation split.
    pub val_loss: Option<f64>,
    /// Share of validation symbols whose most likely prediction was right.
    pub val_accuracy: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Symbols per second of training since the last evaluation.
    pub chars_per_second: f64,
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: u64,
    /// Steps between evaluations.
    pub eval_every: u64,
    /// Number of symbols of the validation split that each evaluation reads; the whole split when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_symbols: Option<u64>,
    /// Training time in seconds.
    pub seconds: f64,
    /// Sum of the training losses since the last evaluation.
    pub loss_sum: f64,
    /// Steps since the last evaluation.
    pub loss_steps: u64,
    /// Training time in seconds at the last evaluation.
    pub seconds_at_record: f64,
    /// Lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Checksum of the corpus.
    pub corpus_fingerprint: u32,
    /// All evaluations so far.
    pub history: Vec<Record>,
    /// The steps since the last call of [`Training::log`](crate::train::Training::log).
    #[serde(default)]
    pub since_log: SinceLog,
    /// Settings that changed when the run was resumed, in the order of the changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// A setting that changed when a run was resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Optimizer steps done before the change.
    pub step: u64,
    /// The setting's name.
    pub key: String,
    /// The old value.
    pub from: String,
    /// The new value.
    pub to: String,
}

/// The steps since the last call of [`Training::log`](crate::train::Training::log).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinceLog {
    /// Number of steps.
    pub steps: u64,
    /// Sum of their losses.
    pub loss_sum: f64,
    /// Their training time in seconds.
    pub seconds: f64,
    /// Global norm of the last gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
}

impl Progress {
    /// Returns the mean of the training losses since the last evaluation, 0 without steps.
    pub(crate) fn mean_loss(&self) -> f64 {
        self.loss_sum / self.loss_steps.max(1) as f64
    }

    /// Records one optimizer step.
    pub(crate) fn advance(&mut self, loss: f64, seconds: f64, gradient_norm: f64, learning_rate: f64) {
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

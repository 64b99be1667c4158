//! The reports of training: of a step, of a point of the training curve, and of an evaluation.

use crate::progress::Record;
use serde::{Deserialize, Serialize};

/// One line of `steps.jsonl`: a point of the training curve, over the steps since the previous
/// point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// Optimizer steps done.
    pub step: u64,
    /// Symbols trained on so far.
    pub chars: u64,
    /// Training time in seconds without evaluations, summed over resumes.
    pub seconds: f64,
    /// Mean loss in nats per symbol since the previous line.
    pub loss: f64,
    /// Global norm of the last step's gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Symbols per second of training since the previous line.
    pub chars_per_second: f64,
}

/// The report of one optimizer step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, including this one.
    pub step: u64,
    /// Mean loss of the step in nats per symbol. If the call only reran an evaluation: mean loss
    /// since the previous evaluation.
    pub loss: f64,
    /// Global norm of the gradient before clipping; NaN if the call only reran an evaluation.
    pub gradient_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// The evaluation, if one was due.
    pub record: Option<Record>,
}

/// The loss of a model on a range of a corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of predicted symbols.
    pub symbols: u64,
    /// Mean loss in nats per symbol.
    pub loss: f64,
    /// Mean loss in bits per symbol: the loss divided by ln 2.
    pub bits_per_symbol: f64,
    /// Perplexity: e to the power of the loss.
    pub perplexity: f64,
    /// Accuracy: the share of symbols that were the most likely prediction.
    pub accuracy: f64,
    /// Share of symbols that were among the k most likely predictions; `None` if not requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k_accuracy: Option<f64>,
}

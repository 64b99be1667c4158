//! The values that training reports: steps, points of the training curve, evaluations.

use crate::progress::Record;
use serde::{Deserialize, Serialize};

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

//! Windows, length, evaluation and random seed of a training run.

use super::{
    Exchange, Mode, Precision, Reduction, Windows, decimal,
    decimal::shortest,
    defaults,
    range::{below_one, count, positive, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// Windows, length, evaluation and random seed of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RunSettings {
    /// Number of batch rows B, at least 1. Default 32.
    pub batch: usize,
    /// Number of steps T of a window, for truncated backpropagation through time; at least 1.
    /// Default 64.
    pub steps: usize,
    /// How windows are cut from the training split. Default `stream`.
    pub windows: Windows,
    /// Number of windows of one optimizer step, at least 1. Their gradients are averaged: a larger
    /// batch in the same memory, or divided among processes. With `windows = "stream"` each of these
    /// windows has streams of its own. Default 1.
    #[serde(skip_serializing_if = "defaults::is_one")]
    pub accumulate: usize,
    /// The numbers that the processes of a run send each other
    /// ([`Training::divide`](crate::train::Training::divide)). One process rounds in the same way, so
    /// the results are the same bits for any number of processes. Default `f32`.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub exchange: Exchange,
    /// The number format of the operands of products, in training and in evaluations. A checkpoint is
    /// always f32, and a run may continue with another precision
    /// ([`Training::extend`](crate::train::Training::extend)). Default `f32`.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub precision: Precision,
    /// Passes over the training split, above 0; may be a fraction. Default 1.
    pub epochs: f64,
    /// Maximum number of optimizer steps, at least 1. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Maximum number of symbols to train on, at least 1. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u64>,
    /// How the losses of a window are reduced to one number. Default `mean`.
    pub loss_reduction: Reduction,
    /// Share of each target that is spread over all symbols in training, from 0 to below 1
    /// ([label smoothing](https://arxiv.org/abs/1512.00567)). Default 0. Evaluations ignore it.
    #[serde(skip_serializing_if = "defaults::is_default", with = "decimal")]
    pub label_smoothing: f32,
    /// Number of optimizer steps between evaluations, at least 1. Default: about ten evaluations
    /// per run, or fewer if they would take more than a tenth of the training time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<u64>,
    /// Number of symbols of the validation split that each evaluation during training reads, at
    /// least 2. Default: all, or fewer if they would take more than a tenth of the training time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_symbols: Option<u64>,
    /// The run ends after this number of evaluations without a lower validation loss, at least 1.
    /// Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// How a window is run: with buffers for one shape, or for any shape. Default `static`. The
    /// results are the same bits in both modes.
    pub mode: Mode,
    /// Random seed. Default 1.
    pub seed: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            batch: 32,
            steps: 64,
            windows: Windows::Stream,
            accumulate: 1,
            exchange: Exchange::F32,
            precision: Precision::F32,
            epochs: 1.0,
            max_steps: None,
            max_chars: None,
            loss_reduction: Reduction::Mean,
            label_smoothing: 0.0,
            eval_every: None,
            eval_symbols: None,
            patience: None,
            mode: Mode::Static,
            seed: 1,
        }
    }
}

impl RunSettings {
    /// Returns the number of streams that a step reads: the batch rows of all its windows.
    pub(crate) fn streams(&self) -> usize {
        self.batch.saturating_mul(self.accumulate)
    }

    /// Checks each value, and combinations of values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid setting, its value and its
    /// range.
    pub fn validate(&self) -> Result<()> {
        count("batch", self.batch as u64)?;
        count("steps", self.steps as u64)?;
        positive("epochs", self.epochs)?;
        count("max-steps", self.max_steps.unwrap_or(1))?;
        count("max-chars", self.max_chars.unwrap_or(1))?;
        count("eval-every", self.eval_every.unwrap_or(1))?;
        count("patience", self.patience.unwrap_or(1))?;
        below_one("label-smoothing", shortest(self.label_smoothing))?;
        let read = self.eval_symbols.unwrap_or(2);
        require(read >= 2, "eval-symbols", read, "give a whole number of at least 2")?;
        count("accumulate", self.accumulate as u64)?;
        let expected = "batch x steps x accumulate symbols per step are too many to count; lower one of them";
        // A window that is too large alone is reported when windows are cut.
        let window = self.batch.saturating_mul(self.steps);
        let symbols = if window == usize::MAX { Some(window) } else { window.checked_mul(self.accumulate) };
        require(symbols.is_some(), "accumulate", self.accumulate, expected)
    }
}

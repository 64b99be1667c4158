//! Windows, length, evaluation and random seed of a training run.

use super::{
    Mode, Reduction, Windows, decimal,
    decimal::shortest,
    layer,
    range::{below_one, count, positive, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// Windows, length, evaluation and random seed of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RunSettings {
    /// Batch rows B.
    pub batch: usize,
    /// Steps T of truncated backpropagation through time.
    pub steps: usize,
    /// How windows are cut from the text.
    pub windows: Windows,
    /// Windows whose mean gradient makes one optimiser step, one after the other: a larger batch in the same memory.
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Passes over the training part; may be a fraction.
    pub epochs: f64,
    /// Upper bound on optimiser steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Upper bound on symbols trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u64>,
    /// How the losses of a window become the number that is minimised.
    pub loss_reduction: Reduction,
    /// Share of each target that is spread over all symbols while training (`label_smoothing`); evaluations know nothing of it.
    #[serde(skip_serializing_if = "layer::is_default", with = "decimal")]
    pub label_smoothing: f32,
    /// Optimizer steps between evaluations. When absent, about ten evaluations a run, or fewer if they
    /// would take over a tenth of the training time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<u64>,
    /// Number of symbols of the validation split that each evaluation during training reads. When absent,
    /// all, or fewer if they would take over a tenth of the training time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_symbols: Option<u64>,
    /// Evaluations without a lower validation loss after which the run ends; it does not when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// How the window runs. Changes no bit of the result.
    pub mode: Mode,
    /// Where all randomness starts.
    pub seed: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            batch: 32,
            steps: 64,
            windows: Windows::Stream,
            accumulate: 1,
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
    /// Checks every value by itself and against the others.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first setting that is invalid, what was found, and the range.
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
        let expected =
            "batch x steps x accumulate symbols a step are more than can be counted; lower one of them";
        // A window that is too large by itself is told by what cuts windows.
        let window = self.batch.saturating_mul(self.steps);
        let symbols = if window == usize::MAX { Some(window) } else { window.checked_mul(self.accumulate) };
        require(symbols.is_some(), "accumulate", self.accumulate, expected)
    }
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

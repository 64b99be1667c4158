//! The length of a run, and when it ends.

use super::Training;
use crate::RunSettings;

/// A setting that can end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `epochs`.
    Epochs,
    /// `max-steps`.
    MaxSteps,
    /// `max-chars`.
    MaxChars,
    /// `patience`.
    Patience,
}

impl Bound {
    /// Returns the name of the setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::MaxSteps => "max-steps",
            Self::MaxChars => "max-chars",
            Self::Patience => "patience",
        }
    }
}

impl Training {
    /// Returns the optimizer steps of the whole run.
    pub(super) fn total_steps(&self) -> u64 {
        self.bounds().into_iter().map(|(_, steps)| steps).min().unwrap_or(u64::MAX)
    }

    /// Returns the settings that limit the length of the run, with their limits in optimizer steps.
    /// The run ends at the lowest.
    pub fn bounds(&self) -> Vec<(Bound, u64)> {
        let RunSettings { epochs, max_steps, max_chars, .. } = self.settings.run;
        let windows = epochs * self.batches.steps_per_epoch() as f64;
        let by_epochs = (windows / self.settings.run.accumulate as f64).floor().max(1.0);
        let mut bounds = vec![(Bound::Epochs, by_epochs as u64)];
        bounds.extend(max_steps.map(|steps| (Bound::MaxSteps, steps)));
        bounds.extend(max_chars.map(|chars| (Bound::MaxChars, (chars / self.chars_per_step()).max(1))));
        bounds
    }

    /// Returns the setting that ended the run; `None` before the end.
    pub fn ended_by(&self) -> Option<Bound> {
        let lowest = || self.bounds().into_iter().min_by_key(|(_, steps)| *steps).map(|(bound, _)| bound);
        match self.progress.step >= self.progress.total_steps {
            _ if !self.is_done() => None,
            true => lowest(),
            false => Some(Bound::Patience),
        }
    }

    /// Returns the optimizer steps in an epoch, for schedules.
    pub(super) fn steps_per_epoch(&self) -> u64 {
        (self.batches.steps_per_epoch() / self.settings.run.accumulate as u64).max(1)
    }

    /// Returns whether the run has reached its length or patience has ended it.
    pub fn is_done(&self) -> bool {
        let over = self.progress.step >= self.progress.total_steps;
        (over && !self.evaluation_is_due()) || self.is_out_of_patience()
    }

    /// Returns whether the last `patience` evaluations have not lowered the best validation loss.
    pub fn is_out_of_patience(&self) -> bool {
        let Some(patience) = self.settings.run.patience else { return false };
        let losses: Vec<f64> = self.progress.history.iter().filter_map(|record| record.val_loss).collect();
        let best = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        best.is_some_and(|best| (losses.len() - 1 - best) as u64 >= patience)
    }

    /// Returns the number of symbols per optimizer step.
    pub fn chars_per_step(&self) -> u64 {
        (self.settings.run.batch * self.settings.run.steps * self.settings.run.accumulate) as u64
    }
}

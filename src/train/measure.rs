//! How long a run is, what it measures on its way, and when it has seen enough.

use super::{
    Evaluation, Logged, Record, Training,
    evaluate::{EVALUATION_STREAMS, EvaluationOptions, Evaluator},
};
use crate::{Error, Result, RunSettings};
use std::sync::{Arc, atomic::AtomicBool};

/// What can end a run.
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
    /// The setting's name.
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
    /// Whether the step just done is due for an evaluation that it has not had.
    pub(super) fn owes_record(&self) -> bool {
        let progress = &self.progress;
        let due = progress.step.is_multiple_of(progress.eval_every) || progress.step == progress.total_steps;
        due && progress.step > 0 && progress.history.last().is_none_or(|last| last.step < progress.step)
    }

    /// Evaluates, and adds a line to the history. What an update has done to the parameters shows only in the next
    /// step's loss, too late for what is kept now.
    pub(super) fn record(&mut self, learning_rate: f64, gradient_norm: f64) -> Result<Record> {
        let (step, clip) = (self.progress.step, self.settings.optimizer.clip);
        if let Some(entry) = self.engine.model().parameters().not_finite() {
            return Err(Error::Diverged { tensor: entry.name.clone(), step, learning_rate, clip });
        }
        let evaluation = self.evaluate()?;
        if let Some(loss) = evaluation.as_ref().map(|found| found.loss).filter(|loss| !loss.is_finite()) {
            return Err(Error::NotFinite { step, loss, gradient_norm, learning_rate, clip });
        }
        let chars_per_step = self.chars_per_step();
        let progress = &mut self.progress;
        let seconds = progress.seconds - progress.seconds_at_record;
        let record = Record {
            step: progress.step,
            chars: progress.step * chars_per_step,
            seconds: progress.seconds,
            train_loss: progress.mean_loss(),
            val_loss: evaluation.as_ref().map(|evaluation| evaluation.loss),
            val_accuracy: evaluation.as_ref().map(|evaluation| evaluation.accuracy),
            learning_rate,
            chars_per_second: (progress.loss_steps * chars_per_step) as f64 / seconds.max(1e-9),
        };
        (progress.loss_sum, progress.loss_steps, progress.seconds_at_record) = (0.0, 0, progress.seconds);
        if let Some(loss) = record.val_loss {
            progress.best_val_loss = Some(progress.best_val_loss.map_or(loss, |best| best.min(loss)));
        }
        progress.history.push(record.clone());
        Ok(record)
    }

    /// The steps since this was last called, as one point of a curve; `None` when there were none. What was not logged yet
    /// goes into checkpoints, so that a resumed run logs what an undisturbed one does.
    pub fn log(&mut self) -> Option<Logged> {
        let chars_per_step = self.chars_per_step();
        let since = std::mem::take(&mut self.progress.since_log);
        let progress = &self.progress;
        (since.steps > 0).then(|| Logged {
            step: progress.step,
            chars: progress.step * chars_per_step,
            seconds: progress.seconds,
            loss: since.loss_sum / since.steps as f64,
            gradient_norm: since.gradient_norm,
            learning_rate: since.learning_rate,
            chars_per_second: (since.steps * chars_per_step) as f64 / since.seconds.max(1e-9),
        })
    }

    /// Loss on the validation part, or on its first `eval-symbols`; `None` when there is none (or it is shorter than two
    /// symbols).
    ///
    /// # Errors
    /// [`Error::Interrupted`] when it was, [`Error::TextChanged`] when the text has lost what was to be read.
    pub fn evaluate(&self) -> Result<Option<Evaluation>> {
        let part = self.evaluated();
        if part.len() < 2 {
            return Ok(None);
        }
        let (streams, steps) = (EVALUATION_STREAMS, self.settings.run.steps);
        let reading = EvaluationOptions { range: part, streams, top_k: None };
        let reader =
            Evaluator { corpus: &self.corpus, options: reading, steps, interrupt: Some(&self.interrupt) };
        let evaluation = reader.run(&self.engine)?;
        self.corpus.whole()?;
        Ok(Some(evaluation))
    }

    /// The symbols that an evaluation reads.
    pub fn evaluated(&self) -> std::ops::Range<usize> {
        let part = self.split.validation.clone();
        let most = self
            .settings
            .run
            .eval_symbols
            .map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        part.start..part.end.min(part.start.saturating_add(most))
    }

    /// A flag that ends a step or an evaluation under way once it is set: for signals. It is looked at between two windows of a
    /// step, which then counts for nothing and leaves the run as it was before it, and before each window of an evaluation,
    /// which is made up for later. A step of one window is always done.
    pub fn interrupt_by(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }

    /// Optimiser steps of the whole run.
    pub(super) fn horizon(&self) -> u64 {
        self.bounds().into_iter().map(|(_, steps)| steps).min().unwrap_or(u64::MAX)
    }

    /// The bounds of a run's length that are set, in optimiser steps. The run ends at the lowest.
    pub fn bounds(&self) -> Vec<(Bound, u64)> {
        let RunSettings { epochs, max_steps, max_chars, .. } = self.settings.run;
        let windows = epochs * self.batches.steps_per_epoch() as f64;
        let by_epochs = (windows / self.settings.run.accumulate as f64).floor().max(1.0);
        let mut bounds = vec![(Bound::Epochs, by_epochs as u64)];
        bounds.extend(max_steps.map(|steps| (Bound::MaxSteps, steps)));
        bounds.extend(max_chars.map(|chars| (Bound::MaxChars, (chars / self.chars_per_step()).max(1))));
        bounds
    }

    /// What ended the run; `None` while it goes on.
    pub fn ended_by(&self) -> Option<Bound> {
        let lowest = || self.bounds().into_iter().min_by_key(|(_, steps)| *steps).map(|(bound, _)| bound);
        match self.progress.step >= self.progress.total_steps {
            _ if !self.is_done() => None,
            true => lowest(),
            false => Some(Bound::Patience),
        }
    }

    /// Optimiser steps in an epoch, for schedules.
    pub(super) fn steps_per_epoch(&self) -> u64 {
        (self.batches.steps_per_epoch() / self.settings.run.accumulate as u64).max(1)
    }

    /// Whether the run's length is reached, or patience has ended it.
    pub fn is_done(&self) -> bool {
        let over = self.progress.step >= self.progress.total_steps;
        (over && !self.owes_record()) || self.is_out_of_patience()
    }

    /// Whether the last `patience` evaluations all failed to lower the best validation loss.
    pub fn is_out_of_patience(&self) -> bool {
        let Some(patience) = self.settings.run.patience else { return false };
        let losses: Vec<f64> = self.progress.history.iter().filter_map(|record| record.val_loss).collect();
        let best = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        best.is_some_and(|best| (losses.len() - 1 - best) as u64 >= patience)
    }

    /// Symbols per optimiser step.
    pub fn chars_per_step(&self) -> u64 {
        (self.settings.run.batch * self.settings.run.steps * self.settings.run.accumulate) as u64
    }
}

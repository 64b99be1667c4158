//! The length of a run, its evaluations, and when it ends.

use super::{
    Evaluation, Logged, Record, Training,
    evaluate::{EVALUATION_STREAMS, Reader, Reading},
    evaluation_plan::{EvaluationPlan, RunSize},
};
use crate::{Error, Result, RunSettings};
use std::sync::{Arc, atomic::AtomicBool};

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
    /// Returns whether the last step needs an evaluation that it has not had.
    pub(super) fn owes_record(&self) -> bool {
        let progress = &self.progress;
        let due = progress.step.is_multiple_of(progress.eval_every) || progress.step == progress.total_steps;
        due && progress.step > 0 && progress.history.last().is_none_or(|last| last.step < progress.step)
    }

    /// Evaluates and adds a record to the history. Checks the parameters too: the effect of an update
    /// shows in the loss of the next step, too late for the checkpoint that is written now.
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

    /// Returns the steps since the last call as one point of a curve; `None` if there were none.
    /// Checkpoints contain the steps that are not logged yet, so that a resumed run logs the same
    /// points as an uninterrupted one.
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

    /// Returns the loss on the symbols of [`Training::evaluated`]; `None` when there are fewer than
    /// two.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the flag of [`Training::interrupt_by`] was set,
    /// [`Error::TextChanged`] when the corpus was cut short.
    pub fn evaluate(&self) -> Result<Option<Evaluation>> {
        let part = self.evaluated();
        if part.len() < 2 {
            return Ok(None);
        }
        let (streams, steps) = (EVALUATION_STREAMS, self.settings.run.steps);
        let reading = Reading { part, streams, top_k: None };
        let reader = Reader { corpus: &self.corpus, reading, steps, interrupt: Some(&self.interrupt) };
        let evaluation = reader.run(&self.engine)?;
        self.corpus.check_truncation()?;
        Ok(Some(evaluation))
    }

    /// Returns the symbols that an evaluation reads: the validation split, or its beginning.
    /// `eval-symbols` says how many; without it the run chooses a number at its start
    /// ([`Progress::eval_symbols`](super::Progress::eval_symbols)), so that by default evaluations
    /// take at most about a tenth of the training time.
    pub fn evaluated(&self) -> std::ops::Range<usize> {
        let split = self.split.validation.clone();
        // The checkpoints of earlier versions have the number in the settings alone.
        let chosen = self.progress.eval_symbols.or(self.settings.run.eval_symbols);
        let most = chosen.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        split.start..split.end.min(split.start.saturating_add(most))
    }

    /// Returns the symbols of the validation split.
    pub fn validation(&self) -> std::ops::Range<usize> {
        self.split.validation.clone()
    }

    /// Chooses how often the run evaluates, and on how many symbols.
    pub(super) fn plan_evaluations(&mut self) {
        let size = RunSize {
            total_steps: self.progress.total_steps,
            chars_per_step: self.chars_per_step(),
            validation: self.split.validation.len() as u64,
        };
        let plan = EvaluationPlan::new(&self.settings, size);
        (self.progress.eval_every, self.progress.eval_symbols) = (plan.every, plan.symbols);
    }

    /// Sets a flag that ends the current step or evaluation, for signals. A step of several windows
    /// checks the flag between two windows; it then has no effect and leaves the run as before. An
    /// evaluation checks it before each window; it is aborted and rerun at the next step. A step of
    /// one window is always completed.
    pub fn interrupt_by(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }

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
        (over && !self.owes_record()) || self.is_out_of_patience()
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

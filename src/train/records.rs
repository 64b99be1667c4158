//! The evaluations of a run, and the records of its progress.

use super::divide::{Command, Divided};
use super::{
    Evaluation, Logged, Record, Training,
    evaluate::{EVALUATION_STREAMS, EvaluationOptions, Evaluator},
    evaluation_plan::{EvaluationPlan, RunSize},
};
use crate::{Error, Result};
use std::sync::{Arc, atomic::AtomicBool};

impl Training {
    /// Returns whether the last step needs an evaluation that it has not had.
    pub(super) fn evaluation_is_due(&self) -> bool {
        let progress = &self.progress;
        let due = progress.step.is_multiple_of(progress.eval_every) || progress.step == progress.total_steps;
        due && progress.step > 0 && progress.history.last().is_none_or(|last| last.step < progress.step)
    }

    /// Evaluates and adds a record to the history. Checks the parameters too: the effect of an
    /// update shows in the loss of the next step, too late for the checkpoint that is written now.
    pub(super) fn record(&mut self, learning_rate: f64, gradient_norm: f64) -> Result<Record> {
        let (step, clip) = (self.progress.step, self.settings.optimizer.clip);
        if let Some(entry) = self.engine.model().parameters().not_finite() {
            return Err(Error::Diverged { tensor: entry.name.clone(), step, learning_rate, clip });
        }
        let evaluation = self.evaluate_with_others()?;
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
        self.command(Command::Evaluate);
        self.evaluate_with_others()
    }

    /// This process's part of [`Training::evaluate`].
    pub(super) fn evaluate_with_others(&self) -> Result<Option<Evaluation>> {
        let range = self.evaluated();
        if range.len() < 2 {
            return Ok(None);
        }
        let (streams, steps) = (EVALUATION_STREAMS, self.settings.run.steps);
        let options = EvaluationOptions { range, streams, top_k: None };
        let (corpus, interrupt) = (&self.corpus, Some(&*self.interrupt));
        let ranks = self.divided.as_deref().map(Divided::ranks);
        let evaluator = Evaluator { corpus, options, steps, interrupt, ranks };
        evaluator.run(&self.engine).map(Some)
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
}

//! One optimizer step: windows, gradients, update.

use super::divide::Command;
use super::gradient_sums::{remember, round_changes};
use super::{StepReport, Training, has_dropout};
use crate::exec::{Dropout, Extent, Finished, Goal, Inputs, MaskSource, Order, Pass};
use crate::loss::{Loss, Targets};
use crate::optim::{OptimizerStep, Workers, norm};
use crate::phases::Phase;
use crate::schedule::learning_rate;
use crate::{Error, Exchange, Reduction, Result, RunSettings};
use std::{sync::atomic::Ordering, time::Instant};

impl Training {
    /// Runs one optimizer step, and an evaluation if one is due. If the evaluation of the previous
    /// step was aborted, the call only reruns this evaluation.
    ///
    /// # Errors
    /// Errors in the step; the run is then as before the step:
    ///
    /// 1. [`Error::NotFinite`] if the loss or the gradient is not finite.
    /// 2. [`Error::TextChanged`] if a file of the corpus was changed.
    /// 3. [`Error::Interrupted`] if the flag of [`Training::interrupt_by`] was set.
    ///
    /// Errors in the evaluation; the step is then done:
    ///
    /// 1. [`Error::Diverged`] if the update left non-finite parameters, and [`Error::NotFinite`] if
    ///    the validation loss is not finite. Do not save a checkpoint of such a run.
    /// 2. [`Error::TextChanged`] and [`Error::Interrupted`]. The evaluation is aborted and rerun at
    ///    the next call, also after a checkpoint and a resume.
    pub fn step(&mut self) -> Result<StepReport> {
        let next = self.progress.step + u64::from(!self.evaluation_is_due());
        self.step_at(self.rate_of(next))
    }

    /// Returns the scheduled learning rate of step `number`; steps count from 1.
    fn rate_of(&self, number: u64) -> f64 {
        let total = self.progress.total_steps;
        learning_rate(&self.settings.schedule, number.saturating_sub(1), total, self.steps_per_epoch())
    }

    /// Runs [`Training::step`] with a learning rate that is independent of the schedule.
    ///
    /// # Errors
    /// As for [`Training::step`].
    pub fn step_at(&mut self, rate: f64) -> Result<StepReport> {
        self.command(Command::Step(rate));
        self.step_with_others(rate)
    }

    /// This process's part of [`Training::step_at`].
    pub(super) fn step_with_others(&mut self, rate: f64) -> Result<StepReport> {
        let (mut loss, mut gradient_norm) = (self.progress.mean_loss(), f64::NAN);
        if !self.evaluation_is_due() {
            let start = Instant::now();
            let moved;
            (loss, moved) = self.run(self.progress.step, rate);
            gradient_norm = moved?;
            self.progress.advance(loss, start.elapsed().as_secs_f64(), gradient_norm, rate);
        }
        let record = if self.evaluation_is_due() { Some(self.record(rate, gradient_norm)?) } else { None };
        Ok(StepReport { step: self.progress.step, loss, gradient_norm, learning_rate: rate, record })
    }

    /// Runs the windows and the update of a step, on all threads. Returns the mean loss in nats per
    /// symbol, and the norm of the gradient or the error of the step.
    fn run(&mut self, step: u64, rate: f64) -> (f64, Result<f64>) {
        let threads = self.engine.pool().clone();
        let work = self.engine.step_work(self.settings.run.batch * self.settings.run.steps);
        threads.adapt(work, || {
            let (loss, moved) = match self.divided.take() {
                Some(mut divided) => {
                    let ran = self.run_divided(&mut divided, step, rate);
                    self.divided = Some(divided);
                    ran
                }
                None => self.run_alone(step, rate),
            };
            if moved.is_ok() {
                self.carried.advance();
            }
            (loss, moved)
        })
    }

    fn run_alone(&mut self, step: u64, rate: f64) -> (f64, Result<f64>) {
        let (windows, mut loss) = (self.settings.run.accumulate as u64, 0.0);
        self.sums.clear();
        for part in 0..windows {
            match self.read(step * windows + part, part > 0) {
                Ok(()) => loss += self.differentiate(step * windows + part),
                Err(error) => return (f64::NAN, Err(error)),
            }
            self.accumulate(part);
        }
        let loss = loss / windows as f64;
        let moved = self.move_parameters(loss, rate);
        if moved.is_err() {
            self.take_back();
        }
        (loss, moved)
    }

    /// Makes the carried state that before the windows of a step that failed. States of several
    /// windows were not replaced yet.
    pub(super) fn take_back(&mut self) {
        if self.settings.run.accumulate == 1 {
            self.executor.window.go_back();
        }
    }

    /// Reads window number `window` into the batch. A changed text is an error, and an interrupt if
    /// the window `can_stop` the step.
    pub(super) fn read(&mut self, window: u64, can_stop: bool) -> Result<()> {
        if can_stop && self.interrupt.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if self.filled != Some(window) {
            self.batches.fill(&self.corpus, window, &mut self.batch);
            self.filled = Some(window);
        }
        self.corpus.check_truncation()
    }

    /// Adds the gradient of the next window to the previous ones of the same step. The sum is a
    /// mean, because the gradient of each window is divided by the number of windows.
    pub(super) fn accumulate(&mut self, part: u64) {
        let windows = self.settings.run.accumulate as u64;
        if windows > 1 {
            let Self { sums, gradient, engine, .. } = self;
            sums.add(part, gradient, (engine.pool(), &engine.weights().phases));
            if part + 1 < windows {
                sums.keep(gradient);
            }
        }
    }

    /// Computes the gradient of the batch, which has window number `window`, and reads the next
    /// window into the batch. Returns the mean loss in nats per symbol.
    pub(super) fn differentiate(&mut self, window: u64) -> f64 {
        self.differentiate_with(window, None)
    }

    /// As [`Training::differentiate`]. With `finished` the gradient is computed from the last tensor
    /// to the first (see [`Finished`]).
    pub(super) fn differentiate_with(&mut self, window: u64, finished: Option<Finished<'_>>) -> f64 {
        let next = self.next_window(window);
        let index = (window % self.settings.run.accumulate as u64 - self.own.start) as usize;
        let RunSettings { seed, steps, batch: rows, loss_reduction, label_smoothing, .. } = self.settings.run;
        let tokens = (steps * rows) as f64;
        let scale = match loss_reduction {
            Reduction::Mean => 1.0 / tokens,
            Reduction::SumSteps => 1.0 / rows as f64,
        } / self.settings.run.accumulate as f64;
        let dropout = Dropout { probability: 0.0, seed, step: window };
        let dropping = has_dropout(self.engine.model()).then_some(MaskSource { dropout, given: None });
        let Self { executor, engine, batch, gradient, batches, corpus, filled, carried, .. } = self;
        executor.reshape(engine.weights(), Extent::full(steps, rows), engine.pool());
        if !batch.fresh {
            carried.load(index, executor, engine.pool());
        }
        let loss = Loss::CrossEntropy { label_smoothing };
        let goal = Goal::Deltas { loss, scale: scale as f32, gradient };
        let (inputs, order) = (Inputs::Ids(&batch.inputs), Order::TimeMajor);
        let targets = Some((Targets::Ids(&batch.targets), None));
        executor.run(engine.packed(), Pass { inputs, order, targets, fresh: batch.fresh, dropping, goal });
        carried.save(index, executor, engine.pool());
        // The next window is read, and the losses are added up, beside the weight gradients.
        let (phases, mut sum) = (&engine.weights().phases, 0.0);
        executor.gradients(engine.packed(), (gradient, finished), |losses| {
            let clock = phases.time(Phase::Fill);
            batches.fill(corpus, next, batch);
            drop(clock);
            let _clock = phases.time(Phase::Loss);
            (sum, _) = losses.tally((0.0, 0));
        });
        *filled = Some(next);
        sum / tokens
    }

    /// Returns the window that this process runs after `window`.
    fn next_window(&self, window: u64) -> u64 {
        let windows = self.settings.run.accumulate as u64;
        match window % windows + 1 {
            part if part < self.own.end => window + 1,
            _ => (window / windows + 1) * windows + self.own.start,
        }
    }

    /// Clips the gradient, updates the parameters and packs them. Returns the norm of the gradient.
    fn move_parameters(&mut self, loss: f64, learning_rate: f64) -> Result<f64> {
        let Self { engine, gradient, squares, .. } = self;
        let (phases, threads) = (engine.weights().phases.clone(), engine.pool().clone());
        let isa = engine.weights().isa;
        let workers = Workers { isa, threads: &threads, phases: &phases };
        engine.weights().tensors.clear_constants(gradient);
        let norm = norm(workers, gradient, squares);
        let step = self.next_step(loss, norm, learning_rate)?;
        let Self { engine, optimizer, settings, gradient, before, .. } = self;
        let parameters = &mut engine.parameters_mut().values[..];
        remember(before, parameters, settings.run.exchange);
        optimizer.update(workers, step, gradient, parameters);
        if settings.run.exchange == Exchange::Bf16 {
            round_changes(parameters, before);
        }
        engine.pack();
        Ok(norm)
    }

    /// Returns the numbers of the update of this step. A loss or norm that is not finite is an error.
    pub(super) fn next_step(&self, loss: f64, norm: f64, learning_rate: f64) -> Result<OptimizerStep> {
        let (step, clip) = (self.progress.step + 1, self.settings.optimizer.clip);
        match loss.is_finite() && norm.is_finite() {
            true => Ok(OptimizerStep { number: step, rate: learning_rate, norm }),
            false => Err(Error::NotFinite { step, loss, gradient_norm: norm, learning_rate, clip }),
        }
    }
}

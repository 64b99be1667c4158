//! Training: forward, loss, backward, gradients, update, pack.

mod evaluate;
mod evaluation_plan;
mod measure;
mod range_test;
mod report;
mod resume;
mod stands;
mod start;
mod trainer;

pub use crate::progress::{Change, Progress, Record, SinceLog};
pub use evaluate::{EVALUATION_STREAMS, Reading, evaluate, evaluate_as};
pub use measure::Bound;
pub use range_test::{RangeTest, Trial, steepest};
pub use report::{Evaluation, Logged, StepReport};
pub use trainer::{Trainer, TrainerSettings, TrainerStep};

use crate::corpus::{Batch, Batches, Corpus, Split, Vocabulary};
use crate::exec::{Dropout, Engine, Executor, Extent, Goal, Inputs, MaskSource, Needs, Order, Pass, State};
use crate::loss::{Loss, Targets};
use crate::model::{Model, check_bytes, memory_needed};
use crate::optim::UpdateRule;
use crate::phases::{Phase, Phases};
use crate::schedule::learning_rate;
use crate::{Error, Layer, Mode, Reduction, Result, RunSettings, Settings};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Sums of gradients that one thread adds up at a time.
const SUMS: usize = 1 << 13;

/// A training run in memory: one text, one model, one optimiser, and where they stand.
#[derive(Debug)]
pub struct Training {
    settings: Settings,
    corpus: Corpus,
    split: Split,
    batches: Batches,
    batch: Batch,
    /// The number of the window that `batch` holds, if any.
    filled: Option<u64>,
    engine: Engine,
    optimizer: UpdateRule,
    executor: Executor,
    gradient: Vec<f32>,
    /// The sum of a step's gradients, where it has several windows.
    accumulated: Vec<f32>,
    /// Ends a step or an evaluation when it is set.
    interrupt: Arc<AtomicBool>,
    /// The carried state before a step of several windows.
    before: State,
    /// Room for the sums of the norm.
    sums: Vec<f64>,
    progress: Progress,
}

/// Whether training drops activations.
fn drops(model: &Model) -> bool {
    model.config().stack.iter().any(Layer::drops)
}

/// The settings must say what a symbol is: a checkpoint with another unit than its vocabulary's could not be resumed.
fn check_unit(corpus: &Corpus, settings: &Settings) -> Result<()> {
    let (unit, found) = (corpus.vocabulary().unit(), settings.data.unit);
    if unit == found {
        return Ok(());
    }
    let expected = format!("the vocabulary of {} has the unit {}; set the same", corpus.name(), unit.name());
    Err(Error::setting("unit", found.name(), expected))
}

impl Training {
    fn assemble(
        corpus: Corpus,
        settings: Settings,
        model: Model,
        optimizer: UpdateRule,
        threads: Option<usize>,
    ) -> Result<Self> {
        settings.validate()?;
        check_unit(&corpus, &settings)?;
        model.config().check_predicts_symbols()?;
        check_bytes(memory_needed(&settings, corpus.vocabulary().len()) + corpus.memory() as f64)?;
        if corpus.len() < 2 {
            let (purpose, advice) = (format!("training on {}", corpus.name()), "name a longer text");
            return Err(Error::TooFewSymbols { found: corpus.len(), needed: 2, purpose, advice });
        }
        let split =
            corpus.split(settings.data.split_by, settings.data.val_fraction, settings.data.test_fraction)?;
        let RunSettings { windows, batch, steps, seed, .. } = settings.run;
        let batches = Batches::new(split.train.clone(), windows, batch, steps, seed)?;
        let needs = Needs { backward: true, dropout: drops(&model) };
        let parameters = model.parameters().values.len();
        let engine = Engine::for_training(model, threads)?;
        let executor = match settings.run.mode {
            Mode::Static => Executor::shaped(engine.weights(), [steps, batch], needs, engine.pool()),
            Mode::Dynamic => Executor::new(engine.weights(), needs),
        };
        let gradient = vec![0.0; parameters];
        let accumulated = if settings.run.accumulate > 1 { gradient.clone() } else { Vec::new() };
        let (batch, progress) = (Batch::default(), Progress::default());
        Ok(Self {
            settings,
            corpus,
            split,
            batches,
            batch,
            filled: None,
            engine,
            optimizer,
            executor,
            gradient,
            accumulated,
            interrupt: Arc::default(),
            before: State::default(),
            sums: Vec::new(),
            progress,
        })
    }

    /// One optimiser step, and an evaluation when one is due. Where the last step's evaluation was interrupted, that
    /// evaluation alone.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the loss or the gradient is not a finite number, [`Error::TextChanged`] when the text
    /// has lost what was to be read, and [`Error::Interrupted`] when the flag of [`Training::interrupt_by`] was set; the run
    /// is then as before the step.
    /// Where an evaluation was due, [`Error::Diverged`] when the update has left parameters that are not finite, and
    /// [`Error::NotFinite`] when the validation loss is not: the step is then done, and worth no checkpoint.
    /// [`Error::TextChanged`] and [`Error::Interrupted`] in an evaluation leave the step done and its evaluation owed:
    /// the next call makes up for it, also after a checkpoint and a resume.
    pub fn step(&mut self) -> Result<StepReport> {
        let next = self.progress.step + u64::from(!self.owes_record());
        self.step_at(self.rate_of(next))
    }

    /// The learning rate that the schedule has for step `number`, counted from 1.
    fn rate_of(&self, number: u64) -> f64 {
        let total = self.progress.total_steps;
        learning_rate(&self.settings.schedule, number.saturating_sub(1), total, self.steps_per_epoch())
    }

    /// [`Training::step`] with a learning rate that the schedule did not choose.
    ///
    /// # Errors
    /// As for [`Training::step`].
    pub fn step_at(&mut self, rate: f64) -> Result<StepReport> {
        let (mut loss, mut gradient_norm) = (self.progress.mean_loss(), f64::NAN);
        if !self.owes_record() {
            let start = Instant::now();
            let moved;
            (loss, moved) = self.run(self.progress.step, rate);
            gradient_norm = moved?;
            self.progress.advance(loss, start.elapsed().as_secs_f64(), gradient_norm, rate);
        }
        let record = if self.owes_record() { Some(self.record(rate, gradient_norm)?) } else { None };
        Ok(StepReport { step: self.progress.step, loss, gradient_norm, learning_rate: rate, record })
    }

    /// A step's arithmetic, on all threads: the loss of the batch in nats per symbol, and the gradient's norm unless the
    /// step failed.
    fn run(&mut self, step: u64, rate: f64) -> (f64, Result<f64>) {
        let threads = self.engine.pool().clone();
        let work = self.engine.weights().work() * self.settings.run.batch * self.settings.run.steps;
        threads.enter(work, || {
            let (windows, mut loss, mut done) = (self.settings.run.accumulate as u64, 0.0, 0);
            self.remember_state();
            for window in step * windows..(step + 1) * windows {
                if let Err(error) = self.read(window, done) {
                    self.restore_state(done);
                    return (f64::NAN, Err(error));
                }
                loss += self.differentiate(window);
                self.accumulate(window);
                done += 1;
            }
            let loss = loss / windows as f64;
            let moved = self.move_parameters(loss, rate);
            if moved.is_err() {
                self.restore_state(done);
            }
            (loss, moved)
        })
    }

    /// Has window number `window` in the batch, unless the text has lost it, or the run is to stop between two windows of a
    /// step.
    fn read(&mut self, window: u64, done: u64) -> Result<()> {
        if done > 0 && self.interrupt.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if self.filled != Some(window) {
            self.batches.fill(&self.corpus, window, &mut self.batch);
            self.filled = Some(window);
        }
        self.corpus.check_truncation()
    }

    /// Adds the window's gradient to those before it in the same step. What is added up is a mean already: each window's
    /// gradient is scaled by the number of windows.
    fn accumulate(&mut self, window: u64) {
        let windows = self.settings.run.accumulate as u64;
        if windows == 1 {
            return;
        }
        let Self { accumulated, gradient, engine, .. } = self;
        if window.is_multiple_of(windows) {
            return std::mem::swap(accumulated, gradient);
        }
        let is_last = (window + 1).is_multiple_of(windows);
        let (sums, values) = if is_last { (gradient, accumulated) } else { (accumulated, gradient) };
        engine.pool().chunks(sums, SUMS, &|i, sums| {
            let values = &values[i * SUMS..][..sums.len()];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        });
    }

    /// Loss of the batch in nats per symbol; leaves the gradient.
    fn differentiate(&mut self, window: u64) -> f64 {
        let RunSettings { seed, steps, batch: rows, loss_reduction, label_smoothing, .. } = self.settings.run;
        let tokens = (steps * rows) as f64;
        let scale = match loss_reduction {
            Reduction::Mean => 1.0 / tokens,
            Reduction::SumSteps => 1.0 / rows as f64,
        } / self.settings.run.accumulate as f64;
        let dropout = Dropout { probability: 0.0, seed, step: window };
        let dropping = drops(self.engine.model()).then_some(MaskSource { dropout, given: None });
        let Self { executor, engine, batch, gradient, .. } = self;
        executor.reshape(engine.weights(), Extent::full(steps, rows), engine.pool());
        let loss = Loss::CrossEntropy { label_smoothing };
        let goal = Goal::Deltas { loss, scale: scale as f32, gradient };
        let (inputs, order) = (Inputs::Ids(&batch.inputs), Order::TimeMajor);
        let targets = Some((Targets::Ids(&batch.targets), None));
        executor.run(engine.packed(), Pass { inputs, order, targets, fresh: batch.fresh, dropping, goal });
        let clock = engine.weights().phases.time(Phase::Loss);
        let (sum, _) = executor.window.tally((0.0, 0));
        drop(clock);
        executor.gradients(engine.packed(), gradient);
        sum / tokens
    }

    /// Clips, updates and packs. Returns the gradient's norm.
    fn move_parameters(&mut self, loss: f64, learning_rate: f64) -> Result<f64> {
        let Self { corpus, batches, batch, filled, engine, optimizer, .. } = self;
        let Self { settings, gradient, sums, progress, .. } = self;
        let (phases, threads) = (engine.weights().phases.clone(), engine.pool().clone());
        let isa = engine.weights().isa;
        let clock = phases.time(Phase::Norm);
        engine.weights().tensors.clear_constants(gradient);
        let step = progress.step + 1;
        let norm = crate::optim::norm(isa, gradient, sums, &threads);
        drop(clock);
        if !(loss.is_finite() && norm.is_finite()) {
            let clip = settings.optimizer.clip;
            return Err(Error::NotFinite { step, loss, gradient_norm: norm, learning_rate, clip });
        }
        let at = crate::optim::Step { number: step, rate: learning_rate, norm };
        let clock = phases.time(Phase::Update);
        optimizer.update(isa, at, gradient, &mut engine.parameters_mut().values, &threads);
        drop(clock);
        // The next window is read while the weights are packed.
        let window = step * settings.run.accumulate as u64;
        let _section = phases.section(threads.at_work());
        let fill = || {
            let _clock = phases.time(Phase::Fill);
            batches.fill(corpus, window, batch);
        };
        threads.join(|| engine.pack(), fill);
        *filled = Some(window);
        Ok(norm)
    }

    /// Times the phases of each step from now on.
    pub(crate) fn time_phases(&mut self) -> Phases {
        let weights = self.engine.weights_mut();
        weights.phases = Phases::new(weights.layers.len());
        weights.phases.clone()
    }

    /// Number of symbols that had a row in the last window's input table.
    pub(crate) fn table_symbols(&self) -> usize {
        self.executor.table_symbols()
    }

    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The run's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The model as it stands.
    pub fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// The symbols.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.corpus.vocabulary()
    }

    /// The text.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Threads that the work is divided among.
    pub fn threads(&self) -> usize {
        self.engine.threads()
    }
}

#[cfg(test)]
mod tests;

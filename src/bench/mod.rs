//! What a configuration takes on this machine: training, forward pass and single step on random symbols, beside what the
//! processor could do at most.
//!
//! A [`Bench`] checks the answers of what it times before it times them, runs everything in many short repeats, and
//! reports the best of them: what else runs on the machine can only make a repeat slower. Modes to be compared take turns.
//!
//! ```
//! use unrolled::bench::Bench;
//! use unrolled::{Mode, ModelSettings, RunSettings, Settings};
//!
//! let run = RunSettings { batch: 4, steps: 8, ..RunSettings::default() };
//! let settings = Settings { model: ModelSettings::lstm(16), run, ..Settings::default() };
//! let bench = Bench { settings, vocabulary: 20, threads: Some(1), seconds: 0.01 };
//! let figures = bench.compare(&[Mode::Static, Mode::Dynamic])?;
//! assert!(figures[0].train_gflops < figures[0].peak_gflops);
//! let pays = figures[0].training().ahead_from(&figures[1].training()); // None: never
//! # let _ = pays;
//! # Ok::<(), unrolled::Error>(())
//! ```

mod arithmetic;
mod checks;
mod cost;
mod machine;
mod phases;
mod runs;
mod text;
mod timing;

pub use arithmetic::Arithmetic;
pub use cost::Cost;
pub use machine::{Machine, peak_gflops, read_gigabytes_per_second};
pub use phases::{PhaseTime, StepPhases};
pub use text::synthetic;

use crate::corpus::{Batch, Batches, Corpus};
use crate::exec::Stream;
use crate::model::{Model, check_memory};
use crate::parallel::Threads;
use crate::train::Training;
use crate::{
    DataSettings, Error, Mode, ModelSettings, Result, RunSettings, Schedule, ScheduleSettings, Settings,
    Windows,
};
use machine::Reading;
use runs::{ForwardRun, TrainingRun};
use serde::Serialize;
use std::sync::Arc;
use timing::{Timed, take_turns};

/// A configuration to time, and how long.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Shape of the model and of the window, mode and seed. Whatever else they hold is set to what a timing needs: the
    /// whole text is trained on in streams, at a rate so small that the weights stay as they were drawn.
    pub settings: Settings,
    /// Vocabulary V.
    pub vocabulary: usize,
    /// Threads; all cores when `None`. The single step has one.
    pub threads: Option<usize>,
    /// Time for each figure of each mode, in seconds.
    pub seconds: f64,
}

/// What was measured, in one mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The mode, by its name.
    pub mode: &'static str,
    /// Symbols per second of training: forward, loss, backward, clipping, update, packing.
    pub train_chars_per_second: f64,
    /// Symbols per second of the forward pass, head included.
    pub forward_chars_per_second: f64,
    /// One symbol through the model at batch 1, head included, without drawing.
    pub step_microseconds: f64,
    /// Reading as many bytes as the weights of one step have, once, in turn with the step, from a buffer that is placed as
    /// they are. The fastest of several ways to read.
    pub weights_read_microseconds: f64,
    /// From settings and text to steady training: building, and what the first step takes longer than the best.
    pub setup_seconds: f64,
    /// The same for a forward pass, from a model.
    pub forward_setup_seconds: f64,
    /// Operations per second, in thousands of millions, of multiply-adds in registers, all threads at once.
    pub peak_gflops: f64,
    /// The arithmetic that training needs ([`Arithmetic`]) over the time it took.
    pub train_gflops: f64,
    /// The same for the forward pass.
    pub forward_gflops: f64,
    /// Symbols of a window: T B.
    pub chars_per_window: usize,
    /// Threads.
    pub threads: usize,
    /// The machine that all this was measured on.
    #[serde(flatten)]
    pub machine: Machine,
}

impl Figures {
    /// What training takes.
    pub fn training(&self) -> Cost {
        let step = self.chars_per_window as f64 / self.train_chars_per_second;
        Cost { setup_seconds: self.setup_seconds, step_seconds: step }
    }

    /// What the forward pass takes.
    pub fn forward(&self) -> Cost {
        let step = self.chars_per_window as f64 / self.forward_chars_per_second;
        Cost { setup_seconds: self.forward_setup_seconds, step_seconds: step }
    }
}

impl Bench {
    /// Times the mode of the settings.
    ///
    /// # Errors
    /// As for [`Bench::compare`].
    pub fn run(&self) -> Result<Figures> {
        let mut all = self.compare(&[self.settings.run.mode])?;
        all.pop().ok_or_else(|| unreachable!("figures of one mode"))
    }

    /// Times each of `modes`, one repeat of each in turn.
    ///
    /// # Errors
    /// A setting out of its range, more memory than there is, and [`Error::WrongAnswer`] when two ways to compute the same
    /// disagree.
    pub fn compare(&self, modes: &[Mode]) -> Result<Vec<Figures>> {
        let settings = self.steady_settings();
        self.validate(&settings)?;
        let model = Arc::new(Model::new(&settings.model, self.vocabulary, settings.run.seed)?);
        let first = self.first_batch(&settings)?;
        let logits = checks::forward(&model, &first, self.threads)?;
        let expected = checks::Training::of(&model, &first, &logits, settings.run.seed, self.threads)?;
        drop(logits);
        let peak = peak_gflops(self.threads)?;
        let forward =
            take_turns(self.seconds, modes, |mode| ForwardRun::build(mode, &model, &first, self.threads))?;
        let training = take_turns(self.seconds, modes, |mode| {
            let settings = Settings { run: RunSettings { mode, ..settings.run.clone() }, ..settings.clone() };
            TrainingRun::build(self.corpus(&settings)?, settings, self.threads, &expected)
        })?;
        let shared = Shared::measure(self, &model, &first, peak)?;
        let times = training.into_iter().zip(forward);
        Ok(modes.iter().zip(times).map(|(mode, times)| shared.figures(*mode, times)).collect())
    }

    /// Settings under which a step is like any other: no evaluation, no end, and weights that hardly move.
    fn steady_settings(&self) -> Settings {
        Settings {
            model: ModelSettings { dropout: 0.0, ..self.settings.model.clone() },
            schedule: ScheduleSettings {
                kind: Schedule::Constant,
                learning_rate: 1e-6,
                ..self.settings.schedule.clone()
            },
            data: DataSettings { val_fraction: 0.0, test_fraction: 0.0, ..self.settings.data.clone() },
            run: RunSettings {
                windows: Windows::Stream,
                epochs: f64::MAX,
                max_steps: None,
                max_chars: None,
                eval_every: Some(u64::MAX),
                accumulate: 1,
                ..self.settings.run.clone()
            },
            ..self.settings.clone()
        }
    }

    fn validate(&self, settings: &Settings) -> Result<()> {
        let refuse = |name, found: String, expected: &str| {
            Err(Error::Setting { name, found, expected: expected.to_owned() })
        };
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return refuse("seconds", self.seconds.to_string(), "give a finite number above 0");
        }
        text::check(self.vocabulary)?;
        settings.validate()?;
        if settings
            .run
            .batch
            .checked_mul(settings.run.steps)
            .is_none_or(|window| window > isize::MAX as usize / 64)
        {
            let expected = "with the steps it makes a window that no memory holds; give fewer";
            return refuse("batch", settings.run.batch.to_string(), expected);
        }
        check_memory(settings, self.vocabulary)
    }

    fn corpus(&self, settings: &Settings) -> Result<Corpus> {
        synthetic(self.vocabulary, 4 * settings.run.batch * settings.run.steps + 1, settings.run.seed)
    }

    /// The window that training begins with.
    fn first_batch(&self, settings: &Settings) -> Result<Batch> {
        let RunSettings { windows, batch: rows, steps, seed, .. } = settings.run;
        let corpus = self.corpus(settings)?;
        let mut batch = Batch::default();
        Batches::new(0..corpus.len(), windows, rows, steps, seed)?.fill(&corpus, 0, &mut batch);
        Ok(batch)
    }

    /// Seconds of one step, and of reading `bytes` bytes, in turn.
    fn time_step(&self, model: &Arc<Model>, batch: &Batch, bytes: f64) -> Result<[f64; 2]> {
        let (mut stream, reading) = (Stream::new(model.clone())?, Reading::new(bytes as usize)?);
        let mut ids = batch.inputs.iter().cycle();
        let mut next = || *ids.next().unwrap_or(&0);
        Ok(reading.beside(self.seconds, || _ = std::hint::black_box(stream.step(&next()).is_ok())))
    }
}

/// What does not depend on the mode.
struct Shared {
    arithmetic: Arithmetic,
    /// Symbols of a window.
    chars: usize,
    step_microseconds: f64,
    weights_read_microseconds: f64,
    peak_gflops: f64,
    machine: Machine,
    threads: usize,
}

impl Shared {
    /// `peak` is one that was measured before: the better of two counts.
    fn measure(bench: &Bench, model: &Arc<Model>, batch: &Batch, peak: f64) -> Result<Self> {
        let arithmetic = Arithmetic::of(model.config());
        let [step, read] = bench.time_step(model, batch, arithmetic.weight_bytes())?;
        Ok(Self {
            chars: batch.inputs.len(),
            step_microseconds: 1e6 * step,
            weights_read_microseconds: 1e6 * read,
            peak_gflops: peak_gflops(bench.threads)?.max(peak),
            machine: Machine::here()?,
            threads: Threads::resolve(bench.threads)?,
            arithmetic,
        })
    }

    fn figures(&self, mode: Mode, (training, forward): (Timed, Timed)) -> Figures {
        let rate = |timed: Timed| self.chars as f64 / timed.step;
        Figures {
            mode: mode.name(),
            train_chars_per_second: rate(training),
            forward_chars_per_second: rate(forward),
            step_microseconds: self.step_microseconds,
            weights_read_microseconds: self.weights_read_microseconds,
            setup_seconds: training.setup,
            forward_setup_seconds: forward.setup,
            peak_gflops: self.peak_gflops,
            train_gflops: self.arithmetic.training * rate(training) / 1e9,
            forward_gflops: self.arithmetic.forward * rate(forward) / 1e9,
            chars_per_window: self.chars,
            threads: self.threads,
            machine: self.machine.clone(),
        }
    }
}

#[cfg(test)]
mod tests;

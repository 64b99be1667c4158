//! The benchmark of a configuration, and its figures.

use super::arithmetic::Arithmetic;
use super::checks;
use super::cost::Cost;
use super::first_step::FirstStep;
use super::machine::{Machine, ReadBuffer, peak_gflops};
use super::runs::{EngineOptions, ForwardRun, TrainingRun};
use super::text::{self, synthetic};
use super::timing::{Timed, take_turns};
use crate::corpus::{Batch, Batches, Corpus};
use crate::error::require;
use crate::exec::Stream;
use crate::model::{Model, check_memory};
use crate::parallel::Threads;
use crate::{
    DataSettings, Mode, ModelSettings, Precision, Result, RunSettings, Schedule, ScheduleSettings, Settings,
    Windows,
};
use serde::Serialize;
use std::sync::Arc;

/// A configuration to measure.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Model, window size, mode, precision and random seed. All other settings are replaced: training runs on
    /// streams over the whole text, at a learning rate so small that the weights hardly change. In
    /// [`Precision::Int8`] training is in f32, and the forward pass and the step are in int8.
    pub settings: Settings,
    /// Number of symbols V.
    pub vocabulary: usize,
    /// Number of threads; all cores if `None`. The single step always uses one.
    pub threads: Option<usize>,
    /// Seconds of measurement for each figure of each mode.
    pub seconds: f64,
}

/// The figures of one mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Name of the mode.
    pub mode: &'static str,
    /// Name of the number format of the operands of products; int8 is that of the forward pass and
    /// the step.
    pub precision: &'static str,
    /// Symbols per second of training: forward, loss, backward, clipping, update, packing.
    pub train_chars_per_second: f64,
    /// Symbols per second of the forward pass, head included.
    pub forward_chars_per_second: f64,
    /// Microseconds of one symbol through the model at batch 1, head included, without sampling.
    pub step_microseconds: f64,
    /// Microseconds to read as many bytes as the weights of one step have, alternating with the
    /// step, from a buffer that is aligned like the weights. The fastest of several ways to read.
    pub weights_read_microseconds: f64,
    /// Seconds from settings and text to steady training: the build, and the excess of the first
    /// step over the best.
    pub setup_seconds: f64,
    /// The same for a forward pass of a given model.
    pub forward_setup_seconds: f64,
    /// Peak of all threads together in GFLOP/s: f32 multiply-adds in registers.
    pub peak_gflops: f64,
    /// Operations of training ([`Arithmetic`]) over its time, in GFLOP/s.
    pub train_gflops: f64,
    /// The same for the forward pass.
    pub forward_gflops: f64,
    /// Symbols per window: T B.
    pub chars_per_window: usize,
    /// Number of threads.
    pub threads: usize,
    /// The machine.
    #[serde(flatten)]
    pub machine: Machine,
}

impl Figures {
    /// Returns the cost of training.
    pub fn training(&self) -> Cost {
        let step = self.chars_per_window as f64 / self.train_chars_per_second;
        Cost { setup_seconds: self.setup_seconds, step_seconds: step }
    }

    /// Returns the cost of the forward pass.
    pub fn forward(&self) -> Cost {
        let step = self.chars_per_window as f64 / self.forward_chars_per_second;
        Cost { setup_seconds: self.forward_setup_seconds, step_seconds: step }
    }
}

impl Bench {
    /// Measures the mode of the settings.
    ///
    /// # Errors
    /// As for [`Bench::compare`].
    pub fn run(&self) -> Result<Figures> {
        let mut all = self.compare(&[self.settings.run.mode])?;
        all.pop().ok_or_else(|| unreachable!("figures of one mode"))
    }

    /// Measures each of `modes`, with alternating repeats.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for a setting out of its range,
    /// [`Error::Memory`](crate::Error::Memory), and
    /// [`Error::WrongAnswer`](crate::Error::WrongAnswer) if two ways to compute the same value
    /// disagree.
    pub fn compare(&self, modes: &[Mode]) -> Result<Vec<Figures>> {
        let settings = self.steady_settings();
        self.validate(&settings)?;
        let model = Arc::new(Model::new(&settings.model, self.vocabulary, settings.run.seed)?);
        model.config().check_predicts_symbols()?;
        let first = self.first_batch(&settings)?;
        let options = self.options();
        let trained = EngineOptions { precision: settings.run.precision, ..options };
        let mut logits = checks::forward(&model, &first, options)?;
        if trained.precision != options.precision {
            logits = checks::forward(&model, &first, trained)?;
        }
        let expected = FirstStep::of(&model, &first, &logits, settings.run.seed, trained)?;
        drop(logits);
        let peak = peak_gflops(self.threads)?;
        let forward =
            take_turns(self.seconds, modes, |mode| ForwardRun::build(mode, &model, &first, options))?;
        let training = take_turns(self.seconds, modes, |mode| {
            let settings = Settings { run: RunSettings { mode, ..settings.run.clone() }, ..settings.clone() };
            TrainingRun::build(self.corpus(&settings)?, settings, self.threads, &expected)
        })?;
        let shared = SharedFigures::measure(self, &model, &first, peak)?;
        let times = training.into_iter().zip(forward);
        Ok(modes.iter().zip(times).map(|(mode, times)| shared.figures(*mode, times)).collect())
    }

    /// Returns settings with which every step is alike: no evaluation, no end, and weights that
    /// hardly change.
    pub(super) fn steady_settings(&self) -> Settings {
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
                precision: match self.settings.run.precision {
                    Precision::Int8 => Precision::F32,
                    trained => trained,
                },
                ..self.settings.run.clone()
            },
            ..self.settings.clone()
        }
    }

    pub(super) fn options(&self) -> EngineOptions {
        EngineOptions { precision: self.settings.run.precision, threads: self.threads }
    }

    pub(super) fn validate(&self, settings: &Settings) -> Result<()> {
        let seconds = self.seconds;
        require(seconds > 0.0 && seconds.is_finite(), "seconds", seconds, "give a finite number above 0")?;
        text::check(self.vocabulary)?;
        settings.validate()?;
        let window = settings.run.batch.checked_mul(settings.run.steps);
        let fits = window.is_some_and(|window| window <= isize::MAX as usize / 64);
        require(
            fits,
            "batch",
            settings.run.batch,
            "batch x steps does not fit in memory; lower batch or steps",
        )?;
        check_memory(settings, self.vocabulary)
    }

    pub(super) fn corpus(&self, settings: &Settings) -> Result<Corpus> {
        synthetic(self.vocabulary, 4 * settings.run.batch * settings.run.steps + 1, settings.run.seed)
    }

    /// Returns the first window of training.
    fn first_batch(&self, settings: &Settings) -> Result<Batch> {
        let RunSettings { windows, batch: rows, steps, seed, .. } = settings.run;
        let corpus = self.corpus(settings)?;
        let mut batch = Batch::default();
        Batches::new(0..corpus.len(), windows, rows, steps, seed)?.fill(&corpus, 0, &mut batch);
        Ok(batch)
    }

    /// Returns the seconds of one step and of reading `bytes` bytes, measured alternately.
    fn time_step(&self, model: &Arc<Model>, batch: &Batch, bytes: f64) -> Result<[f64; 2]> {
        let engine = self.options().engine(model)?;
        let (mut stream, buffer) = (Stream::of(&engine)?, ReadBuffer::new(bytes as usize)?);
        let mut ids = batch.inputs.iter().cycle();
        Ok(buffer.compare_with(self.seconds, || {
            _ = std::hint::black_box(stream.step(ids.next().unwrap_or(&0)).is_ok())
        }))
    }
}

/// The figures that do not depend on the mode.
struct SharedFigures {
    arithmetic: Arithmetic,
    /// Symbols per window.
    chars: usize,
    step_microseconds: f64,
    weights_read_microseconds: f64,
    peak_gflops: f64,
    precision: Precision,
    machine: Machine,
    threads: usize,
}

impl SharedFigures {
    /// Measures them. `peak` is an earlier measurement; the better of two counts.
    fn measure(bench: &Bench, model: &Arc<Model>, batch: &Batch, peak: f64) -> Result<Self> {
        let arithmetic = Arithmetic::of(model.config());
        let [step, read] =
            bench.time_step(model, batch, arithmetic.weight_bytes_in(bench.settings.run.precision))?;
        Ok(Self {
            chars: batch.inputs.len(),
            step_microseconds: 1e6 * step,
            weights_read_microseconds: 1e6 * read,
            peak_gflops: peak_gflops(bench.threads)?.max(peak),
            precision: bench.settings.run.precision,
            machine: Machine::here()?,
            threads: Threads::resolve(bench.threads)?,
            arithmetic,
        })
    }

    fn figures(&self, mode: Mode, (training, forward): (Timed, Timed)) -> Figures {
        let rate = |timed: Timed| self.chars as f64 / timed.step;
        Figures {
            mode: mode.name(),
            precision: self.precision.name(),
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

//! The measured operations: a training step and a forward pass, in either mode.

use super::first_step::FirstStep;
use super::timing::Repeated;
use crate::corpus::{Batch, Corpus};
use crate::exec::{Dynamic, Engine, Plan};
use crate::model::Model;
use crate::train::Training;
use crate::{Mode, Precision, Result, Settings};
use std::{sync::Arc, time::Instant};

/// The options of every engine of a benchmark.
#[derive(Clone, Copy)]
pub(super) struct EngineOptions {
    pub(super) precision: Precision,
    pub(super) threads: Option<usize>,
}

impl EngineOptions {
    pub(super) fn engine(self, model: &Arc<Model>) -> Result<Engine> {
        Engine::with_precision(model.clone(), self.precision, self.threads)
    }
}

/// Training steps. The first loss and gradient norm are checked.
pub(super) struct TrainingRun<'a> {
    training: Training,
    expected: &'a FirstStep,
}

impl<'a> TrainingRun<'a> {
    /// Builds the run, and returns the seconds that this takes with it.
    pub(super) fn build(
        corpus: Corpus,
        settings: Settings,
        threads: Option<usize>,
        expected: &'a FirstStep,
    ) -> Result<(f64, Self)> {
        let start = Instant::now();
        let training = Training::new(corpus, settings, threads)?;
        Ok((start.elapsed().as_secs_f64(), Self { training, expected }))
    }
}

impl Repeated for TrainingRun<'_> {
    fn call(&mut self) -> Result<()> {
        let report = self.training.step()?;
        if report.step == 1 { self.expected.check(&report) } else { Ok(()) }
    }

    fn calls(&mut self, count: usize) -> Result<()> {
        let threads = self.training.own_threads();
        threads.run(|| (0..count).try_for_each(|_| self.call()))
    }
}

/// Forward passes over one window.
pub(super) struct ForwardRun<'m> {
    engine: ForwardEngine,
    batch: &'m Batch,
    logits: Vec<f32>,
}

/// The engine of the mode that is measured.
enum ForwardEngine {
    Static(Plan),
    Dynamic(Dynamic),
}

impl<'m> ForwardRun<'m> {
    /// Builds the run, and returns the seconds that this takes with it.
    pub(super) fn build(
        mode: Mode,
        model: &Arc<Model>,
        batch: &'m Batch,
        options: EngineOptions,
    ) -> Result<(f64, Self)> {
        let logits = vec![0.0; batch.inputs.len() * model.config().vocabulary];
        let start = Instant::now();
        let engine = options.engine(model)?;
        let engine = match mode {
            Mode::Static => ForwardEngine::Static(Plan::of(&engine, batch.steps, batch.rows)?),
            Mode::Dynamic => ForwardEngine::Dynamic(Dynamic::of(&engine)),
        };
        Ok((start.elapsed().as_secs_f64(), Self { engine, batch, logits }))
    }

    /// Returns the logits of the last call [T, B, V].
    pub(super) fn logits(self) -> Vec<f32> {
        self.logits
    }
}

impl Repeated for ForwardRun<'_> {
    fn call(&mut self) -> Result<()> {
        let Self { engine, batch, logits } = self;
        match engine {
            ForwardEngine::Static(plan) => plan.forward(&batch.inputs, logits),
            ForwardEngine::Dynamic(dynamic) => dynamic.forward(&batch.inputs, batch.rows, logits),
        }
    }
}

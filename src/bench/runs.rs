//! What is timed: a training step and a forward pass, in either mode.

use super::checks;
use super::timing::Run;
use crate::corpus::{Batch, Corpus};
use crate::exec::{Dynamic, Plan};
use crate::model::Model;
use crate::train::Training;
use crate::{Mode, Result, Settings};
use std::time::Instant;

/// A training run whose first loss and gradient are checked.
pub(super) struct TrainingRun<'a> {
    training: Training,
    expected: &'a checks::Training,
}

impl<'a> TrainingRun<'a> {
    /// Seconds of building, and the run.
    pub(super) fn build(
        corpus: Corpus,
        settings: Settings,
        threads: Option<usize>,
        expected: &'a checks::Training,
    ) -> Result<(f64, Self)> {
        let start = Instant::now();
        let training = Training::new(corpus, settings, threads)?;
        Ok((start.elapsed().as_secs_f64(), Self { training, expected }))
    }
}

impl Run for TrainingRun<'_> {
    fn call(&mut self) -> Result<()> {
        let report = self.training.step()?;
        if report.step == 1 { self.expected.check(&report) } else { Ok(()) }
    }
}

/// A forward pass.
pub(super) struct ForwardRun<'m> {
    window: Window<'m>,
    batch: &'m Batch,
    logits: Vec<f32>,
}

enum Window<'m> {
    Static(Plan<'m>),
    Dynamic(Dynamic<'m>),
}

impl<'m> ForwardRun<'m> {
    /// Seconds of building, and the run.
    pub(super) fn build(
        mode: Mode,
        model: &'m Model,
        batch: &'m Batch,
        threads: Option<usize>,
    ) -> Result<(f64, Self)> {
        let logits = vec![0.0; batch.inputs.len() * model.config().vocabulary];
        let start = Instant::now();
        let window = match mode {
            Mode::Static => Window::Static(Plan::new(model, batch.steps, batch.rows, threads)?),
            Mode::Dynamic => Window::Dynamic(Dynamic::new(model, threads)?),
        };
        Ok((start.elapsed().as_secs_f64(), Self { window, batch, logits }))
    }

    /// The logits of the last call [T, B, V].
    pub(super) fn logits(self) -> Vec<f32> {
        self.logits
    }
}

impl Run for ForwardRun<'_> {
    fn call(&mut self) -> Result<()> {
        let Self { window, batch, logits } = self;
        match window {
            Window::Static(plan) => plan.forward(&batch.inputs, logits),
            Window::Dynamic(dynamic) => dynamic.forward(&batch.inputs, batch.rows, logits),
        }
        Ok(())
    }
}

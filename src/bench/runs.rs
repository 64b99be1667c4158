//! The measured operations: a training step and a forward pass, in either mode.

use super::first_step::FirstStep;
use super::timing::Repeated;
use crate::corpus::{Batch, Corpus};
use crate::exec::{Dynamic, Plan};
use crate::model::Model;
use crate::train::Training;
use crate::{Mode, Result, Settings};
use std::{sync::Arc, time::Instant};

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
}

/// Forward passes over one window.
pub(super) struct ForwardRun<'m> {
    form: Form,
    batch: &'m Batch,
    logits: Vec<f32>,
}

/// The form of the model that runs.
enum Form {
    Static(Plan),
    Dynamic(Dynamic),
}

impl<'m> ForwardRun<'m> {
    /// Builds the run, and returns the seconds that this takes with it.
    pub(super) fn build(
        mode: Mode,
        model: &Arc<Model>,
        batch: &'m Batch,
        threads: Option<usize>,
    ) -> Result<(f64, Self)> {
        let logits = vec![0.0; batch.inputs.len() * model.config().vocabulary];
        let start = Instant::now();
        let form = match mode {
            Mode::Static => Form::Static(Plan::new(model.clone(), batch.steps, batch.rows, threads)?),
            Mode::Dynamic => Form::Dynamic(Dynamic::new(model.clone(), threads)?),
        };
        Ok((start.elapsed().as_secs_f64(), Self { form, batch, logits }))
    }

    /// Returns the logits of the last call [T, B, V].
    pub(super) fn logits(self) -> Vec<f32> {
        self.logits
    }
}

impl Repeated for ForwardRun<'_> {
    fn call(&mut self) -> Result<()> {
        let Self { form, batch, logits } = self;
        match form {
            Form::Static(plan) => plan.forward(&batch.inputs, logits),
            Form::Dynamic(dynamic) => dynamic.forward(&batch.inputs, batch.rows, logits),
        }
    }
}

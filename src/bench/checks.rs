//! Answers are compared before anything is timed.

use super::runs::ForwardRun;
use super::timing::Run;
use crate::corpus::Batch;
use crate::exec::{Dropout, Stream, Window};
use crate::loss::{Loss, Objective};
use crate::model::Model;
use crate::network::Network;
use crate::train::StepReport;
use crate::{Error, Layer, Mode, Result};
use std::sync::Arc;

/// Losses of the same logits, one of them in f32.
const LOSS_TOLERANCE: f64 = 1e-5;

/// The logits [T, B, V] of a window, on which the static, the dynamic and the streamed forward pass agree in every bit.
pub(super) fn forward(model: &Arc<Model>, batch: &Batch, threads: Option<usize>) -> Result<Vec<f32>> {
    let logits = |mode| -> Result<Vec<f32>> {
        let (_, mut run) = ForwardRun::build(mode, model, batch, threads)?;
        run.call()?;
        Ok(run.logits())
    };
    let (planned, looped) = (logits(Mode::Static)?, logits(Mode::Dynamic)?);
    same_bits("logits of the dynamic mode", &looped, &planned)?;
    let vocabulary = model.config().vocabulary;
    let mut stream = Stream::new(model.clone())?;
    let steps = batch.inputs.chunks_exact(batch.rows).zip(planned.chunks_exact(batch.rows * vocabulary));
    for (ids, expected) in steps {
        same_bits("logits of a stream", stream.step(&ids[0])?, &expected[..vocabulary])?;
    }
    Ok(planned)
}

fn same_bits(what: &str, found: &[f32], expected: &[f32]) -> Result<()> {
    let differ = found.iter().zip(expected).position(|(f, e)| f.to_bits() != e.to_bits());
    match differ {
        None if found.len() == expected.len() => Ok(()),
        None => Err(wrong(what, found.len(), expected.len())),
        Some(at) => Err(wrong(&format!("value {at} of the {what}"), found[at], expected[at])),
    }
}

fn wrong(what: &str, found: impl ToString, expected: impl ToString) -> Error {
    Error::WrongAnswer { what: what.into(), found: found.to_string(), expected: expected.to_string() }
}

/// What the first training step has to report.
pub(super) struct Training {
    loss: f64,
    gradient_norm: f64,
}

impl Training {
    /// The loss, computed from `logits` [T, B, V] in f64; and the norm of the gradient that the library hands out.
    pub(super) fn of(
        model: &Arc<Model>,
        batch: &Batch,
        logits: &[f32],
        seed: u64,
        threads: Option<usize>,
    ) -> Result<Self> {
        if model.config().stack.iter().any(Layer::drops) {
            return Self::of_dropout(model, batch, seed, threads);
        }
        let rows = logits.chunks_exact(model.config().vocabulary).zip(&batch.targets);
        let sum: f64 = rows.map(|(logits, target)| cross_entropy(logits, *target as usize)).sum();
        let (_, gradient_norm) = differentiate(model, batch, None, threads)?;
        Ok(Self { loss: sum / batch.targets.len() as f64, gradient_norm })
    }

    /// With the masks of the first step, of which the logits know nothing.
    fn of_dropout(model: &Arc<Model>, batch: &Batch, seed: u64, threads: Option<usize>) -> Result<Self> {
        let dropout = Dropout { probability: 0.0, seed, step: 0 };
        let (loss, gradient_norm) = differentiate(model, batch, Some(dropout), threads)?;
        Ok(Self { loss, gradient_norm })
    }

    /// Compares a first step.
    pub(super) fn check(&self, found: &StepReport) -> Result<()> {
        near("loss of the first training step", found.loss, self.loss)?;
        near("gradient norm of the first training step", found.gradient_norm, self.gradient_norm)
    }
}

/// The mean loss of a batch, and the norm of its gradient.
fn differentiate(
    model: &Arc<Model>,
    batch: &Batch,
    dropout: Option<Dropout>,
    threads: Option<usize>,
) -> Result<(f64, f64)> {
    let mut network = Network::new(model.clone(), threads)?;
    let window = Window { dropout, ..Window::new(batch.steps, batch.rows, &batch.inputs) };
    let loss = network.differentiate(&window, &Objective::new(Loss::CROSS_ENTROPY, &batch.targets))?;
    let squares: f64 = network.gradient().values.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
    Ok((loss, squares.sqrt()))
}

fn near(what: &str, found: f64, expected: f64) -> Result<()> {
    let holds = (found - expected).abs() <= LOSS_TOLERANCE * (1.0 + expected.abs());
    if holds { Ok(()) } else { Err(wrong(what, found, expected)) }
}

/// Nats of one row, in f64.
fn cross_entropy(logits: &[f32], target: usize) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = |y: f32| f64::from(y) - f64::from(max);
    logits.iter().map(|&y| above(y).exp()).sum::<f64>().ln() - above(logits[target])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelSettings, Settings};

    fn parts() -> (Arc<Model>, Batch) {
        let settings = Settings {
            model: ModelSettings { hidden: 5, ..ModelSettings::default() },
            ..Settings::default()
        };
        let batch =
            Batch { steps: 3, rows: 2, inputs: vec![0, 1, 2, 3, 4, 0], targets: vec![1; 6], fresh: true };
        (Arc::new(Model::new(&settings.model, 6, settings.run.seed).unwrap()), batch)
    }

    #[test]
    fn wrong_steps_are_told() {
        let (model, batch) = parts();
        let logits = forward(&model, &batch, Some(1)).unwrap();
        let expected = Training::of(&model, &batch, &logits, 1, Some(1)).unwrap();
        let Training { loss, gradient_norm } = expected;
        let report = StepReport { step: 1, loss, gradient_norm, learning_rate: 0.1, record: None };
        expected.check(&report).unwrap();
        let told = |report: StepReport| expected.check(&report).unwrap_err().to_string();
        assert!(told(StepReport { loss: loss + 1e-3, ..report.clone() }).contains("the loss of the first"));
        assert!(told(StepReport { loss: f64::NAN, ..report.clone() }).contains("came out as NaN"));
        assert!(told(StepReport { gradient_norm: 2.0 * gradient_norm, ..report }).contains("gradient norm"));
    }

    #[test]
    fn logits_that_differ_are_told() {
        let told =
            |found: &[f32]| same_bits("logits of a stream", found, &[1.0, 2.0]).unwrap_err().to_string();
        assert!(
            told(&[1.0, 2.5])
                .starts_with("the value 1 of the logits of a stream came out as 2.5, expected 2")
        );
        assert!(told(&[1.0]).starts_with("the logits of a stream came out as 1"));
        same_bits("logits", &[1.0, 2.0], &[1.0, 2.0]).unwrap();
    }
}

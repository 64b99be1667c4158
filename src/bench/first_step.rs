//! The expected result of the first training step, computed in another way.

use super::runs::EngineOptions;
use crate::corpus::Batch;
use crate::exec::{Dropout, Window};
use crate::loss::{Loss, Objective};
use crate::model::Model;
use crate::network::Network;
use crate::train::StepReport;
use crate::{Error, Layer, Result};
use std::sync::Arc;

/// Tolerance between losses of the same logits, one of them in f32.
const LOSS_TOLERANCE: f64 = 1e-5;

/// Loss and gradient norm that the first training step must report.
pub(super) struct FirstStep {
    pub(super) loss: f64,
    pub(super) gradient_norm: f64,
}

impl FirstStep {
    /// Computes the loss from `logits` [T, B, V] in f64, and the norm from the gradient of
    /// [`Network::differentiate`].
    pub(super) fn of(
        model: &Arc<Model>,
        batch: &Batch,
        logits: &[f32],
        seed: u64,
        options: EngineOptions,
    ) -> Result<Self> {
        if model.config().stack.iter().any(Layer::drops) {
            return Self::of_dropout(model, batch, seed, options);
        }
        let rows = logits.chunks_exact(model.config().vocabulary).zip(&batch.targets);
        let sum: f64 = rows.map(|(logits, target)| cross_entropy(logits, *target as usize)).sum();
        let (_, gradient_norm) = differentiate(model, batch, None, options)?;
        Ok(Self { loss: sum / batch.targets.len() as f64, gradient_norm })
    }

    /// Computes both with the dropout masks of the first step, which `logits` lack.
    fn of_dropout(model: &Arc<Model>, batch: &Batch, seed: u64, options: EngineOptions) -> Result<Self> {
        let dropout = Dropout { probability: 0.0, seed, step: 0 };
        let (loss, gradient_norm) = differentiate(model, batch, Some(dropout), options)?;
        Ok(Self { loss, gradient_norm })
    }

    /// Compares a first step with these values.
    pub(super) fn check(&self, found: &StepReport) -> Result<()> {
        near("loss of the first training step", found.loss, self.loss)?;
        near("gradient norm of the first training step", found.gradient_norm, self.gradient_norm)
    }
}

/// Returns the mean loss of a batch and the norm of its gradient.
fn differentiate(
    model: &Arc<Model>,
    batch: &Batch,
    dropout: Option<Dropout>,
    options: EngineOptions,
) -> Result<(f64, f64)> {
    let mut network = Network::with_precision(model.clone(), options.precision, options.threads)?;
    let window = Window { dropout, ..Window::new(batch.steps, batch.rows, &batch.inputs) };
    let loss = network.differentiate(&window, &Objective::new(Loss::CROSS_ENTROPY, &batch.targets))?;
    let squares: f64 = network.gradient().values.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
    Ok((loss, squares.sqrt()))
}

fn near(what: &str, found: f64, expected: f64) -> Result<()> {
    let holds = (found - expected).abs() <= LOSS_TOLERANCE * (1.0 + expected.abs());
    if holds { Ok(()) } else { Err(Error::wrong_answer(what, found, expected)) }
}

/// Returns the cross-entropy of one row in nats, in f64.
fn cross_entropy(logits: &[f32], target: usize) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = |y: f32| f64::from(y) - f64::from(max);
    logits.iter().map(|&y| above(y).exp()).sum::<f64>().ln() - above(logits[target])
}

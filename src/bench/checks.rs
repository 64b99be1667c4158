//! Compares the logits of all ways to run a model, before anything is measured.

use super::runs::{EngineOptions, ForwardRun};
use super::timing::Repeated;
use crate::corpus::Batch;
use crate::exec::Stream;
use crate::model::Model;
use crate::{Error, Mode, Result};
use std::sync::Arc;

/// Returns the logits [T, B, V] of a window. The static, dynamic and streamed forward passes must
/// agree in every bit.
pub(super) fn forward(model: &Arc<Model>, batch: &Batch, options: EngineOptions) -> Result<Vec<f32>> {
    let logits = |mode| -> Result<Vec<f32>> {
        let (_, mut run) = ForwardRun::build(mode, model, batch, options)?;
        run.call()?;
        Ok(run.logits())
    };
    let (planned, looped) = (logits(Mode::Static)?, logits(Mode::Dynamic)?);
    same_bits("logits of the dynamic mode", &looped, &planned)?;
    let vocabulary = model.config().vocabulary;
    let one = EngineOptions { threads: Some(1), ..options };
    let mut stream = Stream::of(&one.engine(model)?)?;
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
        None => Err(Error::wrong_answer(what, found.len(), expected.len())),
        Some(at) => Err(Error::wrong_answer(format!("value {at} of the {what}"), found[at], expected[at])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_logits_are_an_error() {
        let reason =
            |found: &[f32]| same_bits("logits of a stream", found, &[1.0, 2.0]).unwrap_err().to_string();
        assert!(reason(&[1.0, 2.5]).starts_with("the value 1 of the logits of a stream is 2.5, expected 2"));
        assert!(reason(&[1.0]).starts_with("the logits of a stream is 1"));
        same_bits("logits", &[1.0, 2.0], &[1.0, 2.0]).unwrap();
    }
}

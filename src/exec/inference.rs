//! One window of inference, as [`Plan`](super::Plan) and [`Dynamic`](super::Dynamic) run it.

use super::engine::Engine;
use super::inputs::{Window, check_room};
use super::run::{Executor, Goal, Pass};
use crate::model::ModelConfig;
use crate::{Error, Result};

/// Returns an error for a window that does not fit the model, or outputs that do not fit the
/// window.
pub(super) fn check(config: &ModelConfig, window: &Window<'_>, outputs: &[f32]) -> Result<()> {
    if window.dropout.is_some() {
        return Err(Error::batch(
            "dropout".to_owned(),
            "none: inference drops nothing; train with Network".to_owned(),
        ));
    }
    window.check(config)?;
    check_room(outputs.len(), window.output_tokens(), config.output_width(), "outputs")
}

/// Runs a window that was checked, from the current state. The executor has its shape.
pub(super) fn run(engine: &Engine, executor: &mut Executor, window: &Window<'_>, outputs: &mut [f32]) {
    let Window { inputs, order, .. } = *window;
    let goal = Goal::Outputs(outputs);
    let pass = Pass { inputs, order, targets: None, fresh: false, dropping: None, goal };
    engine.enter(executor.window.tokens(), || executor.run(engine.packed(), pass));
}

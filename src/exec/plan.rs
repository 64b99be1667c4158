//! Static mode: a plan for one shape of window. All buffers are allocated when it is built.

use super::engine::Engine;
use super::inference;
use super::inputs::{Inputs, Window};
use super::run::Executor;
use super::state::State;
use super::window::shard::Needs;
use crate::model::{Model, check_plan};
use crate::{Error, Result};
use std::sync::Arc;

/// Runs a model on windows of T steps by B rows.
#[derive(Debug)]
pub struct Plan {
    engine: Engine,
    executor: Executor,
}

impl Plan {
    /// Builds a plan for T steps by B rows on `threads` threads (all cores if `None`), from the
    /// zero state.
    ///
    /// # Errors
    /// As for [`Engine::new`] and [`Plan::of`].
    pub fn new(
        model: impl Into<Arc<Model>>,
        steps: usize,
        rows: usize,
        threads: Option<usize>,
    ) -> Result<Self> {
        let model = model.into();
        check_plan(model.config(), [steps, rows])?;
        Self::of(&Engine::new(model, threads)?, steps, rows)
    }

    /// Builds a plan that shares the model, the weights and the threads of an engine.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) for a window without steps or rows,
    /// [`Error::Memory`](crate::Error::Memory) if the plan needs more memory than this process may
    /// use.
    pub fn of(engine: &Engine, steps: usize, rows: usize) -> Result<Self> {
        if steps == 0 || rows == 0 {
            let expected = "at least one step and one row";
            return Err(Error::batch(format!("a plan of {steps} steps by {rows} rows"), expected));
        }
        check_plan(engine.config(), [steps, rows])?;
        let executor = Executor::shaped(engine.weights(), [steps, rows], Needs::INFERENCE, engine.pool());
        Ok(Self { engine: engine.clone(), executor })
    }

    /// Runs one window of time-major `inputs`, ids [T, B] or vectors [T, B, E]. Writes the
    /// `outputs` [T, B, O] of the model (logits [T, B, V] of a language model), and keeps the last
    /// state as the start for the next window. The windows of a model with a bidirectional layer are
    /// whole sequences: each starts from zero, or from the state that was set before it.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) if a slice does not have the size of the plan, an id
    /// is not in the vocabulary, or the model reads the other kind of input (ids or vectors). The
    /// state is then as before.
    pub fn forward<'a>(&mut self, inputs: impl Into<Inputs<'a>>, outputs: &mut [f32]) -> Result<()> {
        let Self { engine, executor } = self;
        let window = Window::new(executor.window.steps, executor.window.rows, inputs);
        inference::check(engine.config(), &window, outputs)?;
        inference::run(engine, executor, &window, outputs);
        Ok(())
    }

    /// A copy of the state.
    pub fn state(&self) -> State {
        self.executor.window.state()
    }

    /// Sets the state that the next window starts from.
    ///
    /// # Errors
    /// [`Error::StateShape`](crate::Error::StateShape) if the state does not fit the model or does
    /// not have B rows.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.engine.config(), self.executor.window.rows)?;
        self.executor.window.set_state(state, self.engine.pool());
        Ok(())
    }
}

//! Dynamic mode: windows of any shape, rows of different lengths.

use super::engine::Engine;
use super::inference;
use super::inputs::{Inputs, Window};
use super::run::Executor;
use super::state::State;
use super::window::activations::Extent;
use super::window::shard::Needs;
use crate::model::Model;
use crate::{Error, Result};
use std::sync::Arc;

/// Runs a model on windows of any number of steps and rows. Buffers grow as needed and are used
/// again.
#[derive(Debug)]
pub struct Dynamic {
    engine: Engine,
    executor: Executor,
    /// The state that was set, until a window starts from it.
    pending: State,
    is_pending: bool,
}

impl Dynamic {
    /// Packs the weights of a model, to run on `threads` threads (all cores if `None`) from the
    /// zero state.
    ///
    /// # Errors
    /// As for [`Engine::new`].
    pub fn new(model: impl Into<Arc<Model>>, threads: Option<usize>) -> Result<Self> {
        Ok(Self::of(&Engine::new(model, threads)?))
    }

    /// Creates a view that shares the model, the weights and the threads of an engine.
    pub fn of(engine: &Engine) -> Self {
        let executor = Executor::new(engine.weights(), Needs::INFERENCE);
        Self { engine: engine.clone(), executor, pending: State::default(), is_pending: false }
    }

    /// Runs one window of time-major `inputs`, ids [T, B] or vectors [T, B, E], for B = `rows`
    /// rows. Writes the `outputs` [T, B, O] of the model (logits [T, B, V] of a language model).
    /// The window starts from the state of the last window if that had B rows, otherwise from zero.
    /// The windows of a model with a bidirectional layer are whole sequences: each starts from zero,
    /// or from the state that was set before it.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) if `rows` is 0 or does not divide the inputs,
    /// `outputs` has another size, an id is not in the vocabulary, or a state was set that has
    /// another number of rows. The state is then as before.
    pub fn forward<'a>(
        &mut self,
        inputs: impl Into<Inputs<'a>>,
        rows: usize,
        outputs: &mut [f32],
    ) -> Result<()> {
        let inputs = inputs.into();
        let steps = inputs.steps(rows, self.engine.config())?;
        self.forward_window(&Window::new(steps, rows, inputs), outputs)
    }

    /// Runs one window whose rows have `lengths` `[B]` steps, at most T; otherwise as
    /// [`Dynamic::forward`]. Inputs beyond the end of a row are not read, and outputs there are
    /// zero. Afterwards the state of a row is that after its last step; a row without steps keeps
    /// its state. Rows need not be sorted.
    ///
    /// # Errors
    /// As for [`Dynamic::forward`], and for a length above T.
    pub fn forward_ragged<'a>(
        &mut self,
        inputs: impl Into<Inputs<'a>>,
        lengths: &[usize],
        outputs: &mut [f32],
    ) -> Result<()> {
        let inputs = inputs.into();
        let steps = inputs.steps(lengths.len(), self.engine.config())?;
        let window = Window { lengths: Some(lengths), ..Window::new(steps, lengths.len(), inputs) };
        self.forward_window(&window, outputs)
    }

    /// Runs any window without dropout, from `window.initial`, or from the current state if that is
    /// `None`.
    ///
    /// # Errors
    /// As for [`Dynamic::forward`]; [`Error::StateShape`](crate::Error::StateShape) for an initial
    /// state that does not fit.
    pub fn forward_window(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<()> {
        let Self { engine, executor, pending, is_pending } = self;
        inference::check(engine.config(), window, outputs)?;
        let Window { steps, rows, lengths, output_steps, initial, .. } = *window;
        let set = initial.or(is_pending.then_some(&*pending));
        if let Some(state) = set.filter(|state| state.rows != rows) {
            let expected = format!("{} rows, as the state that was set has", state.rows);
            return Err(Error::batch(format!("a window of {rows} rows"), expected));
        }
        *is_pending = false;
        engine.enter(steps * rows, || {
            executor.reshape(engine.weights(), Extent { steps, rows, lengths, output_steps }, engine.pool());
            if let Some(state) = set {
                executor.window.set_state(state, engine.pool());
            }
            inference::run(engine, executor, window, outputs);
        });
        Ok(())
    }

    /// A copy of the current state; `None` before the first window.
    pub fn state(&self) -> Option<State> {
        if self.is_pending {
            return Some(self.pending.clone());
        }
        (self.executor.window.rows > 0).then(|| self.executor.window.state())
    }

    /// Sets the state that the next window starts from. That window must have as many rows.
    ///
    /// # Errors
    /// [`Error::StateShape`](crate::Error::StateShape) if the state does not fit the model.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.engine.config(), state.rows)?;
        self.pending.copy_from(state);
        self.is_pending = true;
        Ok(())
    }
}

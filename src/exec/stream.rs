//! One symbol at a time: a window of one step and one row.

use super::executor::{Executor, Purpose};
use super::state::State;
use super::weights::Weights;
use crate::Result;
use crate::model::Model;
use crate::parallel::Threads;
use std::sync::Arc;

/// Runs a model one symbol at a time. A clone is a fork: it shares the weights and has a state of its own.
#[derive(Clone, Debug)]
pub struct Stream<'m> {
    model: &'m Model,
    weights: Arc<Weights>,
    threads: Arc<Threads>,
    executor: Executor,
}

impl<'m> Stream<'m> {
    /// Packs the weights and starts from the zero state.
    ///
    /// # Errors
    /// When the forced instruction set (`UNROLLED_ISA`) cannot be had.
    pub fn new(model: &'m Model) -> Result<Self> {
        let threads = Threads::new(Some(1))?;
        let mut weights = Weights::new(model.config(), super::detect()?);
        weights.pack(model.parameters(), false, &threads);
        let executor = Executor::new(&weights, 1, 1, Purpose { train: false, dropout: false }, &threads);
        Ok(Self { model, weights: Arc::new(weights), threads: Arc::new(threads), executor })
    }

    /// Feeds one symbol and gives the logits `[V]` of the next.
    ///
    /// # Panics
    /// When `id` is not below V.
    pub fn step(&mut self, id: u32) -> &[f32] {
        let vocabulary = self.model.config().vocabulary;
        assert!((id as usize) < vocabulary, "symbol {id} of a vocabulary of {vocabulary}");
        self.executor.begin(false);
        self.executor.forward(&self.weights, self.model.parameters(), (&[id], &[]), None, &self.threads);
        &self.executor.shards[0].logits[..vocabulary]
    }

    /// A copy of the state.
    pub fn state(&self) -> State {
        self.executor.state(self.model.config().hidden)
    }

    /// Continues from a state of one row.
    ///
    /// # Errors
    /// When the state belongs to another shape of model or has more rows.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.model.config(), 1)?;
        self.executor.set_state(self.model.config().hidden, state);
        Ok(())
    }
}

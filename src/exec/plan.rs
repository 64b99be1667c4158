//! The static mode: a plan for one shape, with every buffer placed and the weights packed when it is built.

use super::executor::{Executor, Goal, Pass, Purpose};
use super::state::State;
use super::table::Packed;
use super::weights::Weights;
use super::{check_ids, packed};
use crate::Result;
use crate::model::{Model, check_plan};
use crate::parallel::Threads;

/// A model compiled ahead for windows of T steps by B rows.
#[derive(Debug)]
pub struct Plan<'m> {
    model: &'m Model,
    weights: Weights,
    threads: Threads,
    executor: Executor,
}

impl<'m> Plan<'m> {
    /// Builds a plan for `steps` steps of `rows` rows on `threads` threads (all cores when `None`), from the zero state.
    ///
    /// # Errors
    /// When the threads or the forced instruction set cannot be had, the model is a stack by itself, or the plan needs more
    /// memory than this process may use.
    pub fn new(model: &'m Model, steps: usize, rows: usize, threads: Option<usize>) -> Result<Self> {
        let threads = Threads::new(threads)?;
        check_plan(model.config(), [steps, rows])?;
        let weights = packed(model, &threads)?;
        let executor =
            Executor::new(&weights, steps, rows, Purpose { train: false, dropout: false }, &threads);
        Ok(Self { model, weights, threads, executor })
    }

    /// Runs one window of time-major `ids` [T, B], writes `logits` [T, B, V], and keeps the state for the next.
    ///
    /// # Panics
    /// When a slice has not the plan's shape or an id is not below V.
    pub fn forward(&mut self, ids: &[u32], logits: &mut [f32]) {
        let vocabulary = self.model.config().vocabulary;
        check_ids(ids, logits, self.executor.steps * self.executor.rows, vocabulary);
        let packed =
            Packed { weights: &self.weights, parameters: self.model.parameters(), threads: &self.threads };
        self.executor.run(
            packed,
            Pass { inputs: ids, targets: &[], fresh: false, dropping: None, goal: Goal::Logits(logits) },
        );
    }

    /// A copy of the state.
    pub fn state(&self) -> State {
        self.executor.state()
    }

    /// Continues from a state.
    ///
    /// # Errors
    /// When the state belongs to another shape of model or has other than B rows.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.model.config(), self.executor.rows)?;
        self.executor.set_state(state);
        Ok(())
    }
}

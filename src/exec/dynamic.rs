//! The dynamic mode: a loop over as many steps and rows as each call brings.

use super::executor::{Executor, Purpose};
use super::state::State;
use super::weights::Weights;
use super::{check_ids, packed};
use crate::Result;
use crate::model::Model;
use crate::parallel::Threads;

/// An executor that takes the shape of each window; buffers stay while shapes repeat, and the state stays while the
/// number of rows does.
#[derive(Debug)]
pub(crate) struct Shaped {
    purpose: Purpose,
    executor: Option<Executor>,
}

impl Shaped {
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { purpose, executor: None }
    }

    /// The executor for `steps` by `rows`.
    pub(crate) fn shape(
        &mut self,
        weights: &Weights,
        steps: usize,
        rows: usize,
        threads: &Threads,
    ) -> &mut Executor {
        let fits = self.executor.as_ref().is_some_and(|now| (now.steps, now.rows) == (steps, rows));
        if !fits {
            let mut new = Executor::new(weights, steps, rows, self.purpose, threads);
            if let Some(old) = self.executor.take().filter(|old| old.rows == rows) {
                new.set_state(weights.config.hidden, &old.state(weights.config.hidden));
            }
            self.executor = Some(new);
        }
        self.executor.as_mut().unwrap_or_else(|| unreachable!("an executor was just put there"))
    }

    /// The state after the last window; `None` before the first.
    pub(crate) fn state(&self, hidden: usize) -> Option<State> {
        self.executor.as_ref().map(|executor| executor.state(hidden))
    }
}

/// A model that runs windows of any shape.
#[derive(Debug)]
pub struct Dynamic<'m> {
    model: &'m Model,
    weights: Weights,
    threads: Threads,
    shaped: Shaped,
    state: Option<State>,
}

impl<'m> Dynamic<'m> {
    /// Packs the weights, for `threads` threads (all cores when `None`), from the zero state.
    ///
    /// # Errors
    /// When the threads or the forced instruction set cannot be had.
    pub fn new(model: &'m Model, threads: Option<usize>) -> Result<Self> {
        let threads = Threads::new(threads)?;
        let weights = packed(model, &threads)?;
        let shaped = Shaped::new(Purpose { train: false, dropout: false });
        Ok(Self { model, weights, threads, shaped, state: None })
    }

    /// Runs one window of time-major `ids` [T, B] for `rows` rows B, and writes `logits` [T, B, V]. The state goes on
    /// from the last window when that had as many rows, and otherwise from zero.
    ///
    /// # Panics
    /// When `rows` is 0, does not divide `ids` or differs from the state's that was set, `logits` has another length, or
    /// an id is not below V.
    pub fn forward(&mut self, ids: &[u32], rows: usize, logits: &mut [f32]) {
        let vocabulary = self.model.config().vocabulary;
        assert!(rows > 0 && ids.len().is_multiple_of(rows), "{} ids for {rows} rows", ids.len());
        check_ids(ids, logits, ids.len(), vocabulary);
        let executor = self.shaped.shape(&self.weights, ids.len() / rows, rows, &self.threads);
        if let Some(state) = self.state.take() {
            assert_eq!(state.rows, rows, "a window of {rows} rows after a state of {}", state.rows);
            executor.set_state(self.weights.config.hidden, &state);
        }
        executor.begin(false);
        executor.forward(&self.weights, self.model.parameters(), (ids, &[]), None, &self.threads);
        executor.logits(vocabulary, logits);
    }

    /// A copy of the state after the last window; `None` before the first.
    pub fn state(&self) -> Option<State> {
        self.state.clone().or_else(|| self.shaped.state(self.model.config().hidden))
    }

    /// Continues from a state; the next window has as many rows.
    ///
    /// # Errors
    /// When the state belongs to another shape of model.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.model.config(), state.rows)?;
        self.state = Some(state.clone());
        Ok(())
    }
}

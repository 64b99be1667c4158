//! The dynamic mode: a loop over as many steps and rows as each call brings.

use super::executor::{Executor, Goal, Pass, Purpose, Shape};
use super::state::State;
use super::table::Packed;
use super::weights::Weights;
use super::{check_id, check_ids, check_room, packed};
use crate::Result;
use crate::model::Model;
use crate::parallel::Threads;

/// An executor that takes the shape of each window. Its buffers grow once, and the state goes on while the number of
/// rows stays.
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
        self.shape_as(weights, Shape { steps, rows, lengths: None }, threads)
    }

    /// The executor for a shape.
    pub(crate) fn shape_as(
        &mut self,
        weights: &Weights,
        shape: Shape<'_>,
        threads: &Threads,
    ) -> &mut Executor {
        let new = || Executor::new(weights, 0, 0, self.purpose, threads);
        let executor = self.executor.get_or_insert_with(new);
        executor.reshape(weights, shape, threads);
        executor
    }

    /// The state after the last window; `None` before the first.
    pub(crate) fn state(&self) -> Option<State> {
        self.executor.as_ref().map(Executor::state)
    }
}

/// A model that runs windows of any shape.
#[derive(Debug)]
pub struct Dynamic<'m> {
    model: &'m Model,
    weights: Weights,
    threads: Threads,
    shaped: Shaped,
    /// The state that was set, until a window starts from it.
    state: State,
    is_set: bool,
}

impl<'m> Dynamic<'m> {
    /// Packs the weights, for `threads` threads (all cores when `None`), from the zero state.
    ///
    /// # Errors
    /// When the threads or the forced instruction set cannot be had, or the model is a stack by itself.
    pub fn new(model: &'m Model, threads: Option<usize>) -> Result<Self> {
        let threads = Threads::new(threads)?;
        let weights = packed(model, &threads)?;
        let shaped = Shaped::new(Purpose { train: false, dropout: false });
        Ok(Self { model, weights, threads, shaped, state: State::default(), is_set: false })
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
        self.run(ids, Shape { steps: ids.len() / rows, rows, lengths: None }, logits);
    }

    /// Runs one window whose rows have `lengths` `[B]` steps, at most T, and otherwise as [`Dynamic::forward`]: `ids`
    /// [T, B] and `logits` [T, B, V] are time-major and padded. Ids beyond the end of a row are not read, and may be any
    /// number; logits there become 0. A row's state is then that after its own last step, and a row of no steps keeps
    /// the one it had. Rows need not be sorted.
    ///
    /// # Panics
    /// When there are no `lengths`, they do not divide `ids`, one exceeds T, or they are not as many as the rows of the
    /// state that was set, when `logits` has another length, or an id within a row is not below V.
    pub fn forward_ragged(&mut self, ids: &[u32], lengths: &[usize], logits: &mut [f32]) {
        let (rows, vocabulary) = (lengths.len(), self.model.config().vocabulary);
        assert!(rows > 0 && ids.len().is_multiple_of(rows), "{} ids for {rows} rows", ids.len());
        let steps = ids.len() / rows;
        if let Some(row) = lengths.iter().position(|length| *length > steps) {
            panic!("{} steps of row {row} in a window of {steps} steps of {rows} rows", lengths[row]);
        }
        check_room(logits, ids.len(), vocabulary);
        for (step, ids) in ids.chunks_exact(rows).enumerate() {
            ids.iter()
                .zip(lengths)
                .filter(|(_, length)| **length > step)
                .for_each(|(id, _)| check_id(*id, vocabulary));
        }
        self.run(ids, Shape { steps, rows, lengths: Some(lengths) }, logits);
    }

    fn run(&mut self, ids: &[u32], shape: Shape<'_>, logits: &mut [f32]) {
        let executor = self.shaped.shape_as(&self.weights, shape, &self.threads);
        if std::mem::take(&mut self.is_set) {
            let (rows, found) = (shape.rows, self.state.rows);
            assert_eq!(found, rows, "a window of {rows} rows after a state of {found}");
            executor.set_state(&self.state);
        }
        let packed =
            Packed { weights: &self.weights, parameters: self.model.parameters(), threads: &self.threads };
        executor.run(
            packed,
            Pass { inputs: ids, targets: &[], fresh: false, dropping: None, goal: Goal::Logits(logits) },
        );
    }

    /// A copy of the state after the last window; `None` before the first.
    pub fn state(&self) -> Option<State> {
        if self.is_set { Some(self.state.clone()) } else { self.shaped.state() }
    }

    /// Continues from a state; the next window has as many rows.
    ///
    /// # Errors
    /// When the state belongs to another shape of model.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.model.config(), state.rows)?;
        self.state.copy_from(state);
        self.is_set = true;
        Ok(())
    }
}

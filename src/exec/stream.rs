//! One symbol at a time: a window of one step and one row.

use super::executor::{Executor, Purpose};
use super::state::State;
use super::weights::Weights;
use crate::Result;
use crate::model::Model;
use crate::parallel::Threads;
use std::sync::Arc;

/// Floats of the largest table of input products that a stream makes ahead (16 MiB). A larger vocabulary's products are
/// computed one row at each step, which costs little beside a head of so many outputs.
const LARGEST_TABLE: usize = 1 << 22;

/// Runs a model one symbol at a time; a step allocates nothing. A clone is a fork: it shares the weights and has a
/// state of its own.
#[derive(Clone, Debug)]
pub struct Stream<'m> {
    model: &'m Model,
    shared: Arc<Shared>,
    executor: Executor,
    /// A stored row: what the symbol brings to the first layer, when there is no table.
    row: Vec<f32>,
}

/// What forks have in common.
#[derive(Debug)]
struct Shared {
    weights: Weights,
    /// [V, stored]: what each symbol brings to the first layer; empty for a large vocabulary.
    table: Vec<f32>,
}

impl<'m> Stream<'m> {
    /// Packs the weights and starts from the zero state.
    ///
    /// # Errors
    /// When the forced instruction set (`UNROLLED_ISA`) cannot be had, or the model is a stack by itself.
    pub fn new(model: &'m Model) -> Result<Self> {
        let threads = Threads::new(Some(1))?;
        let weights = super::packed(model, &threads)?;
        let executor = Executor::new(&weights, 1, 1, Purpose { train: false, dropout: false }, &threads);
        let width = weights.table_width();
        let (mut table, mut row) = (Vec::new(), Vec::new());
        match model.config().vocabulary {
            small if small.saturating_mul(width) <= LARGEST_TABLE => {
                table.resize(small * width, 0.0);
                weights.fill_table(model.parameters(), 0..small as u32, &mut table);
            }
            _ => row.resize(width, 0.0),
        }
        Ok(Self { model, shared: Arc::new(Shared { weights, table }), executor, row })
    }

    /// Feeds one symbol and gives the logits `[V]` of the next.
    ///
    /// # Panics
    /// When `id` is not below V.
    pub fn step(&mut self, id: u32) -> &[f32] {
        let vocabulary = self.model.config().vocabulary;
        assert!((id as usize) < vocabulary, "symbol {id} of a vocabulary of {vocabulary}");
        let Shared { weights, table } = &*self.shared;
        let packed = (weights, self.model.parameters());
        if weights.gathers && table.is_empty() {
            weights.fill_table(self.model.parameters(), id..id + 1, &mut self.row);
            self.executor.step(packed, &self.row, 0);
        } else {
            self.executor.step(packed, table, id);
        }
        &self.executor.shards[0].logits[..vocabulary]
    }

    /// A copy of the state.
    pub fn state(&self) -> State {
        self.executor.state()
    }

    /// Continues from a state of one row.
    ///
    /// # Errors
    /// When the state belongs to another shape of model or has more rows.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.model.config(), 1)?;
        self.executor.set_state(state);
        Ok(())
    }
}

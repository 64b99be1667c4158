//! Streaming: one step at a time, for any number of batch rows.

use super::engine::Engine;
use super::inputs::Inputs;
use super::run::Executor;
use super::state::State;
use crate::model::{Model, ModelConfig, check_plan};
use crate::parallel::Threads;
use crate::{Error, Result};
use std::sync::Arc;
use unrolled_kernels::pack::padded;

/// Floats of the largest input table that is computed ahead (16 MiB). The products of a larger
/// vocabulary are computed at each step, which costs little beside a head of that size.
pub(crate) const LARGEST_TABLE: usize = 1 << 22;

/// Runs a model one step at a time. A clone is a fork: it shares the weights and has a state of its
/// own. A bidirectional layer needs whole windows, so a model with such a layer has no stream.
///
/// A step runs on the calling thread and allocates nothing. Only if the engine has several threads
/// and the model is large (a step of more than 400,000 multiplications), its threads divide the
/// hidden units, so that each reads its part of the weights. The results are the same, but the step
/// then waits for these threads.
///
/// ```
/// # use unrolled::{ModelSettings, exec::{Engine, Stream}, model::Model};
/// # fn main() -> unrolled::Result<()> {
/// let model = Model::new(&ModelSettings::lstm(512), 65, 1)?;
/// let mut stream = Stream::of(&Engine::new(model, Some(2))?)?; // two threads
/// assert_eq!(stream.step(&3)?.len(), 65);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    engine: Engine,
    executor: Executor,
    /// [V, stored]: the input table; empty for a large vocabulary.
    table: Arc<Vec<f32>>,
    /// [B, stored]: the input products of one step, if there is no table.
    rows_of_step: Vec<f32>,
    /// `[B]`: 0, 1, 2, ...: the ids into `rows_of_step`.
    indices: Vec<u32>,
    /// [B, O]: the outputs of several rows.
    outputs: Vec<f32>,
}

impl Stream {
    /// Packs the weights of a model, for one row from the zero state.
    ///
    /// # Errors
    /// As for [`Engine::new`]; [`Error::Setting`](crate::Error::Setting) for a bidirectional layer.
    pub fn new(model: impl Into<Arc<Model>>) -> Result<Self> {
        Self::with_rows(model, 1)
    }

    /// Packs the weights of a model, for `rows` rows from the zero state.
    ///
    /// # Errors
    /// As for [`Stream::new`]; [`Error::Batch`](crate::Error::Batch) for no rows,
    /// [`Error::Memory`](crate::Error::Memory) if the rows need more memory than this process may
    /// use.
    pub fn with_rows(model: impl Into<Arc<Model>>, rows: usize) -> Result<Self> {
        let model = model.into();
        check_rows(model.config(), rows)?;
        Ok(Self::build(&Engine::new(model, Some(1))?, rows))
    }

    /// Shares the model and the weights of an engine, and starts from the zero state with `rows`
    /// rows.
    ///
    /// # Errors
    /// As for [`Stream::with_rows`].
    pub fn of_rows(engine: &Engine, rows: usize) -> Result<Self> {
        check_rows(engine.config(), rows)?;
        Ok(Self::build(engine, rows))
    }

    /// Creates a stream of one row, from the zero state, that shares the model and the weights of
    /// an engine.
    ///
    /// # Errors
    /// As for [`Stream::of_rows`].
    pub fn of(engine: &Engine) -> Result<Self> {
        Self::of_rows(engine, 1)
    }

    fn build(engine: &Engine, rows: usize) -> Self {
        let (weights, config) = (engine.weights(), engine.config());
        let executor = Executor::for_steps(weights, rows, engine.pool());
        let width = weights.table_width();
        let (mut table, mut rows_of_step) = (Vec::new(), Vec::new());
        match config.vocabulary {
            small if small.saturating_mul(width) <= LARGEST_TABLE => {
                table.resize(small * width, 0.0);
                weights.fill_table(engine.model().parameters(), 0..small as u32, &mut table);
            }
            _ => rows_of_step.resize(rows * width, 0.0),
        }
        let outputs = if rows > 1 { vec![0.0; rows * config.output_width()] } else { Vec::new() };
        let indices = (0..rows as u32).collect();
        Self { engine: engine.clone(), executor, table: Arc::new(table), rows_of_step, indices, outputs }
    }

    /// Runs one step: one id or one vector `[E]` for each of B rows. Returns the outputs [B, O] of
    /// the model (logits [B, V] of a language model).
    ///
    /// ```
    /// # use unrolled::{ModelSettings, exec::Stream, model::Model};
    /// # fn main() -> unrolled::Result<()> {
    /// let mut stream = Stream::new(Model::new(&ModelSettings::lstm(8), 5, 1)?)?;
    /// let logits = stream.step(&3)?; // the id 3, in the only row
    /// assert_eq!(logits.len(), 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) for inputs of another size or kind, or an id that is
    /// not in the vocabulary. The state is then as before.
    pub fn step<'a>(&mut self, inputs: impl Into<Inputs<'a>>) -> Result<&[f32]> {
        let inputs = inputs.into();
        let Self { engine, executor, table, rows_of_step, indices, outputs } = self;
        let (weights, config) = (engine.weights(), engine.config());
        let rows = indices.len();
        inputs.check(Some(rows), config)?;
        inputs.check_vocabulary(config.vocabulary)?;
        let model = engine.packed();
        let padded_outputs = match inputs {
            Inputs::Ids(ids) if weights.gathers && table.is_empty() => {
                let width = weights.table_width();
                for (id, row) in ids.iter().zip(rows_of_step.chunks_exact_mut(width)) {
                    weights.fill_table(model.parameters, *id..id + 1, row);
                }
                executor.step(model, rows_of_step, Inputs::Ids(indices))
            }
            inputs => executor.step(model, table, inputs),
        };
        let width = config.output_width();
        if rows == 1 {
            return Ok(&padded_outputs[..width]);
        }
        for (to, from) in outputs.chunks_exact_mut(width).zip(padded_outputs.chunks_exact(padded(width))) {
            to.copy_from_slice(&from[..width]);
        }
        Ok(outputs)
    }

    /// A copy of the state of all rows.
    pub fn state(&self) -> State {
        self.executor.window.state()
    }

    /// Sets the state of all rows.
    ///
    /// # Errors
    /// [`Error::StateShape`](crate::Error::StateShape) if the state does not fit the model or has
    /// another number of rows.
    pub fn set_state(&mut self, state: &State) -> Result<()> {
        state.check(self.engine.config(), self.indices.len())?;
        self.executor.window.set_state(state, Threads::CALLING);
        Ok(())
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.engine.model()
    }
}

fn check_rows(config: &ModelConfig, rows: usize) -> Result<()> {
    config.check_one_way(
        "a stream runs one step at a time, and the reverse direction needs whole windows; run Plan or Dynamic",
    )?;
    match rows {
        0 => Err(Error::batch("a stream of 0 rows", "at least one row")),
        rows => check_plan(config, [1, rows]),
    }
}

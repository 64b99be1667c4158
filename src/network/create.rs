//! The ways to create a network: for windows of any shape or of one, in any precision.

use super::passes::Network;
use crate::exec::{Engine, Executor, Needs, State};
use crate::model::{Model, Parameters, check_model};
use crate::{Error, Precision, Result};
use std::sync::Arc;

impl Network {
    /// Takes a model, for windows of any shape (`dynamic_rnn`) in f32, on `threads` threads (all
    /// cores if `None`).
    ///
    /// # Errors
    /// As for [`Engine::new`]; [`Error::Memory`](crate::Error::Memory) for a model that needs more
    /// memory than this process may use.
    pub fn new(model: impl Into<Arc<Model>>, threads: Option<usize>) -> Result<Self> {
        Self::with_precision(model, Precision::F32, threads)
    }

    /// Takes a model, for windows of any shape. Products have operands in the number format of
    /// `precision`; parameters and gradients are f32.
    ///
    /// ```
    /// use unrolled::{ModelSettings, Precision, model::Model, network::Network};
    ///
    /// let model = Model::new(&ModelSettings::gru(8), 5, 1)?;
    /// let network = Network::with_precision(model, Precision::Bf16, Some(1))?;
    /// assert_eq!(network.precision(), Precision::Bf16);
    /// # Ok::<(), unrolled::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Network::new`].
    pub fn with_precision(
        model: impl Into<Arc<Model>>,
        precision: Precision,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::build(model.into(), precision, None, threads)
    }

    /// Takes a model, for windows of T steps by B rows only in f32, with all buffers allocated ahead
    /// (`static_rnn`).
    ///
    /// # Errors
    /// As for [`Network::new`]; [`Error::Batch`](crate::Error::Batch) for no steps or no rows.
    pub fn planned(
        model: impl Into<Arc<Model>>,
        steps: usize,
        rows: usize,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::planned_with_precision(model, Precision::F32, [steps, rows], threads)
    }

    /// Takes a model as [`Network::planned`] does, for windows of T steps by B rows. Products have
    /// operands in the number format of `precision`.
    ///
    /// # Errors
    /// As for [`Network::planned`].
    pub fn planned_with_precision(
        model: impl Into<Arc<Model>>,
        precision: Precision,
        [steps, rows]: [usize; 2],
        threads: Option<usize>,
    ) -> Result<Self> {
        if steps == 0 || rows == 0 {
            let expected = "at least one step and one row";
            return Err(Error::batch(format!("a plan of {steps} steps by {rows} rows"), expected));
        }
        Self::build(model.into(), precision, Some([steps, rows]), threads)
    }

    fn build(
        model: Arc<Model>,
        precision: Precision,
        planned: Option<[usize; 2]>,
        threads: Option<usize>,
    ) -> Result<Self> {
        check_model(model.config(), 4.0, planned.unwrap_or_default())?;
        let gradient = Parameters::zeros(model.parameters().layout.clone());
        let engine = Engine::for_training(model, precision, threads)?;
        let needs = Needs { backward: true, dropout: planned.is_some() };
        let executor = match planned {
            None => Executor::new(engine.weights(), needs),
            Some(shape) => Executor::shaped(engine.weights(), shape, needs, engine.pool()),
        };
        let (d_inputs, d_initial) = (Vec::new(), State::default());
        Ok(Self { engine, executor, needs, planned, gradient, d_inputs, d_initial, last: None })
    }
}

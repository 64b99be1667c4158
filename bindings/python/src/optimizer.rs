//! `Optimizer`: updates the parameters of a network from its last gradients, without copies.

use crate::errors::{invalid, raise};
use crate::network::Network;
use crate::settings;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::sync::{Mutex, PoisonError};
use unrolled::optim;

/// Clips the gradients of a network and updates its parameters.
#[pyclass(frozen, module = "unrolled._unrolled")]
pub struct Optimizer(Mutex<optim::Optimizer>);

#[pymethods]
impl Optimizer {
    /// Makes the optimizer of a network; `settings` is a JSON object.
    #[new]
    fn new(network: &Network, settings: &str) -> PyResult<Self> {
        let settings = settings::read(settings)?;
        let rule = optim::Optimizer::new(&settings.optimizer, network.flat_len(), network.thread_count());
        Ok(Self(Mutex::new(rule.map_err(raise)?)))
    }

    /// Updates the parameters of a network from the gradients of its last backward pass. Returns
    /// the norm of the gradients before clipping.
    fn step(&self, py: Python<'_>, network: &Network, learning_rate: f64) -> PyResult<f64> {
        if !learning_rate.is_finite() || learning_rate < 0.0 {
            return Err(invalid(format!("learning_rate = {learning_rate}"), "a finite number of at least 0"));
        }
        let mut rule = self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let rule = &mut *rule;
        network.update(py, |values, gradient| rule.step(learning_rate, gradient, values))
    }
}

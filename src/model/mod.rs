//! Configuration and parameters: the equations' data.

mod parameters;
use crate::{Activation, Bias, Cell, Reset, Result, Settings};
pub use parameters::{Entry, Layout, Parameters};

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The recurrent cell.
    pub cell: Cell,
    /// The squashing function of a vanilla RNN.
    pub activation: Activation,
    /// Where a GRU applies its reset gate.
    pub reset: Reset,
    /// One bias vector or two.
    pub bias: Bias,
    /// Vocabulary V.
    pub vocabulary: usize,
    /// Embedding width E; `None` for one-hot input.
    pub embedding: Option<usize>,
    /// Hidden width H.
    pub hidden: usize,
    /// Layers L.
    pub layers: usize,
}

/// An immutable model: its shape and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    config: ModelConfig,
    parameters: Parameters,
}

impl Model {
    /// A model with parameters drawn as `settings` say (init, init-scale, forget-bias, seed).
    pub fn new(_settings: &Settings, _vocabulary: usize) -> Result<Self> {
        unimplemented!()
    }
    /// A model with given parameters; every name and shape is checked.
    pub fn with_parameters(_config: ModelConfig, _parameters: Parameters) -> Result<Self> {
        unimplemented!()
    }
    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }
    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

impl ModelConfig {
    /// The model part of a run's settings.
    pub fn new(_settings: &Settings, _vocabulary: usize) -> Result<Self> {
        unimplemented!()
    }
    /// Names, shapes and places of all parameters.
    pub fn layout(&self) -> Layout {
        unimplemented!()
    }
}

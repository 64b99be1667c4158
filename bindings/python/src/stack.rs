//! The layers themselves: in training a network that keeps its activations, in inference a view
//! that does not.

use crate::errors::raise;
use crate::shape::{Parameter, Shape};
use pyo3::prelude::*;
use std::sync::Arc;
use unrolled::exec::{Dynamic, Engine, State, Window};
use unrolled::model::{Model, Parameters};
use unrolled::network::Network;
use unrolled::{Precision, Result};

/// The owner of the parameters.
enum Owner {
    /// Layers that were not trained yet.
    Model(Arc<Model>),
    /// Layers with gradients and activations.
    Network(Box<Network>),
}

/// A stack of layers with its parameters.
pub struct Stack {
    owner: Owner,
    precision: Precision,
    threads: Option<usize>,
    /// The packed weights of inference, until the parameters change.
    inference: Option<(Engine, Dynamic)>,
}

impl Stack {
    /// Draws the parameters of a stack.
    pub fn new(shape: &Shape, seed: u64, precision: Precision, threads: Option<usize>) -> PyResult<Self> {
        let layers = shape.layers()?;
        let model = Model::of_layers(&layers, shape.input_size, None, seed).map_err(raise)?;
        let owner = Owner::Model(Arc::new(model));
        let mut stack = Self { owner, precision, threads, inference: None };
        let biases = shape.zero_biases(&stack.parameters().layout);
        if !biases.is_empty() {
            let clear = |values: &mut [f32]| biases.into_iter().for_each(|bias| values[bias].fill(0.0));
            stack.change(clear).map_err(raise)?;
        }
        Ok(stack)
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        match &self.owner {
            Owner::Model(model) => model.parameters(),
            Owner::Network(network) => network.model().parameters(),
        }
    }

    /// The gradients after the last backward pass.
    pub fn gradient(&self) -> Option<&Parameters> {
        match &self.owner {
            Owner::Model(_) => None,
            Owner::Network(network) => Some(network.gradient()),
        }
    }

    /// Changes the flat buffer of the parameters.
    pub fn change(&mut self, change: impl FnOnce(&mut [f32])) -> Result<()> {
        self.inference = None;
        match &mut self.owner {
            Owner::Network(network) => change(network.parameters_and_gradient().0),
            Owner::Model(model) => {
                let mut parameters = model.parameters().clone();
                change(&mut parameters.values);
                *model = Arc::new(Model::with_parameters(model.config().clone(), parameters)?);
            }
        }
        Ok(())
    }

    /// The flat buffers of the parameters, to be changed, and of the last gradient.
    pub fn buffers(&mut self) -> Result<(&mut [f32], &[f32])> {
        self.inference = None;
        self.prepare_training()?;
        match &mut self.owner {
            Owner::Network(network) => Ok(network.parameters_and_gradient()),
            Owner::Model(_) => Ok((&mut [], &[])),
        }
    }

    /// Returns true if a few values of each parameter are those of `given`.
    pub fn has(&self, parameters: &[Parameter], given: &[&[f32]]) -> bool {
        const SAMPLES: usize = 16;
        let own = &self.parameters().values;
        parameters.iter().zip(given).all(|(parameter, given)| {
            let own = &own[parameter.range.clone()];
            let stride = (own.len() / SAMPLES).max(1);
            (0..own.len()).step_by(stride).all(|i| own[i].to_bits() == given[i].to_bits())
        })
    }

    /// Makes the owner one that can train.
    fn prepare_training(&mut self) -> Result<()> {
        if let Owner::Model(model) = &self.owner {
            self.inference = None;
            let network = Network::with_precision(model.clone(), self.precision, self.threads)?;
            self.owner = Owner::Network(Box::new(network));
        }
        Ok(())
    }

    /// Runs a window and keeps what the backward pass needs.
    pub fn train(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<State> {
        self.prepare_training()?;
        match &mut self.owner {
            Owner::Network(network) => {
                network.forward(window, outputs)?;
                Ok(network.state())
            }
            Owner::Model(_) => Ok(State::default()),
        }
    }

    /// Runs a window without keeping activations. The window has an initial state.
    pub fn infer(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<State> {
        let (_, view) = self.inference()?;
        view.forward_window(window, outputs)?;
        Ok(view.state().unwrap_or_default())
    }

    /// Returns the packed weights of inference.
    pub fn engine(&mut self) -> Result<&Engine> {
        Ok(&self.inference()?.0)
    }

    fn inference(&mut self) -> Result<&mut (Engine, Dynamic)> {
        let (model, precision, threads) = (self.model(), self.precision, self.threads);
        match &mut self.inference {
            Some(inference) => Ok(inference),
            none => {
                let engine = Engine::with_precision(model, precision, threads)?;
                let view = Dynamic::of(&engine);
                Ok(none.insert((engine, view)))
            }
        }
    }

    fn model(&self) -> Arc<Model> {
        match &self.owner {
            Owner::Model(model) => model.clone(),
            Owner::Network(network) => network.model().clone(),
        }
    }

    /// Runs the backward pass of the last window of training.
    pub fn backward(&mut self, d_outputs: &[f32], d_state: Option<&State>) -> Result<()> {
        self.prepare_training()?;
        match &mut self.owner {
            Owner::Network(network) => network.backward(d_outputs, d_state),
            Owner::Model(_) => Ok(()),
        }
    }

    /// The gradients of the inputs and of the initial state after the last backward pass.
    pub fn d_inputs(&self) -> (&[f32], Option<&State>) {
        match &self.owner {
            Owner::Model(_) => (&[], None),
            Owner::Network(network) => (network.d_inputs(), Some(network.d_initial())),
        }
    }
}

//! Compares the gradients of a backward pass with numerical derivatives of the forward pass.

use super::passes::Network;
use crate::exec::{State, Window};
use crate::model::Model;
use crate::random::{DrawPurpose, Draws};
use crate::{Init, Layer, ModelSettings, Result};

/// Number of steps of the window.
const STEPS: usize = 4;
/// Number of steps of each row. One row ends early.
const LENGTHS: [usize; 3] = [4, 2, 4];
/// Step size of the numerical derivatives. Their error is about 1e-6 by the rounding of f32, and
/// less by the fifth derivative.
const DISTANCE: f32 = 1.0 / 64.0;

/// The difference between a backward pass and numerical derivatives, for one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The parameter's name, `inputs`, or `initial.h_l0` (`initial.h_l0_reverse`).
    pub tensor: String,
    /// The largest difference of any element.
    pub largest: f64,
    /// Index of that element.
    pub element: usize,
    /// The largest numerical derivative of the tensor.
    pub scale: f64,
}

impl Difference {
    /// Returns true if the difference is at most 2e-4 plus 2e-3 of the largest derivative, which
    /// rounding can cause. The difference of a wrong formula is much larger.
    pub fn holds(&self) -> bool {
        self.largest <= 2e-4 + 2e-3 * self.scale
    }
}

/// Runs a stack on vectors of `inputs` floats, forward and backward, and compares the gradients of
/// all parameters, of the inputs and of the initial state with central differences, extrapolated
/// from two step sizes. The window has four steps of three rows, one of which ends early. The loss
/// is the sum of all outputs and last states, each times a random number.
///
/// Dropout is off. Use small layers: the check runs four windows for each parameter.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for a stack that is invalid; otherwise as for
/// [`Model::of_layers`] and [`Network::new`].
pub fn check_gradients(stack: &[Layer], inputs: usize, seed: u64) -> Result<Vec<Difference>> {
    let settings = ModelSettings { init: Init::Uniform, init_scale: Some(0.5), ..ModelSettings::default() };
    let settings = ModelSettings { stack: stack.to_vec(), ..settings.on_vectors(inputs, None) };
    let model = Model::of_vectors(&settings, seed)?;
    let mut check = Check::new(model, inputs, seed)?;
    check.backward()?;
    let mut found = Vec::new();
    let names: Vec<_> = check.network.model().parameters().layout.entries().to_vec();
    for entry in names {
        let derivatives = check.network.gradient().values[entry.range.clone()].to_vec();
        let constant = check.network.is_constant(&entry.range);
        if !constant {
            found.push(check.compare(&entry.name, &derivatives, |check, i| {
                &mut check.network.parameters_and_gradient().0[entry.range.start + i]
            })?);
        }
    }
    let (d_inputs, d_initial) = (check.network.d_inputs().to_vec(), check.network.d_initial().clone());
    found.push(check.compare("inputs", &d_inputs, |check, i| &mut check.inputs[i])?);
    let directions: Vec<_> = check.network.model().config().directions().collect();
    for ((l, layer), direction) in d_initial.layers.iter().enumerate().zip(directions) {
        let name = format!("initial.h_{direction}");
        found.push(check.compare(&name, &layer.h, |check, i| &mut check.initial.layers[l].h[i])?);
        let name = format!("initial.c_{direction}");
        if !layer.c.is_empty() {
            found.push(check.compare(&name, &layer.c, |check, i| &mut check.initial.layers[l].c[i])?);
        }
    }
    Ok(found)
}

/// A network, its window, and the factors of its loss.
struct Check {
    network: Network,
    inputs: Vec<f32>,
    initial: State,
    outputs: Vec<f32>,
    /// The factor of each output in the loss, which is its gradient.
    d_outputs: Vec<f32>,
    /// The same for the last state.
    d_state: State,
}

impl Check {
    fn new(mut model: Model, inputs: usize, seed: u64) -> Result<Self> {
        let rows = LENGTHS.len();
        let mut draws = Draws::new(seed, DrawPurpose::Init, u32::MAX, 0);
        let mut some = |count: usize| (0..count).map(|_| draws.uniform() * 2.0 - 1.0).collect::<Vec<f32>>();
        // Noise on all parameters: initial values of 0 or 1 would hide errors.
        let noise = some(model.parameters().values.len());
        let config = model.config().clone();
        let entries = model.parameters().layout.entries().to_vec();
        for entry in entries {
            let values = &mut model.parameters_mut().values[entry.range.clone()];
            values.iter_mut().zip(&noise[entry.range]).for_each(|(value, noise)| *value += 0.25 * noise);
        }
        let outputs = vec![0.0; STEPS * rows * config.output_width()];
        let d_outputs = some(outputs.len());
        let inputs = some(STEPS * rows * inputs);
        let [mut initial, mut d_state] = [State::zero(&config, rows), State::zero(&config, rows)];
        for layer in initial.layers.iter_mut().chain(&mut d_state.layers) {
            (layer.h, layer.c) = (some(layer.h.len()), some(layer.c.len()));
        }
        let mut network = Network::new(model, Some(1))?;
        network.zero_constants();
        Ok(Self { network, inputs, initial, outputs, d_outputs, d_state })
    }

    fn forward(&mut self) -> Result<f64> {
        let window = Window {
            lengths: Some(&LENGTHS),
            initial: Some(&self.initial),
            ..Window::new(STEPS, LENGTHS.len(), &self.inputs)
        };
        self.network.forward(&window, &mut self.outputs)?;
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let layers = self.network.state().layers;
        let states = layers.iter().zip(&self.d_state.layers);
        let last: f64 = states.map(|(a, b)| dot(&a.h, &b.h) + dot(&a.c, &b.c)).sum();
        Ok(dot(&self.outputs, &self.d_outputs) + last)
    }

    fn backward(&mut self) -> Result<()> {
        self.forward()?;
        self.network.backward(&self.d_outputs, Some(&self.d_state))
    }

    /// Returns the numerical derivative for the number that `of` finds: (4 D(h) - D(2 h)) / 3.
    fn difference(&mut self, of: &impl Fn(&mut Self) -> &mut f32) -> Result<f64> {
        let value = *of(self);
        let mut at = |distance: f32| {
            *of(self) = value + distance;
            self.forward()
        };
        let near = (at(DISTANCE)? - at(-DISTANCE)?) / (2.0 * f64::from(DISTANCE));
        let far = (at(2.0 * DISTANCE)? - at(-2.0 * DISTANCE)?) / (4.0 * f64::from(DISTANCE));
        *of(self) = value;
        Ok((4.0 * near - far) / 3.0)
    }

    fn compare(
        &mut self,
        name: &str,
        derivatives: &[f32],
        of: impl Fn(&mut Self, usize) -> &mut f32,
    ) -> Result<Difference> {
        let mut found = Difference { tensor: name.to_owned(), largest: 0.0, element: 0, scale: 0.0 };
        for (element, derivative) in derivatives.iter().enumerate() {
            let expected = self.difference(&|check| of(check, element))?;
            let distance = (f64::from(*derivative) - expected).abs();
            found.scale = found.scale.max(expected.abs());
            // A NaN counts as the largest difference.
            let distance = if distance.is_nan() { f64::INFINITY } else { distance };
            if distance > found.largest {
                (found.largest, found.element) = (distance, element);
            }
        }
        Ok(found)
    }
}

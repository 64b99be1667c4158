//! A gradient checker: what a backward pass says, beside differences of what the forward pass gives.

use super::passes::Network;
use crate::exec::{State, Window};
use crate::model::Model;
use crate::random::{DrawPurpose, Draws};
use crate::{Init, Layer, ModelSettings, Result};

/// Steps and rows of the window, one of whose rows is shorter.
const STEPS: usize = 4;
const LENGTHS: [usize; 3] = [4, 2, 4];
/// The distance of the differences. Their error is about 1e-6 from f32's rounding and less from the fifth derivative.
const DISTANCE: f32 = 1.0 / 64.0;

/// How far a backward pass is from the differences, for one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The parameter's name, `inputs`, or `initial.h_l0`.
    pub tensor: String,
    /// The largest distance of a derivative from its difference.
    pub largest: f64,
    /// The number of that element.
    pub element: usize,
    /// The largest derivative of the tensor, by differences.
    pub scale: f64,
}

impl Difference {
    /// Whether the distance is one of rounding: within 2e-3 of the largest derivative, and never more than 2e-4 + that. A
    /// wrong formula is off by far more.
    pub fn holds(&self) -> bool {
        self.largest <= 2e-4 + 2e-3 * self.scale
    }
}

/// Runs a stack on vectors of `inputs` floats, forward and backward, and compares every derivative (of all parameters, of
/// the inputs and of the first state) with central differences, extrapolated from two distances. The loss is a random sum
/// over outputs and last states, over four steps of three rows, one of which ends early.
///
/// Dropout is off: its masks are constants like others. Meant for small layers, for each parameter takes four windows.
///
/// # Errors
/// A stack that is invalid.
pub fn check_gradients(stack: &[Layer], inputs: usize, seed: u64) -> Result<Vec<Difference>> {
    let settings = ModelSettings { init: Init::Uniform, init_scale: Some(0.5), ..ModelSettings::default() };
    let model = Model::of_stack(stack, inputs, &settings, seed)?;
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
    for (l, layer) in d_initial.layers.iter().enumerate() {
        let name = format!("initial.h_l{l}");
        found.push(check.compare(&name, &layer.h, |check, i| &mut check.initial.layers[l].h[i])?);
        let name = format!("initial.c_l{l}");
        if !layer.c.is_empty() {
            found.push(check.compare(&name, &layer.c, |check, i| &mut check.initial.layers[l].c[i])?);
        }
    }
    Ok(found)
}

/// A window, and the weights of its loss.
struct Check {
    network: Network,
    inputs: Vec<f32>,
    initial: State,
    outputs: Vec<f32>,
    /// Gradients of outputs and of the last state.
    d_outputs: Vec<f32>,
    d_state: State,
}

impl Check {
    fn new(mut model: Model, inputs: usize, seed: u64) -> Result<Self> {
        let rows = LENGTHS.len();
        let mut draws = Draws::new(seed, DrawPurpose::Init, u32::MAX, 0);
        let mut some = |count: usize| (0..count).map(|_| draws.uniform() * 2.0 - 1.0).collect::<Vec<f32>>();
        // Constants too are moved from where they start, so that no derivative hides behind a zero.
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

    /// The derivative by differences of the number that `of` finds: (4 D(h) - D(2 h)) / 3.
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
            // A derivative that is not a number is as far off as can be.
            let distance = if distance.is_nan() { f64::INFINITY } else { distance };
            if distance > found.largest {
                (found.largest, found.element) = (distance, element);
            }
        }
        Ok(found)
    }
}

//! Gradients of bidirectional stacks, compared with numerical derivatives.

use super::bidirectional_stacks::{
    INPUTS, LENGTHS, STEPS, inputs, layers, random, random_state, stack, window,
};
use super::custom_cells::pair;
use unrolled::exec::OutputSteps;
use unrolled::model::Model;
use unrolled::network::{
    BidirectionalStack, Dropout, Highway, Layer, LayerState, State, Variational, Window,
};
use unrolled::optim::Optimizer;
use unrolled::{ModelSettings, OptimizerSettings};

/// A stack with a window and the factors of its loss, the sum of all outputs and last states.
struct Loss {
    stack: BidirectionalStack,
    inputs: Vec<f32>,
    initial: State,
    d_outputs: Vec<f32>,
    d_state: State,
    output_steps: OutputSteps,
}

impl Loss {
    fn new(stack: BidirectionalStack, output_steps: OutputSteps) -> Self {
        let tokens = if output_steps == OutputSteps::Last { 1 } else { STEPS } * LENGTHS.len();
        let d_outputs = random(2, tokens * stack.output_size());
        let [initial, d_state] = [20, 40].map(|seed| random_state(&stack, seed));
        Self { stack, inputs: inputs(), initial, d_outputs, d_state, output_steps }
    }

    fn forward(&mut self) -> f64 {
        let dropout = Some(Dropout { probability: 0.25, seed: 3, step: 4 });
        let (initial, output_steps) = (Some(&self.initial), self.output_steps);
        let window = Window { initial, dropout, output_steps, ..window(&self.inputs) };
        let mut outputs = vec![f32::NAN; self.d_outputs.len()];
        self.stack.forward(&window, &mut outputs).unwrap();
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let states = self.stack.state().layers;
        let last = states.iter().zip(&self.d_state.layers);
        dot(&outputs, &self.d_outputs) + last.map(|(a, b)| dot(&a.h, &b.h) + dot(&a.c, &b.c)).sum::<f64>()
    }

    /// Compares derivatives with central differences, extrapolated from two step sizes.
    fn compare(&mut self, what: &str, found: &[f32], of: impl Fn(&mut Self, usize) -> &mut f32) {
        for (i, found) in found.iter().enumerate() {
            let value = *of(self, i);
            let mut at = |distance: f32| {
                *of(self, i) = value + distance;
                self.forward()
            };
            let h = 1.0 / 64.0;
            let [near, far] = [h, 2.0 * h].map(|h| (at(h) - at(-h)) / f64::from(2.0 * h));
            *of(self, i) = value;
            let expected = (4.0 * near - far) / 3.0;
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference <= 3e-4 + 2e-3 * expected.abs(), "{what}[{i}]: {found}, expected {expected}");
        }
    }

    fn check(&mut self) {
        self.forward();
        let (d_outputs, d_state) = (self.d_outputs.clone(), self.d_state.clone());
        self.stack.backward(&d_outputs, Some(&d_state)).unwrap();
        let gradient = self.stack.gradient().clone();
        let (d_inputs, d_initial) = (self.stack.d_inputs().to_vec(), self.stack.d_initial().clone());
        for (entry, values) in gradient.iter() {
            let start = entry.range.start;
            self.compare(&entry.name, values, |loss, i| {
                &mut loss.stack.parameters_and_gradient().0[start + i]
            });
        }
        self.compare("inputs", &d_inputs, |loss, i| &mut loss.inputs[i]);
        for (l, LayerState { h, c }) in d_initial.layers.iter().enumerate() {
            self.compare(&format!("h {l}"), h, |loss, i| &mut loss.initial.layers[l].h[i]);
            self.compare(&format!("c {l}"), c, |loss, i| &mut loss.initial.layers[l].c[i]);
        }
    }
}

/// Dropout is on: its masks are the same in every pass.
#[test]
fn gradients_match_differences() {
    for output_steps in [OutputSteps::Every, OutputSteps::Last] {
        Loss::new(stack(&layers(), 1), output_steps).check();
    }
    let custom = [Layer::custom(pair(2)), Layer { coupled: true, ..Layer::lstm(3) }];
    Loss::new(stack(&custom, 1), OutputSteps::Every).check();
}

#[test]
fn the_directions_of_a_layer_may_differ() {
    let model =
        |layer: Layer, inputs| Model::of_stack(&[layer], inputs, &ModelSettings::default(), 1).unwrap();
    let dropped = Layer { state_keep_prob: 0.5, variational: Variational::PerRow, ..Layer::lstm(2) };
    let models = vec![
        [model(Layer::lstm(2), INPUTS), model(Layer::gru(3), INPUTS)],
        [model(Layer { highway: Highway::Coupled, ..Layer::rnn(5) }, 5), model(dropped, 5)],
    ];
    let stack = BidirectionalStack::new(models, Some(1)).unwrap();
    assert_eq!(stack.output_size(), 7);
    Loss::new(stack, OutputSteps::Every).check();
}

#[test]
fn an_optimizer_trains_all_layers() {
    let mut stack = stack(&[Layer::lstm(4), Layer::lstm(4)], 1);
    let before = stack.parameters().clone();
    let settings = OptimizerSettings::default();
    let mut optimizer = Optimizer::new(&settings, before.values.len(), Some(1)).unwrap();
    let (inputs, targets) = (inputs(), random(8, 20 * 8));
    let mut outputs = vec![0.0; 20 * 8];
    let mut losses = Vec::new();
    for _ in 0..60 {
        stack.forward(&Window::new(STEPS, 4, &inputs), &mut outputs).unwrap();
        let d_outputs: Vec<f32> = outputs.iter().zip(&targets).map(|(y, t)| y - t).collect();
        losses.push(d_outputs.iter().map(|d| d * d).sum::<f32>());
        stack.backward(&d_outputs, None).unwrap();
        let (parameters, gradient) = stack.parameters_and_gradient();
        optimizer.step(2e-2, gradient, parameters);
    }
    assert!(losses[59] < losses[0] / 2.0, "{losses:?}");
    let changed = stack.parameters().iter().zip(before.iter()).all(|((_, now), (_, before))| now != before);
    assert!(changed);
}

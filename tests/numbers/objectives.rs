//! The losses of windows: values against the formulas in f64, gradients against differences.

use super::{ids, noise};
use unrolled::exec::{Order, OutputSteps, Window};
use unrolled::loss::{Loss, Objective, Targets};
use unrolled::model::Model;
use unrolled::network::Network;
use unrolled::{Layer, ModelSettings};

const STEPS: usize = 5;
const LENGTHS: [usize; 4] = [3, 5, 1, 4];
const ROWS: usize = LENGTHS.len();
const INPUTS: usize = 3;
const OUTPUTS: usize = 2;
/// The distance of the differences. Extrapolated from two distances, they are off by about 1e-5: f32 rounds the outputs
/// to 1e-7, and the distance divides that.
const DISTANCE: f32 = 1.0 / 64.0;

fn values(seed: u32, count: usize) -> Vec<f32> {
    noise(seed, 2000).take(count).map(|n| n as f32 / 1000.0 - 1.0).collect()
}

fn network(threads: usize) -> Network {
    let both = Layer { bidirectional: true, ..Layer::gru(3) };
    let settings = ModelSettings::of_layers([both, Layer::lstm(5)]).on_vectors(INPUTS, OUTPUTS);
    Network::new(Model::of_vectors(&settings, 3).unwrap(), Some(threads)).unwrap()
}

/// A window, its targets and their weights.
struct Case {
    loss: Loss,
    output_steps: OutputSteps,
    order: Order,
    ragged: bool,
    inputs: Vec<f32>,
    targets: Vec<f32>,
    classes: Vec<u32>,
    weights: Option<Vec<f32>>,
}

impl Case {
    fn new(loss: Loss, output_steps: OutputSteps, order: Order, ragged: bool, weighted: bool) -> Self {
        let tokens = if output_steps == OutputSteps::Last { ROWS } else { STEPS * ROWS };
        // Targets from 0 to 1 for probabilities; far from the outputs for the kink of the absolute error.
        let shift = if loss == Loss::MeanAbsolute { 3.0 } else { 0.0 };
        let targets = values(5, tokens * OUTPUTS).iter().map(|t| 0.5 * t + 0.5 + shift).collect();
        let weights = weighted.then(|| values(8, tokens).iter().map(|w| w.abs()).collect());
        let (inputs, classes) = (values(6, STEPS * ROWS * INPUTS), ids(7, tokens, OUTPUTS));
        Self { loss, output_steps, order, ragged, inputs, targets, classes, weights }
    }

    fn window(&self) -> Window<'_> {
        let lengths = self.ragged.then_some(&LENGTHS[..]);
        let (order, output_steps) = (self.order, self.output_steps);
        Window { lengths, order, output_steps, ..Window::new(STEPS, ROWS, &self.inputs) }
    }

    fn objective(&self) -> Objective<'_> {
        let targets = match self.loss {
            Loss::CrossEntropy { .. } => Targets::Ids(&self.classes),
            _ => Targets::Values(&self.targets),
        };
        Objective { loss: self.loss, targets, weights: self.weights.as_deref() }
    }

    /// The loss by its formula, from the outputs.
    fn expected(&self, outputs: &[f32]) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for (token, y) in outputs.chunks_exact(OUTPUTS).enumerate() {
            let (step, row) = match (self.output_steps, self.order) {
                (OutputSteps::Last, _) => (0, token),
                (_, Order::TimeMajor | Order::Packed) => (token / ROWS, token % ROWS),
                (_, Order::BatchMajor) => (token % STEPS, token / STEPS),
            };
            if self.ragged && step >= LENGTHS[row] {
                continue;
            }
            let weight = self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[token]));
            let y: Vec<f64> = y.iter().map(|y| f64::from(*y)).collect();
            sum += weight * self.of_token(&y, token);
            total += weight;
        }
        sum / total
    }

    fn of_token(&self, y: &[f64], token: usize) -> f64 {
        let targets = self.targets[token * OUTPUTS..].iter().map(|t| f64::from(*t));
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            y.iter().zip(targets.clone()).map(|(y, t)| of(*y, t)).sum::<f64>() / OUTPUTS as f64
        };
        match self.loss {
            Loss::MeanSquared => mean(&|y, t| (y - t).powi(2)),
            Loss::MeanAbsolute => mean(&|y, t| (y - t).abs()),
            Loss::Huber { delta } => mean(&|y, t| {
                let (distance, delta) = ((y - t).abs(), f64::from(delta));
                if distance <= delta { distance.powi(2) / 2.0 } else { delta * (distance - delta / 2.0) }
            }),
            Loss::BinaryCrossEntropy => mean(&|y, t| {
                let p = 1.0 / (1.0 + (-y).exp());
                -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
            }),
            Loss::CrossEntropy { label_smoothing } => {
                let (log_sum, s) = (y.iter().map(|y| y.exp()).sum::<f64>().ln(), f64::from(label_smoothing));
                let mean = y.iter().sum::<f64>() / OUTPUTS as f64;
                log_sum - (1.0 - s) * y[self.classes[token] as usize] - s * mean
            }
        }
    }

    fn outputs(&self) -> Vec<f32> {
        let tokens = if self.output_steps == OutputSteps::Last { ROWS } else { STEPS * ROWS };
        vec![0.0; tokens * OUTPUTS]
    }
}

fn cases() -> Vec<Case> {
    let losses = [
        Loss::CROSS_ENTROPY,
        Loss::CrossEntropy { label_smoothing: 0.2 },
        Loss::BinaryCrossEntropy,
        Loss::MeanSquared,
        Loss::MeanAbsolute,
        Loss::Huber { delta: 0.3 },
    ];
    let forms = [
        (OutputSteps::Every, Order::TimeMajor, false, false),
        (OutputSteps::Every, Order::BatchMajor, true, true),
        (OutputSteps::Every, Order::TimeMajor, true, false),
        (OutputSteps::Last, Order::TimeMajor, false, true),
        (OutputSteps::Last, Order::BatchMajor, true, false),
    ];
    let of =
        |loss| forms.map(|(steps, order, ragged, weighted)| Case::new(loss, steps, order, ragged, weighted));
    losses.into_iter().flat_map(of).collect()
}

#[test]
fn losses_have_the_values_of_their_formulas() {
    for case in cases() {
        let (mut network, mut outputs) = (network(1), case.outputs());
        network.forward(&case.window(), &mut outputs).unwrap();
        let expected = case.expected(&outputs);
        let found = network.differentiate(&case.window(), &case.objective()).unwrap();
        let measured = network.evaluate(&case.window(), &case.objective()).unwrap().loss;
        for found in [found, measured] {
            // The kernel of the cross-entropy rounds to f32.
            assert!(
                (found - expected).abs() <= 2e-6 * (1.0 + expected),
                "{:?}: {found}, {expected}",
                case.loss
            );
        }
    }
}

#[test]
fn gradients_are_those_of_differences() {
    for mut case in cases() {
        let mut network = network(1);
        network.differentiate(&case.window(), &case.objective()).unwrap();
        let (gradient, d_inputs) = (network.gradient().clone(), network.d_inputs().to_vec());
        for (entry, derivatives) in gradient.iter() {
            let at = derivatives.len() / 2;
            let expected = difference(&case, &mut network, entry.range.start + at);
            check(&case, &entry.name, derivatives[at], expected);
        }
        let at = d_inputs.len() / 2;
        let expected = input_difference(&mut case, &mut network, at);
        check(&case, "inputs", d_inputs[at], expected);
    }
}

fn check(case: &Case, name: &str, found: f32, expected: f64) {
    let found = f64::from(found);
    let form = (case.loss, case.output_steps, case.order, case.ragged);
    // A difference across the point where the Huber loss becomes linear is off by its distance from there.
    let small = if matches!(case.loss, Loss::Huber { .. }) { 2e-4 } else { 3e-5 };
    assert!(
        (found - expected).abs() <= small + 1e-3 * expected.abs(),
        "{form:?}, {name}: {found}, {expected}"
    );
}

/// The derivative by one parameter, from two central differences.
fn difference(case: &Case, network: &mut Network, parameter: usize) -> f64 {
    let at = |by: f32| {
        network.parameters_and_gradient().0[parameter] += by;
        let loss = network.evaluate(&case.window(), &case.objective()).unwrap().loss;
        network.parameters_and_gradient().0[parameter] -= by;
        loss
    };
    extrapolated(at)
}

/// The derivative by one input, from two central differences.
fn input_difference(case: &mut Case, network: &mut Network, input: usize) -> f64 {
    extrapolated(|distance| {
        let value = case.inputs[input];
        case.inputs[input] = value + distance;
        let loss = network.evaluate(&case.window(), &case.objective()).unwrap().loss;
        case.inputs[input] = value;
        loss
    })
}

fn extrapolated(mut at: impl FnMut(f32) -> f64) -> f64 {
    let mut central = |distance: f32| (at(distance) - at(-distance)) / (2.0 * f64::from(distance));
    let (near, far) = (central(DISTANCE), central(2.0 * DISTANCE));
    (4.0 * near - far) / 3.0
}

#[test]
fn losses_and_gradients_do_not_depend_on_threads() {
    for case in cases() {
        let run = |threads| {
            let mut network = network(threads);
            let loss = network.differentiate(&case.window(), &case.objective()).unwrap();
            let bits: Vec<u32> = network.gradient().values.iter().map(|value| value.to_bits()).collect();
            (loss.to_bits(), bits)
        };
        let expected = run(1);
        assert!(run(2) == expected && run(3) == expected, "{:?}", case.loss);
    }
}

#[test]
fn bad_targets_are_errors() {
    let case = Case::new(Loss::MeanSquared, OutputSteps::Every, Order::TimeMajor, false, false);
    let refused = |objective: Objective<'_>| {
        network(1).differentiate(&case.window(), &objective).expect_err("a bad target").to_string()
    };
    let base = Objective::new(Loss::MeanSquared, &case.targets);
    let text = refused(Objective { targets: Targets::Values(&case.targets[1..]), ..base });
    assert!(text.contains("39 target values, expected 40, 2 for each of 20"), "{text}");
    let text = refused(Objective { targets: Targets::Ids(&case.classes), ..base });
    assert!(text.contains("class ids as targets, expected values"), "{text}");
    let text = refused(Objective::new(Loss::CROSS_ENTROPY, &case.targets));
    assert!(text.contains("values as targets, expected one class id"), "{text}");
    let mut classes = case.classes.clone();
    classes[6] = 2;
    let text = refused(Objective::new(Loss::CROSS_ENTROPY, &classes));
    assert!(text.contains("the id 2 among its targets at step 1 of row 2, expected ids below 2"), "{text}");
    let text = refused(Objective { loss: Loss::Huber { delta: 0.0 }, ..base });
    assert!(text.contains("delta = 0"), "{text}");
    let mut weights = vec![1.0; STEPS * ROWS];
    assert!(refused(Objective { weights: Some(&weights[1..]), ..base }).contains("19 weights"));
    weights[3] = -1.0;
    assert!(refused(Objective { weights: Some(&weights), ..base }).contains("the weight -1"));
    weights.fill(0.0);
    assert!(refused(Objective { weights: Some(&weights), ..base }).contains("weights of 0 alone"));
}

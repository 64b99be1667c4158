//! Windows for `thread_stress`: large vocabularies, the head by blocks, rows of different lengths,
//! vectors, target values with weights, and the outputs of the last step alone.

use super::thread_stress::{Case, Outcome};
use super::{batch, bits, ids, model};
use unrolled::exec::{Dropout, Order, OutputSteps, State, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::{Layer, Network};
use unrolled::{InputKind, ModelSettings, Settings};

const ROWS: usize = 17;

/// Lengths of rows, with no, one and all of `steps` steps among them.
fn lengths(steps: usize) -> Vec<usize> {
    (0..ROWS).map(|row| row * 7 % (steps + 1)).collect()
}

/// The results of a network: `outputs`, its gradients and its states.
fn left(network: &Network, outputs: &[f32]) -> Vec<u32> {
    let mut left = bits(outputs);
    left.extend(bits(&network.gradient().values));
    left.extend(bits(network.d_inputs()));
    for layer in network.state().layers.iter().chain(&network.d_initial().layers) {
        left.extend(bits(&layer.h));
        left.extend(bits(&layer.c));
    }
    left
}

/// Ids of a large vocabulary. With more than 512 tokens the head runs by blocks.
fn large_vocabulary(input: InputKind, vocabulary: usize, steps: usize) -> Case {
    let settings = Settings {
        model: ModelSettings { hidden: 24, embedding: Some(20), input, ..ModelSettings::default() },
        ..Settings::default()
    };
    let (model, window) = (model(&settings, vocabulary), batch(steps, ROWS, vocabulary));
    let (lengths, width) = (lengths(steps), vocabulary);
    let run = move |threads| {
        let mut network = Network::new(model.clone(), Some(threads)).unwrap();
        let dropout = Some(Dropout { probability: 0.2, seed: 1, step: 2 });
        let whole = Window { dropout, ..Window::new(steps, ROWS, &window.inputs) };
        let objective = Objective::new(Loss::CrossEntropy { label_smoothing: 0.1 }, &window.targets);
        let (mut all, mut losses) = (Vec::new(), Vec::new());
        for order in [Order::TimeMajor, Order::BatchMajor] {
            for lengths in [None, Some(&lengths[..])] {
                let window = Window { lengths, order, ..whole };
                losses.push(network.differentiate(&window, &objective).unwrap());
                all.extend(left(&network, &[]));
                let window = Window { dropout: None, ..window };
                let measure = network.evaluate(&window, &objective).unwrap();
                losses.extend([measure.loss, measure.accuracy]);
            }
        }
        let last = Window { lengths: Some(&lengths), output_steps: OutputSteps::Last, ..whole };
        let mut outputs = vec![f32::NAN; ROWS * width];
        network.forward(&last, &mut outputs).unwrap();
        network.backward(&outputs, None).unwrap();
        all.extend(left(&network, &outputs));
        (all, losses.iter().map(|loss| loss.to_bits()).collect())
    };
    ("large vocabulary", Box::new(run))
}

/// The logits of a window whose head runs by blocks, in either order.
fn logits_by_blocks() -> Case {
    let (vocabulary, steps) = (7000, 37);
    let settings =
        Settings { model: ModelSettings { hidden: 8, ..ModelSettings::default() }, ..Settings::default() };
    let (model, window, lengths) =
        (model(&settings, vocabulary), batch(steps, ROWS, vocabulary), lengths(steps));
    let run = move |threads| {
        let mut network = Network::new(model.clone(), Some(threads)).unwrap();
        let mut outputs = vec![f32::NAN; steps * ROWS * vocabulary];
        let sums = [Order::TimeMajor, Order::BatchMajor].map(|order| {
            let window =
                Window { lengths: Some(&lengths), order, ..Window::new(steps, ROWS, &window.inputs) };
            network.forward(&window, &mut outputs).unwrap();
            let places = outputs.iter().zip(1u64..).filter(|(logit, _)| **logit != 0.0);
            places.fold(0u64, |sum, (logit, place)| {
                sum.wrapping_mul(31).wrapping_add(place ^ u64::from(logit.to_bits()))
            })
        });
        (Vec::new(), sums.to_vec())
    };
    ("logits by blocks", Box::new(run))
}

/// Vectors with target values that have weights, from an initial state; and outputs and their
/// gradients in the caller's arrays.
fn vectors(stack: [Layer; 2], outputs: usize) -> Case {
    const STEPS: usize = 13;
    const WIDTH: usize = 37;
    let model = Model::of_layers(&stack, WIDTH, Some(outputs).filter(|outputs| *outputs > 0), 1).unwrap();
    let floats = |seed, count| ids(seed, count, 100).iter().map(|&id| id as f32 * 0.01).collect::<Vec<_>>();
    let width = model.config().output_width();
    let (inputs, targets) = (floats(5, STEPS * ROWS * WIDTH), floats(6, STEPS * ROWS * width));
    let (weights, lengths) = (floats(7, STEPS * ROWS), lengths(STEPS));
    let run = move |threads| -> Outcome {
        let mut network = Network::new(model.clone(), Some(threads)).unwrap();
        let mut initial: State = network.zero_state(ROWS);
        for (i, layer) in initial.layers.iter_mut().enumerate() {
            layer.h.iter_mut().chain(&mut layer.c).for_each(|value| *value = 0.1 * (i as f32 + 1.0));
        }
        let (mut all, mut losses) = (Vec::new(), Vec::new());
        for (order, output_steps) in [
            (Order::TimeMajor, OutputSteps::Every),
            (Order::BatchMajor, OutputSteps::Every),
            (Order::BatchMajor, OutputSteps::Last),
        ] {
            for lengths in [None, Some(&lengths[..])] {
                let initial = Some(&initial);
                let window = Window::new(STEPS, ROWS, &inputs);
                let window = Window { order, output_steps, lengths, initial, ..window };
                let tokens = if output_steps == OutputSteps::Last { ROWS } else { STEPS * ROWS };
                let mut values = vec![f32::NAN; tokens * width];
                network.forward(&window, &mut values).unwrap();
                network.backward(&values, initial).unwrap();
                all.extend(left(&network, &values));
                if outputs > 0 {
                    let objective = Objective::new(Loss::MeanSquared, &targets[..tokens * width]);
                    let objective = Objective { weights: Some(&weights[..tokens]), ..objective };
                    losses.push(network.differentiate(&window, &objective).unwrap().to_bits());
                    all.extend(left(&network, &[]));
                }
            }
        }
        (all, losses)
    };
    ("vectors", Box::new(run))
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let stack = [Layer { peepholes: true, ..Layer::lstm(40) }, Layer::gru(33)];
    let both = [Layer::lstm(40), Layer::gru(33)].map(|layer| Layer { bidirectional: true, ..layer });
    vec![
        large_vocabulary(InputKind::OneHot, 2000, 20),
        large_vocabulary(InputKind::Embedding, 2000, 20),
        large_vocabulary(InputKind::Embedding, 7000, 37),
        logits_by_blocks(),
        vectors(stack.clone(), 0),
        vectors(stack, 3),
        vectors(both.clone(), 0),
        vectors(both, 3),
    ]
}

//! Gradients in bf16 compared with central differences of the reference model in f64, and for more
//! models with the gradients in f32, which other tests compare with f64.
//!
//! Rounding to bf16 changes a number by at most 2^-9 of it. An element of a gradient is a sum of
//! products of two rounded numbers. The numbers come from sums of other rounded numbers: through the
//! layers, the steps, and back. If all errors of a chain of n roundings had one sign, the gradient
//! would be off by n 2^-9 of the sum of the absolute values of its terms. Errors have both signs, so
//! the bound here is 2^-6 of the length of a tensor's gradient: eight roundings of one sign.

use super::reference_model::ReferenceModel;
use super::{Differentiate, batch, cells, label, model};
use std::sync::Arc;
use unrolled::exec::Window;
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::{Highway, Layer, Network};
use unrolled::{Activation, InputKind, ModelSettings, Precision, Settings};

/// The largest relative error of the gradient of a tensor.
const BOUND: f64 = 1.0 / 64.0;

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Returns the largest relative error of the gradient of a tensor.
fn largest_error(settings: &Settings) -> f64 {
    let (model, batch) = (model(settings, 7), batch(6, 3, 7));
    let mut network = Network::with_precision(model.clone(), Precision::Bf16, Some(1)).unwrap();
    let objective = Objective::new(Loss::CROSS_ENTROPY, &batch.targets);
    let loss = network.differentiate(&Window::new(6, 3, &batch.inputs), &objective).unwrap();
    let mut reference = ReferenceModel::new(&model);
    let expected = reference.loss(&batch, None);
    assert!((loss - expected).abs() < BOUND * expected, "loss {loss} for {expected}");
    let mut largest = 0.0f64;
    for (entry, found) in network.gradient().iter() {
        let exact: Vec<f64> =
            entry.range.clone().map(|place| reference.derivative(place, &batch, None)).collect();
        let error = length(found.iter().zip(&exact).map(|(found, exact)| f64::from(*found) - exact));
        let relative = error / length(exact.iter().copied()).max(1e-3);
        assert!(relative < BOUND, "{}: {}: {relative:.5}", label(settings), entry.name);
        largest = largest.max(relative);
    }
    largest
}

/// In none of these models rounding moves a unit to the other side of the kink of ReLU.
#[test]
fn gradients_of_all_cells_are_within_their_bound() {
    for (hidden, layers, input) in
        [(5, 1, InputKind::OneHot), (17, 2, InputKind::Embedding), (24, 2, InputKind::OneHot)]
    {
        for cell in cells() {
            let settings = Settings {
                model: ModelSettings { hidden, layers, input, embedding: Some(6), ..cell.model },
                ..cell
            };
            let error = largest_error(&settings);
            assert!(error > 1e-5, "{}: an error of {error} is that of f32", label(&settings));
        }
    }
}

/// Returns the largest relative error of the gradient of a tensor in bf16, compared with the
/// gradient in f32.
fn error_in_f32(stack: &[Layer], [steps, rows]: [usize; 2], seed: u64) -> f64 {
    let settings =
        ModelSettings { stack: stack.to_vec(), embedding: Some(stack[0].hidden), ..ModelSettings::default() };
    let model = Arc::new(Model::new(&settings, 7, seed).unwrap());
    let batch = batch(steps, rows, 7);
    let gradient = |precision| {
        let mut network = Network::with_precision(model.clone(), precision, Some(1)).unwrap();
        network.run(&batch, None, None).unwrap();
        network.gradient().clone()
    };
    let [bf16, f32] = [Precision::Bf16, Precision::F32].map(gradient);
    let errors = bf16.iter().zip(f32.iter()).map(|((_, found), (_, exact))| {
        let error = found.iter().zip(exact).map(|(found, exact)| f64::from(*found) - f64::from(*exact));
        length(error) / length(exact.iter().map(|value| f64::from(*value))).max(1e-3)
    });
    errors.fold(0.0, f64::max)
}

/// Layers of `hidden` units of every kind whose gradient changes smoothly.
fn smooth_layers(hidden: usize) -> [Layer; 11] {
    let lstm = Layer::lstm(hidden);
    let rnn = |activation| Layer { activation, ..Layer::rnn(hidden) };
    [
        rnn(Activation::Tanh),
        rnn(Activation::Sigmoid),
        rnn(Activation::Identity),
        Layer::gru(hidden),
        Layer::gru_before(hidden),
        Layer { peepholes: true, ..lstm.clone() },
        Layer { projection: Some(hidden / 2), ..lstm.clone() },
        Layer { coupled: true, ..lstm.clone() },
        Layer { highway: Highway::Coupled, ..lstm.clone() },
        Layer { bidirectional: true, ..lstm.clone() },
        lstm,
    ]
}

#[test]
fn gradients_of_many_models_are_within_their_bound() {
    for (hidden, depth, window) in [(5, 1, [6, 3]), (17, 2, [6, 3]), (24, 1, [50, 8]), (24, 2, [50, 8])] {
        for layer in smooth_layers(hidden) {
            for seed in 1..=16 {
                let error = error_in_f32(&vec![layer.clone(); depth], window, seed);
                assert!(error < BOUND, "seed {seed}, {depth} layers {layer:?}: {error:.5}");
            }
        }
    }
}

/// A unit on the other side of a kink has another derivative, and layer normalization divides by a
/// deviation that may be small. So single gradients have no bound; their median has.
#[test]
fn gradients_with_relu_or_layer_normalization_are_usually_close() {
    let relu = Layer { activation: Activation::Relu, ..Layer::rnn(17) };
    for layer in [relu, Layer { layer_norm: true, ..Layer::lstm(17) }] {
        for depth in [1, 2] {
            let stack = vec![layer.clone(); depth];
            let mut errors: Vec<f64> = (1..=15).map(|seed| error_in_f32(&stack, [6, 3], seed)).collect();
            errors.sort_by(f64::total_cmp);
            assert!(errors[7] < 2.0 * BOUND, "{depth} layers {layer:?}: a median of {:.5}", errors[7]);
        }
    }
}

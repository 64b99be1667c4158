//! Gradients in bf16 compared with central differences of the reference model in f64.
//!
//! Rounding to bf16 changes a number by at most 2^-9 of it. An element of a gradient is a sum of
//! products of two rounded numbers. The numbers come from sums of other rounded numbers: through the
//! layers, the steps, and back. If all errors of a chain of n roundings had one sign, the gradient
//! would be off by n 2^-9 of the sum of the absolute values of its terms. Errors have both signs, so
//! the bound here is 2^-6 of the length of a tensor's gradient: eight roundings of one sign.

use super::reference_model::ReferenceModel;
use super::{batch, cells, label, model};
use unrolled::exec::Window;
use unrolled::loss::{Loss, Objective};
use unrolled::network::Network;
use unrolled::{InputKind, ModelSettings, Precision, Settings};

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

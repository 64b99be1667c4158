//! A run whose numbers leave the finite ends with an error, and keeps what it had.

use super::{bits, run_of, text};
use unrolled::train::Training;
use unrolled::{Activation, Cell, Error, OptimizerKind, Settings};

fn settings(cell: Cell) -> Settings {
    let model = Settings { cell, activation: Activation::Relu, ..Settings::default() };
    Settings { hidden: 8, batch: 3, steps: 8, clip: 0.0, max_steps: Some(100), ..run_of(&model, 0.0) }
}

/// Steps until one fails: the error, and the parameters before and after it.
fn diverged(mut training: Training) -> (Error, Vec<u32>, Vec<u32>) {
    loop {
        let before = bits(&training.model().parameters().values);
        if let Err(error) = training.step() {
            return (error, before, bits(&training.model().parameters().values));
        }
        assert!(!training.is_done(), "nothing diverged");
    }
}

#[test]
fn of_an_absurd_learning_rate() {
    let optimizer = OptimizerKind::Sgd;
    let settings = Settings { learning_rate: 1e9, optimizer, ..settings(Cell::Rnn) };
    let training = Training::new(text(200), settings, Some(1)).unwrap();
    let (error, before, after) = diverged(training);
    assert!(before == after, "the parameters moved");
    let message = error.to_string();
    let Error::NotFinite { step, loss, gradient_norm, learning_rate } = error else { panic!("{message}") };
    assert!(step > 1 && !(loss.is_finite() && gradient_norm.is_finite()) && learning_rate == 1e9);
    assert!(
        message.contains(&format!("at step {step}: training diverged; try a lower learning-rate")),
        "{message}"
    );
}

#[test]
fn of_parameters_that_are_not_finite() {
    for cell in [Cell::Rnn, Cell::Lstm, Cell::Gru] {
        for (name, value) in [
            ("head.weight", f32::INFINITY),
            ("head.bias", f32::NAN),
            ("head.bias", f32::INFINITY),
            ("rnn.weight_hh_l0", f32::NAN),
            ("rnn.bias_ih_l0", f32::NAN),
            ("embedding.weight", f32::NAN),
        ] {
            let settings = settings(cell);
            let mut checkpoint = Training::new(text(200), settings.clone(), Some(1)).unwrap().checkpoint();
            checkpoint.parameters.get_mut(name).unwrap().fill(value);
            let training = Training::resume(text(200), checkpoint, settings, Some(1)).unwrap();
            let (error, before, after) = diverged(training);
            assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{name} = {value}: {error}");
            assert!(before == after, "{name} = {value}: the parameters moved");
        }
    }
}

//! Gradients compared with central differences of the reference model in f64.

use super::gradients;
use super::reference_model::ReferenceModel;
use super::{batch, cells, close, label, model, noise};
use std::sync::Arc;
use unrolled::corpus::{Batch, Batches, Corpus};
use unrolled::exec::State;
use unrolled::model::Model;
use unrolled::train::Training;
use unrolled::{
    Bias, DataSettings, InputKind, ModelSettings, OptimizerKind, OptimizerSettings, Reduction, RunSettings,
    ScheduleSettings, Settings, Unit,
};

/// A state with values between -0.5 and 0.5.
fn state(model: &Model, rows: usize) -> State {
    let mut state = State::zero(model.config(), rows);
    let mut numbers = noise(11, 1000).map(|n| n as f32 / 1000.0 - 0.5);
    for layer in &mut state.layers {
        layer.h.iter_mut().chain(&mut layer.c).for_each(|value| *value = numbers.next().unwrap_or(0.0));
    }
    state
}

/// Compares the gradients of the parameters for which `check` is true, by their index in the flat
/// parameter buffer.
pub fn assert_gradients(
    what: &str,
    model: &Model,
    batch: &Batch,
    initial: Option<&State>,
    check: impl Fn(usize) -> bool,
) {
    let (loss, gradient, _) = gradients(model.clone(), batch, initial, Some(1)).unwrap();
    let mut reference = ReferenceModel::new(model);
    assert!(close(loss, reference.loss(batch, initial)), "{what}: loss {loss}");
    for (entry, values) in gradient.iter() {
        for (i, &found) in values.iter().enumerate().filter(|(i, _)| check(entry.range.start + i)) {
            let expected = reference.derivative(entry.range.start + i, batch, initial);
            assert!(close(found.into(), expected), "{what}: {}[{i}]: {found} for {expected}", entry.name);
        }
    }
}

fn check_all(hidden: usize, layers: usize, input: InputKind) {
    for cell in cells() {
        let settings = Settings {
            model: ModelSettings { hidden, layers, input, embedding: Some(3), ..cell.model },
            ..cell
        };
        let (model, batch) = (model(&settings, 5), batch(3, 2, 5));
        assert_gradients(&label(&settings), &model, &batch, Some(&state(&model, 2)), |_| true);
    }
}

#[test]
fn gradients_of_one_unit() {
    check_all(1, 1, InputKind::OneHot);
    check_all(1, 3, InputKind::Embedding);
}

#[test]
fn gradients_of_less_than_a_block() {
    check_all(5, 1, InputKind::Embedding);
    check_all(5, 3, InputKind::OneHot);
}

#[test]
fn gradients_of_one_block() {
    check_all(16, 1, InputKind::OneHot);
    check_all(16, 2, InputKind::Embedding);
}

#[test]
fn gradients_of_a_block_and_one_unit() {
    check_all(17, 1, InputKind::Embedding);
    check_all(17, 2, InputKind::OneHot);
}

#[test]
fn gradients_of_two_blocks_and_one_unit() {
    check_all(33, 1, InputKind::Embedding);
}

#[test]
fn gradients_from_the_zero_state_of_a_long_window() {
    for cell in cells() {
        let settings = Settings { model: ModelSettings { hidden: 4, layers: 2, ..cell.model }, ..cell };
        let (model, batch) = (model(&settings, 6), batch(25, 3, 6));
        assert_gradients(&label(&settings), &model, &batch, None, |_| true);
    }
}

/// The first window of a run, and the gradient of its first step: plain descent at learning rate 1.
fn first_step(settings: &Settings) -> (Arc<Model>, Batch, f64, Vec<f32>) {
    let corpus = || Corpus::from_text("abcabbaccabdacbdadbcab".repeat(3), Unit::Char).unwrap();
    let RunSettings { windows, batch: rows, steps, seed, .. } = settings.run;
    let mut batch = Batch::default();
    let whole = corpus();
    Batches::new(0..whole.len(), windows, rows, steps, seed).unwrap().fill(&whole, 0, &mut batch);
    let mut training = Training::new(corpus(), settings.clone(), Some(1)).unwrap();
    let before = training.model().clone();
    let loss = training.step().unwrap().loss;
    let after = &training.model().parameters().values;
    let moved = before.parameters().values.iter().zip(after).map(|(before, after)| before - after).collect();
    (before, batch, loss, moved)
}

fn assert_first_step(settings: &Settings, factor: f64) {
    let (model, batch, loss, moved) = first_step(settings);
    let mut reference = ReferenceModel::new(&model);
    reference.dropout = Some((settings.model.dropout, settings.run.seed));
    assert!(close(loss, reference.loss(&batch, None)), "{}: loss {loss}", label(settings));
    for entry in model.parameters().layout.entries() {
        let constant = settings.model.bias == Bias::Single && entry.name.contains("bias_hh");
        for at in entry.range.clone() {
            let expected = if constant { 0.0 } else { factor * reference.derivative(at, &batch, None) };
            let found = moved[at];
            // One more rounding than in a gradient: that of a parameter of about 1.
            assert!(
                close(found.into(), expected),
                "{}: {}: {found} for {expected}",
                label(settings),
                entry.name
            );
        }
    }
}

fn descent(cell: Settings) -> Settings {
    Settings {
        model: ModelSettings { hidden: 6, layers: 2, embedding: Some(3), ..cell.model },
        optimizer: OptimizerSettings { kind: OptimizerKind::Sgd, clip: 0.0, ..cell.optimizer },
        schedule: ScheduleSettings::constant(1.0),
        data: DataSettings { val_fraction: 0.0, ..cell.data },
        run: RunSettings { batch: 3, steps: 4, max_steps: Some(1), ..cell.run },
    }
}

#[test]
fn gradients_of_a_training_step_with_dropout() {
    for cell in cells() {
        let mut settings = descent(cell);
        settings.model.dropout = 0.4;
        settings.run.seed = 5;
        assert_first_step(&settings, 1.0);
    }
}

#[test]
fn gradients_of_a_step_that_sums_over_steps_with_a_single_bias() {
    for cell in cells() {
        let mut settings = descent(cell);
        settings.model.bias = Bias::Single;
        settings.run.loss_reduction = Reduction::SumSteps;
        assert_first_step(&settings, 4.0);
    }
}

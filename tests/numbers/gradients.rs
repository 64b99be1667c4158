//! Gradients against central differences of the f64 twin.

use super::twin::Twin;
use super::{batch, cells, close, label, model, noise};
use unrolled::corpus::Batch;
use unrolled::exec::State;
use unrolled::model::Model;
use unrolled::train::gradients;
use unrolled::{InputKind, Settings};

/// A state of numbers between -0.5 and 0.5.
fn state(model: &Model, rows: usize) -> State {
    let mut state = State::zero(model.config(), rows);
    let mut numbers = noise(11, 1000).map(|n| n as f32 / 1000.0 - 0.5);
    for layer in &mut state.layers {
        layer.h.iter_mut().chain(&mut layer.c).for_each(|value| *value = numbers.next().unwrap_or(0.0));
    }
    state
}

/// Compares the gradients of the parameters whose place in the arena `check` names.
pub fn assert_gradients(
    what: &str,
    model: &Model,
    batch: &Batch,
    initial: Option<&State>,
    check: impl Fn(usize) -> bool,
) {
    let (loss, gradient, _) = gradients(model, batch, initial, Some(1)).unwrap();
    let mut twin = Twin::new(model);
    assert!(close(loss, twin.loss(batch, initial)), "{what}: loss {loss}");
    for (entry, values) in gradient.iter() {
        for (i, &found) in values.iter().enumerate().filter(|(i, _)| check(entry.range.start + i)) {
            let expected = twin.derivative(entry.range.start + i, batch, initial);
            assert!(close(found.into(), expected), "{what}: {}[{i}]: {found} for {expected}", entry.name);
        }
    }
}

fn check_all(hidden: usize, layers: usize, input: InputKind) {
    for cell in cells() {
        let settings = Settings { hidden, layers, input, embedding: Some(3), ..cell };
        let (model, batch) = (model(&settings, 5), batch(3, 2, 5));
        assert_gradients(&label(&settings), &model, &batch, Some(&state(&model, 2)), |_| true);
    }
}

#[test]
fn of_one_unit() {
    check_all(1, 1, InputKind::OneHot);
    check_all(1, 3, InputKind::Embedding);
}

#[test]
fn of_less_than_a_block() {
    check_all(5, 1, InputKind::Embedding);
    check_all(5, 3, InputKind::OneHot);
}

#[test]
fn of_one_block() {
    check_all(16, 1, InputKind::OneHot);
    check_all(16, 2, InputKind::Embedding);
}

#[test]
fn of_a_block_and_one() {
    check_all(17, 1, InputKind::Embedding);
    check_all(17, 2, InputKind::OneHot);
}

#[test]
fn of_two_blocks_and_one() {
    check_all(33, 1, InputKind::Embedding);
}

#[test]
fn from_the_zero_state_of_a_long_window() {
    for cell in cells() {
        let settings = Settings { hidden: 4, layers: 2, ..cell };
        let (model, batch) = (model(&settings, 6), batch(25, 3, 6));
        assert_gradients(&label(&settings), &model, &batch, None, |_| true);
    }
}

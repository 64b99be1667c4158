//! Models of vectors: plans, dynamic windows, streams and networks give the same bits.

use super::custom_cells::pair;
use super::ragged::row_of;
use super::stacks::stacks;
use super::{bits, noise};
use std::sync::Arc;
use unrolled::Highway;
use unrolled::exec::{Dynamic, Order, Plan, State, Stream, Window};
use unrolled::model::Model;
use unrolled::network::{Layer, Network};

pub const STEPS: usize = 9;
pub const ROWS: usize = 8;
pub const WIDTH: usize = 12;
/// Not sorted; none, one and all of the steps among them.
pub const LENGTHS: [usize; ROWS] = [4, 9, 0, 7, 7, 1, 9, 8];

/// Numbers from -1 to 1.
pub fn values(seed: u32, count: usize) -> Vec<f32> {
    noise(seed, 2001).take(count).map(|n| n as f32 / 1000.0 - 1.0).collect()
}

/// Stacks with every option, and some that are wide enough for windows to be divided among threads.
fn all_stacks() -> Vec<Vec<Layer>> {
    let wide = [
        vec![Layer::lstm(48)],
        vec![Layer::gru(50), Layer { residual: true, ..Layer::gru(50) }],
        vec![Layer { projection: Some(20), peepholes: true, ..Layer::lstm(64) }, Layer::rnn(70)],
        vec![Layer::rnn(40), Layer { highway: Highway::Coupled, ..Layer::gru_before(40) }],
        vec![Layer::custom(pair(5)), Layer::lstm(40)],
    ];
    stacks().into_iter().chain(wide).collect()
}

/// Every stack by itself, and with a head of three outputs.
pub fn models() -> Vec<Arc<Model>> {
    let both = |stack: Vec<Layer>| {
        let alone = Model::of_layers(&stack, WIDTH, None, 1).unwrap();
        let with_head = Model::of_layers(&stack, WIDTH, 3, 1).unwrap();
        [alone, with_head].map(Arc::new)
    };
    all_stacks().into_iter().flat_map(both).collect()
}

pub fn label(model: &Model) -> String {
    format!("{} outputs of {:?}", model.config().outputs, model.config().stack)
}

/// [T, B, ..] in the order [B, T, ..], or back with T and B exchanged.
pub fn transposed<T: Copy>(values: &[T], [steps, rows]: [usize; 2]) -> Vec<T> {
    let width = values.len() / (steps * rows);
    let place = |row: usize, step: usize| &values[(step * rows + row) * width..][..width];
    (0..rows).flat_map(|row| (0..steps).flat_map(move |step| place(row, step))).copied().collect()
}

/// Returns the outputs and the state of a network of one thread.
fn expected(model: &Arc<Model>, window: &Window<'_>) -> (Vec<u32>, State) {
    let mut network = Network::new(model.clone(), Some(1)).unwrap();
    let mut outputs = vec![f32::NAN; window.steps * window.rows * model.config().output_width()];
    network.forward(window, &mut outputs).unwrap();
    (bits(&outputs), network.state())
}

/// A state of random numbers.
pub fn some_state(model: &Model, rows: usize) -> State {
    let mut state = State::zero(model.config(), rows);
    for (seed, layer) in (20..).step_by(2).zip(&mut state.layers) {
        (layer.h, layer.c) = (values(seed, layer.h.len()), values(seed + 1, layer.c.len()));
    }
    state
}

#[test]
fn plans_and_dynamic_windows_give_the_outputs_of_a_network() {
    let inputs = values(3, STEPS * ROWS * WIDTH);
    for model in models() {
        let initial = some_state(&model, ROWS);
        let window = Window { initial: Some(&initial), ..Window::new(STEPS, ROWS, &inputs) };
        let (outputs, end) = expected(&model, &window);
        let width = model.config().output_width();
        for threads in [1, 2, 3] {
            let what = format!("{threads} threads: {}", label(&model));
            let mut found = vec![f32::NAN; STEPS * ROWS * width];
            let mut plan = Plan::new(model.clone(), STEPS, ROWS, Some(threads)).unwrap();
            plan.set_state(&initial).unwrap();
            plan.forward(&inputs, &mut found).unwrap();
            assert!(bits(&found) == outputs && plan.state() == end, "plan on {what}");
            let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
            dynamic.set_state(&initial).unwrap();
            found.fill(f32::NAN);
            for steps in [0..4, 4..5, 5..STEPS] {
                let some = &inputs[steps.start * ROWS * WIDTH..steps.end * ROWS * WIDTH];
                let out = &mut found[steps.start * ROWS * width..steps.end * ROWS * width];
                dynamic.forward(some, ROWS, out).unwrap();
            }
            assert!(bits(&found) == outputs, "pieces on {what}");
            assert!(dynamic.state() == Some(end.clone()), "state after pieces on {what}");
        }
    }
}

#[test]
fn streams_give_the_outputs_of_a_network() {
    let inputs = values(3, STEPS * ROWS * WIDTH);
    for model in models() {
        let (outputs, end) = expected(&model, &Window::new(STEPS, ROWS, &inputs));
        let width = model.config().output_width();
        let mut stream = Stream::with_rows(model.clone(), ROWS).unwrap();
        for (step, outputs) in inputs.chunks(ROWS * WIDTH).zip(outputs.chunks(ROWS * width)) {
            assert!(bits(stream.step(step).unwrap()) == outputs, "{}", label(&model));
        }
        assert!(stream.state() == end, "state: {}", label(&model));
        for row in [0, ROWS - 1] {
            let mut stream = Stream::new(model.clone()).unwrap();
            let row_of_outputs = outputs.chunks(width).skip(row).step_by(ROWS);
            for (vector, outputs) in inputs.chunks(WIDTH).skip(row).step_by(ROWS).zip(row_of_outputs) {
                assert!(bits(stream.step(vector).unwrap()) == outputs, "row {row}: {}", label(&model));
            }
            assert!(stream.state() == row_of(&end, row), "state of row {row}: {}", label(&model));
        }
    }
}

/// Inputs whose padding is not a number.
pub fn ragged_inputs() -> Vec<f32> {
    let mut inputs = values(3, STEPS * ROWS * WIDTH);
    for (token, vector) in inputs.chunks_mut(WIDTH).enumerate() {
        if token / ROWS >= LENGTHS[token % ROWS] {
            vector.fill(f32::NAN);
        }
    }
    inputs
}

#[test]
fn rows_of_different_lengths_give_the_outputs_of_a_network_and_of_each_row_alone() {
    let inputs = ragged_inputs();
    for model in models() {
        let initial = some_state(&model, ROWS);
        let window =
            Window { lengths: Some(&LENGTHS), initial: Some(&initial), ..Window::new(STEPS, ROWS, &inputs) };
        let (outputs, end) = expected(&model, &window);
        let width = model.config().output_width();
        for threads in [1, 2, 3] {
            let mut found = vec![f32::NAN; STEPS * ROWS * width];
            let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
            dynamic.set_state(&initial).unwrap();
            dynamic.forward_ragged(&inputs, &LENGTHS, &mut found).unwrap();
            assert!(bits(&found) == outputs, "{threads} threads: {}", label(&model));
            assert!(dynamic.state() == Some(end.clone()), "state on {threads} threads: {}", label(&model));
        }
        for (row, length) in LENGTHS.into_iter().enumerate() {
            let mut stream = Stream::new(model.clone()).unwrap();
            stream.set_state(&row_of(&initial, row)).unwrap();
            for (step, vector) in inputs.chunks(WIDTH).skip(row).step_by(ROWS).enumerate() {
                let expected = &outputs[(step * ROWS + row) * width..][..width];
                match step < length {
                    true => assert!(bits(stream.step(vector).unwrap()) == expected, "{}", label(&model)),
                    false => assert!(expected.iter().all(|bits| *bits == 0), "padding: {}", label(&model)),
                }
            }
            assert!(stream.state() == row_of(&end, row), "state of row {row}: {}", label(&model));
        }
    }
}

#[test]
fn batch_major_windows_give_the_outputs_of_time_major_ones() {
    let (even, ragged) = (values(3, STEPS * ROWS * WIDTH), ragged_inputs());
    for model in models() {
        for (inputs, lengths) in [(&even, None), (&ragged, Some(&LENGTHS[..]))] {
            let window = Window { lengths, ..Window::new(STEPS, ROWS, inputs) };
            let (outputs, end) = expected(&model, &window);
            let outputs = transposed(&outputs, [STEPS, ROWS]);
            let inputs = transposed(inputs, [STEPS, ROWS]);
            let window = Window { order: Order::BatchMajor, lengths, ..Window::new(STEPS, ROWS, &inputs) };
            let what = format!("{lengths:?}: {}", label(&model));
            let found = expected(&model, &window);
            assert!(found == (outputs.clone(), end.clone()), "network, {what}");
            let mut found = vec![f32::NAN; outputs.len()];
            let mut dynamic = Dynamic::new(model.clone(), Some(2)).unwrap();
            dynamic.forward_window(&window, &mut found).unwrap();
            assert!(bits(&found) == outputs && dynamic.state() == Some(end), "dynamic, {what}");
        }
    }
}

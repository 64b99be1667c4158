//! Invalid calls of inference are errors that say what was found and what is expected. They change
//! nothing: the state stays, and the next call gives the bits that it would have given.

use super::vectors::{some_state, values};
use super::{bits, ids};
use unrolled::exec::{Dropout, Dynamic, Engine, Inputs, OutputSteps, Plan, State, Window};
use unrolled::model::Model;
use unrolled::network::{Masks, Network, Site};
use unrolled::{Cell, Error, ModelSettings};

pub const STEPS: usize = 3;
pub const ROWS: usize = 2;
/// Tokens of a window.
pub const TOKENS: usize = STEPS * ROWS;
pub const SYMBOLS: usize = 5;
pub const WIDTH: usize = 4;

fn settings() -> ModelSettings {
    ModelSettings { cell: Cell::Lstm, hidden: 6, ..ModelSettings::default() }
}

/// A model of 5 symbols.
pub fn of_symbols() -> Model {
    Model::new(&settings(), SYMBOLS, 1).unwrap()
}

/// A model of vectors of 4 values with 3 outputs.
pub fn of_vectors() -> Model {
    Model::of_vectors(&settings().on_vectors(WIDTH, 3), 1).unwrap()
}

/// Inputs of a window that fit a model.
pub struct Good {
    ids: Vec<u32>,
    vectors: Vec<f32>,
}

impl Good {
    pub fn new() -> Self {
        Self { ids: ids(3, TOKENS, SYMBOLS), vectors: values(3, TOKENS * WIDTH) }
    }

    pub fn of(&self, model: &Model) -> Inputs<'_> {
        if model.config().reads_symbols() { (&self.ids).into() } else { (&self.vectors).into() }
    }
}

/// Inputs that do not fit a window of 3 steps by 2 rows, and the messages.
pub fn wrong_inputs(model: &Model) -> Vec<(Inputs<'static>, &'static str)> {
    const FIVE: [u32; TOKENS] = [0, 1, 2, 5, 4, 0];
    const ZEROS: [f32; TOKENS * WIDTH + 1] = [0.0; TOKENS * WIDTH + 1];
    match model.config().vocabulary {
        0 => vec![
            (Inputs::Vectors(&ZEROS), "found 25 values, expected 24, 4 for each of 6 tokens"),
            (Inputs::Vectors(&[]), "found 0 values, expected 24, 4 for each of 6 tokens"),
            (
                Inputs::Ids(&[0; 6]),
                "found token ids, expected vectors of 4 values: this model has no vocabulary",
            ),
        ],
        _ => vec![
            (Inputs::Ids(&FIVE[..5]), "found 5 ids, expected 6, one for each token"),
            (Inputs::Ids(&[]), "found 0 ids, expected 6, one for each token"),
            (Inputs::Ids(&FIVE), "found the id 5 among its inputs at step 1 of row 1, expected ids below 5"),
            (
                Inputs::Vectors(&ZEROS[..6]),
                "found vectors, expected ids below 5: this model has a vocabulary",
            ),
        ],
    }
}

pub fn assert_batch(error: &Error, expected: &str) {
    assert!(matches!(error, Error::Batch { .. }), "{error}");
    assert_eq!(error.to_string(), format!("invalid batch: {expected}"));
}

/// States that do not fit a model of one LSTM layer in a window of 2 rows.
pub fn wrong_states(model: &Model) -> Vec<State> {
    let two = Model::new(&ModelSettings { layers: 2, ..settings() }, SYMBOLS, 1).unwrap();
    let gru = Model::new(&ModelSettings { cell: Cell::Gru, ..settings() }, SYMBOLS, 1).unwrap();
    let mut torn = State::zero(model.config(), ROWS);
    torn.layers[0].c.pop();
    let lying = State { rows: ROWS, ..State::zero(model.config(), 3) };
    let of = |model: &Model, rows| State::zero(model.config(), rows);
    vec![of(model, 0), of(model, 1), of(model, 3), of(&two, ROWS), of(&gru, ROWS), torn, lying]
}

#[test]
fn an_invalid_call_of_a_plan_is_an_error_and_keeps_the_state() {
    let good = Good::new();
    for model in [of_symbols(), of_vectors()] {
        let width = model.config().output_width();
        let mut plan = Plan::new(model.clone(), STEPS, ROWS, Some(1)).unwrap();
        plan.set_state(&some_state(&model, ROWS)).unwrap();
        let mut outputs = vec![f32::NAN; TOKENS * width];
        plan.forward(good.of(&model), &mut outputs).unwrap();
        let before = plan.state();
        let written = bits(&outputs);
        for (inputs, expected) in wrong_inputs(&model) {
            assert_batch(&plan.forward(inputs, &mut outputs).unwrap_err(), expected);
        }
        let few = format!("found 7 outputs, expected {}, {width} for each of {TOKENS}", TOKENS * width);
        assert_batch(&plan.forward(good.of(&model), &mut outputs[..7]).unwrap_err(), &few);
        for state in wrong_states(&model) {
            let error = plan.set_state(&state).unwrap_err();
            assert!(matches!(error, Error::StateShape { .. }), "{error}");
        }
        assert!(plan.state() == before && bits(&outputs) == written);
        let mut untouched = Plan::new(model.clone(), STEPS, ROWS, Some(1)).unwrap();
        untouched.set_state(&before).unwrap();
        plan.forward(good.of(&model), &mut outputs).unwrap();
        let found = bits(&outputs);
        untouched.forward(good.of(&model), &mut outputs).unwrap();
        assert!(found == bits(&outputs) && plan.state() == untouched.state());
    }
}

#[test]
fn a_plan_without_tokens_or_beyond_all_memory_is_an_error() {
    let engine = Engine::new(of_vectors(), Some(1)).unwrap();
    for (steps, rows) in [(0, 2), (2, 0), (0, 0)] {
        let expected =
            format!("found a plan of {steps} steps by {rows} rows, expected at least one step and one row");
        let built = [
            Plan::new(of_vectors(), steps, rows, Some(1)).unwrap_err(),
            Plan::of(&engine, steps, rows).unwrap_err(),
            Network::planned(of_vectors(), steps, rows, Some(1)).unwrap_err(),
        ];
        built.iter().for_each(|error| assert_batch(error, &expected));
    }
    for (steps, rows) in [(1 << 45, 1), (1, 1 << 45), (usize::MAX, usize::MAX), (1 << 32, 1 << 32)] {
        let built = [
            Plan::new(of_vectors(), steps, rows, Some(1)).unwrap_err(),
            Plan::of(&engine, steps, rows).unwrap_err(),
            Network::planned(of_vectors(), steps, rows, Some(1)).unwrap_err(),
        ];
        for error in built {
            assert!(matches!(error, Error::Memory { .. }), "{error}");
        }
    }
    for threads in [0, 1025] {
        let error = Engine::new(of_vectors(), Some(threads)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("threads = {threads} is invalid")), "{error}");
    }
}

/// Windows that fit no model, with the messages. The last one is valid in training.
pub fn wrong_windows<'a>(good: Window<'a>, masks: &'a Masks) -> [(Window<'a>, &'static str); 4] {
    let dropout = Some(Dropout { probability: 0.5, seed: 1, step: 1 });
    [
        (Window { lengths: Some(&[3]), ..good }, "found 1 lengths, expected one for each of 2 rows"),
        (
            Window { lengths: Some(&[3, 4]), ..good },
            "found the length 4 of row 1, expected lengths up to the window's 3 steps",
        ),
        (
            Window { masks: Some(masks), ..good },
            "found 5 values in the mask Output of layer 0, expected 3 steps x 2 rows x 6 of them",
        ),
        (
            Window { dropout, ..good },
            "found dropout, expected none: inference drops nothing; train with Network",
        ),
    ]
}

pub fn some_masks() -> Masks {
    let mut masks = Masks::default();
    masks.set(0, Site::Output, vec![1.0; 5]);
    masks
}

/// Runs every invalid window, and asserts its error.
fn invalid_windows(dynamic: &mut Dynamic, model: &Model, good: &Good, outputs: &mut [f32]) {
    let (masks, width) = (some_masks(), model.config().output_width());
    let window = Window::new(STEPS, ROWS, good.of(model));
    for (window, expected) in wrong_windows(window, &masks) {
        assert_batch(&dynamic.forward_window(&window, outputs).unwrap_err(), expected);
    }
    for (inputs, expected) in wrong_inputs(model) {
        assert_batch(&dynamic.forward_window(&Window { inputs, ..window }, outputs).unwrap_err(), expected);
    }
    let last = Window { output_steps: OutputSteps::Last, ..window };
    let many = format!("found {} outputs, expected {}, {width} for each of 2", TOKENS * width, ROWS * width);
    assert_batch(&dynamic.forward_window(&last, outputs).unwrap_err(), &many);
    for rows in [0, 5, usize::MAX] {
        let error = dynamic.forward(good.of(model), rows, outputs).unwrap_err().to_string();
        assert!(error.contains("the same number of steps for each of its rows"), "{error}");
    }
    for state in wrong_states(model) {
        let initial = Window { initial: Some(&state), ..window };
        let error = dynamic.forward_window(&initial, outputs).unwrap_err();
        assert!(matches!(error, Error::StateShape { .. }), "{error}");
    }
    // A state of any number of rows may be set, but not of another model.
    for state in &wrong_states(model)[3..] {
        let error = dynamic.set_state(state).unwrap_err();
        assert!(matches!(error, Error::StateShape { .. }), "{error}");
    }
}

#[test]
fn an_invalid_dynamic_window_is_an_error_and_keeps_the_state() {
    let good = Good::new();
    for model in [of_symbols(), of_vectors()] {
        let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
        let mut outputs = vec![f32::NAN; TOKENS * model.config().output_width()];
        invalid_windows(&mut dynamic, &model, &good, &mut outputs);
        assert_eq!(dynamic.state(), None, "no window has run");
        dynamic.forward(good.of(&model), ROWS, &mut outputs).unwrap();
        let ran = dynamic.state().unwrap();
        for state in [ran, some_state(&model, ROWS)] {
            dynamic.set_state(&state).unwrap();
            let written = bits(&outputs);
            invalid_windows(&mut dynamic, &model, &good, &mut outputs);
            assert!(dynamic.state() == Some(state.clone()) && bits(&outputs) == written);
            dynamic.forward(good.of(&model), ROWS, &mut outputs).unwrap();
            let found = bits(&outputs);
            invalid_windows(&mut dynamic, &model, &good, &mut outputs);
            let initial = Window { initial: Some(&state), ..Window::new(STEPS, ROWS, good.of(&model)) };
            let mut fresh = Dynamic::new(model.clone(), Some(1)).unwrap();
            fresh.forward_window(&initial, &mut outputs).unwrap();
            assert!(found == bits(&outputs) && dynamic.state() == fresh.state());
        }
    }
}

#[test]
fn a_window_without_tokens_is_an_error() {
    let expected = "found 0 values, expected at least one token, and a size that memory can hold";
    let mut dynamic = Dynamic::new(of_vectors(), Some(1)).unwrap();
    let mut network = Network::new(of_vectors(), Some(1)).unwrap();
    for (steps, rows) in [(0, 2), (2, 0), (0, 0), (usize::MAX, 2), (0, usize::MAX)] {
        let window = Window::new(steps, rows, &[0.0; 0]);
        for output_steps in [OutputSteps::Every, OutputSteps::Last] {
            let window = Window { output_steps, ..window };
            assert_batch(&dynamic.forward_window(&window, &mut []).unwrap_err(), expected);
            assert_batch(&network.forward(&window, &mut []).unwrap_err(), expected);
        }
        let error = network.forward_list::<&[f32]>(&[], &window).unwrap_err();
        assert!(matches!(error, Error::Batch { .. }), "{error}");
    }
    assert_eq!(dynamic.state(), None);
    let none = "found 0 values, expected at least one token, and a size that memory can hold";
    assert_batch(&dynamic.forward(&[0.0; 0], 2, &mut []).unwrap_err(), none);
}

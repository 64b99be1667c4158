//! A stream with several rows gives each row what a stream of its own gives.

use super::custom_cells::pair;
use super::ragged::row_of;
use super::stacks::stacks;
use super::vectors::{self, some_state, values};
use super::{bits, cells, ids};
use std::sync::Arc;
use unrolled::exec::{Dynamic, Inputs, State, Stream};
use unrolled::model::Model;
use unrolled::network::Layer;
use unrolled::{Cell, Error, InputKind, ModelSettings};

const ROWS: usize = 5;
const STEPS: usize = 7;
const SYMBOLS: usize = 12;

/// The inputs of some steps, one step after another.
enum Steps {
    Ids(Vec<u32>),
    Vectors(Vec<f32>),
}

impl Steps {
    /// Inputs for a model, the padding of which no step reads.
    fn of(model: &Model, steps: usize, rows: usize) -> Self {
        let config = model.config();
        match config.vocabulary {
            0 => Self::Vectors(values(5, steps * rows * config.input_width(0))),
            symbols => Self::Ids(ids(5, steps * rows, symbols)),
        }
    }

    /// The inputs of `count` of `of` equal parts, from part `first` on.
    fn part(&self, first: usize, count: usize, of: usize) -> Inputs<'_> {
        fn some<T>(values: &[T], first: usize, count: usize, of: usize) -> &[T] {
            let width = values.len() / of;
            &values[first * width..][..count * width]
        }
        match self {
            Self::Ids(ids) => some(ids, first, count, of).into(),
            Self::Vectors(vectors) => some(vectors, first, count, of).into(),
        }
    }

    fn step(&self, step: usize) -> Inputs<'_> {
        self.part(step, 1, STEPS)
    }

    fn row(&self, step: usize, row: usize) -> Inputs<'_> {
        self.part(step * ROWS + row, 1, STEPS * ROWS)
    }
}

fn on_symbols(settings: &ModelSettings, symbols: usize) -> Arc<Model> {
    Arc::new(Model::new(settings, symbols, 1).unwrap())
}

/// Models of symbols: every cell and option, embedded and one-hot, and heads of another width than the vocabulary.
fn models_of_symbols() -> Vec<Arc<Model>> {
    let stacks = stacks().into_iter().chain([vec![Layer::custom(pair(5)), Layer::gru(6)]]);
    let of_stacks = stacks.map(|stack| ModelSettings { stack, ..ModelSettings::default() });
    let of_cells = cells().map(|cell| ModelSettings { hidden: 19, layers: 2, ..cell.model });
    let all = of_stacks.chain(of_cells).flat_map(|settings| {
        [(InputKind::OneHot, None), (InputKind::Embedding, None), (InputKind::Embedding, Some(3))]
            .map(|(input, outputs)| ModelSettings { input, outputs, embedding: Some(12), ..settings.clone() })
    });
    all.map(|settings| on_symbols(&settings, SYMBOLS)).collect()
}

/// More symbols than a stream has a table for.
fn large_vocabularies() -> [Arc<Model>; 2] {
    [InputKind::OneHot, InputKind::Embedding].map(|input| {
        let (cell, embedding) = (Cell::Gru, Some(5));
        let settings = ModelSettings { cell, hidden: 24, input, embedding, ..ModelSettings::default() };
        on_symbols(&settings, 70_000)
    })
}

fn all_models() -> Vec<Arc<Model>> {
    models_of_symbols().into_iter().chain(vectors::models()).chain(large_vocabularies()).collect()
}

fn label(model: &Model) -> String {
    let config = model.config();
    format!("V = {}, {:?}, {}", config.vocabulary, config.embedding, vectors::label(model))
}

/// Runs a stream of several rows, and asserts that every step gives what streams of one row give.
fn assert_steps(what: &str, inputs: &Steps, stream: &mut Stream, rows: &mut [Stream]) {
    let width = stream.model().config().output_width();
    for step in 0..STEPS {
        let outputs = stream.step(inputs.step(step)).unwrap();
        assert_eq!(outputs.len(), ROWS * width, "{what}");
        for (row, alone) in rows.iter_mut().enumerate() {
            let expected = alone.step(inputs.row(step, row)).unwrap();
            let found = &outputs[row * width..][..width];
            assert!(bits(found) == bits(expected), "row {row} at step {step}: {what}");
        }
    }
    for (row, alone) in rows.iter().enumerate() {
        assert!(row_of(&stream.state(), row) == alone.state(), "state of row {row}: {what}");
    }
}

#[test]
fn rows_give_the_bits_of_single_streams() {
    for model in all_models() {
        let inputs = Steps::of(&model, STEPS, ROWS);
        let mut rows = vec![Stream::new(model.clone()).unwrap(); ROWS];
        let mut stream = Stream::with_rows(model.clone(), ROWS).unwrap();
        assert_steps(&label(&model), &inputs, &mut stream, &mut rows);
    }
}

#[test]
fn rows_start_from_the_states_that_were_set() {
    for model in all_models() {
        let (inputs, mut state) = (Steps::of(&model, STEPS, ROWS), some_state(&model, ROWS));
        state.reset_row(2);
        let mut stream = Stream::with_rows(model.clone(), ROWS).unwrap();
        stream.step(inputs.step(0)).unwrap();
        stream.set_state(&state).unwrap();
        assert!(stream.state() == state, "{}", label(&model));
        let mut rows = vec![Stream::new(model.clone()).unwrap(); ROWS];
        for (row, alone) in rows.iter_mut().enumerate() {
            alone.set_state(&row_of(&state, row)).unwrap();
        }
        let mut fork = stream.clone();
        assert_steps(&label(&model), &inputs, &mut stream, &mut rows.clone());
        assert!(fork.state() == state, "a fork has a state of its own: {}", label(&model));
        assert_steps(&label(&model), &inputs, &mut fork, &mut rows);
    }
}

/// A window of so many rows and outputs runs its head in blocks.
#[test]
fn many_rows_with_a_large_head_give_the_logits_of_a_window() {
    let (rows, symbols) = (600, 7200);
    let model =
        on_symbols(&ModelSettings { hidden: 3, embedding: Some(2), ..ModelSettings::default() }, symbols);
    let ids = ids(5, rows, symbols);
    let mut expected = vec![f32::NAN; rows * symbols];
    Dynamic::new(model.clone(), Some(1)).unwrap().forward(&ids, rows, &mut expected).unwrap();
    let mut stream = Stream::with_rows(model, rows).unwrap();
    assert!(bits(stream.step(&ids).unwrap()) == bits(&expected));
}

#[test]
fn a_number_of_rows_that_no_memory_holds_is_an_error() {
    let model = on_symbols(&ModelSettings { hidden: 4, ..ModelSettings::default() }, 5);
    let error_of = |rows| Stream::with_rows(model.clone(), rows).unwrap_err();
    let none = "invalid batch: found a stream of 0 rows, expected at least one row";
    assert_eq!(error_of(0).to_string(), none);
    for rows in [1 << 45, usize::MAX] {
        assert!(matches!(error_of(rows), Error::Memory { .. }), "{}", error_of(rows));
    }
}

#[test]
fn a_step_that_does_not_fit_is_an_error_and_keeps_the_state() {
    let start = "invalid batch: found";
    let stack = Model::of_layers(&[Layer::lstm(4)], 3, None, 1).unwrap();
    let symbols = Model::new(&ModelSettings { hidden: 4, ..ModelSettings::default() }, 5, 1).unwrap();
    for (model, wrong) in [
        (
            symbols,
            [
                (Inputs::Ids(&[1]), "1 ids, expected 2, one for each token"),
                (Inputs::Ids(&[]), "0 ids, expected 2, one for each token"),
                (Inputs::Ids(&[1, 5]), "the id 5 among its inputs, expected ids below 5"),
                (Inputs::Vectors(&[0.0; 2]), "vectors, expected ids below 5: this model has a vocabulary"),
            ],
        ),
        (
            stack,
            [
                (Inputs::Vectors(&[0.0; 3]), "3 values, expected 6, 3 for each of 2 tokens"),
                (Inputs::Vectors(&[0.0; 2]), "2 values, expected 6, 3 for each of 2 tokens"),
                (Inputs::Vectors(&[0.0; 9]), "9 values, expected 6, 3 for each of 2 tokens"),
                (
                    Inputs::Ids(&[1, 2]),
                    "token ids, expected vectors of 3 values: this model has no vocabulary",
                ),
            ],
        ),
    ] {
        let (good, mut stream) = (Steps::of(&model, 2, 2), Stream::with_rows(model.clone(), 2).unwrap());
        stream.step(good.part(0, 1, 2)).unwrap();
        let mut untouched = stream.clone();
        let before = stream.state();
        for (inputs, expected) in wrong {
            let message = stream.step(inputs).unwrap_err().to_string();
            assert_eq!(message, format!("{start} {expected}"));
            assert_eq!(stream.state(), before);
        }
        for rows in [0, 1, 3] {
            let error = stream.set_state(&State::zero(model.config(), rows)).unwrap_err();
            assert!(matches!(error, Error::StateShape { .. }), "{error}");
            assert_eq!(stream.state(), before);
        }
        let expected = bits(untouched.step(good.part(1, 1, 2)).unwrap());
        assert_eq!(bits(stream.step(good.part(1, 1, 2)).unwrap()), expected);
    }
}

//! Forward passes over rows of different lengths in one window: each row gives the result of a
//! window of its own.

use super::{bits, ids, label, model, models, noise};
use std::sync::Arc;
use unrolled::exec::{Dynamic, LayerState, State};
use unrolled::model::Model;
use unrolled::{ModelSettings, Settings};

const STEPS: usize = 13;
const SYMBOLS: usize = 40;
/// Lengths that are not sorted, with no, one and all steps among them. More rows end at once than
/// continue.
pub const LENGTHS: [usize; 9] = [5, 13, 0, 1, 12, 5, 13, 2, 5];

/// Ids of a padded window. The padding is not a valid id.
pub fn padded(mut ids: Vec<u32>, lengths: &[usize]) -> Vec<u32> {
    let (steps, rows) = (ids.len() / lengths.len(), lengths.len());
    for at in (0..steps * rows).filter(|at| at / rows >= lengths[at % rows]) {
        ids[at] = u32::MAX;
    }
    ids
}

/// One row of a state, as a state of its own.
pub fn row_of(state: &State, row: usize) -> State {
    let part = |values: &[f32]| match values.len() / state.rows {
        0 => Vec::new(),
        width => values[row * width..][..width].to_vec(),
    };
    let layer = |layer: &LayerState| LayerState { h: part(&layer.h), c: part(&layer.c) };
    State { rows: 1, layers: state.layers.iter().map(layer).collect() }
}

/// Logits and state of one row by itself, over some windows.
fn alone(model: &Arc<Model>, windows: &[(Vec<u32>, Vec<usize>)], row: usize) -> (Vec<Vec<f32>>, State) {
    let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
    dynamic.set_state(&State::zero(model.config(), 1)).unwrap();
    let logits = windows.iter().map(|(ids, lengths)| {
        let ids: Vec<u32> = ids.chunks(lengths.len()).map(|step| step[row]).take(lengths[row]).collect();
        let mut logits = vec![f32::NAN; ids.len() * SYMBOLS];
        if !ids.is_empty() {
            dynamic.forward(&ids, 1, &mut logits).unwrap();
        }
        logits
    });
    (logits.collect(), dynamic.state().unwrap())
}

/// The rows of the second window have other lengths, so they have other places, and continue from
/// their states.
fn windows() -> [(Vec<u32>, Vec<usize>); 2] {
    let mut others = LENGTHS.to_vec();
    others.rotate_left(4);
    [(7, LENGTHS.to_vec()), (8, others)]
        .map(|(seed, lengths)| (padded(ids(seed, STEPS * LENGTHS.len(), SYMBOLS), &lengths), lengths))
}

fn assert_as_alone(settings: &Settings, threads: usize) {
    let model = model(settings, SYMBOLS);
    let (windows, what) = (windows(), format!("{} on {threads} threads", label(settings)));
    let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
    let mut found = [(); 2].map(|()| vec![f32::NAN; STEPS * LENGTHS.len() * SYMBOLS]);
    for ((ids, lengths), logits) in windows.iter().zip(&mut found) {
        dynamic.forward_ragged(ids, lengths, logits).unwrap();
    }
    let state = dynamic.state().unwrap();
    for row in 0..LENGTHS.len() {
        let (expected, end) = alone(&model, &windows, row);
        assert!(row_of(&state, row) == end, "{what}: state of row {row}");
        for (found, mut expected) in found.iter().zip(expected) {
            let found: Vec<f32> =
                found.chunks(SYMBOLS).skip(row).step_by(LENGTHS.len()).flatten().copied().collect();
            expected.resize(found.len(), 0.0);
            assert!(bits(&found) == bits(&expected), "{what}: logits of row {row}");
        }
    }
}

#[test]
fn rows_of_whole_blocks_are_as_alone() {
    for model in models() {
        [1, 2, 3].iter().for_each(|&n| {
            assert_as_alone(
                &Settings { model: ModelSettings { hidden: 48, ..model.model.clone() }, ..model.clone() },
                n,
            )
        });
    }
}

#[test]
fn rows_of_broken_blocks_are_as_alone() {
    for model in models() {
        let settings =
            Settings { model: ModelSettings { hidden: 50, embedding: Some(7), ..model.model }, ..model };
        [1, 2, 3].iter().for_each(|&n| assert_as_alone(&settings, n));
    }
}

/// A window, ragged or not, as one value that was run many times gives it.
fn run(dynamic: &mut Dynamic, steps: usize, lengths: &[usize], seed: u32) -> Vec<u32> {
    let ids = ids(seed, steps * lengths.len(), SYMBOLS);
    let mut logits = vec![f32::NAN; ids.len() * SYMBOLS];
    dynamic.forward_ragged(&ids, lengths, &mut logits).unwrap();
    bits(&logits)
}

#[test]
fn shapes_may_come_and_go() {
    for settings in models() {
        let model = model(
            &Settings { model: ModelSettings { hidden: 33, ..settings.model.clone() }, ..settings.clone() },
            SYMBOLS,
        );
        let shapes: [(usize, &[usize]); 5] =
            [(9, &[9; 5]), (4, &[4, 1, 3]), (20, &[1; 11]), (9, &[2, 9, 0, 4, 9]), (1, &[1; 2])];
        for threads in [1, 3] {
            let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
            for (i, pick) in noise(3, shapes.len() as u32).take(30).enumerate() {
                let (steps, lengths) = shapes[pick as usize];
                dynamic.set_state(&State::zero(model.config(), lengths.len())).unwrap();
                let mut fresh = Dynamic::new(model.clone(), Some(1)).unwrap();
                let expected = run(&mut fresh, steps, lengths, i as u32);
                assert!(run(&mut dynamic, steps, lengths, i as u32) == expected, "{}: {i}", label(&settings));
                assert!(dynamic.state() == fresh.state(), "{}: state after {i}", label(&settings));
            }
        }
    }
}

#[test]
fn rows_of_one_length_are_a_plain_window() {
    for settings in models() {
        let (model, ids) = (model(&settings, SYMBOLS), ids(5, 6 * 4, SYMBOLS));
        let [mut plain, mut ragged] = [(); 2].map(|()| vec![f32::NAN; ids.len() * SYMBOLS]);
        Dynamic::new(model.clone(), Some(1)).unwrap().forward(&ids, 4, &mut plain).unwrap();
        Dynamic::new(model.clone(), Some(1)).unwrap().forward_ragged(&ids, &[6; 4], &mut ragged).unwrap();
        assert!(bits(&ragged) == bits(&plain), "{}", label(&settings));
    }
}

#[test]
fn rows_without_steps_keep_their_state() {
    for settings in models() {
        let model =
            model(&Settings { model: ModelSettings { hidden: 20, ..settings.model }, ..settings }, SYMBOLS);
        let mut dynamic = Dynamic::new(model.clone(), Some(2)).unwrap();
        run(&mut dynamic, 3, &[3, 1], 4);
        let before = dynamic.state();
        assert!(run(&mut dynamic, 2, &[0, 0], 5).iter().all(|bits| *bits == 0));
        assert_eq!(dynamic.state(), before);
    }
}

/// The error for a window that does not fit. The state stays as it was.
fn refusal(ids: &[u32], lengths: &[usize], logits: usize) -> String {
    let model = model(
        &Settings { model: ModelSettings { hidden: 3, ..ModelSettings::default() }, ..Settings::default() },
        5,
    );
    let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
    dynamic.forward(&[1, 2, 3], 1, &mut [0.0; 15]).unwrap();
    let before = dynamic.state();
    let error = dynamic.forward_ragged(ids, lengths, &mut vec![0.0; logits]).unwrap_err();
    assert_eq!(dynamic.state(), before);
    error.to_string()
}

#[test]
fn a_wrong_shape_is_an_error() {
    let check = |ids: &[u32], lengths: &[usize], logits, found: &str, expected: &str| {
        let message = format!("invalid batch: found {found}, expected {expected}");
        assert_eq!(refusal(ids, lengths, logits), message);
    };
    let even = "the same number of steps for each of its rows";
    check(&[0; 5], &[1, 2], 25, "5 inputs for 2 rows", even);
    check(&[0; 5], &[], 25, "5 inputs for 0 rows", even);
    check(&[], &[0, 0], 0, "0 ids", "at least one token, and a size that memory can hold");
    check(&[0; 6], &[1, 4], 30, "the length 4 of row 1", "lengths up to the window's 3 steps");
    check(&[0; 6], &[1, 3], 29, "29 outputs", "30, 5 for each of 6");
    let id = "the id 5 among its inputs at step 1 of row 1";
    check(&[0, 0, 0, 5, 0, 0], &[1, 2], 30, id, "ids below 5");
}

#[test]
fn a_window_of_other_rows_than_the_state_that_was_set_is_an_error() {
    let model = model(
        &Settings { model: ModelSettings { hidden: 3, ..ModelSettings::default() }, ..Settings::default() },
        5,
    );
    let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
    let mut state = State::zero(model.config(), 3);
    state.layers[0].h.fill(0.5);
    dynamic.set_state(&state).unwrap();
    let error = dynamic.forward_ragged(&[0; 4], &[2, 1], &mut [0.0; 20]).unwrap_err().to_string();
    let expected = "invalid batch: found a window of 2 rows, expected 3 rows, as the state that was set has";
    assert_eq!(error, expected);
    assert_eq!(dynamic.state(), Some(state));
}

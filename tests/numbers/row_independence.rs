//! The results of a row do not depend on its batch, on threads, on the window size, or on
//! streaming.

use super::{bits, ids, label, model, models};
use std::sync::Arc;
use unrolled::exec::{Dynamic, Plan, Stream};
use unrolled::model::Model;
use unrolled::{Cell, InputKind, ModelSettings, Settings};

const STEPS: usize = 33;
const ROWS: usize = 11;
const SYMBOLS: usize = 40;

fn column<T: Copy>(values: &[T], width: usize, row: usize) -> Vec<T> {
    values.chunks(width).skip(row).step_by(ROWS).flatten().copied().collect()
}

fn streamed(model: &Arc<Model>, ids: &[u32]) -> Vec<f32> {
    let mut stream = Stream::new(model.clone()).unwrap();
    ids.iter().flat_map(|&id| stream.step(&id).unwrap().to_vec()).collect()
}

fn alone(model: &Arc<Model>, ids: &[u32]) -> Vec<f32> {
    let mut logits = vec![f32::NAN; ids.len() * SYMBOLS];
    Dynamic::new(model.clone(), Some(1)).unwrap().forward(ids, 1, &mut logits).unwrap();
    logits
}

/// The whole batch in windows of `steps` steps.
fn together(model: &Arc<Model>, ids: &[u32], steps: usize, threads: usize) -> Vec<f32> {
    let mut logits = vec![f32::NAN; ids.len() * SYMBOLS];
    let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
    let windows = ids.chunks(steps * ROWS).zip(logits.chunks_mut(steps * ROWS * SYMBOLS));
    windows.for_each(|(ids, logits)| dynamic.forward(ids, ROWS, logits).unwrap());
    logits
}

fn planned(model: &Arc<Model>, ids: &[u32], threads: usize) -> Vec<f32> {
    let mut logits = vec![f32::NAN; ids.len() * SYMBOLS];
    Plan::new(model.clone(), STEPS, ROWS, Some(threads)).unwrap().forward(ids, &mut logits).unwrap();
    logits
}

fn assert_same(settings: &Settings) {
    let (model, ids) = (model(settings, SYMBOLS), ids(5, STEPS * ROWS, SYMBOLS));
    let expected = planned(&model, &ids, 1);
    let label = label(settings);
    for threads in [2, 3] {
        assert!(bits(&planned(&model, &ids, threads)) == bits(&expected), "{label}: {threads} threads");
    }
    for (steps, threads) in [(STEPS, 1), (5, 1), (7, 3), (1, 2)] {
        let found = together(&model, &ids, steps, threads);
        assert!(bits(&found) == bits(&expected), "{label}: windows of {steps} on {threads} threads");
    }
    for row in [0, 4, ROWS - 1] {
        let (ids, expected) = (column(&ids, 1, row), bits(&column(&expected, SYMBOLS, row)));
        assert!(bits(&alone(&model, &ids)) == expected, "{label}: row {row} alone");
        assert!(bits(&streamed(&model, &ids)) == expected, "{label}: row {row} streamed");
    }
}

#[test]
fn rows_of_whole_blocks_do_not_depend_on_the_batch() {
    models().into_iter().for_each(|model| {
        assert_same(&Settings { model: ModelSettings { hidden: 48, ..model.model }, ..model })
    });
}

#[test]
fn rows_of_broken_blocks_do_not_depend_on_the_batch() {
    for model in models() {
        assert_same(&Settings {
            model: ModelSettings { hidden: 19, embedding: Some(7), ..model.model },
            ..model
        });
    }
}

#[test]
fn a_saved_state_continues_and_a_copy_is_independent() {
    for settings in models() {
        let settings = Settings { model: ModelSettings { hidden: 19, ..settings.model }, ..settings };
        let (model, ids) = (model(&settings, SYMBOLS), ids(6, 20, SYMBOLS));
        let expected = streamed(&model, &ids);
        let mut stream = Stream::new(model.clone()).unwrap();
        ids[..10].iter().for_each(|&id| _ = stream.step(&id).unwrap());
        let (saved, mut fork) = (stream.state(), stream.clone());
        (0..7).for_each(|id| _ = fork.step(&id).unwrap());
        let rest = |stream: &mut Stream| -> Vec<u32> {
            ids[10..].iter().flat_map(|&id| bits(stream.step(&id).unwrap())).collect()
        };
        let expected = bits(&expected[10 * SYMBOLS..]);
        assert!(rest(&mut stream) == expected, "{}: after a fork", label(&settings));
        fork.set_state(&saved).unwrap();
        assert!(rest(&mut fork) == expected, "{}: from the saved state", label(&settings));
    }
}

/// Neither has a table of all symbols: the window's table has the symbols of the window, and a
/// stream computes one row at each step.
#[test]
fn gradients_of_a_large_vocabulary() {
    for input in [InputKind::OneHot, InputKind::Embedding] {
        let settings = Settings {
            model: ModelSettings {
                cell: Cell::Gru,
                hidden: 24,
                input,
                embedding: Some(5),
                ..ModelSettings::default()
            },
            ..Settings::default()
        };
        let (model, ids) = (model(&settings, 70_000), [69_999, 3, 40_000, 3, 4]);
        let mut logits = vec![f32::NAN; ids.len() * 70_000];
        Dynamic::new(model.clone(), Some(1)).unwrap().forward(&ids, 1, &mut logits).unwrap();
        assert!(bits(&streamed(&model, &ids)) == bits(&logits), "{}", input.name());
    }
}

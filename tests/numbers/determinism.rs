//! Trained parameters have the same bits for every number of threads and in both modes.

use super::{bits, in_bf16, label, models, run_of, text};
use unrolled::train::Training;
use unrolled::{Cell, Mode, ModelSettings, OptimizerKind, OptimizerSettings, RunSettings, Settings};

/// Five windows per epoch, so a run of twelve steps passes two epoch ends.
pub fn trained(settings: &Settings, threads: usize) -> Training {
    let corpus = text(settings.run.batch * settings.run.steps * 5 + 1);
    let mut training = Training::new(corpus, settings.clone(), Some(threads)).unwrap();
    while !training.is_done() {
        training.step().unwrap();
    }
    training
}

fn outcome(settings: &Settings, threads: usize) -> (Vec<u32>, Vec<f64>) {
    let training = trained(settings, threads);
    let losses = training.progress().history.iter().map(|record| record.train_loss).collect();
    (bits(&training.model().parameters().values), losses)
}

fn assert_same_in_every_way(settings: &Settings) {
    let expected = outcome(settings, 1);
    let dynamic =
        Settings { run: RunSettings { mode: Mode::Dynamic, ..settings.run.clone() }, ..settings.clone() };
    for (settings, threads) in [(settings, 2), (settings, 3), (&dynamic, 1), (&dynamic, 3)] {
        let found = outcome(settings, threads);
        let mode = settings.run.mode.name();
        // assert_eq would print a hundred thousand numbers.
        assert!(found == expected, "{}: {mode} on {threads} threads", label(settings));
    }
}

#[test]
fn no_dropout_gives_the_same_bits() {
    models().iter().for_each(|model| assert_same_in_every_way(&run_of(model, 0.0)));
}

#[test]
fn products_in_bf16_give_the_same_bits() {
    models().iter().for_each(|model| assert_same_in_every_way(&in_bf16(run_of(model, 0.3))));
}

/// `simd_backends` runs this on the software model of AMX, which is slow.
#[test]
fn one_model_of_each_cell_gives_the_same_bits_in_bf16() {
    // Two embedded layers of each cell.
    models().iter().skip(24).for_each(|model| assert_same_in_every_way(&in_bf16(run_of(model, 0.3))));
}

#[test]
fn dropout_gives_the_same_bits() {
    models().iter().for_each(|model| assert_same_in_every_way(&run_of(model, 0.3)));
}

#[test]
fn dropout_changes_the_trained_parameters() {
    let model =
        Settings { model: ModelSettings { layers: 2, ..ModelSettings::default() }, ..Settings::default() };
    let [without, with, other] = [(0.0, 1), (0.3, 1), (0.3, 2)].map(|(dropout, seed)| {
        // Only the masks may differ: the initial parameters are the same.
        let first = Settings {
            run: RunSettings { seed, max_steps: Some(1), ..run_of(&model, dropout).run },
            ..run_of(&model, dropout)
        };
        outcome(&first, 1).1
    });
    assert!(without != with && with != other);
}

/// Large enough that threads also divide packing, the norm and the update.
#[test]
fn a_wide_model_has_the_same_bits_with_every_optimizer() {
    use OptimizerKind::{Adagrad, Adam, Rmsprop, Sgd};
    for (optimizer, momentum) in [(Adam, 0.0), (Adagrad, 0.0), (Rmsprop, 0.9), (Sgd, 0.9)] {
        let wide = Settings {
            model: ModelSettings { cell: Cell::Lstm, ..ModelSettings::default() },
            optimizer: OptimizerSettings { kind: optimizer, momentum, ..OptimizerSettings::default() },
            ..Settings::default()
        };
        let settings = Settings {
            model: ModelSettings { hidden: 250, ..run_of(&wide, 0.0).model },
            run: RunSettings { batch: 3, steps: 4, max_steps: Some(4), ..run_of(&wide, 0.0).run },
            ..run_of(&wide, 0.0)
        };
        assert_same_in_every_way(&settings);
    }
}

#[test]
fn more_threads_than_rows_give_the_same_bits() {
    let settings = Settings {
        run: RunSettings {
            batch: 2,
            steps: 120,
            max_steps: Some(3),
            ..run_of(&Settings::default(), 0.1).run
        },
        ..run_of(&Settings::default(), 0.1)
    };
    assert!(outcome(&settings, 1) == outcome(&settings, 16));
}

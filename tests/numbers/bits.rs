//! Trained parameters are the same, bit for bit, for every number of threads and in both modes.

use super::{bits, label, models, run_of, text};
use unrolled::train::Training;
use unrolled::{Cell, Mode, ModelSettings, OptimizerKind, OptimizerSettings, RunSettings, Settings};

/// Five windows an epoch: a run of twelve steps passes two ends of an epoch.
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
        // Not assert_eq: it would print a hundred thousand numbers.
        assert!(found == expected, "{}: {mode} on {threads} threads", label(settings));
    }
}

#[test]
fn without_dropout() {
    models().iter().for_each(|model| assert_same_in_every_way(&run_of(model, 0.0)));
}

#[test]
fn with_dropout() {
    models().iter().for_each(|model| assert_same_in_every_way(&run_of(model, 0.3)));
}

#[test]
fn dropout_changes_what_is_learned() {
    let model =
        Settings { model: ModelSettings { layers: 2, ..ModelSettings::default() }, ..Settings::default() };
    let [without, with, other] = [(0.0, 1), (0.3, 1), (0.3, 2)].map(|(dropout, seed)| {
        // Only the masks may differ: parameters are drawn alike.
        let first = Settings {
            run: RunSettings { seed, max_steps: Some(1), ..run_of(&model, dropout).run },
            ..run_of(&model, dropout)
        };
        outcome(&first, 1).1
    });
    assert!(without != with && with != other);
}

/// So large that packing, the norm and the update are divided too, which a small model's are not.
#[test]
fn of_a_wide_model_with_every_optimizer() {
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
fn of_more_threads_than_rows() {
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

//! A run in two halves has the result of the whole run.

use super::{bits, run_of, text};
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::Corpus;
use unrolled::train::{Progress, Training};
use unrolled::{
    Cell, DataSettings, InputKind, Mode, ModelSettings, OptimizerKind, OptimizerSettings, Reset, RunSettings,
    Schedule, ScheduleSettings, Settings, Windows,
};

const HALF: u64 = 7;

fn settings(windows: Windows, cell: Cell, optimizer: OptimizerKind) -> Settings {
    let model = Settings {
        model: ModelSettings { cell, ..ModelSettings::default() },
        optimizer: OptimizerSettings { kind: optimizer, ..OptimizerSettings::default() },
        run: RunSettings { windows, ..RunSettings::default() },
        ..Settings::default()
    };
    let run = run_of(&model, 0.0);
    let sizes = Settings {
        model: ModelSettings { hidden: 20, ..run.model },
        run: RunSettings { batch: 3, steps: 8, max_steps: Some(2 * HALF), ..run.run },
        ..run
    };
    // A schedule that changes the learning rate, and no evaluation at the half.
    Settings {
        schedule: ScheduleSettings { kind: Schedule::Cosine, warmup_steps: 3, ..sizes.schedule },
        data: DataSettings { val_fraction: 0.2, ..sizes.data },
        run: RunSettings { eval_every: Some(4), ..sizes.run },
        ..sizes
    }
}

/// Streams have five windows per epoch, so the half is within the second epoch.
fn corpus() -> Corpus {
    text(156)
}

fn steps(training: &mut Training, count: u64) {
    (0..count).for_each(|_| _ = training.step().unwrap());
}

/// The progress without times.
fn timeless(progress: &Progress) -> Progress {
    let mut progress = Progress { seconds: 0.0, seconds_at_record: 0.0, ..progress.clone() };
    for record in &mut progress.history {
        (record.seconds, record.chars_per_second) = (0.0, 0.0);
    }
    progress.since_log.seconds = 0.0;
    progress
}

fn assert_same(found: &Checkpoint, expected: &Checkpoint, what: &str) {
    assert!(bits(&found.parameters.values) == bits(&expected.parameters.values), "{what}: parameters");
    assert_eq!(found.moments.len(), expected.moments.len(), "{what}");
    for ((name, found), (known, expected)) in found.moments.iter().zip(&expected.moments) {
        assert!(name == known && bits(found) == bits(expected), "{what}: moment {name}");
    }
    assert!(found.state == expected.state, "{what}: state");
    assert_eq!(timeless(&found.progress), timeless(&expected.progress), "{what}");
}

fn assert_halves_make_a_whole(settings: &Settings) {
    let what = format!(
        "{} {} {}",
        settings.run.windows.name(),
        settings.model.cell.name(),
        settings.optimizer.kind.name()
    );
    let mut whole = Training::new(corpus(), settings.clone(), Some(1)).unwrap();
    steps(&mut whole, 2 * HALF);
    assert!(whole.is_done());
    let mut first = Training::new(corpus(), settings.clone(), Some(2)).unwrap();
    steps(&mut first, HALF);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    first.checkpoint().save(&path).unwrap();
    for mode in [Mode::Static, Mode::Dynamic] {
        let stored = Checkpoint::load(&path).unwrap();
        assert_eq!(stored, first.checkpoint(), "{what}");
        let settings =
            Settings { run: RunSettings { mode, ..stored.settings.run.clone() }, ..stored.settings.clone() };
        let mut second = Training::resume(corpus(), stored, settings, Some(1)).unwrap();
        steps(&mut second, HALF);
        assert!(second.is_done());
        assert_same(&second.checkpoint(), &whole.checkpoint(), &what);
    }
}

#[test]
fn resumes_with_every_optimizer_within_an_epoch() {
    for (optimizer, momentum) in [
        (OptimizerKind::Adam, 0.0),
        (OptimizerKind::Adagrad, 0.0),
        (OptimizerKind::Rmsprop, 0.0),
        (OptimizerKind::Rmsprop, 0.9),
        (OptimizerKind::Sgd, 0.0),
        (OptimizerKind::Sgd, 0.9),
    ] {
        let settings = settings(Windows::Stream, Cell::Lstm, optimizer);
        assert_halves_make_a_whole(&Settings {
            optimizer: OptimizerSettings { momentum, ..settings.optimizer },
            schedule: ScheduleSettings { learning_rate: 0.05, ..settings.schedule },
            ..settings
        });
    }
}

#[test]
fn resumes_with_every_kind_of_window_and_dropout() {
    for windows in [Windows::Stream, Windows::Random, Windows::Sliding] {
        for cell in [Cell::Rnn, Cell::Lstm, Cell::Gru] {
            let settings = settings(windows, cell, OptimizerKind::Adam);
            let reset = Reset::Before;
            assert_halves_make_a_whole(&Settings {
                model: ModelSettings { dropout: 0.3, layers: 2, reset, ..settings.model },
                ..settings
            });
        }
    }
}

#[test]
fn resumes_with_one_hot_input_and_an_epoch_schedule() {
    let settings = settings(Windows::Stream, Cell::Lstm, OptimizerKind::Rmsprop);
    let schedule = Schedule::EpochDecay;
    assert_halves_make_a_whole(&Settings {
        model: ModelSettings { input: InputKind::OneHot, ..settings.model },
        schedule: ScheduleSettings { kind: schedule, epoch_decay_after: 1, ..settings.schedule },
        ..settings
    });
}

#[test]
fn a_run_with_a_constant_learning_rate_can_be_prolonged() {
    let base = settings(Windows::Stream, Cell::Gru, OptimizerKind::Adam);
    let long = Settings { schedule: ScheduleSettings { kind: Schedule::Constant, ..base.schedule }, ..base };
    let short = Settings { run: RunSettings { max_steps: Some(HALF), ..long.run.clone() }, ..long.clone() };
    let mut whole = Training::new(corpus(), long.clone(), Some(1)).unwrap();
    steps(&mut whole, 2 * HALF);
    let mut first = Training::new(corpus(), short, Some(1)).unwrap();
    steps(&mut first, HALF);
    assert!(first.is_done());
    let mut second = Training::resume(corpus(), first.checkpoint(), long, Some(1)).unwrap();
    steps(&mut second, HALF);
    let (found, expected) = (second.checkpoint(), whole.checkpoint());
    assert!(bits(&found.parameters.values) == bits(&expected.parameters.values));
}

#[test]
fn another_text_setting_or_number_of_steps_is_an_error() {
    let settings = settings(Windows::Stream, Cell::Gru, OptimizerKind::Adam);
    let first = Training::new(corpus(), settings.clone(), Some(1)).unwrap().checkpoint();
    let refused = |corpus, settings| {
        Training::resume(corpus, first.clone(), settings, Some(1)).unwrap_err().to_string()
    };
    let message = refused(text(157), settings.clone());
    assert!(message.starts_with("cannot resume this run: the text is not the text"), "{message}");
    let message = refused(
        corpus(),
        Settings {
            schedule: ScheduleSettings { learning_rate: 0.1, ..settings.schedule.clone() },
            ..settings.clone()
        },
    );
    assert!(
        message.contains("learning-rate is 0.1, and the run has 0.004; only an extended run may change it"),
        "{message}"
    );
    let message =
        refused(corpus(), Settings { run: RunSettings { max_steps: Some(99), ..settings.run }, ..settings });
    assert!(
        message.contains("max-steps is 99, and the run has 14; only an extended run may change it"),
        "{message}"
    );
}

#[test]
fn streams_without_their_carried_state_are_an_error() {
    let settings = settings(Windows::Stream, Cell::Gru, OptimizerKind::Sgd);
    let mut training = Training::new(corpus(), settings.clone(), Some(1)).unwrap();
    steps(&mut training, HALF);
    let bare = Checkpoint { state: None, ..training.checkpoint() };
    let error = Training::resume(corpus(), bare, settings, Some(1)).unwrap_err().to_string();
    assert!(error.contains("its checkpoint has no carried state"), "{error}");
}

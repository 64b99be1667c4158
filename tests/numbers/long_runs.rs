//! Events of long runs: interrupted evaluations, truncated texts, patience, and steps of several
//! windows.

use super::text;
use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};
use unrolled::{
    DataSettings, Error, Invalid, ModelSettings, OptimizerKind, OptimizerSettings, RunSettings, Schedule,
    ScheduleSettings, Settings, Unit, Windows,
    checkpoint::Checkpoint,
    corpus::{Corpus, install_truncation_guard},
    train::{Record, Training},
};

fn settings() -> Settings {
    Settings {
        model: ModelSettings { hidden: 12, ..ModelSettings::default() },
        schedule: ScheduleSettings { kind: Schedule::Constant, ..ScheduleSettings::default() },
        data: DataSettings { val_fraction: 0.2, ..DataSettings::default() },
        run: RunSettings {
            batch: 3,
            steps: 8,
            max_steps: Some(12),
            epochs: 100.0,
            eval_every: Some(4),
            ..RunSettings::default()
        },
        ..Settings::default()
    }
}

fn training(settings: Settings) -> Training {
    Training::new(text(400), settings, Some(1)).unwrap()
}

fn losses(history: &[Record]) -> Vec<(u64, Option<f64>, f64, f64)> {
    history.iter().map(|line| (line.step, line.val_loss, line.train_loss, line.learning_rate)).collect()
}

fn finish(training: &mut Training) {
    while !training.is_done() {
        training.step().unwrap();
    }
}

#[test]
fn an_interrupted_evaluation_is_rerun_at_the_next_step() {
    let mut whole = training(settings());
    finish(&mut whole);
    for last in [4, 12] {
        let mut first = training(settings());
        while first.progress().step + 1 < last {
            first.step().unwrap();
        }
        first.interrupt_by(Arc::new(AtomicBool::new(true)));
        assert!(matches!(first.step(), Err(Error::Interrupted)));
        assert_eq!((first.progress().step, first.is_done()), (last, false));
        let bytes = first.checkpoint().to_bytes().unwrap();
        let checkpoint = Checkpoint::from_bytes(&bytes, "interrupted".as_ref()).unwrap();
        let mut second = Training::resume(text(400), checkpoint, settings(), Some(1)).unwrap();
        let report = second.step().unwrap();
        assert_eq!((report.step, report.record.map(|record| record.step)), (last, Some(last)));
        finish(&mut second);
        assert_eq!(losses(&second.progress().history), losses(&whole.progress().history));
        assert_eq!(second.model().parameters(), whole.model().parameters());
    }
}

#[cfg(unix)]
#[test]
fn a_truncated_text_ends_a_run_that_resumes_with_the_restored_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    let content = "the quick brown fox jumps over the lazy dog. ".repeat(2_000);
    install_truncation_guard().unwrap();
    let open = || {
        fs::write(&path, &content).unwrap();
        Corpus::open(std::slice::from_ref(&path), Unit::Char, Invalid::Error).unwrap()
    };
    let mut whole = Training::new(open(), settings(), Some(1)).unwrap();
    finish(&mut whole);
    for cut in [0, 2, 4, 8, 11] {
        let mut run = Training::new(open(), settings(), Some(1)).unwrap();
        (0..cut).for_each(|_| _ = run.step().unwrap());
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        let error = (0..=12).find_map(|_| run.step().err()).expect("the text is gone");
        assert!(matches!(error, Error::TextChanged { change: "cut short", .. }), "{error}");
        let checkpoint = run.checkpoint();
        let mut again = Training::resume(open(), checkpoint, settings(), Some(1)).unwrap();
        finish(&mut again);
        assert_eq!(again.model().parameters(), whole.model().parameters(), "cut after {cut}");
        assert_eq!(losses(&again.progress().history), losses(&whole.progress().history), "cut after {cut}");
    }
}

#[test]
fn patience_ends_a_run_without_progress() {
    // A learning rate with which the validation loss rises.
    let restless = Settings {
        schedule: ScheduleSettings { learning_rate: 0.5, ..settings().schedule },
        run: RunSettings { eval_every: Some(1), max_steps: Some(60), ..settings().run },
        ..settings()
    };
    let mut patient = training(Settings {
        run: RunSettings { patience: Some(3), ..restless.run.clone() },
        ..restless.clone()
    });
    finish(&mut patient);
    let history = &patient.progress().history;
    let losses: Vec<f64> = history.iter().filter_map(|record| record.val_loss).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let since = losses.len() - 1 - losses.iter().position(|&loss| loss == best).unwrap();
    assert_eq!(since, 3, "{losses:?}");
    assert!(patient.is_out_of_patience() && losses.len() < 60);
    let checkpoint = patient.checkpoint();
    let resumed = Training::resume(text(400), checkpoint.clone(), checkpoint.settings, Some(1)).unwrap();
    assert!(resumed.is_done());
}

#[test]
fn an_evaluation_can_read_a_part_of_the_validation_split() {
    let symbols = |most| {
        let run =
            training(Settings { run: RunSettings { eval_symbols: most, ..settings().run }, ..settings() });
        run.evaluate().unwrap().unwrap().symbols
    };
    assert_eq!((symbols(None), symbols(Some(33)), symbols(Some(1_000_000))), (64, 32, 64));
}

#[test]
fn several_windows_make_one_step_of_a_larger_batch() {
    let run = |batch, accumulate| {
        let sgd = Settings {
            optimizer: OptimizerSettings { kind: OptimizerKind::Sgd, clip: 0.1, ..settings().optimizer },
            schedule: ScheduleSettings { learning_rate: 0.5, ..settings().schedule },
            ..settings()
        };
        let sliding = Settings {
            data: DataSettings { val_fraction: 0.0, ..sgd.data },
            run: RunSettings { windows: Windows::Sliding, ..sgd.run },
            ..sgd
        };
        let mut training =
            training(Settings { run: RunSettings { batch, accumulate, ..sliding.run }, ..sliding });
        finish(&mut training);
        assert_eq!(training.progress().history.last().unwrap().chars, 12 * 6 * 8);
        training
    };
    let [whole, halves, thirds] = [(6, 1), (3, 2), (2, 3)].map(|(batch, accumulate)| run(batch, accumulate));
    for parts in [&halves, &thirds] {
        // The same sums in another order, which changes a few roundings per step.
        let pairs = whole.model().parameters().values.iter().zip(&parts.model().parameters().values);
        let worst = pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}");
    }
}

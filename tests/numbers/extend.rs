//! Extended runs.

use super::{bits, text};
use unrolled::checkpoint::Checkpoint;
use unrolled::train::{Bound, Training};
use unrolled::{
    DataSettings, ModelSettings, OptimizerKind, OptimizerSettings, RunSettings, Schedule, ScheduleSettings,
    Settings,
};

fn settings() -> Settings {
    let sizes = Settings {
        model: ModelSettings { hidden: 12, ..ModelSettings::default() },
        run: RunSettings { batch: 3, steps: 8, max_steps: Some(10), ..RunSettings::default() },
        ..Settings::default()
    };
    Settings {
        model: ModelSettings { dropout: 0.2, ..sizes.model },
        schedule: ScheduleSettings { warmup_steps: 2, ..sizes.schedule },
        data: DataSettings { val_fraction: 0.2, ..sizes.data },
        run: RunSettings { epochs: 100.0, eval_every: Some(4), ..sizes.run },
        ..sizes
    }
}

fn paused(settings: &Settings, steps: u64, threads: usize) -> Checkpoint {
    let mut training = Training::new(text(156), settings.clone(), Some(threads)).unwrap();
    (0..steps).for_each(|_| _ = training.step().unwrap());
    training.checkpoint()
}

/// Trains to the end, with an interruption after every `stride` steps.
fn finish(mut training: Training, stride: u64, threads: usize) -> Training {
    while !training.is_done() {
        for _ in 0..stride {
            if !training.is_done() {
                training.step().unwrap();
            }
        }
        let stored = training.checkpoint();
        let bytes = stored.to_bytes().unwrap();
        let stored = Checkpoint::from_bytes(&bytes, std::path::Path::new("stored")).unwrap();
        let settings = stored.settings.clone();
        training = Training::resume(text(156), stored, settings, Some(threads)).unwrap();
    }
    training
}

#[test]
fn interruptions_change_no_bit() {
    let first = settings();
    let changes: [Settings; 4] = [
        Settings { run: RunSettings { max_steps: Some(23), ..first.run.clone() }, ..first.clone() },
        Settings {
            schedule: ScheduleSettings {
                learning_rate: 0.02,
                kind: Schedule::Constant,
                ..first.schedule.clone()
            },
            ..first.clone()
        },
        Settings {
            schedule: ScheduleSettings {
                kind: Schedule::EpochDecay,
                epoch_decay_after: 1,
                ..first.schedule.clone()
            },
            run: RunSettings { max_steps: Some(17), ..first.run.clone() },
            ..first.clone()
        },
        Settings {
            optimizer: OptimizerSettings { clip: 0.5, ..first.optimizer.clone() },
            run: RunSettings { epochs: 1.5, max_steps: Some(40), max_chars: Some(500), ..first.run.clone() },
            ..first.clone()
        },
    ];
    for change in changes {
        for step in [4, 7, 10] {
            let extended = |threads| {
                let stored = paused(&first, step, threads);
                Training::extend(text(156), stored, change.clone(), Some(threads)).unwrap()
            };
            let whole = finish(extended(1), 1000, 1);
            for (stride, threads) in [(1, 2), (3, 1), (5, 3)] {
                let parts = finish(extended(threads), stride, threads);
                assert_eq!(parts.progress().step, whole.progress().step);
                let [parts, whole] = [&parts, &whole].map(|run| run.checkpoint());
                assert!(bits(&parts.parameters.values) == bits(&whole.parameters.values), "step {step}");
                assert!(parts.moments == whole.moments && parts.state == whole.state);
                assert_eq!(parts.progress.changes, whole.progress.changes);
                assert_eq!(parts.progress.history.len(), whole.progress.history.len());
            }
        }
    }
}

/// From this step on, the learning rate is that of a run that started with the new settings.
#[test]
fn the_schedule_spans_the_new_length() {
    let (short, long) =
        (settings(), Settings { run: RunSettings { max_steps: Some(20), ..settings().run }, ..settings() });
    let rates = |mut training: Training| -> Vec<f64> {
        (0..5).map(|_| training.step().unwrap().learning_rate).collect()
    };
    let stored = paused(&short, 7, 1);
    let extended = rates(Training::extend(text(156), stored, long.clone(), Some(1)).unwrap());
    let stored = paused(&long, 7, 1);
    assert_eq!(extended, rates(Training::resume(text(156), stored, long, Some(1)).unwrap()));
}

#[test]
fn changed_settings_are_recorded_with_their_step() {
    let stored = paused(&settings(), 7, 1);
    let change = Settings {
        schedule: ScheduleSettings { learning_rate: 0.02, ..stored.settings.schedule.clone() },
        run: RunSettings { max_steps: Some(20), patience: Some(3), ..stored.settings.run.clone() },
        ..stored.settings.clone()
    };
    let mut training = Training::extend(text(156), stored, change, Some(1)).unwrap();
    assert_eq!(training.progress().total_steps, 20);
    let stored = training.checkpoint();
    let next = Settings {
        run: RunSettings { eval_every: Some(2), ..stored.settings.run.clone() },
        ..stored.settings.clone()
    };
    training = Training::resume(text(156), stored, next, Some(1)).unwrap();
    let changes: Vec<_> = training.progress().changes.iter().collect();
    let texts: Vec<_> = changes.iter().map(|c| format!("{} {} {} {}", c.step, c.key, c.from, c.to)).collect();
    let expected =
        ["7 learning-rate 0.004 0.02", "7 max-steps 10 20", "7 patience the default 3", "7 eval-every 4 2"];
    assert_eq!(texts, expected);
    assert_eq!(training.progress().eval_every, 2);
}

#[test]
fn a_setting_that_must_not_change_is_an_error() {
    let stored = paused(&settings(), 4, 1);
    let refused = |change: Settings| {
        Training::extend(text(156), stored.clone(), change, Some(1)).unwrap_err().to_string()
    };
    let of = stored.settings.clone();
    let reason = refused(Settings { run: RunSettings { batch: 4, ..of.run.clone() }, ..of.clone() });
    assert!(reason.contains("batch is 4, and the run has 3; it cannot change"), "{reason}");
    let reason = refused(Settings {
        optimizer: OptimizerSettings { kind: OptimizerKind::Sgd, ..of.optimizer.clone() },
        ..of.clone()
    });
    assert!(reason.contains("optimizer is sgd, and the run has adam"), "{reason}");
    let reason = refused(Settings { model: ModelSettings { dropout: 0.3, ..of.model }, ..of });
    assert!(reason.contains("dropout is 0.3, and the run has 0.2"), "{reason}");
}

#[test]
fn the_bound_that_ended_a_run_is_known() {
    let ended = |change: Settings| {
        let mut training = Training::new(text(156), change, Some(1)).unwrap();
        assert_eq!(training.ended_by(), None);
        while !training.is_done() {
            training.step().unwrap();
        }
        training.ended_by()
    };
    assert_eq!(ended(settings()), Some(Bound::MaxSteps));
    assert_eq!(
        ended(Settings { run: RunSettings { epochs: 1.0, ..settings().run }, ..settings() }),
        Some(Bound::Epochs)
    );
    assert_eq!(
        ended(Settings { run: RunSettings { max_chars: Some(50), ..settings().run }, ..settings() }),
        Some(Bound::MaxChars)
    );
    let stuck = Settings {
        schedule: ScheduleSettings { learning_rate: 1e-12, ..settings().schedule },
        run: RunSettings { patience: Some(1), eval_every: Some(1), ..settings().run },
        ..settings()
    };
    let worse = Settings {
        optimizer: OptimizerSettings { clip: 0.0, ..stuck.optimizer },
        schedule: ScheduleSettings { learning_rate: 3.0, ..stuck.schedule },
        run: RunSettings { max_steps: Some(200), ..stuck.run },
        ..stuck
    };
    assert_eq!(ended(worse), Some(Bound::Patience));
}

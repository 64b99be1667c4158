//! Tests of failed and interrupted steps, of a head in blocks, and of checkpoints of a run.

use super::Training;
use crate::exec::{self, Executor, LogitBlocks, Needs};
use crate::{
    Error, Mode, ModelSettings, RunSettings, Settings, Unit, checkpoint::Checkpoint, corpus::Corpus,
};
use std::sync::{Arc, atomic::AtomicBool};
use unrolled_kernels::Isa;

fn training(accumulate: usize, mode: Mode) -> Training {
    let text = (0..3000u32).map(|n| char::from(97 + (n * n % 19) as u8)).collect::<String>();
    let corpus = Corpus::from_text(text, Unit::Char).unwrap();
    let settings = Settings {
        model: ModelSettings { hidden: 9, dropout: 0.1, ..ModelSettings::default() },
        run: RunSettings {
            batch: 3,
            steps: 5,
            epochs: 9.0,
            accumulate,
            mode,
            label_smoothing: 0.1,
            eval_every: Some(4),
            ..RunSettings::default()
        },
        ..Settings::default()
    };
    Training::new(corpus, settings, Some(2)).unwrap()
}

/// Returns a checkpoint with all measured times set to zero.
fn timeless(training: &Training) -> Checkpoint {
    let mut checkpoint = training.checkpoint();
    let progress = &mut checkpoint.progress;
    (progress.seconds, progress.seconds_at_record, progress.since_log.seconds) = (0.0, 0.0, 0.0);
    for record in &mut progress.history {
        (record.seconds, record.chars_per_second) = (0.0, 0.0);
    }
    checkpoint
}

fn steps(training: &mut Training, count: usize) {
    (0..count).for_each(|_| _ = training.step().unwrap());
}

/// Checks in both modes that a step of `accumulate` windows, which `abort` ends early, changes
/// nothing.
fn leaves_no_trace(accumulate: usize, abort: impl Fn(&mut Training)) {
    for mode in [Mode::Static, Mode::Dynamic] {
        let (mut whole, mut left) = (training(accumulate, mode), training(accumulate, mode));
        steps(&mut whole, 3);
        steps(&mut left, 3);
        abort(&mut left);
        assert_eq!(timeless(&left), timeless(&whole), "accumulate = {accumulate}, {mode:?}");
        steps(&mut whole, 3);
        steps(&mut left, 3);
        assert_eq!(timeless(&left), timeless(&whole), "accumulate = {accumulate}, {mode:?}, later");
    }
}

#[test]
fn an_interrupted_step_changes_nothing() {
    leaves_no_trace(4, |training| {
        let flag = Arc::new(AtomicBool::new(true));
        training.interrupt_by(Arc::clone(&flag));
        assert!(matches!(training.step(), Err(Error::Interrupted)));
        training.interrupt_by(Arc::default());
    });
}

#[test]
fn a_step_that_fails_after_some_windows_changes_nothing() {
    for (accumulate, done) in [(1, 1), (4, 1), (4, 3)] {
        leaves_no_trace(accumulate, |training| {
            let first = training.progress.step * accumulate as u64;
            training.sums.clear();
            for window in first..first + done {
                training.read(window, window > first).unwrap();
                training.differentiate(window);
                training.accumulate(window - first);
            }
            training.take_back();
        });
    }
}

/// Returns the training with a head in blocks of four tokens.
fn by_blocks(mut training: Training) -> Training {
    training.engine.weights_mut().blocks = LogitBlocks::always(4);
    let Training { settings, engine, executor, .. } = &mut training;
    let needs = Needs { backward: true, dropout: true };
    *executor = match settings.run.mode {
        Mode::Static => {
            Executor::shaped(engine.weights(), [settings.run.steps, settings.run.batch], needs, engine.pool())
        }
        Mode::Dynamic => Executor::new(engine.weights(), needs),
    };
    training
}

#[test]
fn a_head_in_blocks_trains_the_same_weights() {
    if exec::detect().unwrap() == Isa::PORTABLE {
        return; // `matrixmultiply` starts new sums in each block.
    }
    for (accumulate, mode) in [(1, Mode::Static), (3, Mode::Static), (1, Mode::Dynamic), (3, Mode::Dynamic)] {
        let (mut whole, mut blocks) = (training(accumulate, mode), by_blocks(training(accumulate, mode)));
        steps(&mut whole, 5);
        steps(&mut blocks, 5);
        assert_eq!(timeless(&blocks), timeless(&whole), "accumulate = {accumulate}, {mode:?}");
    }
}

#[test]
fn a_saved_run_equals_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let mut training = training(1, Mode::Static);
    steps(&mut training, 5);
    training.save(&path).unwrap();
    let checkpoint = training.checkpoint();
    assert_eq!(std::fs::read(&path).unwrap(), checkpoint.to_bytes().unwrap());
    assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
    assert_eq!(Checkpoint::verify(&path).unwrap(), checkpoint.progress);
}

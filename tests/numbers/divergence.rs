//! A run with non-finite values ends with an error and keeps its last state.

use super::{bits, run_of, text};
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::Corpus;
use unrolled::train::Training;
use unrolled::{
    Activation, Cell, DataSettings, Error, ModelSettings, OptimizerKind, OptimizerSettings, RunSettings,
    ScheduleSettings, Settings, Unit,
};

fn settings(cell: Cell) -> Settings {
    let model = Settings {
        model: ModelSettings { cell, activation: Activation::Relu, ..ModelSettings::default() },
        ..Settings::default()
    };
    Settings {
        model: ModelSettings { hidden: 8, ..run_of(&model, 0.0).model },
        optimizer: OptimizerSettings { clip: 0.0, ..run_of(&model, 0.0).optimizer },
        run: RunSettings { batch: 3, steps: 8, max_steps: Some(100), ..run_of(&model, 0.0).run },
        ..run_of(&model, 0.0)
    }
}

/// Runs steps until one fails. Returns the error, and the parameters before and after it.
fn diverged(mut training: Training) -> (Error, Vec<u32>, Vec<u32>) {
    loop {
        let before = bits(&training.model().parameters().values);
        if let Err(error) = training.step() {
            return (error, before, bits(&training.model().parameters().values));
        }
        assert!(!training.is_done(), "nothing diverged");
    }
}

#[test]
fn an_absurd_learning_rate_ends_the_run() {
    let optimizer = OptimizerKind::Sgd;
    let settings = Settings {
        optimizer: OptimizerSettings { kind: optimizer, ..settings(Cell::Rnn).optimizer },
        schedule: ScheduleSettings { learning_rate: 1e9, ..settings(Cell::Rnn).schedule },
        ..settings(Cell::Rnn)
    };
    let training = Training::new(text(200), settings, Some(1)).unwrap();
    let (error, before, after) = diverged(training);
    assert!(before == after, "the parameters moved");
    let message = error.to_string();
    let Error::NotFinite { step, loss, gradient_norm, learning_rate, .. } = error else {
        panic!("{message}")
    };
    assert!(step > 1 && !(loss.is_finite() && gradient_norm.is_finite()) && learning_rate == 1e9);
    assert!(
        message.contains(&format!(
            "at step {step}: training diverged at learning rate 1000000000; lower learning-rate, or set a clip"
        )),
        "{message}"
    );
}

/// A run whose update has an infinite learning rate (in f32), after a step with a finite loss.
fn overflowing(change: Settings) -> Training {
    let settings = Settings {
        optimizer: OptimizerSettings { kind: OptimizerKind::Sgd, ..change.optimizer },
        schedule: ScheduleSettings { learning_rate: 1e39, ..change.schedule },
        ..change
    };
    Training::new(text(200), settings, Some(1)).unwrap()
}

#[test]
fn a_diverged_last_update_ends_the_run() {
    for val_fraction in [0.0, 0.2] {
        let mut training = overflowing(Settings {
            data: DataSettings { val_fraction, ..settings(Cell::Lstm).data },
            run: RunSettings { max_steps: Some(1), ..settings(Cell::Lstm).run },
            ..settings(Cell::Lstm)
        });
        let error = training.step().expect_err("the parameters are not finite");
        let message = error.to_string();
        assert!(matches!(error, Error::Diverged { step: 1, .. }), "{message}");
        assert!(message.starts_with("embedding.weight has a non-finite value after step 1: "));
        assert!(training.progress().history.is_empty() && training.progress().best_val_loss.is_none());
    }
}

#[test]
fn a_diverged_update_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.safetensors");
    let mut training = overflowing(settings(Cell::Gru));
    let good = training.checkpoint();
    good.save(&file).unwrap();
    assert!(training.step().unwrap().record.is_none(), "no evaluation was due");
    let error = training.checkpoint().save(&file).expect_err("the parameters are not finite");
    assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
    assert_eq!(Checkpoint::load(&file).unwrap(), good);
}

#[test]
fn a_non_finite_validation_loss_ends_the_run() {
    // Finite parameters that overflow at a symbol that training never sees.
    let settings = Settings {
        data: DataSettings { val_fraction: 0.2, ..settings(Cell::Rnn).data },
        run: RunSettings { max_steps: Some(1), ..settings(Cell::Rnn).run },
        ..settings(Cell::Rnn)
    };
    let mut checkpoint = Training::new(lopsided(), settings.clone(), Some(1)).unwrap().checkpoint();
    let rare = checkpoint.vocabulary.encode("z").unwrap()[0] as usize;
    checkpoint.parameters.get_mut("rnn.weight_ih_l0").unwrap().fill(1.0);
    checkpoint.parameters.get_mut("embedding.weight").unwrap()[rare * 20..][..20].fill(f32::MAX);
    let mut training = Training::resume(lopsided(), checkpoint, settings, Some(1)).unwrap();
    let error = training.step().expect_err("the validation loss is not finite");
    assert!(matches!(error, Error::NotFinite { step: 1, loss, .. } if !loss.is_finite()), "{error}");
}

/// A text with a z only in its validation split.
fn lopsided() -> Corpus {
    Corpus::from_text("ab".repeat(240) + &"az".repeat(60), Unit::Char).unwrap()
}

#[test]
fn non_finite_parameters_end_the_run() {
    for cell in [Cell::Rnn, Cell::Lstm, Cell::Gru] {
        for (name, value) in [
            ("head.weight", f32::INFINITY),
            ("head.bias", f32::NAN),
            ("head.bias", f32::INFINITY),
            ("rnn.weight_hh_l0", f32::NAN),
            ("rnn.bias_ih_l0", f32::NAN),
            ("embedding.weight", f32::NAN),
        ] {
            let settings = settings(cell);
            let mut checkpoint = Training::new(text(200), settings.clone(), Some(1)).unwrap().checkpoint();
            checkpoint.parameters.get_mut(name).unwrap().fill(value);
            let training = Training::resume(text(200), checkpoint, settings, Some(1)).unwrap();
            let (error, before, after) = diverged(training);
            assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{name} = {value}: {error}");
            assert!(before == after, "{name} = {value}: the parameters moved");
        }
    }
}

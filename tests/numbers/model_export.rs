//! Checkpoints without training state.

use super::{bits, run_of, text};
use std::fs;
use unrolled::checkpoint::{Checkpoint, Import, TensorFile};
use unrolled::sample::{Generator, Sampling};
use unrolled::train::Training;
use unrolled::{ModelSettings, OptimizerKind, OptimizerSettings, RunSettings, Settings, Windows};

/// A run after a few steps.
fn trained(settings: Settings) -> Training {
    let run = run_of(&settings, 0.0);
    let mut training = Training::new(
        text(2000),
        Settings { model: ModelSettings { hidden: 40, ..run.model }, ..run },
        Some(1),
    )
    .unwrap();
    (0..3).for_each(|_| _ = training.step().unwrap());
    training
}

fn resumed(checkpoint: Checkpoint) -> unrolled::Result<Training> {
    let settings = checkpoint.settings.clone();
    Training::resume(text(2000), checkpoint, settings, Some(1))
}

#[test]
fn a_model_file_has_a_third_of_the_size_and_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, model] = ["whole", "model"].map(|name| folder.path().join(name));
    let checkpoint = trained(Settings::default()).checkpoint();
    checkpoint.save(&whole).unwrap();
    checkpoint.save_model(&model).unwrap();
    let [large, small] = [&whole, &model].map(|path| fs::metadata(path).unwrap().len());
    assert!(small * 5 < large * 2, "{small} of {large} bytes");

    let loaded = Checkpoint::load(&model).unwrap();
    assert_eq!(loaded, checkpoint.clone().without_training_state());
    assert_eq!(loaded.progress.step, 3);
    assert_eq!(Checkpoint::verify(&model).unwrap(), checkpoint.progress);
    assert_eq!(loaded.model().unwrap(), checkpoint.model().unwrap());
    let write = |checkpoint: &Checkpoint| {
        let model = checkpoint.model().unwrap();
        let mut generator =
            Generator::new(model.clone(), &checkpoint.vocabulary, Sampling::default(), 0).unwrap();
        (0..20).map(|_| generator.next_id()).collect::<Vec<_>>()
    };
    assert_eq!(write(&loaded), write(&checkpoint));
    let file = TensorFile::load(&model).unwrap();
    assert!(file.names().all(|name| !name.starts_with("optimizer.") && !name.starts_with("state.")));
    let imported = Import::default().read(&file).unwrap().checkpoint;
    assert_eq!(bits(&imported.parameters.values), bits(&checkpoint.parameters.values));
}

#[test]
fn resuming_from_a_model_file_is_an_error_that_says_what_to_do() {
    for (optimizer, windows, missing) in [
        (OptimizerKind::Adam, Windows::Stream, "optimizer state"),
        (OptimizerKind::Adagrad, Windows::Random, "optimizer state"),
        (OptimizerKind::Sgd, Windows::Stream, "carried state"),
    ] {
        let checkpoint = trained(Settings {
            optimizer: OptimizerSettings { kind: optimizer, ..OptimizerSettings::default() },
            run: RunSettings { windows, ..RunSettings::default() },
            ..Settings::default()
        })
        .checkpoint();
        let error = resumed(checkpoint.clone().without_training_state()).unwrap_err().to_string();
        let expected =
            format!("cannot resume this run: its checkpoint has no {missing}, as after an export ");
        assert!(error.starts_with(&expected) && error.ends_with("--init-from"), "{error}");
        resumed(checkpoint).unwrap();
    }
}

#[test]
fn a_new_run_starts_from_a_model_file() {
    let checkpoint = trained(Settings::default()).checkpoint().without_training_state();
    let settings = Settings {
        run: RunSettings { max_steps: Some(5), ..checkpoint.settings.run.clone() },
        ..checkpoint.settings.clone()
    };
    let training = Training::fine_tune(text(2000), &checkpoint, settings, Some(1)).unwrap();
    assert_eq!(bits(&training.model().parameters().values), bits(&checkpoint.parameters.values));
}

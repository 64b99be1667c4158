//! Checkpoints of trainers: models of vectors and of symbols are saved, loaded and continued.

use super::{ids, noise};
use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::Vocabulary;
use unrolled::exec::{OutputSteps, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::train::{Trainer, TrainerSettings};
use unrolled::{Layer, ModelSettings, OptimizerSettings};

const STEPS: usize = 6;
const ROWS: usize = 3;

fn vectors() -> Model {
    let stack = [Layer::gru(7), Layer { residual: true, ..Layer::lstm(7) }];
    Model::of_vectors(&ModelSettings::of_layers(stack).on_vectors(4, 2), 5).unwrap()
}

/// A bidirectional model of vectors.
fn bidirectional() -> Model {
    let both = |layer| Layer { bidirectional: true, ..layer };
    let stack = [both(Layer { projection: Some(3), ..Layer::lstm(5) }), both(Layer::gru(4))];
    Model::of_vectors(&ModelSettings::of_layers(stack).on_vectors(4, 2), 5).unwrap()
}

/// A model that reads 9 symbols and predicts 4 classes.
fn classifier() -> Model {
    let settings = ModelSettings { outputs: Some(4), embedding: Some(3), ..ModelSettings::lstm(8) };
    Model::new(&settings, 9, 5).unwrap()
}

/// Trains for some steps.
fn train(trainer: &mut Trainer, steps: u64) {
    for _ in 0..steps {
        let seed = trainer.steps() as u32 + 1;
        match trainer.model().config().vocabulary {
            0 => {
                let value = |n: u32| n as f32 / 500.0 - 1.0;
                let inputs: Vec<f32> = noise(seed, 1001).take(STEPS * ROWS * 4).map(value).collect();
                let targets: Vec<f32> = noise(seed + 99, 1001).take(STEPS * ROWS * 2).map(value).collect();
                let window = Window::new(STEPS, ROWS, &inputs);
                trainer.step(&window, &Objective::new(Loss::MeanSquared, &targets)).unwrap();
            }
            symbols => {
                let inputs = ids(seed, STEPS * ROWS, symbols);
                let classes = ids(seed + 99, ROWS, 4);
                let output_steps = OutputSteps::Last;
                let window = Window { output_steps, ..Window::new(STEPS, ROWS, &inputs) };
                trainer.step(&window, &Objective::new(Loss::CROSS_ENTROPY, &classes)).unwrap();
            }
        }
    }
}

#[test]
fn a_resumed_trainer_has_the_bits_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for model in [vectors(), classifier(), bidirectional()] {
        for optimizer in [OptimizerSettings::adam(), OptimizerSettings::sgd(0.9), OptimizerSettings::sgd(0.0)]
        {
            let settings = TrainerSettings { optimizer, threads: Some(1), ..TrainerSettings::adam(1e-2) };
            let mut whole = Trainer::new(model.clone(), settings.clone()).unwrap();
            train(&mut whole, 3);
            whole.save(&path).unwrap();
            let checkpoint = Checkpoint::load(&path).unwrap();
            assert_eq!(checkpoint, whole.checkpoint().unwrap());
            assert_eq!(checkpoint.model().unwrap(), **whole.model());
            let mut resumed = Trainer::resume(&checkpoint, settings).unwrap();
            assert_eq!(resumed.steps(), 3);
            train(&mut whole, 4);
            train(&mut resumed, 4);
            assert_eq!(resumed.checkpoint().unwrap(), whole.checkpoint().unwrap());
        }
    }
}

#[test]
fn a_checkpoint_of_vectors_has_no_symbols_and_of_ids_has_them() {
    let checkpoint =
        |model: Model| Trainer::new(model, TrainerSettings::default()).unwrap().checkpoint().unwrap();
    let of_vectors = checkpoint(vectors());
    assert_eq!(of_vectors.vocabulary, Vocabulary::none());
    assert_eq!((of_vectors.settings.model.inputs, of_vectors.settings.model.outputs), (Some(4), Some(2)));
    assert_eq!(checkpoint(classifier()).vocabulary, Vocabulary::of_ids(9).unwrap());
}

#[test]
fn a_checkpoint_of_another_update_rule_is_an_error() {
    let adam = Trainer::new(vectors(), TrainerSettings::default()).unwrap().checkpoint().unwrap();
    let optimizer = OptimizerSettings::adagrad();
    let other = TrainerSettings { optimizer, ..TrainerSettings::default() };
    let message = Trainer::resume(&adam, other).unwrap_err().to_string();
    assert!(message.contains("tensor m: found a moment of that name"), "{message}");
    let bare = adam.without_training_state();
    let message = Trainer::resume(&bare, TrainerSettings::default()).unwrap_err().to_string();
    assert!(message.contains("tensor m: found nothing"), "{message}");
}

#[test]
fn text_is_neither_trained_nor_written_by_a_model_of_vectors() {
    let checkpoint = Trainer::new(vectors(), TrainerSettings::default()).unwrap().checkpoint().unwrap();
    let bytes = checkpoint.to_bytes().unwrap();
    let again = Checkpoint::from_bytes(&bytes, Path::new("model.safetensors")).unwrap();
    let (model, vocabulary) = (again.model().unwrap(), &again.vocabulary);
    let refused = unrolled::sample::Generator::new(model, vocabulary, Default::default(), 0).unwrap_err();
    assert!(refused.to_string().contains("a model of vectors predicts no symbols"), "{refused}");
}

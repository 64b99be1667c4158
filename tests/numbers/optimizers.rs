//! The public optimizer: its update rules compared with TensorFlow 1 and, for AdamW, PyTorch;
//! stacks that it trains; saving; errors.

use super::Differentiate;
use super::allocations::count;
use super::fixture::Fixture;
use super::{assert_close, bits, noise, run_of, text};
use std::{collections::BTreeMap, env, process::Command};
use unrolled::corpus::{Batch, Batches};
use unrolled::loss::sparse_softmax_cross_entropy;
use unrolled::model::Model;
use unrolled::network::{Layer, Network, Window};
use unrolled::optim::Optimizer;
use unrolled::train::Training;
use unrolled::{
    Activation, ClipMode, OptimizerKind, OptimizerSettings, RunSettings, ScheduleSettings, Settings, Windows,
};
use unrolled_kernels::{ISA_VARIABLE, Isa};

const KINDS: [OptimizerKind; 5] = [
    OptimizerKind::Sgd,
    OptimizerKind::Adagrad,
    OptimizerKind::Rmsprop,
    OptimizerKind::Adam,
    OptimizerKind::Adamw,
];

fn of(settings: &Settings, parameters: usize) -> Optimizer {
    Optimizer::new(&settings.optimizer, parameters, Some(1)).unwrap()
}

fn fixtures() -> Vec<Fixture> {
    let all = Fixture::all(&["tensorflow-optimizer", "torch-optimizer"]);
    assert_eq!(all.len(), 12, "a fixture is missing");
    all
}

/// Returns the values [10, 37] after each update of a fixture's problem, and the final moments.
fn updated(fixture: &Fixture, settings: &Settings) -> (Vec<f32>, Vec<Vec<f32>>) {
    let settings = Settings {
        optimizer: OptimizerSettings { clip: 0.0, ..settings.optimizer.clone() },
        ..settings.clone()
    };
    let (mut optimizer, mut values) = (of(&settings, 37), fixture.floats("start").to_vec());
    let mut all = Vec::new();
    for gradient in fixture.floats("gradients").chunks(37) {
        optimizer.step(settings.schedule.learning_rate, gradient, &mut values);
        all.extend_from_slice(&values);
    }
    (all, optimizer.moments().map(|(_, values)| values.to_vec()).collect())
}

#[test]
pub fn ten_updates_match_the_fixtures() {
    for fixture in fixtures() {
        let (values, _) = updated(&fixture, &fixture.settings);
        let steps = values.chunks(37).zip(fixture.floats("values").chunks(37));
        for (number, (found, expected)) in (1..).zip(steps) {
            assert_close(&format!("{}, update {number}", fixture.name), found, expected);
        }
    }
}

/// A process uses one SIMD backend, so this test starts its own binary again.
#[test]
fn ten_updates_match_the_fixtures_on_every_instruction_set() {
    for isa in Isa::all() {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "numbers::optimizers::ten_updates_match_the_fixtures"])
            .env(ISA_VARIABLE, isa.name())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{}: {printed}", isa.name());
    }
}

#[test]
fn moments_start_at_tensorflows_values() {
    for fixture in fixtures() {
        let mut slots: BTreeMap<String, f64> = serde_json::from_str(&fixture.words["initial_slots"]).unwrap();
        for (name, values) in of(&fixture.settings, 1).moments() {
            let slot = slots.remove(&name.replace("mean_square", "rms").replace("mean_gradient", "mg"));
            assert_eq!(slot.map(|slot| slot as f32), Some(values[0]), "{}: {name}", fixture.name);
        }
        // TensorFlow has a velocity even without momentum, and does not change it.
        assert!(slots.values().all(|&slot| slot == 0.0), "{}: {slots:?}", fixture.name);
    }
}

#[test]
fn defaults_are_tensorflows() {
    // The fixtures state their constants. The defaults must give the same numbers.
    for name in ["adagrad", "rmsprop", "adam"] {
        let fixture = Fixture::load(&format!("tensorflow-optimizer-{name}"));
        let unnamed = Settings {
            optimizer: OptimizerSettings {
                initial_accumulator: None,
                epsilon: None,
                ..fixture.settings.optimizer.clone()
            },
            ..fixture.settings.clone()
        };
        assert!(updated(&fixture, &fixture.settings) == updated(&fixture, &unnamed), "{name}");
    }
}

#[test]
fn training_and_the_optimizer_give_the_same_bits() {
    for optimizer in KINDS {
        let windows = Windows::Sliding;
        let settings = Settings {
            optimizer: OptimizerSettings {
                kind: optimizer,
                clip: 0.1,
                ..run_of(&Settings::default(), 0.0).optimizer
            },
            run: RunSettings { windows, ..run_of(&Settings::default(), 0.0).run },
            ..run_of(&Settings::default(), 0.0)
        };
        let mut training = Training::new(text(3000), settings.clone(), Some(2)).unwrap();
        let batches =
            Batches::new(0..3000, windows, settings.run.batch, settings.run.steps, settings.run.seed)
                .unwrap();
        let mut network = Network::new(training.model().clone(), Some(1)).unwrap();
        let mut optimizer = of(&settings, training.model().parameters().values.len());
        let mut batch = Batch::default();
        for window in 0..4 {
            batches.fill(training.corpus(), window, &mut batch);
            network.run(&batch, None, None).unwrap();
            let report = training.step().unwrap();
            let (parameters, gradient) = network.parameters_and_gradient();
            let norm = optimizer.step(report.learning_rate, gradient, parameters);
            assert!(norm > 0.1 && norm == report.gradient_norm, "{norm} for {}", report.gradient_norm);
            let expected = bits(&training.model().parameters().values);
            assert!(bits(parameters) == expected, "{}, window {window}", settings.optimizer.kind.name());
        }
    }
}

/// Trains a stack that is wide enough to be divided among threads, to predict the symbol before the
/// last one. Returns the loss before each of 40 steps, and the final parameters.
fn trained(settings: &Settings, threads: usize) -> (Vec<f64>, Vec<f32>) {
    let (steps, rows, symbols) = (7, 6, 5);
    let stack = [Layer::lstm(128), Layer { activation: Activation::Identity, ..Layer::rnn(symbols) }];
    let model = Model::of_layers(&stack, symbols, None, settings.run.seed).unwrap();
    let mut rnn = Network::new(model, Some(threads)).unwrap();
    let count = rnn.model().parameters().values.len();
    let mut optimizer = Optimizer::new(&settings.optimizer, count, Some(threads)).unwrap();
    let ids: Vec<u32> = noise(5, symbols as u32).take((steps + 1) * rows).collect();
    let inputs: Vec<f32> = ids[rows..]
        .iter()
        .flat_map(|id| (0..symbols as u32).map(move |symbol| f32::from(u8::from(symbol == *id))))
        .collect();
    // The first step has no earlier symbols.
    let targets = [&vec![0; rows], &ids[rows..steps * rows]].concat();
    let (mut outputs, mut losses) = (vec![0.0; inputs.len()], Vec::new());
    for _ in 0..40 {
        rnn.forward(&Window::new(steps, rows, &inputs), &mut outputs).unwrap();
        let loss = sparse_softmax_cross_entropy(&outputs, &targets).unwrap().mean();
        rnn.backward(&loss.gradient(&[1.0]), None).unwrap();
        let (parameters, gradient) = rnn.parameters_and_gradient();
        assert!(optimizer.step(settings.schedule.learning_rate, gradient, parameters) > 0.0);
        losses.push(loss.values[0]);
    }
    assert_eq!(optimizer.steps(), 40);
    (losses, rnn.model().parameters().values.clone())
}

#[test]
fn a_stack_learns_and_its_bits_do_not_depend_on_threads() {
    for (optimizer, learning_rate) in KINDS.into_iter().zip([0.5, 0.1, 0.02, 0.01, 0.01]) {
        // From TensorFlow's initial value 1, RMSProp needs more steps.
        let initial_accumulator = Some(0.1);
        let settings = Settings {
            optimizer: OptimizerSettings {
                kind: optimizer,
                initial_accumulator,
                clip: 1.0,
                ..OptimizerSettings::default()
            },
            schedule: ScheduleSettings { learning_rate, ..ScheduleSettings::default() },
            ..Settings::default()
        };
        let (losses, parameters) = trained(&settings, 1);
        assert!(losses[39] < 0.7 * losses[0], "{}: {losses:?}", optimizer.name());
        let other = trained(&settings, 3);
        assert!(losses == other.0 && bits(&parameters) == bits(&other.1), "{}: threads", optimizer.name());
    }
}

#[test]
fn a_restored_optimizer_continues_with_the_same_bits() {
    for fixture in fixtures() {
        let (mut first, mut values) = (of(&fixture.settings, 37), fixture.floats("start").to_vec());
        let (before, after) = fixture.floats("gradients").split_at(4 * 37);
        before.chunks(37).for_each(|gradient| _ = first.step(0.01, gradient, &mut values));
        let (mut second, mut others) = (of(&fixture.settings, 37), values.clone());
        second.restore(first.steps(), first.moments()).unwrap();
        for gradient in after.chunks(37) {
            first.step(0.01, gradient, &mut values);
            second.step(0.01, gradient, &mut others);
        }
        assert!(bits(&values) == bits(&others) && second.steps() == 10, "{}", fixture.name);
        assert!(first.moments().eq(second.moments()), "{}", fixture.name);
    }
}

#[test]
fn invalid_moments_are_errors_and_change_nothing() {
    let mut adam = of(&Settings::default(), 2);
    let mut refused = |moments: &[(&str, &[f32])]| {
        let error = adam.restore(3, moments.iter().copied()).unwrap_err().to_string();
        assert!(adam.steps() == 0 && adam.moments().all(|(_, values)| values == [0.0; 2]), "{error}");
        error
    };
    let m = ("m", &[1.0, 2.0][..]);
    assert_eq!(refused(&[m]), "tensor v: found nothing, expected 2 values");
    assert_eq!(refused(&[m, ("v", &[1.0])]), "tensor v: found 1 values, expected 2");
    assert_eq!(refused(&[m, ("v", &[1.0, f32::NAN])]), "tensor v: found NaN, expected finite numbers");
    let error = refused(&[m, ("v", &[1.0, 2.0]), ("momentum", &[1.0, 2.0])]);
    assert_eq!(error, "tensor momentum: found a moment of that name, expected m and v");
}

#[test]
fn the_norm_is_of_the_gradient_before_clipping() {
    for (clip_mode, expected) in [(ClipMode::Norm, [-1.5, 2.0]), (ClipMode::Value, [-2.5, 2.5])] {
        let optimizer = OptimizerKind::Sgd;
        let settings = Settings {
            optimizer: OptimizerSettings {
                kind: optimizer,
                momentum: 0.0,
                clip: 2.5,
                clip_mode,
                ..OptimizerSettings::default()
            },
            ..Settings::default()
        };
        let mut values = [0.0; 2];
        assert_eq!(of(&settings, 2).step(1.0, &[3.0, -4.0], &mut values), 5.0);
        assert_eq!(values, expected);
    }
}

#[test]
fn a_non_finite_gradient_changes_no_parameter() {
    let mut optimizer = of(&Settings::default(), 2);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = [1.0, 2.0];
        assert!(!optimizer.step(0.1, &[0.5, bad], &mut values).is_finite());
        assert!(values == [1.0, 2.0] && optimizer.steps() == 0);
        assert!(optimizer.moments().all(|(_, values)| values == [0.0; 2]));
    }
}

#[test]
fn a_step_allocates_nothing() {
    let (mut optimizer, gradient) = (of(&Settings::default(), 9000), vec![0.5; 9000]);
    let mut values = gradient.clone();
    assert_eq!(count(|| _ = optimizer.step(0.1, &gradient, &mut values)), 0);
    let mut fork = optimizer.clone();
    assert_eq!(count(|| _ = fork.step(0.1, &gradient, &mut values)), 0, "a fork");
}

#[test]
fn invalid_settings_and_sizes_are_errors() {
    let refused = |settings: Settings, parameters| {
        Optimizer::new(&settings.optimizer, parameters, Some(1)).expect_err("refused").to_string()
    };
    let settings = Settings {
        optimizer: OptimizerSettings { beta1: 1.0, ..OptimizerSettings::default() },
        ..Settings::default()
    };
    let expected = "beta1 = 1 is invalid: give a number of at least 0 and below 1";
    assert_eq!(refused(settings, 3), expected);
    let settings = Settings {
        optimizer: OptimizerSettings { clip: -1.0, ..OptimizerSettings::default() },
        ..Settings::default()
    };
    assert!(refused(settings, 3).starts_with("clip = -1 is invalid: "));
    // Other settings are not checked.
    of(&Settings { run: RunSettings { batch: 0, ..RunSettings::default() }, ..Settings::default() }, 3);
    #[cfg(target_os = "linux")]
    assert!(refused(Settings::default(), usize::MAX).contains(" of memory, more than the "));
}

#[test]
#[should_panic(expected = "gradient: 4 values for an optimizer of 3")]
fn a_gradient_of_another_length_panics_with_both_lengths() {
    of(&Settings::default(), 3).step(0.1, &[0.0; 4], &mut [0.0; 3]);
}

#[test]
#[should_panic(expected = "parameters: 2 values for an optimizer of 3")]
fn parameters_of_another_length_panic_with_both_lengths() {
    of(&Settings::default(), 3).step(0.1, &[0.0; 3], &mut [0.0; 2]);
}

#[test]
#[should_panic(expected = "a learning rate of NaN")]
fn a_nan_learning_rate_panics() {
    of(&Settings::default(), 3).step(f64::NAN, &[0.0; 3], &mut [0.0; 3]);
}

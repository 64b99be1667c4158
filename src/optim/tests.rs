//! Every optimiser, step for step, against TensorFlow 1, or PyTorch for AdamW; clipping against its definition.

use super::*;
use safetensors::SafeTensors;
use std::{collections::BTreeMap, fs, path::Path};

/// An arena of this length has several chunks, the last one short, and is worth several threads.
const LONG: usize = 8 * CHUNK + 37;

struct Golden {
    name: String,
    settings: Settings,
    slots: BTreeMap<String, f64>,
    /// [37], [10, 37], [10, 37]
    start: Vec<f32>,
    gradients: Vec<f32>,
    values: Vec<f32>,
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = tensors.tensor(name).unwrap().data().to_vec();
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn golden(name: &str) -> Golden {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let framework = if name.starts_with("adamw") { "torch" } else { "tensorflow" };
    let bytes = fs::read(folder.join(format!("{framework}-optimizer-{name}.safetensors"))).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let words = metadata.metadata().as_ref().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    Golden {
        name: name.to_owned(),
        settings: serde_json::from_str(&words["config"]).unwrap(),
        slots: serde_json::from_str(&words["initial_slots"]).unwrap(),
        start: floats(&tensors, "start"),
        gradients: floats(&tensors, "gradients"),
        values: floats(&tensors, "values"),
    }
}

fn goldens() -> Vec<Golden> {
    let names = [
        "sgd",
        "momentum",
        "momentum-nesterov",
        "adagrad",
        "rmsprop",
        "rmsprop-momentum",
        "rmsprop-centered",
    ];
    let more = ["rmsprop-centered-momentum", "adam", "adam-epsilon", "adamw", "adamw-decay"];
    names.into_iter().chain(more).map(golden).collect()
}

/// `clip` is off; the rate is the settings'.
fn step(settings: &Settings, number: u64) -> Step {
    Step { number, rate: settings.learning_rate, norm: 0.0 }
}

/// 1e-6 and 1e-5 of the value: see tests/goldens/README.md.
fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 1e-6 + 1e-5 * expected.abs();
        assert!(close, "{what}[{i}]: found {found}, expected {expected}");
    }
}

#[test]
fn ten_updates_go_as_theirs() {
    let threads = Threads::new(Some(1)).unwrap();
    for (golden, isa) in goldens().iter().flat_map(|golden| Isa::all().map(move |isa| (golden, isa))) {
        let settings = Settings { clip: 0.0, ..golden.settings.clone() };
        let mut optimizer = Optimizer::new(&settings, 37);
        let mut values = golden.start.clone();
        let steps = golden.gradients.chunks(37).zip(golden.values.chunks(37));
        for (number, (gradient, expected)) in (1..).zip(steps) {
            optimizer.update(isa, step(&settings, number), gradient, &mut values, &threads);
            let what = format!("{} on {}, update {number}", golden.name, isa.name());
            assert_close(&what, &values, expected);
        }
    }
}

#[test]
fn moments_start_where_tensorflows_slots_do() {
    for golden in goldens() {
        let mut slots = golden.slots.clone();
        for (name, values) in Optimizer::new(&golden.settings, 1).moments {
            let slot = slots.remove(&name.replace("mean_square", "rms").replace("mean_gradient", "mg"));
            assert_eq!(slot.map(|slot| slot as f32), Some(values[0]), "{}: {name}", golden.name);
        }
        // TensorFlow keeps a velocity without momentum, and leaves it as it is.
        assert!(slots.values().all(|&slot| slot == 0.0), "{}: {slots:?}", golden.name);
    }
}

#[test]
fn defaults_are_tensorflows() {
    // The goldens name their constants; without the names the same numbers must come out.
    for name in ["adagrad", "rmsprop", "adam"] {
        let named = Settings { initial_accumulator: None, ..golden(name).settings };
        let unnamed = Settings { epsilon: None, ..named.clone() };
        assert_eq!(Optimizer::new(&named, 3), Optimizer::new(&unnamed, 3), "{name}");
    }
}

/// A long arena from a short one.
fn long(values: &[f32]) -> Vec<f32> {
    values.iter().copied().cycle().take(LONG).collect()
}

#[test]
fn threads_and_chunks_change_nothing() {
    for golden in goldens() {
        let settings = Settings { clip: 0.5, ..golden.settings.clone() };
        let updated = |count, length: usize| {
            let threads = Threads::new(Some(count)).unwrap();
            let mut optimizer = Optimizer::new(&settings, length);
            let mut values = long(&golden.start)[..length].to_vec();
            for (number, gradient) in (1..).zip(golden.gradients.chunks(37)) {
                let at = Step { norm: 3.0, ..step(&settings, number) };
                let gradient = &long(gradient)[..length];
                optimizer.update(Isa::all().last().unwrap(), at, gradient, &mut values, &threads);
            }
            (values, optimizer.moments)
        };
        let (expected, moments) = updated(1, LONG);
        assert!((expected.clone(), moments) == updated(3, LONG), "{}: threads", golden.name);
        assert!(expected[..37] == updated(1, 37).0, "{}: place in the arena", golden.name);
        assert!(
            expected[expected.len() - 37..] == long(&expected[..37])[LONG % 37..][..37],
            "{}",
            golden.name
        );
    }
}

#[test]
fn the_norm_does_not_depend_on_threads() {
    let gradient = long(&golden("sgd").gradients);
    let gradient = gradient.repeat(7);
    let expected = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    for isa in Isa::all() {
        let found =
            [1, 2, 3].map(|count| norm(isa, &gradient, &mut Vec::new(), &Threads::new(Some(count)).unwrap()));
        assert!(found[0] == found[1] && found[0] == found[2], "{found:?}");
        assert!((found[0] - expected).abs() < 1e-6 * expected, "{} for {expected}", found[0]);
    }
}

/// The parameters after one step of gradient descent at rate 1, from zero.
fn moved(clip: f32, clip_mode: ClipMode, gradient: &[f32], norm: f64) -> Vec<f32> {
    let settings = Settings { optimizer: OptimizerKind::Sgd, clip, clip_mode, ..Settings::default() };
    let mut values = vec![0.0; gradient.len()];
    let threads = Threads::new(Some(1)).unwrap();
    let at = Step { number: 1, rate: 1.0, norm };
    Optimizer::new(&settings, gradient.len()).update(Isa::PORTABLE, at, gradient, &mut values, &threads);
    values
}

#[test]
fn clipping_by_norm_scales_the_whole_gradient() {
    let gradient = [3.0, -4.0, 0.0];
    assert_eq!(moved(2.5, ClipMode::Norm, &gradient, 5.0), [-1.5, 2.0, 0.0]);
    assert_eq!(moved(5.0, ClipMode::Norm, &gradient, 5.0), [-3.0, 4.0, 0.0]);
    assert_eq!(moved(0.0, ClipMode::Norm, &gradient, 5.0), [-3.0, 4.0, 0.0]);
}

#[test]
fn clipping_by_value_limits_each_element() {
    let gradient = [3.0, -4.0, 0.5];
    assert_eq!(moved(2.5, ClipMode::Value, &gradient, 5.0), [-2.5, 2.5, -0.5]);
    assert_eq!(moved(0.0, ClipMode::Value, &gradient, 5.0), [-3.0, 4.0, -0.5]);
}

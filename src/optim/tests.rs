//! Tests that chunks and threads do not change an update, and tests of clipping. The values are
//! compared with TensorFlow and PyTorch in `tests/numbers/optimizers.rs`.

use super::*;
use crate::random::{DrawPurpose, Draws};

/// A buffer of this length has several chunks, the last one short, and uses several threads.
const LONG: usize = 8 * MOST + 37;

/// Every rule, with and without its optional moments.
fn rules() -> Vec<OptimizerSettings> {
    let of = |kind| OptimizerSettings { kind, clip: 0.5, ..OptimizerSettings::default() };
    let [sgd, rmsprop] = [OptimizerKind::Sgd, OptimizerKind::Rmsprop].map(of);
    let adamw = OptimizerSettings { weight_decay: 0.1, ..of(OptimizerKind::Adamw) };
    vec![
        OptimizerSettings { momentum: 0.0, ..sgd.clone() },
        OptimizerSettings { momentum: 0.9, ..sgd.clone() },
        OptimizerSettings { momentum: 0.9, nesterov: true, ..sgd },
        of(OptimizerKind::Adagrad),
        OptimizerSettings { momentum: 0.0, ..rmsprop.clone() },
        OptimizerSettings { momentum: 0.9, ..rmsprop.clone() },
        OptimizerSettings { momentum: 0.0, centered: true, ..rmsprop.clone() },
        OptimizerSettings { momentum: 0.9, centered: true, ..rmsprop },
        of(OptimizerKind::Adam),
        adamw,
    ]
}

/// Ten gradients of 37 values, some of which are zero.
fn gradients() -> Vec<f32> {
    let mut draws = Draws::new(1, DrawPurpose::Init, 0, 0);
    (0..370).map(|i| if i % 7 == 0 { 0.0 } else { 10.0 * (draws.uniform() - 0.5) }).collect()
}

fn workers(isa: Isa, threads: &Threads) -> Workers<'_> {
    Workers { isa, threads, phases: &Phases::OFF }
}

/// Repeats the values up to the length `LONG`.
fn long(values: &[f32]) -> Vec<f32> {
    values.iter().copied().cycle().take(LONG).collect()
}

#[test]
fn threads_and_chunks_do_not_change_an_update() {
    let (start, gradients) = (&gradients()[..37], gradients());
    for settings in rules() {
        let updated = |count, length: usize| {
            let threads = Threads::new(Some(count)).unwrap();
            let mut rule = UpdateRule::new(&settings, length);
            let mut values = long(start)[..length].to_vec();
            for (number, gradient) in (1..).zip(gradients.chunks(37)) {
                let at = OptimizerStep { number, rate: 0.01, norm: 3.0 };
                let gradient = &long(gradient)[..length];
                rule.update(workers(Isa::all().last().unwrap(), &threads), at, gradient, &mut values);
            }
            (values, rule.moments)
        };
        let (expected, moments) = updated(1, LONG);
        assert!((expected.clone(), moments) == updated(3, LONG), "{settings:?}: threads");
        assert!(expected[..37] == updated(1, 37).0, "{settings:?}: place in the buffer");
        assert!(
            expected[expected.len() - 37..] == long(&expected[..37])[LONG % 37..][..37],
            "{settings:?}: the end of the buffer"
        );
    }
}

#[test]
fn the_norm_does_not_depend_on_threads() {
    let gradient = long(&gradients()).repeat(7);
    let expected = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    for isa in Isa::all() {
        let found = [1, 2, 3].map(|count| {
            let threads = Threads::new(Some(count)).unwrap();
            norm(workers(isa, &threads), &gradient, &mut Vec::new())
        });
        assert!(found[0] == found[1] && found[0] == found[2], "{found:?}");
        assert!((found[0] - expected).abs() < 1e-6 * expected, "{} for {expected}", found[0]);
    }
}

/// Returns the parameters after one step of gradient descent from zero at learning rate 1.
fn after_one_step(clip: f32, clip_mode: ClipMode, gradient: &[f32], norm: f64) -> Vec<f32> {
    let settings =
        OptimizerSettings { kind: OptimizerKind::Sgd, clip, clip_mode, ..OptimizerSettings::default() };
    let mut values = vec![0.0; gradient.len()];
    let threads = Threads::new(Some(1)).unwrap();
    let at = OptimizerStep { number: 1, rate: 1.0, norm };
    UpdateRule::new(&settings, gradient.len()).update(
        workers(Isa::PORTABLE, &threads),
        at,
        gradient,
        &mut values,
    );
    values
}

#[test]
fn clipping_by_norm_scales_the_whole_gradient() {
    let gradient = [3.0, -4.0, 0.0];
    assert_eq!(after_one_step(2.5, ClipMode::Norm, &gradient, 5.0), [-1.5, 2.0, 0.0]);
    assert_eq!(after_one_step(5.0, ClipMode::Norm, &gradient, 5.0), [-3.0, 4.0, 0.0]);
    assert_eq!(after_one_step(0.0, ClipMode::Norm, &gradient, 5.0), [-3.0, 4.0, 0.0]);
}

#[test]
fn clipping_by_value_limits_each_element() {
    let gradient = [3.0, -4.0, 0.5];
    assert_eq!(after_one_step(2.5, ClipMode::Value, &gradient, 5.0), [-2.5, 2.5, -0.5]);
    assert_eq!(after_one_step(0.0, ClipMode::Value, &gradient, 5.0), [-3.0, 4.0, -0.5]);
}

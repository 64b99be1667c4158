//! Losses, accuracy and gradients of logits.

use crate::comparisons::bits;
use crate::harness::{Numbers, Shifted, fuses};
use proptest::prelude::*;
use unrolled_kernels::{Isa, reference, softmax::CrossEntropy};

/// Returns (losses, correct, gradients) of rows with a stride three floats longer than V.
fn run(
    isa: Isa,
    vocabulary: usize,
    logits: &[f32],
    targets: &[u32],
    scale: Option<f32>,
) -> (Vec<f64>, Vec<bool>, Vec<f32>) {
    let stride = vocabulary + 3;
    let mut wide = Shifted::new(&vec![7.0; targets.len() * stride], 1);
    for (to, from) in wide.get_mut().chunks_exact_mut(stride).zip(logits.chunks_exact(vocabulary)) {
        to[..vocabulary].copy_from_slice(from);
    }
    let (mut losses, mut correct) = (vec![0.0; targets.len()], vec![false; targets.len()]);
    CrossEntropy {
        vocabulary,
        stride,
        logits: wide.get_mut(),
        targets,
        gradient_scale: scale,
        losses: &mut losses,
        correct: &mut correct,
    }
    .run_on(isa);
    let rest = if scale.is_some() { 0.0 } else { 7.0 };
    let rows = || wide.get().chunks_exact(stride);
    assert!(rows().all(|row| row[vocabulary..].iter().all(|v| *v == rest)), "behind the V-th logit");
    (losses, correct, rows().flat_map(|row| row[..vocabulary].to_vec()).collect())
}

/// The loss sums V exponentials of 2 ULP each in f32, so it is within about 1e-6 of the reference
/// in f64.
fn check(vocabulary: usize, rows: usize, spread: f32, seed: u64) {
    let mut n = Numbers(seed);
    let logits: Vec<f32> = n.floats(rows * vocabulary).iter().map(|v| v * spread).collect();
    let targets = n.ids(rows, vocabulary);
    let mut fused: Option<(Vec<u64>, Vec<u32>)> = None;
    for isa in Isa::all() {
        let (losses, correct, gradients) = run(isa, vocabulary, &logits, &targets, Some(0.5));
        for m in 0..rows {
            let row = &logits[m * vocabulary..][..vocabulary];
            let (loss, right, gradient) = reference::cross_entropy(row, targets[m] as usize);
            assert!((losses[m] - loss).abs() <= 2e-6 + 1e-6 * loss.abs(), "loss {} for {loss}", losses[m]);
            assert_eq!(correct[m], right, "row {m}");
            let found = &gradients[m * vocabulary..][..vocabulary];
            for (f, e) in found.iter().zip(&gradient) {
                assert!((f64::from(*f) - 0.5 * e).abs() <= 5e-7, "gradient {f} for {}", 0.5 * e);
            }
            let sum: f64 = found.iter().map(|&g| f64::from(g)).sum();
            assert!(sum.abs() <= 1e-6, "a gradient's sum is {sum}");
        }
        let (only, right, kept) = run(isa, vocabulary, &logits, &targets, None);
        assert_eq!((only, right), (losses.clone(), correct), "with and without a gradient");
        assert_eq!(bits(&kept), bits(&logits), "logits stay without a gradient");
        if fuses(isa) {
            let now = (losses.iter().map(|l| l.to_bits()).collect(), bits(&gradients));
            assert!(fused.is_none_or(|before| before == now), "instruction sets differ");
            fused = Some(now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn losses_agree_with_the_reference(vocabulary in 1usize..=100, rows in 0usize..=5, spread in 0.1f32..40.0, seed in any::<u64>()) {
        check(vocabulary, rows, spread, seed);
    }
}

#[test]
fn vocabularies_around_a_vector_agree_with_the_reference() {
    for vocabulary in [1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 361] {
        check(vocabulary, 4, 8.0, vocabulary as u64);
        check(vocabulary, 4, 1e4, vocabulary as u64);
    }
}

#[test]
fn huge_logits_stay_finite() {
    for isa in Isa::all() {
        for vocabulary in [2, 16, 17, 65] {
            let mut logits = vec![-1e4; vocabulary];
            logits[1] = 1e4;
            let (losses, correct, gradients) = run(isa, vocabulary, &logits, &[1], Some(1.0));
            assert_eq!((losses[0], correct[0]), (0.0, true));
            assert!(gradients.iter().all(|g| g.abs() < 1e-30), "{gradients:?}");
            let (losses, correct, gradients) = run(isa, vocabulary, &logits, &[0], Some(1.0));
            assert_eq!((losses[0], correct[0]), (2e4, false));
            assert_eq!((gradients[0], gradients[1]), (-1.0, 1.0));
        }
    }
}

#[test]
fn a_logit_that_is_not_finite_gives_a_loss_that_is_not_finite() {
    let mut seen = Vec::new();
    for isa in Isa::all() {
        let mut outcome = Vec::new();
        for vocabulary in [1, 15, 16, 17, 40, 65] {
            for bad in [f32::NAN, f32::INFINITY] {
                for place in 0..vocabulary {
                    let mut logits = vec![0.25; vocabulary];
                    logits[place] = bad;
                    let (losses, correct, _) = run(isa, vocabulary, &logits, &[0], Some(1.0));
                    assert!(!losses[0].is_finite(), "{bad} at {place} of {vocabulary}: {}", losses[0]);
                    outcome.push(correct[0]);
                }
            }
            let (losses, ..) = run(isa, vocabulary, &vec![f32::NEG_INFINITY; vocabulary], &[0], Some(1.0));
            assert!(!losses[0].is_finite(), "only -inf: {}", losses[0]);
        }
        seen.push(outcome);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "accuracy depends on the instruction set");
}

#[test]
fn an_impossible_symbol_gives_an_infinite_loss_only_as_a_target() {
    for isa in Isa::all() {
        let logits = [0.0, f32::NEG_INFINITY, 0.0];
        let (losses, ..) = run(isa, 3, &logits, &[0], None);
        assert!((losses[0] - 2f64.ln()).abs() < 1e-7, "{}", losses[0]);
        let (losses, ..) = run(isa, 3, &logits, &[1], None);
        assert_eq!(losses[0], f64::INFINITY);
    }
}

#[test]
fn a_tie_goes_to_the_first_symbol() {
    for isa in Isa::all() {
        for vocabulary in [2, 16, 17, 33] {
            let mut logits = vec![0.0; vocabulary];
            (logits[0], logits[vocabulary - 1]) = (1.0, 1.0);
            let last = vocabulary as u32 - 1;
            let (_, correct, _) = run(isa, vocabulary, &logits.repeat(2), &[0, last], None);
            assert_eq!(correct, [true, false], "V = {vocabulary}");
        }
    }
}

//! Softmax with its loss, optimizer updates, norms and masks.

use crate::contents::{assert_near, assert_same, bits, floats, season};
use crate::harness::{Shifted, fuses};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use unrolled_kernels::masks::multiply;
use unrolled_kernels::softmax::CrossEntropy;
use unrolled_kernels::update::{NORM_BLOCK, Rule, Update, sum_of_squares};
use unrolled_kernels::{Isa, reference};

pub fn check_softmax(u: &mut Unstructured<'_>) -> Result<()> {
    let (vocabulary, rows) = (u.int_in_range(1..=100)?, u.int_in_range(0..=5)?);
    let stride = vocabulary + u.int_in_range(0..=3)?;
    let (spread, wild) = (*u.choose(&[1.0, 8.0, 100.0, 1e5])?, u.arbitrary()?);
    let scale = u.arbitrary::<bool>()?.then_some(0.5);
    let targets =
        (0..rows).map(|_| u.int_in_range(0..=vocabulary as u32 - 1)).collect::<Result<Vec<u32>>>()?;
    let mut logits: Vec<f32> = floats(u, rows * stride)?.iter().map(|value| value * spread).collect();
    season(u, wild, &mut [&mut logits])?;
    let mut fused = None;
    for isa in Isa::all() {
        let (mut losses, mut correct) = (vec![0.0; rows], vec![false; rows]);
        let mut found = logits.clone();
        CrossEntropy {
            vocabulary,
            stride,
            logits: &mut found,
            targets: &targets,
            gradient_scale: scale,
            losses: &mut losses,
            correct: &mut correct,
        }
        .run_on(isa);
        for m in 0..rows {
            let row = m * stride..m * stride + vocabulary;
            let gradient = scale.is_some().then(|| &found[row.clone()]);
            check_row(&logits[row.clone()], targets[m] as usize, (losses[m], correct[m]), gradient);
        }
        if scale.is_none() {
            assert_same(&found, &logits, "logits stay without a gradient");
        }
        if fuses(isa) {
            let losses: Vec<Option<u64>> =
                losses.iter().map(|l| (!l.is_nan()).then_some(l.to_bits())).collect();
            let now = (losses, correct, bits(&found));
            assert!(fused.is_none_or(|before| before == now), "instruction sets differ");
            fused = Some(now);
        }
    }
    Ok(())
}

/// The loss sums up to a hundred exponentials of 2 ULP each in f32, so it is within about 1e-6 of
/// the reference in f64.
fn check_row(logits: &[f32], target: usize, (loss, right): (f64, bool), gradient: Option<&[f32]>) {
    let possible = logits.iter().any(|y| *y > f32::NEG_INFINITY);
    if !possible || logits.iter().any(|y| y.is_nan() || *y == f32::INFINITY) {
        assert!(!loss.is_finite(), "{logits:?} gave the loss {loss}");
        return;
    }
    let (expected, first, expected_gradient) = reference::cross_entropy(logits, target);
    let near = loss == expected || (loss - expected).abs() <= 2e-6 + 1e-6 * expected.abs();
    assert!(near, "loss {loss} for {expected}, of {target} in {logits:?}");
    assert_eq!(right, first, "correct of target {target} in {logits:?}");
    let expected: Vec<f32> = expected_gradient.iter().map(|g| 0.5 * *g as f32).collect();
    if let Some(gradient) = gradient {
        assert_near(gradient, &expected, 5e-7, "gradient");
    }
}

/// Returns a fraction in [0, 1).
fn fraction(u: &mut Unstructured<'_>) -> Result<f32> {
    Ok(f32::from(u.arbitrary::<u8>()?) / 256.0)
}

fn rule(u: &mut Unstructured<'_>) -> Result<Rule> {
    let rate = fraction(u)?;
    let (momentum, decay, beta1, beta2) = (fraction(u)?, fraction(u)?, fraction(u)?, fraction(u)?);
    let epsilon = *u.choose(&[1e-8, 1e-7, 1e-3, 0.1])?;
    Ok(match u.int_in_range(0..=6)? {
        0 => Rule::Sgd { rate, momentum },
        1 => Rule::Nesterov { rate, momentum },
        2 => Rule::Adagrad { rate, epsilon },
        3 => Rule::Rmsprop { rate, decay, momentum, epsilon },
        4 => Rule::CenteredRmsprop { rate, decay, momentum, epsilon },
        5 => Rule::Adam { rate, beta1, beta2, epsilon },
        _ => Rule::AdamW { rate, root: 1.0 + fraction(u)?, kept: fraction(u)?, beta1, beta2, epsilon },
    })
}

pub fn check_update(u: &mut Unstructured<'_>) -> Result<()> {
    let (rule, offset, wild) = (rule(u)?, u.int_in_range(0..=3)?, u.arbitrary()?);
    let count = u.int_in_range(0..=70)?;
    let (scale, limit) = (0.1 + 2.0 * fraction(u)?, *u.choose(&[f32::INFINITY, 0.05, 0.8])?);
    let (mut gradient, mut p, mut third) = (floats(u, count)?, floats(u, count)?, floats(u, count)?);
    let squares = |values: Vec<f32>| -> Vec<f32> { values.iter().map(|value| value * value).collect() };
    let (mut first, mut second) = (squares(floats(u, count)?), squares(floats(u, count)?));
    season(u, wild, &mut [&mut gradient, &mut p, &mut first, &mut second, &mut third])?;
    // A sum of squares is never negative.
    first.iter_mut().chain(&mut second).for_each(|value| *value = value.abs());
    let exact: Vec<[f32; 4]> = (0..count)
        .map(|i| reference::update(rule, (scale, limit), gradient[i], [p[i], first[i], second[i], third[i]]))
        .collect();
    let mut fused: Option<[Vec<f32>; 4]> = None;
    for isa in Isa::all() {
        let used = |moment: usize, values: &[f32]| {
            Shifted::new(if rule.moments() > moment { values } else { &[] }, offset)
        };
        let (mut a, mut b, mut c) = (used(0, &first), used(1, &second), used(2, &third));
        let (g, mut q) = (Shifted::new(&gradient, offset), Shifted::new(&p, offset));
        let (parameters, first, second, third) = (q.get_mut(), a.get_mut(), b.get_mut(), c.get_mut());
        Update { rule, scale, limit, gradient: g.get(), parameters, first, second, third }.run_on(isa);
        let found = [q, a, b, c].map(|values| values.get().to_vec());
        if !fuses(isa) {
            // It rounds twice where the reference rounds once. The tests bound the error of cases
            // without cancellation.
            assert!(wild || found[0].len() == count);
            continue;
        }
        for (k, found) in found.iter().enumerate() {
            let expected: Vec<f32> = exact.iter().take(found.len()).map(|all| all[k]).collect();
            if !wild {
                assert_same(found, &expected, &format!("{rule:?} on {}", isa.name()));
            }
        }
        let hidden = (0..count).find(|&i| gradient[i].is_nan() && found[0][i].is_finite());
        assert_eq!(hidden, None, "a NaN gradient gave a finite parameter");
        if let Some(other) = &fused {
            found
                .iter()
                .zip(other)
                .for_each(|(found, other)| assert_same(found, other, "instruction sets differ"));
        }
        fused = Some(found);
    }
    Ok(())
}

pub fn check_norm(u: &mut Unstructured<'_>) -> Result<()> {
    let (count, offset, wild) = (u.int_in_range(0..=NORM_BLOCK)?, u.int_in_range(0..=3)?, u.arbitrary()?);
    let (mut a, mut b) = (floats(u, count)?, floats(u, count)?);
    season(u, wild, &mut [&mut a, &mut b])?;
    let (a, b) = (Shifted::new(&a, offset), Shifted::new(&b, offset));
    let (sum, products) = (reference::sum_of_squares(a.get()), reference::multiply(a.get(), b.get()));
    for isa in Isa::all() {
        let found = sum_of_squares(isa, a.get());
        assert!(found == sum || (found.is_nan() && sum.is_nan()), "{}: {found} for {sum}", isa.name());
        let mut out = Shifted::new(&vec![f32::NAN; count], offset);
        multiply(isa, a.get(), b.get(), out.get_mut());
        assert_same(out.get(), &products, isa.name());
    }
    Ok(())
}

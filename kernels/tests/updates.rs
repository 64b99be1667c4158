//! Optimizer rules, clipping, norms and dropout masks.

use crate::comparisons::{assert_bits, assert_close};
use crate::harness::{Numbers, Shifted, fuses};
use proptest::prelude::*;
use unrolled_kernels::masks::multiply;
use unrolled_kernels::update::{NORM_BLOCK, Rule, Update, sum_of_squares};
use unrolled_kernels::{Isa, reference};

const RULES: [Rule; 10] = [
    Rule::Sgd { rate: 0.1, momentum: 0.0 },
    Rule::Sgd { rate: 0.1, momentum: 0.9 },
    Rule::Adagrad { rate: 0.1, epsilon: 1e-7 },
    Rule::Rmsprop { rate: 0.01, decay: 0.95, momentum: 0.0, epsilon: 1e-8 },
    Rule::Rmsprop { rate: 0.01, decay: 0.95, momentum: 0.5, epsilon: 1e-8 },
    Rule::Adam { rate: 0.002, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    Rule::Nesterov { rate: 0.1, momentum: 0.9 },
    Rule::CenteredRmsprop { rate: 0.01, decay: 0.95, momentum: 0.0, epsilon: 1e-3 },
    Rule::CenteredRmsprop { rate: 0.01, decay: 0.95, momentum: 0.5, epsilon: 1e-3 },
    Rule::AdamW { rate: 0.002, root: 1.5, kept: 0.99, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn updates_have_the_bits_of_the_reference(
        (count, offset, seed) in (0usize..=70, 0usize..=3, any::<u64>()),
        rule in prop::sample::select(&RULES[..]),
        (scale, limit) in (0.1f32..2.0, prop_oneof![Just(f32::INFINITY), 0.05f32..0.8]),
    ) {
        let mut n = Numbers(seed);
        let (gradient, p) = (n.floats(count), n.floats(count));
        let first: Vec<f32> = n.floats(count).iter().map(|v| v.abs()).collect();
        let mut second: Vec<f32> = n.floats(count).iter().map(|v| v.abs()).collect();
        if matches!(rule, Rule::CenteredRmsprop { .. }) {
            // The square of a mean is below the mean square. Otherwise their difference is only
            // rounding.
            second.iter_mut().zip(&first).for_each(|(mean, square)| *mean = 0.5 * square.sqrt());
        }
        let third = n.floats(count);
        let exact: Vec<[f32; 4]> = (0..count)
            .map(|i| reference::update(rule, (scale, limit), gradient[i], [p[i], first[i], second[i], third[i]]))
            .collect();
        for isa in Isa::all() {
            let used = |moment: usize, values: &[f32]| Shifted::new(if rule.moments() > moment { values } else { &[] }, offset);
            let (mut a, mut b, mut c) = (used(0, &first), used(1, &second), used(2, &third));
            let (g, mut parameters) = (Shifted::new(&gradient, offset), Shifted::new(&p, offset));
            let update = Update {
                rule,
                scale,
                limit,
                gradient: g.get(),
                parameters: parameters.get_mut(),
                first: a.get_mut(),
                second: b.get_mut(),
                third: c.get_mut(),
            };
            update.run_on(isa);
            for (k, found) in [parameters.get(), a.get(), b.get(), c.get()].into_iter().enumerate() {
                let expected: Vec<f32> = exact.iter().take(found.len()).map(|all| all[k]).collect();
                if fuses(isa) {
                    assert_bits(found, &expected, isa.name());
                } else {
                    // Two roundings instead of one, in sums of three terms.
                    assert_close(found, &expected, 1e-6, isa.name());
                }
            }
        }
    }

    #[test]
    fn norms_and_masks_have_the_bits_of_the_reference((count, offset, seed) in (0usize..=NORM_BLOCK, 0usize..=3, any::<u64>())) {
        let mut n = Numbers(seed);
        let (a, b) = (Shifted::new(&n.floats(count), offset), Shifted::new(&n.floats(count), offset));
        for isa in Isa::all() {
            prop_assert_eq!(sum_of_squares(isa, a.get()), reference::sum_of_squares(a.get()), "{}", isa.name());
            let mut out = Shifted::new(&vec![f32::NAN; count], offset);
            multiply(isa, a.get(), b.get(), out.get_mut());
            assert_bits(out.get(), &reference::multiply(a.get(), b.get()), isa.name());
        }
    }
}

#[test]
fn clipping_does_not_hide_a_gradient_that_is_not_finite() {
    for isa in Isa::all() {
        for count in [1, 8, 16, 20] {
            let (mut p, g) = (vec![1.0; count], vec![f32::NAN; count]);
            let rule = Rule::Sgd { rate: 0.1, momentum: 0.0 };
            let parameters = &mut p[..];
            let (first, second, third) = (&mut [][..], &mut [][..], &mut [][..]);
            Update { rule, scale: 1.0, limit: 0.5, gradient: &g, parameters, first, second, third }
                .run_on(isa);
            assert!(p.iter().all(|p| p.is_nan()), "{}: {p:?}", isa.name());
        }
    }
}

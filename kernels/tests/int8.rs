//! Weights as 8-bit integers.

use proptest::prelude::*;
use unrolled_kernels::int8::{
    LARGEST, SMALLEST_SCALE, dequantized, is_scale_of, quantized, round_row, scale,
};

/// Finite weights of all sizes, with zeros and denormal numbers.
fn weight() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0f32..1.0,
        2 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |weight| weight.is_finite()),
        1 => (0u32..1 << 23).prop_map(f32::from_bits),
        1 => Just(0.0),
        1 => prop::sample::select(vec![-0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, -127.0 * f32::MIN_POSITIVE]),
    ]
}

/// Rows whose weights have the same size, from the smallest to the largest.
fn row() -> impl Strategy<Value = Vec<f32>> {
    let even = (prop::collection::vec(-1.0f32..1.0, 1..40), -149i32..=127)
        .prop_map(|(row, size)| row.iter().map(|weight| weight * 2f32.powi(size)).collect());
    prop_oneof![prop::collection::vec(weight(), 0..40), even]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quantizing_twice_gives_the_same_scale_and_integers(row in row()) {
        let scale = scale(&row);
        let integers: Vec<i8> = row.iter().map(|weight| quantized(*weight, scale)).collect();
        prop_assert!(is_scale_of(scale, &integers), "{scale:e} {integers:?}");
        let mut rounded = row.clone();
        prop_assert_eq!(round_row(&mut rounded), scale);
        prop_assert_eq!(unrolled_kernels::int8::scale(&rounded), scale);
        for (weight, integer) in rounded.iter().zip(&integers) {
            prop_assert_eq!(quantized(*weight, scale), *integer);
            // The product is exact.
            prop_assert_eq!(f64::from(*weight), f64::from(*integer) * f64::from(scale));
        }
    }

    #[test]
    fn a_weight_moves_by_at_most_half_a_step(row in row()) {
        let scale = scale(&row);
        // The largest weights move a little more if the scale was rounded down.
        let most = if f64::from(scale) * 127.01 > f64::from(f32::MAX) { 0.51 } else { 0.5 };
        for weight in &row {
            let moved = f64::from(*weight) - f64::from(dequantized(quantized(*weight, scale), scale));
            prop_assert!(moved.abs() <= most * f64::from(scale), "{weight:e} {scale:e}");
        }
    }

    #[test]
    fn the_scale_is_the_shortest_at_least_a_127th_of_the_largest_weight(row in row()) {
        let (scale, largest) = (f64::from(scale(&row)), row.iter().fold(0.0f32, |m, w| m.max(w.abs())));
        let exact = f64::from(largest) / f64::from(LARGEST);
        prop_assert!(scale >= exact * (1.0 - 2f64.powi(-15)));
        prop_assert!(scale <= (exact * (1.0 + 2f64.powi(-15))).max(f64::from(SMALLEST_SCALE)));
    }
}

#[test]
fn scales_that_no_row_has_are_refused() {
    let integers = [127, -3];
    assert!(is_scale_of(0.5, &integers) && is_scale_of(SMALLEST_SCALE, &[0, 1]));
    assert!(is_scale_of(SMALLEST_SCALE, &[]) && is_scale_of(SMALLEST_SCALE, &[127]));
    let long = 0.5 + 2f32.powi(-17);
    for scale in [0.0, -0.0, -0.5, f32::NAN, f32::INFINITY, f32::MAX, 1e-40, long] {
        assert!(!is_scale_of(scale, &integers), "{scale:e}");
    }
    assert!(!is_scale_of(0.5, &[126, 0]) && !is_scale_of(0.5, &[]) && !is_scale_of(0.5, &[-128, 127]));
    assert!(!is_scale_of(SMALLEST_SCALE, &[-128, 127]));
}

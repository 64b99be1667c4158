//! The reference of the tiles of AMX: against f64, and in the cases that tell its order of addition
//! and its treatment of denormal numbers from others. `examples/amx_check.rs` compares the
//! instructions with it.

use crate::harness::Numbers;
use proptest::prelude::*;
use unrolled_kernels::denormals::flush;
use unrolled_kernels::reference::tile_product;

/// Returns the word of two bf16 values, which must be exact.
fn word(low: f32, high: f32) -> u32 {
    let [low, high] = [low, high].map(f32::to_bits);
    assert_eq!((low | high) & 0xffff, 0, "not bf16 values");
    low >> 16 | high
}

/// Returns random words whose halves are between -1 and 1.
fn words(numbers: &mut Numbers, count: usize) -> Vec<u32> {
    let mut half = || numbers.floats(1)[0].to_bits() >> 16;
    (0..count).map(|_| half() | half() << 16).collect()
}

fn halves(word: u32) -> [f64; 2] {
    [word << 16, word & 0xffff_0000].map(|bits| f64::from(f32::from_bits(bits)))
}

/// Returns start + x . weights for one row and one output.
fn dot(x: &[u32], weights: &[u32], start: f32) -> f32 {
    tile_product(x.len(), x, weights, &[start])[0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A term takes part in at most 16 multiply-adds, the sum of both halves, and the sums of the
    /// groups; each rounds by half of the machine epsilon.
    #[test]
    fn sums_are_within_their_rounding_of_f64(
        (rows, depth, outputs, seed) in (1usize..=4, 1usize..=70, 1usize..=20, any::<u64>()),
    ) {
        let mut numbers = Numbers(seed);
        let (x, weights) = (words(&mut numbers, rows * depth), words(&mut numbers, depth * outputs));
        let start = numbers.floats(rows * outputs);
        let found = tile_product(depth, &x, &weights, &start);
        let roundings = (16 + 1 + depth.div_ceil(16)) as f64;
        for (i, found) in found.iter().enumerate() {
            let (m, n) = (i / outputs, i % outputs);
            let (mut sum, mut size) = (f64::from(start[i]), f64::from(start[i]).abs());
            for k in 0..depth {
                let [a, b] = [halves(x[m * depth + k]), halves(weights[k * outputs + n])];
                sum += a[0] * b[0] + a[1] * b[1];
                size += (a[0] * b[0]).abs() + (a[1] * b[1]).abs();
            }
            let bound = 1.01 * roundings * size * f64::from(f32::EPSILON) / 2.0;
            prop_assert!((f64::from(*found) - sum).abs() <= bound, "{found} {sum} {bound}");
        }
    }

    #[test]
    fn sums_of_small_integers_are_exact(
        (depth, seed, outputs) in (1usize..=70, any::<u64>(), 1usize..=20),
    ) {
        let mut numbers = Numbers(seed);
        let mut integers = |count: usize| -> Vec<f32> {
            numbers.floats(count).iter().map(|x| (x * 16.0).round()).collect()
        };
        let pack = |values: &[f32]| -> Vec<u32> { values.chunks(2).map(|v| word(v[0], v[1])).collect() };
        let (x, weights) = (integers(2 * depth), integers(2 * depth * outputs));
        let found = tile_product(depth, &pack(&x), &pack(&weights), &vec![7.0; outputs]);
        for (n, found) in found.iter().enumerate() {
            let product = |k: usize| x[k] * weights[2 * (k / 2 * outputs + n) + k % 2];
            prop_assert_eq!(*found, 7.0 + (0..2 * depth).map(product).sum::<f32>());
        }
    }

    #[test]
    fn zeros_behind_the_last_word_change_nothing(
        (depth, padding, seed) in (1usize..=40, 1usize..=16, any::<u64>()),
    ) {
        let mut numbers = Numbers(seed);
        let (mut x, mut weights) = (words(&mut numbers, depth), words(&mut numbers, depth));
        let short = dot(&x, &weights, 0.5);
        let padding = padding.min(depth.next_multiple_of(16) - depth);
        x.resize(depth + padding, 0);
        weights.resize(depth + padding, 0);
        prop_assert_eq!(dot(&x, &weights, 0.5).to_bits(), short.to_bits());
    }

    #[test]
    fn the_mode_of_the_thread_changes_nothing(seed in any::<u64>()) {
        let mut numbers = Numbers(seed);
        let tiny = |word: &u32| word & 0x80ff_80ff | 0x1e80_1e80;
        let (x, weights) = (words(&mut numbers, 64), words(&mut numbers, 64));
        let [x, weights] = [x, weights].map(|words| words.iter().map(tiny).collect::<Vec<_>>());
        let plain = tile_product(16, &x[..16], &weights, &[0.0; 4]);
        let flushed = flush(|| tile_product(16, &x[..16], &weights, &[0.0; 4]));
        prop_assert!(plain.iter().zip(&flushed).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn low_and_high_halves_have_sums_of_their_own() {
    let large = 2.0f32.powi(30);
    // One chain would give (2^30 + 1) - 2^30 = 0.
    let x = [word(large, 1.0), word(-large, 0.0)];
    assert_eq!(dot(&x, &[word(1.0, 1.0); 2], 0.0), 1.0);
    // In one half, the 1 is lost.
    let x = [word(large, 0.0), word(1.0, 0.0), word(-large, 0.0)];
    assert_eq!(dot(&x, &[word(1.0, 1.0); 3], 0.0), 0.0);
}

#[test]
fn the_start_is_added_after_the_products_of_a_group() {
    let large = 2.0f32.powi(30);
    let mut x = [word(0.0, 0.0); 17];
    (x[0], x[1]) = (word(1.0, 0.0), word(-large, 0.0));
    // -2^30 + 1 is rounded to -2^30.
    assert_eq!(dot(&x, &[word(1.0, 1.0); 17], large), 0.0);
    // In the next group, the sum is already 0.
    x.swap(0, 16);
    assert_eq!(dot(&x, &[word(1.0, 1.0); 17], large), 1.0);
}

#[test]
fn denormal_operands_and_results_are_zeros() {
    let one = [word(1.0, 1.0)];
    let denormal = f32::from_bits(0x0040_0000);
    assert_eq!(dot(&[word(denormal, 0.0)], &[word(2.0f32.powi(20), 0.0)], 0.0), 0.0);
    assert_eq!(dot(&[word(0.0, denormal)], &[word(0.0, 2.0f32.powi(20))], 0.0), 0.0);
    assert_eq!(dot(&[word(0.0, 0.0)], &one, denormal), 0.0);
    // A product below the smallest normal number.
    let small = 2.0f32.powi(-64);
    assert_eq!(dot(&[word(small, small)], &[word(small / 2.0, small)], 0.0), 0.0);
    // The sign stays.
    let result = dot(&[word(small, 0.0)], &[word(-small, 0.0)], -0.0);
    assert_eq!(result.to_bits(), 0.0f32.to_bits(), "-0 + (-0 + 0)");
    let result = dot(&[word(small, -small)], &[word(-small, small)], -0.0);
    assert_eq!(result.to_bits(), (-0.0f32).to_bits());
}

/// 2^-126 - t 2^-151 is halfway between two numbers of 24 bits for t = 1; it is then rounded up to
/// the smallest normal number. A larger t gives a denormal number after rounding to 24 bits, though
/// the nearest f32 is normal.
#[test]
fn a_result_is_denormal_if_it_is_after_rounding_to_24_bits() {
    let half = 2.0f32.powi(-63);
    let term = |t: f32| {
        let x = [word(half, 0.0), word(-t * 2.0f32.powi(-75), 0.0)];
        dot(&x, &[word(half, 0.0), word(2.0f32.powi(-76), 0.0)], 0.0)
    };
    assert_eq!(term(1.0), f32::MIN_POSITIVE);
    assert_eq!(term(1.0078125).to_bits(), 0);
    assert_eq!(term(2.0).to_bits(), 0);
}

//! The values that kernels compute with, and the comparison of their results.

use unrolled::random::{DrawPurpose, Draws};

/// Returns numbers in [-1, 1), the same in every run.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut draws = Draws::new(seed, DrawPurpose::Init, 0, 0);
    (0..count).map(|_| 2.0 * draws.uniform() - 1.0).collect()
}

/// Asserts that two results differ by at most a share of the largest expected value.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let scale = expected.iter().fold(1e-6f32, |scale, value| scale.max(value.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what}: value {i} is {f}, expected {e}");
    }
}

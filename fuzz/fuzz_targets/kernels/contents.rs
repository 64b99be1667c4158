//! The contents of buffers, and their comparison.

use crate::harness::{Numbers, fuses};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use std::num::FpCategory;
use unrolled_kernels::Isa;

/// Values whose products do not come near overflow within a few steps.
const TAME: [f32; 9] = [0.0, -0.0, 1.0, -1.0, 1e3, -1e3, 1e-40, -1e-45, 1e-38];
const WILD: [f32; 7] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e30, -1e25];

/// Returns numbers from a seed, multiplied by a power of two.
pub fn floats(u: &mut Unstructured<'_>, count: usize) -> Result<Vec<f32>> {
    let scale = 2f32.powi(u.int_in_range(-3..=1)?);
    let seed = u64::from(u.arbitrary::<u32>()?);
    Ok(Numbers(seed).floats(count).iter().map(|value| value * scale).collect())
}

/// Puts special values into some buffers until the bytes end.
pub fn season(u: &mut Unstructured<'_>, wild: bool, buffers: &mut [&mut [f32]]) -> Result<()> {
    while !u.is_empty() {
        let buffer = u.choose_index(buffers.len())?;
        let value = if wild && u.arbitrary()? { u.choose(&WILD)? } else { u.choose(&TAME)? };
        let place = usize::from(u.arbitrary::<u16>()?);
        if let Some(last) = buffers[buffer].len().checked_sub(1) {
            buffers[buffer][place % (last + 1)] = *value;
        }
    }
    Ok(())
}

pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// Returns bits, with the same bits for every NaN, and those of zero for a denormal number. The NaN
/// that a sum of two NaNs gives depends on the order of the operands. A denormal number remains
/// where a kernel only copies it.
pub fn bits(values: &[f32]) -> Vec<u32> {
    let bits = |value: &f32| match value.classify() {
        FpCategory::Nan => u32::MAX,
        FpCategory::Subnormal => 0f32.copysign(*value).to_bits(),
        _ => value.to_bits(),
    };
    values.iter().map(bits).collect()
}

#[track_caller]
pub fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    let (found, expected) = (bits(found), bits(expected));
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
        let [f, e] = [found[at], expected[at]].map(f32::from_bits);
        panic!("{what}: element {at} is {f:e}, expected exactly {e:e}");
    }
}

#[track_caller]
pub fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what}: element {at} is {f}, expected {e} within {tolerance}");
    }
}

/// Asserts the bits of the reference if the backend fuses. Otherwise asserts equality within a
/// tolerance, unless it is infinite.
#[track_caller]
pub fn assert_sums(isa: Isa, found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let what = format!("{what} on {}", isa.name());
    if fuses(isa) {
        assert_same(found, expected, &what);
    } else if tolerance.is_finite() {
        assert_near(found, expected, tolerance, &what);
    }
}

//! exp, sigmoid and tanh against f64, at the edges, and for slices of any length.

use unrolled_kernels::activation::{Activate, Function};
use unrolled_kernels::{Isa, reference};

/// Bit patterns from one sample to the next; prime.
const STRIDE: usize = 1009;

fn apply(isa: Isa, function: Function, values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    Activate { function, values: &mut values }.run_on(isa);
    values
}

fn exact(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.clamp(-87.0, 88.0).exp(),
        Function::Sigmoid => 1.0 / (1.0 + (-x).clamp(-87.0, 88.0).exp()),
        Function::Tanh => x.tanh(),
    }
}

/// The distance in units of the last place of the f32 nearest to `exact`. Zero is right for a
/// denormal number, and for a result of three ULP above one.
fn ulps(found: f32, exact: f64) -> f64 {
    if found == 0.0 && exact.abs() < f64::from(f32::MIN_POSITIVE) + 3.0 * f64::from(f32::from_bits(1)) {
        return 0.0;
    }
    let near = (exact as f32).abs();
    let next = f32::from_bits(near.to_bits() + 1);
    (f64::from(found) - exact).abs() / (f64::from(next) - f64::from(near))
}

/// Every `STRIDE`th bit pattern below infinity, both signs; and steps of 1/8192 where the functions
/// bend.
fn samples() -> Vec<f32> {
    let all = (0..0x7F80_0000u32).step_by(STRIDE).map(f32::from_bits);
    let bends = (0..100 * 8192).map(|i| i as f32 / 8192.0);
    all.chain(bends).chain([f32::MAX, f32::MIN_POSITIVE, 1e-45]).flat_map(|x| [x, -x]).collect()
}

/// The largest error in ULP, and the x that has it.
fn worst(isa: Isa, function: Function) -> (f64, f32) {
    let samples = samples();
    let mut worst = (0.0, 0.0);
    for (x, y) in samples.iter().zip(apply(isa, function, &samples)) {
        let error = ulps(y, exact(function, f64::from(*x)));
        if error > worst.0 || error.is_nan() {
            worst = (error, *x);
        }
    }
    worst
}

#[test]
fn errors_stay_within_the_stated_bounds() {
    let bounds = [(Function::Exp, 1.2), (Function::Sigmoid, 2.6), (Function::Tanh, 2.6)];
    for isa in Isa::all() {
        for (function, bound) in bounds {
            let (error, x) = worst(isa, function);
            println!("{} {function:?}: {error:.3} ULP at {x:e}", isa.name());
            assert!(error <= bound, "{function:?}({x:e}) on {} is off by {error} ULP", isa.name());
        }
    }
}

#[test]
fn edge_values_have_defined_results() {
    let edges = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-45, -1e-45, -1e-30].repeat(2);
    for isa in Isa::all() {
        let tanh = apply(isa, Function::Tanh, &edges);
        let expected = [0.0f32, -0.0, 1.0, -1.0, f32::NAN, 0.0, -0.0, -1e-30];
        for (found, expected) in tanh.into_iter().zip(expected) {
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "tanh on {}: {found:e}, expected {expected:e}", isa.name());
        }
        let sigmoid = apply(isa, Function::Sigmoid, &edges);
        assert_eq!(sigmoid[..3], [0.5, 0.5, 1.0], "{}", isa.name());
        assert!(sigmoid[3] == 0.0 && sigmoid[4].is_nan(), "{}", isa.name());
        let exp = apply(isa, Function::Exp, &edges);
        assert_eq!(exp[..2], [1.0, 1.0], "{}", isa.name());
        assert!(exp[2] > 1.6e38 && exp[2].is_finite() && exp[4].is_nan(), "{}", isa.name());
        assert!(exp[3] > 0.0 && exp[3] < 1.7e-38, "{}", isa.name());
    }
}

#[test]
fn slices_of_any_length_agree_with_the_reference() {
    type ExactFunction = fn(f32) -> f32;
    let functions: [(Function, ExactFunction); 3] = [
        (Function::Exp, |x| f64::from(x).exp() as f32),
        (Function::Sigmoid, reference::sigmoid),
        (Function::Tanh, reference::tanh),
    ];
    for isa in Isa::all() {
        for length in 0..=49 {
            for (function, exact) in functions {
                let x: Vec<f32> = (0..length).map(|i| (i as f32 - 20.3) * 0.37).collect();
                for (x, y) in x.iter().zip(apply(isa, function, &x)) {
                    let error = (y - exact(*x)).abs() / exact(*x).abs();
                    assert!(error < 4e-7, "{function:?}({x}) on {} is {y}", isa.name());
                }
            }
        }
    }
}

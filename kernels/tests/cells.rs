//! Forward and backward windows of all cells.

use crate::cases::{CaseSizes, CellCase, CellKind, KINDS};
use crate::comparisons::{assert_bits, assert_close};
use crate::drawn_cases::config;
use crate::drawn_sizes::sizes;
use crate::harness::fuses;
use proptest::prelude::*;
use unrolled_kernels::reference::{Deltas, Trace};
use unrolled_kernels::rnn::Activation;
use unrolled_kernels::{Isa, Products};

/// Gates are within 4 ULP of the reference (the functions of `math.rs` against f64). On the
/// portable backend each of up to 90 products rounds once more. The weights neither grow nor shrink
/// a state, so over five steps the error stays below this.
const TOLERANCE: f32 = 2e-5;
/// A value next to the middle of two bf16 numbers is rounded to one in the kernel and to the other in
/// the reference. That is 2^-8 of it, in a few of the values that a step multiplies. The same happens
/// between two integers of 8 bits.
const ROUNDED_TOLERANCE: f32 = 1e-2;

fn tolerance(case: &CellCase) -> f32 {
    if case.products == Products::F32 { TOLERANCE } else { ROUNDED_TOLERANCE }
}

fn parts(trace: &Trace) -> [(&str, &[f32]); 4] {
    [("h", &trace.h), ("c", &trace.c), ("gates", &trace.gates), ("extra", &trace.extra)]
}

fn assert_equal(found: &Trace, expected: &Trace, what: &str) {
    for ((name, found), (_, expected)) in parts(found).into_iter().zip(parts(expected)) {
        assert_bits(found, expected, &format!("{what}: {name}"));
    }
}

fn assert_equal_deltas(found: &Deltas, expected: &Deltas, what: &str) {
    assert_bits(&found.gates, &expected.gates, &format!("{what}: deltas"));
    assert_bits(&found.carry, &expected.carry, &format!("{what}: carry"));
}

/// Returns the part of a trace that a window without `keep` has: all of h, and the last step of the
/// rest.
fn last_step(trace: &Trace, case: &CellCase) -> Trace {
    let tail = |values: &[f32], steps: usize| values[values.len() - values.len() / steps..].to_vec();
    let steps = case.window.steps;
    Trace {
        h: trace.h.clone(),
        c: tail(&trace.c, steps + 1),
        gates: tail(&trace.gates, steps),
        extra: tail(&trace.extra, steps),
    }
}

pub fn check_forward(case: &CellCase) -> Option<Trace> {
    let exact = case.reference_forward();
    let exact = if case.window.keep { exact } else { last_step(&exact, case) };
    let mut fused: Option<Trace> = None;
    for isa in case.isas() {
        let trace = case.forward(isa);
        for ((name, found), (_, expected)) in parts(&trace).into_iter().zip(parts(&exact)) {
            assert_close(found, expected, tolerance(case), &format!("{}: {name}", isa.name()));
        }
        if !fuses(isa) {
            continue;
        }
        if [CellKind::Rnn(Activation::Relu), CellKind::Rnn(Activation::Identity)].contains(&case.kind) {
            assert_equal(&trace, &exact, "without approximated functions");
        }
        if let Some(other) = &fused {
            assert_equal(&trace, other, "between instruction sets");
        }
        fused = Some(trace);
    }
    fused
}

pub fn check_backward(case: &CellCase, trace: &Trace) {
    let exact = case.reference_backward(trace);
    for isa in case.isas() {
        let deltas = case.backward(isa, trace);
        if fuses(isa) {
            // A backward pass has no approximated functions: the same trace gives the same bits.
            assert_equal_deltas(&deltas, &exact, isa.name());
        } else {
            assert_close(&deltas.gates, &exact.gates, tolerance(case), "portable deltas");
            assert_close(&deltas.carry, &exact.carry, tolerance(case), "portable carry");
        }
    }
}

/// Returns row `row` of [M, B, each].
fn row_of(values: &[f32], rows: usize, row: usize, each: usize) -> Vec<f32> {
    values.chunks_exact(rows * each).flat_map(|step| step[row * each..][..each].to_vec()).collect()
}

pub fn check_rows(case: &CellCase, isa: Isa) {
    let (rows, hidden, slots) = (case.window.rows, case.window.hidden, case.kind.gates().1);
    let together = case.forward(isa);
    for row in 0..rows {
        let alone = case.part(0..case.window.steps, row..row + 1);
        let trace = alone.forward(isa);
        let expected = Trace {
            h: row_of(&together.h, rows, row, hidden),
            c: row_of(&together.c, rows, row, hidden),
            gates: row_of(&together.gates, rows, row, slots * hidden),
            extra: row_of(&together.extra, rows, row, hidden),
        };
        assert_equal(&trace, &expected, "a row alone");
        if case.has_backward() {
            let (deltas, one) = (case.backward(isa, &together), alone.backward(isa, &trace));
            assert_bits(
                &one.gates,
                &row_of(&deltas.gates, rows, row, slots * hidden),
                "deltas of a row alone",
            );
            assert_bits(&one.carry, &row_of(&deltas.carry, rows, row, hidden), "carry of a row alone");
        }
    }
}

fn check_steps(case: &CellCase, isa: Isa) {
    let whole = case.forward(isa);
    let step = case.window.rows * case.window.hidden;
    let (mut h, mut c) = (case.h.clone(), case.c.clone());
    for t in 0..case.window.steps {
        let mut one = case.part(t..t + 1, 0..case.window.rows);
        (one.h, one.c) = (h, c);
        let trace = one.forward(isa);
        assert_bits(&trace.h[step..], &whole.h[(t + 1) * step..][..step], "h, step by step");
        h = trace.h[step..].to_vec();
        c = trace.c[trace.c.len().saturating_sub(step)..].to_vec();
    }
    assert_bits(&c, &whole.c[whole.c.len().saturating_sub(step)..], "c, step by step");
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn cells_agree_with_the_reference(sizes in sizes(49), kind in prop::sample::select(&KINDS[..])) {
        for case in CellCase::new(kind, sizes).formats() {
            let trace = check_forward(&case);
            if case.has_backward() {
                check_backward(&case, &trace.unwrap_or_else(|| case.forward(Isa::PORTABLE)));
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_other_rows(sizes in sizes(49), kind in prop::sample::select(&KINDS[..])) {
        for case in CellCase::new(kind, sizes).formats() {
            case.isas().for_each(|isa| check_rows(&case, isa));
        }
    }

    #[test]
    fn a_window_equals_its_steps_one_by_one(sizes in sizes(49), kind in prop::sample::select(&KINDS[..])) {
        for case in CellCase::new(kind, sizes).formats() {
            case.isas().for_each(|isa| check_steps(&case, isa));
        }
    }
}

#[test]
fn every_hidden_width_of_every_cell_agrees_with_the_reference() {
    for (i, hidden) in (1..=49).enumerate() {
        for kind in KINDS {
            let sizes = CaseSizes {
                steps: 2,
                rows: 1 + i % 13,
                hidden,
                width: if i % 3 == 0 { 0 } else { i },
                table: i % 4,
                keep: true,
                offset: i % 4,
                seed: i as u64,
            };
            for case in CellCase::new(kind, sizes).formats() {
                let trace = check_forward(&case).unwrap_or_else(|| case.forward(Isa::PORTABLE));
                if case.has_backward() {
                    check_backward(&case, &trace);
                }
            }
        }
    }
}

#[test]
fn a_window_without_rows_gives_nothing() {
    for kind in KINDS {
        let sizes =
            CaseSizes { steps: 2, rows: 3, hidden: 5, width: 0, table: 0, keep: true, offset: 0, seed: 1 };
        for mut case in CellCase::new(kind, sizes).formats() {
            case.window.rows = 0;
            (case.h, case.c, case.carry, case.dh) = Default::default();
            for isa in case.isas() {
                let trace = case.forward(isa);
                assert!(trace.h.is_empty());
                assert!(!case.has_backward() || case.backward(isa, &trace).gates.is_empty());
            }
        }
    }
}

/// Rows of a tile share registers and weights, and nothing else.
#[test]
fn a_row_without_finite_values_does_not_change_other_rows() {
    const ROW: usize = 2;
    for (kind, hidden) in KINDS.into_iter().zip([5, 16, 23, 33, 40].into_iter().cycle()) {
        let sizes =
            CaseSizes { steps: 3, rows: 5, hidden, width: 9, table: 3, keep: true, offset: 1, seed: 4 };
        for case in CellCase::new(kind, sizes).formats() {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
                let mut other = case.clone();
                other.h[ROW * hidden..][..hidden].fill(value);
                let at = (case.window.rows + ROW) * case.width;
                other.x[at..][..case.width].fill(value);
                other.dh[ROW * hidden..][..hidden].fill(value);
                case.isas().for_each(|isa| assert_other_rows_equal(&case, &other, ROW, isa));
            }
        }
    }
}

fn assert_other_rows_equal(case: &CellCase, other: &CellCase, row: usize, isa: Isa) {
    let (rows, hidden) = (case.window.rows, case.window.hidden);
    let without = |values: &[f32], width: usize| -> Vec<f32> {
        let vectors = values.chunks(width.max(1)).enumerate();
        vectors.filter(|(m, _)| m % rows != row).flat_map(|(_, vector)| vector.to_vec()).collect()
    };
    let traces = [case, other].map(|case| case.forward(isa));
    for ((name, a), (_, b)) in parts(&traces[0]).into_iter().zip(parts(&traces[1])) {
        let width = if name == "gates" { case.kind.gates().1 * hidden } else { hidden };
        assert_bits(&without(a, width), &without(b, width), &format!("{}: {name}", isa.name()));
    }
    if case.has_backward() {
        let [a, b] = [(case, &traces[0]), (other, &traces[1])].map(|(case, trace)| case.backward(isa, trace));
        let width = case.kind.gates().1 * hidden;
        assert_bits(&without(&a.gates, width), &without(&b.gates, width), "deltas of other rows");
        assert_bits(&without(&a.carry, hidden), &without(&b.carry, hidden), "carry of other rows");
    }
}

/// The maximum of 0 and the sum is the sum, on every backend.
#[test]
fn relu_keeps_a_sum_of_minus_zero() {
    let sizes =
        CaseSizes { steps: 2, rows: 3, hidden: 17, width: 0, table: 0, keep: true, offset: 0, seed: 1 };
    let mut case = CellCase::new(CellKind::Rnn(Activation::Relu), sizes);
    case.h.fill(1.0);
    case.weight_hh.fill(-0.0);
    case.table.fill(-0.0);
    let trace = check_forward(&case).unwrap_or_else(|| case.reference_forward());
    assert!(trace.h[3 * 17..6 * 17].iter().all(|value| value.to_bits() == (-0.0f32).to_bits()));
}

/// AVX2 stores deep panels vector after vector. These depths are around the limit.
#[test]
fn cells_with_deep_panels_agree_with_the_reference() {
    for kind in KINDS {
        // The last two are deep if words hold two values, and four.
        for (hidden, width, rows) in
            [(192, 767, 3), (200, 768, 1), (256, 801, 7), (770, 5, 2), (40, 1553, 1), (40, 3085, 1)]
        {
            let sizes = CaseSizes { steps: 2, rows, hidden, width, table: 0, keep: true, offset: 1, seed: 5 };
            for case in CellCase::new(kind, sizes).formats() {
                let trace = check_forward(&case).unwrap_or_else(|| case.reference_forward());
                if case.has_backward() {
                    check_backward(&case, &trace);
                }
            }
        }
    }
}

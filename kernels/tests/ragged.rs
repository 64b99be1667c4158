//! Rows that end before the window does: each agrees with the reference for that row alone, and has
//! the bits of the kernel for that row alone.

use crate::cases::{CaseSizes, CellCase, CellKind, KINDS};
use crate::comparisons::{assert_bits, assert_close};
use crate::drawn_cases::config;
use crate::harness::fuses;
use proptest::prelude::*;
use unrolled_kernels::reference::{Deltas, Trace};
use unrolled_kernels::{Isa, Products};

/// The tolerance for whole windows (`cells.rs`).
const TOLERANCE: f32 = 2e-5;
/// The same for products of bf16 values.
const ROUNDED_TOLERANCE: f32 = 1e-2;

fn tolerance(case: &CellCase) -> f32 {
    if case.products == Products::F32 { TOLERANCE } else { ROUNDED_TOLERANCE }
}

/// Sizes, and a length for each row. Some lengths are 0, some are the window's. Sometimes all are
/// shorter than the window.
fn windows() -> impl Strategy<Value = (CaseSizes, Vec<usize>)> {
    let width = prop_oneof![Just(0usize), 1usize..=40];
    let table = prop_oneof![Just(0usize), 1usize..=7];
    let sizes = (1usize..=6, 1usize..=14, 1usize..=49, width, table, any::<bool>(), 0usize..=3, any::<u64>());
    sizes.prop_flat_map(|(steps, rows, hidden, width, table, keep, offset, seed)| {
        let sizes = CaseSizes { steps, rows, hidden, width, table, keep, offset, seed };
        let lengths = (0..=steps).prop_flat_map(move |most| prop::collection::vec(0..=most, rows));
        (Just(sizes), lengths.prop_map(sorted))
    })
}

fn sorted(mut lengths: Vec<usize>) -> Vec<usize> {
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths
}

/// Returns the tokens of row `b` among the packed tokens.
fn tokens_of(lengths: &[usize], b: usize) -> Vec<usize> {
    let going = |t: usize| lengths.iter().filter(|length| **length > t).count();
    (0..lengths[b]).map(|t| (0..t).map(going).sum::<usize>() + b).collect()
}

/// Returns vectors `places` of a buffer with vectors of `each` floats.
fn vectors(values: &[f32], places: &[usize], each: usize) -> Vec<f32> {
    if values.is_empty() {
        return Vec::new();
    }
    places.iter().flat_map(|m| values[m * each..][..each].to_vec()).collect()
}

/// Returns row `b` of the packed trace, as a trace of that row alone.
fn trace_of(case: &CellCase, trace: &Trace, lengths: &[usize], b: usize) -> Trace {
    let (rows, hidden, slots) = (case.window.rows, case.window.hidden, case.kind.gates().1);
    let tokens = tokens_of(lengths, b);
    let states: Vec<usize> = std::iter::once(b).chain(tokens.iter().map(|m| rows + m)).collect();
    Trace {
        h: vectors(&trace.h, &states, hidden),
        c: vectors(&trace.c, if case.window.keep { &states } else { &states[..1] }, hidden),
        gates: if case.window.keep { vectors(&trace.gates, &tokens, slots * hidden) } else { Vec::new() },
        extra: if case.window.keep { vectors(&trace.extra, &tokens, hidden) } else { Vec::new() },
    }
}

fn deltas_of(case: &CellCase, deltas: &Deltas, lengths: &[usize], b: usize) -> Deltas {
    let (hidden, slots) = (case.window.hidden, case.kind.gates().1);
    let gates = vectors(&deltas.gates, &tokens_of(lengths, b), slots * hidden);
    Deltas { gates, carry: vectors(&deltas.carry, &[b], hidden) }
}

/// Returns the trace of a window without `keep`: h, and the last c.
fn without_gates(trace: Trace, hidden: usize) -> Trace {
    let c = trace.c[trace.c.len().saturating_sub(hidden)..].to_vec();
    Trace { h: trace.h, c, ..Trace::default() }
}

fn check_row(
    case: &CellCase,
    (found, deltas): (&Trace, Option<&Deltas>),
    lengths: &[usize],
    b: usize,
    isa: Isa,
) {
    let alone = case.part(0..lengths[b], b..b + 1);
    let (exact, reference) = (alone.forward(isa), alone.reference_forward());
    if let Some(deltas) = deltas {
        assert_bits(&deltas.gates, &alone.backward(isa, &exact).gates, "deltas of a row alone");
        assert_bits(&deltas.carry, &alone.backward(isa, &exact).carry, "carry of a row alone");
        let expected = alone.reference_backward(&exact);
        let tolerance = if fuses(isa) { 0.0 } else { tolerance(case) };
        assert_close(&deltas.gates, &expected.gates, tolerance, "deltas of the reference");
        assert_close(&deltas.carry, &expected.carry, tolerance, "carry of the reference");
    }
    let [exact, reference] = [exact, reference].map(|trace| match case.window.keep {
        true => trace,
        false => without_gates(trace, case.window.hidden),
    });
    let parts = |t: &Trace| [t.h.clone(), t.c.clone(), t.gates.clone(), t.extra.clone()];
    for (found, (exact, reference)) in parts(found).iter().zip(parts(&exact).iter().zip(&parts(&reference))) {
        assert_bits(found, exact, "a row alone");
        assert_close(found, reference, tolerance(case), "the reference");
    }
}

fn check(kind: CellKind, sizes: CaseSizes, lengths: &[usize]) {
    CellCase::new(kind, sizes).formats().iter().for_each(|case| check_format(case, sizes, lengths));
}

fn check_format(case: &CellCase, sizes: CaseSizes, lengths: &[usize]) {
    let ragged = case.ragged(lengths);
    for isa in case.isas() {
        let trace = ragged.forward(isa);
        let deltas = ragged.has_backward().then(|| ragged.backward(isa, &trace));
        for b in 0..sizes.rows {
            let deltas = deltas.as_ref().map(|deltas| deltas_of(&ragged, deltas, lengths, b));
            check_row(case, (&trace_of(&ragged, &trace, lengths, b), deltas.as_ref()), lengths, b, isa);
        }
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn a_row_that_ends_early_has_the_bits_of_the_row_alone((sizes, lengths) in windows(), kind in prop::sample::select(&KINDS[..])) {
        check(kind, sizes, &lengths);
    }
}

#[test]
fn every_hidden_width_of_every_cell_takes_rows_that_end_early() {
    for (i, hidden) in (1..=49).enumerate() {
        let (rows, width, table) = (1 + i % 13, if i % 3 == 0 { 0 } else { i }, i % 4);
        let sizes =
            CaseSizes { steps: 4, rows, hidden, width, table, keep: true, offset: i % 4, seed: i as u64 };
        // The last step has no rows.
        let lengths = sorted((0..rows).map(|b| (b * 7 + i) % 4).collect());
        KINDS.into_iter().for_each(|kind| check(kind, sizes, &lengths));
    }
}

#[test]
fn rows_of_full_length_give_the_window_without_lengths() {
    for kind in KINDS {
        let sizes =
            CaseSizes { steps: 5, rows: 7, hidden: 33, width: 9, table: 3, keep: true, offset: 1, seed: 8 };
        let case = CellCase::new(kind, sizes);
        let full = case.ragged(&[5; 7]);
        for isa in case.isas() {
            let (found, expected) = (full.forward(isa), case.forward(isa));
            assert_eq!(found, expected);
            assert_eq!(full.backward(isa, &found), case.backward(isa, &expected));
        }
    }
}

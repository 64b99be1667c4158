//! Windows of all cells, forward and backward.

use crate::cases::{CaseSizes, CellCase, CellKind, KINDS};
use crate::contents::{assert_near, assert_same, largest, season};
use crate::harness::fuses;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use unrolled_kernels::Isa;
use unrolled_kernels::reference::Trace;
use unrolled_kernels::rnn::Activation;

pub fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let case = case(u)?;
    let lengths = lengths(&case);
    let mut fused: Option<Trace> = None;
    for isa in Isa::all() {
        let trace = case.forward(isa);
        check_steps(&case, &trace, isa);
        check_backward(&case, &trace, isa);
        check_unkept(&case, &trace, isa);
        check_ragged(&case, &lengths, &trace, isa);
        if fuses(isa) {
            if let Some(other) = &fused {
                each_part(&trace, other, |name, found, other| assert_same(found, other, name));
            }
            fused = Some(trace);
        }
    }
    Ok(())
}

fn case(u: &mut Unstructured<'_>) -> Result<CellCase> {
    let sizes = CaseSizes {
        steps: u.int_in_range(1..=4)?,
        rows: u.int_in_range(1..=14)?,
        hidden: u.int_in_range(1..=49)?,
        width: u.int_in_range(0..=40)?,
        table: u.int_in_range(0..=7)?,
        keep: true,
        offset: u.int_in_range(0..=3)?,
        seed: u64::from(u.arbitrary::<u32>()?),
    };
    let mut case = CellCase::new(*u.choose(&KINDS)?, sizes);
    let scales = [u.int_in_range(-4..=1)?, u.int_in_range(-4..=1)?].map(|power| 2f32.powi(power));
    for (weights, scale) in [&mut case.weight_ih, &mut case.weight_hh].into_iter().zip(scales) {
        weights.iter_mut().for_each(|weight| *weight *= scale);
    }
    let CellCase { table, x, h, c, dh, carry, .. } = &mut case;
    season(u, false, &mut [table, x, h, c, dh, carry])?;
    Ok(case)
}

fn each_part(a: &Trace, b: &Trace, mut check: impl FnMut(&str, &[f32], &[f32])) {
    check("h", &a.h, &b.h);
    check("c", &a.c, &b.c);
    check("gates", &a.gates, &b.gates);
    check("extra", &a.extra, &b.extra);
}

/// Returns how far a step may be from the reference, which starts from the same state.
///
/// An activation is within 4 ULP, and so within 1e-6, of the reference. This error is multiplied by
/// the state. Through a reset gate it goes through a product with a sum of terms of at most
/// `reach`, with a rounding for each term. The portable backend rounds each term of every product
/// once more.
fn tolerance(case: &CellCase, isa: Isa) -> f32 {
    let terms = (case.width + case.window.hidden + 4) as f32;
    let products = case.width as f32 * largest(&case.weight_ih) * largest(&case.x)
        + case.window.hidden as f32 * largest(&case.weight_hh) * largest(&case.h);
    let reach = largest(&case.table) + products;
    let state = 1.0 + largest(&case.c).max(largest(&case.h));
    let terms = match case.kind {
        _ if !fuses(isa) => terms,
        CellKind::GruBefore => terms,
        CellKind::GruAfter => 4.0,
        CellKind::Lstm | CellKind::Rnn(_) => 0.0,
    };
    // The error of a gate from a rounded sum is multiplied by the state, too.
    state * (2e-6 + 2.0 * terms * f32::EPSILON * (1.0 + reach))
}

/// Compares each step with the reference, from the state in which the kernel began it.
fn check_steps(case: &CellCase, trace: &Trace, isa: Isa) {
    let (rows, hidden) = (case.window.rows, case.window.hidden);
    let state = rows * hidden;
    let of =
        |values: &[f32], t: usize, each: usize| values.get(t * each..(t + 1) * each).unwrap_or(&[]).to_vec();
    for t in 0..case.window.steps {
        let mut one = case.part(t..t + 1, 0..rows);
        (one.h, one.c) = (of(&trace.h, t, state), of(&trace.c, t, state));
        let expected = one.reference_forward();
        let slots = case.kind.gates().1;
        let next = |values: &[f32]| [of(values, t, state), of(values, t + 1, state)].concat();
        let found = Trace {
            h: next(&trace.h),
            c: next(&trace.c),
            gates: of(&trace.gates, t, slots * state),
            extra: of(&trace.extra, t, state),
        };
        let exact = matches!(case.kind, CellKind::Rnn(Activation::Relu | Activation::Identity)) && fuses(isa);
        let tolerance = tolerance(&one, isa);
        each_part(&found, &expected, |name, found, expected| match (name, case.kind) {
            // The reference keeps more than these kernels.
            ("gates" | "extra", CellKind::Rnn(_)) | ("extra" | "c", CellKind::GruAfter) => {}
            _ if exact => assert_same(found, expected, name),
            _ => assert_near(
                found,
                expected,
                tolerance,
                &format!("{name} of {:?} on {}", case.kind, isa.name()),
            ),
        });
    }
}

/// A backward pass has no approximated functions: the same trace gives the same bits.
fn check_backward(case: &CellCase, trace: &Trace, isa: Isa) {
    let (found, expected) = (case.backward(isa, trace), case.reference_backward(trace));
    if fuses(isa) {
        let what = format!("{:?} on {}", case.kind, isa.name());
        assert_same(&found.gates, &expected.gates, &format!("deltas of {what}"));
        assert_same(&found.carry, &expected.carry, &format!("carry of {what}"));
        return;
    }
    // Each step multiplies the gradient by the weights and by the state or the gates, and rounds
    // once more for each term.
    let terms = (4 * case.window.hidden) as f32;
    let gain = (1.0 + terms * largest(&case.weight_hh)) * (1.0 + largest(&trace.c).max(largest(&trace.h)));
    let reach = (largest(&case.dh) + largest(&case.carry)) * gain.powi(case.window.steps as i32);
    let tolerance = 4.0 * terms * f32::EPSILON * (1.0 + reach);
    assert_near(&found.gates, &expected.gates, tolerance, "portable deltas");
    assert_near(&found.carry, &expected.carry, tolerance, "portable carry");
}

/// A window without `keep` has the same states.
fn check_unkept(case: &CellCase, trace: &Trace, isa: Isa) {
    let mut unkept = case.clone();
    unkept.window.keep = false;
    let found = unkept.forward(isa);
    assert_same(&found.h, &trace.h, "h of a window that is not kept");
    let last = &trace.c[trace.c.len().saturating_sub(case.c.len())..];
    assert_same(&found.c, last, "c of a window that is not kept");
}

/// Returns lengths of rows, longest first, that depend only on the state.
fn lengths(case: &CellCase) -> Vec<usize> {
    let length = |b: usize| case.h[b * case.window.hidden].to_bits() as usize % (case.window.steps + 1);
    let mut lengths: Vec<usize> = (0..case.window.rows).map(length).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths
}

/// A row that ends earlier has the same states up to its end.
fn check_ragged(case: &CellCase, lengths: &[usize], trace: &Trace, isa: Isa) {
    let (rows, hidden) = (case.window.rows, case.window.hidden);
    let found = case.ragged(lengths).forward(isa);
    let going = |t: usize| lengths.iter().take_while(|length| **length > t).count();
    let mut expected = case.h.clone();
    for t in 0..case.window.steps {
        expected.extend_from_slice(&trace.h[(t + 1) * rows * hidden..][..going(t) * hidden]);
    }
    assert_same(&found.h, &expected, "h of rows that end earlier");
}

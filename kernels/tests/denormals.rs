//! Denormal numbers count as zero in every kernel, on every SIMD backend.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use crate::cases::{CaseSizes, CellCase, CellKind, KINDS};
use crate::comparisons::{assert_bits, bits};
use crate::harness::{Numbers, fuses};
use crate::stored_rows::StoredRows;
use unrolled_kernels::activation::{Activate, Function};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::fixed::{Linear, Lstm, Stage};
use unrolled_kernels::masks::multiply;
use unrolled_kernels::one_hot::{Scatter, add_columns};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::reference::{self, Trace};
use unrolled_kernels::rnn::Activation;
use unrolled_kernels::softmax::CrossEntropy;
use unrolled_kernels::update::{Rule, Update, sum_of_squares};
use unrolled_kernels::weight_gradient::WeightGradient;
use unrolled_kernels::{Isa, lstm};

/// A normal number whose half is denormal.
const SMALL: f32 = 1.2e-38;

/// Returns numbers between 2^-160 and 1 in magnitude. About a fifth are denormal or zero.
fn spread(n: &mut Numbers, count: usize) -> Vec<f32> {
    let number = |_| {
        let exponent = -((n.next() % 160) as i32);
        (f64::from(n.float()) * 2f64.powi(exponent)) as f32
    };
    (0..count).map(number).collect()
}

/// Returns the values with a zero of the same sign in place of each denormal number.
fn zeroed(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| if v.is_subnormal() { 0f32.copysign(*v) } else { *v }).collect()
}

#[track_caller]
fn assert_no_denormal(values: &[f32], what: &str) {
    assert!(!values.iter().any(|v| v.is_subnormal()), "{what}: {values:?}");
}

#[track_caller]
fn assert_zero(values: &[f32], what: &str) {
    assert!(values.iter().all(|v| *v == 0.0 && !v.is_subnormal()), "{what}: {values:?}");
}

/// Replaces every number of a case.
fn replaced(case: &CellCase, mut f: impl FnMut(&[f32]) -> Vec<f32>) -> CellCase {
    let mut case = case.clone();
    let CellCase { weight_ih, weight_hh, table, x, h, c, dh, carry, .. } = &mut case;
    for values in [weight_ih, weight_hh, table, x, h, c, dh, carry] {
        *values = f(values);
    }
    case
}

fn case(kind: CellKind, table: usize, seed: u64) -> CellCase {
    let (steps, rows, hidden, width, keep, offset) = (3, 7, 20, 5, true, 0);
    CellCase::new(kind, CaseSizes { steps, rows, hidden, width, table, keep, offset, seed })
}

/// Returns whether some deltas of a cell are copies of the gradients of its outputs.
fn copies_gradients(kind: CellKind) -> bool {
    matches!(kind, CellKind::Rnn(Activation::Relu | Activation::Identity))
}

/// Returns every result of both passes of a case. The initial state is among them, unchanged.
fn results(case: &CellCase, isa: Isa) -> Vec<Vec<f32>> {
    let Trace { h, c, gates, extra } = case.forward(isa);
    let first = case.window.rows * case.window.hidden;
    for (values, first) in [(&h, first), (&c, first.min(c.len())), (&gates, 0), (&extra, 0)] {
        assert_no_denormal(&values[first..], &format!("{:?} forward on {}", case.kind, isa.name()));
    }
    let trace = Trace { h, c, gates, extra };
    let deltas = case.backward(isa, &trace);
    if !copies_gradients(case.kind) {
        assert_no_denormal(&deltas.gates, &format!("{:?} backward on {}", case.kind, isa.name()));
    }
    assert_no_denormal(&deltas.carry, &format!("{:?} backward on {}", case.kind, isa.name()));
    vec![trace.h, trace.c, trace.gates, trace.extra, deltas.gates, deltas.carry]
}

#[test]
fn denormal_operands_of_cells_count_as_zero() {
    for (kind, table) in KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 3)]) {
        let mut n = Numbers(table as u64 + 5);
        let case = replaced(&case(kind, table, 1), |values| spread(&mut n, values.len()));
        let clean = replaced(&case, zeroed);
        let mut fused: Option<Vec<Vec<f32>>> = None;
        for isa in Isa::all() {
            let (found, expected) = (results(&case, isa), results(&clean, isa));
            for (found, expected) in found.iter().zip(&expected) {
                assert_bits(&zeroed(found), expected, &format!("{kind:?} on {}", isa.name()));
            }
            if fuses(isa) {
                let first = fused.get_or_insert_with(|| found.clone());
                first.iter().zip(&found).for_each(|(a, b)| assert_bits(a, b, "two instruction sets"));
            }
        }
    }
}

/// Every product is 1e-40, every sum of them denormal.
#[test]
fn denormal_results_of_a_forward_pass_are_zero() {
    for kind in KINDS.into_iter().filter(|kind| *kind != CellKind::Rnn(Activation::Sigmoid)) {
        let case = replaced(&case(kind, 0, 1), |values| vec![1e-20; values.len()]);
        let [none, state] = [case.table.len(), case.h.len()].map(|len| vec![0.0; len]);
        let c = vec![0.0; case.c.len()];
        let case = CellCase { table: none, h: state, c, ..case };
        let exact = case.reference_forward().h;
        assert!(exact[case.h.len()..].iter().all(|h| h.is_subnormal()), "{kind:?}: {exact:?}");
        for isa in Isa::all() {
            assert_zero(&case.forward(isa).h, &format!("{kind:?} on {}", isa.name()));
        }
    }
}

#[test]
fn denormal_results_of_a_backward_pass_are_zero() {
    for kind in KINDS.into_iter().filter(|kind| !copies_gradients(*kind)) {
        let mut case = case(kind, 0, 1).part(0..1, 0..7);
        case.dh.fill(SMALL);
        case.carry.fill(0.0);
        let mut trace = case.reference_forward();
        for values in [&mut trace.h, &mut trace.c, &mut trace.gates, &mut trace.extra] {
            values.fill(0.3);
        }
        let exact = case.reference_backward(&trace).gates;
        assert!(exact.iter().any(|delta| delta.is_subnormal()), "{kind:?}: {exact:?}");
        assert!(exact.iter().all(|delta| delta.abs() < f32::MIN_POSITIVE), "{kind:?}: {exact:?}");
        for isa in Isa::all() {
            let found = case.backward(isa, &trace).gates;
            assert_zero(&found, &format!("{kind:?} on {}", isa.name()));
        }
    }
}

/// Returns the gradients of weight and bias of an LSTM with two units, from 300 tokens.
fn gradient(isa: Isa, deltas: f32, inputs: f32) -> [Vec<f32>; 2] {
    let (slots, depth, count) = (lstm::slots(2), 21, 300);
    let pairs = StoredRows {
        deltas: vec![deltas; count * slots.width()],
        width: slots.width(),
        inputs: vec![inputs; count * depth + 16],
        depth,
        run: 0,
    };
    let (mut weight, mut bias) = (vec![f32::NAN; 8 * depth], vec![f32::NAN; 8]);
    let (rows, continues) = (0..8, false);
    WeightGradient {
        pairs: &pairs,
        slots: &slots,
        depth,
        rows,
        continues,
        weight: &mut weight,
        bias: &mut bias,
    }
    .run_on(isa);
    [weight, bias]
}

#[test]
fn weight_gradients_take_denormal_numbers_for_zero() {
    for isa in Isa::all() {
        assert!(gradient(isa, 1e-20, 1e-10)[0].iter().all(|dw| *dw > 2e-28), "{}", isa.name());
        assert_zero(&gradient(isa, 1e-20, 1e-20)[0], isa.name());
        assert_zero(&gradient(isa, 1e-40, 1e20)[0], isa.name());
        assert_zero(&gradient(isa, 1e20, 1e-40)[0], isa.name());
        assert_zero(&gradient(isa, 1e-40, 1.0)[1], isa.name());
    }
}

/// Updates `p` once by Adam or SGD.
fn update(isa: Isa, rule: Rule, gradient: &[f32], p: &mut [f32], moments: [&mut [f32]; 2]) {
    let ([first, second], third) = (moments, &mut [][..]);
    Update { rule, scale: 1.0, limit: f32::INFINITY, gradient, parameters: p, first, second, third }
        .run_on(isa);
}

#[test]
fn updates_take_denormal_numbers_for_zero() {
    let rule = Rule::Sgd { rate: 1.0, momentum: 0.0 };
    for isa in Isa::all() {
        let mut p = [SMALL; 19];
        update(isa, rule, &[2e-38; 19], &mut p, [&mut [], &mut []]);
        assert_zero(&p, isa.name());
        let (mut p, rule) = ([1.0; 19], Rule::Sgd { rate: 1e38, momentum: 0.0 });
        update(isa, rule, &[1e-40; 19], &mut p, [&mut [], &mut []]);
        assert_eq!(p, [1.0; 19], "{}", isa.name());
    }
}

#[test]
fn moments_of_adam_decay_to_zero() {
    let rule = Rule::Adam { rate: 1e-3, beta1: 0.9, beta2: 0.9, epsilon: 1e-8 };
    let exact = (0..2000).fold([1.0, 1e-30, 1e-30, 0.0], |values, _| {
        reference::update(rule, (1.0, f32::INFINITY), 0.0, values)
    });
    assert!(exact[1].is_subnormal(), "without the mode the first moment stays at {:e}", exact[1]);
    for isa in Isa::all() {
        let (mut p, mut m, mut v) = ([1.0; 19], [1e-30; 19], [1e-30; 19]);
        (0..2000).for_each(|_| update(isa, rule, &[0.0; 19], &mut p, [&mut m, &mut v]));
        assert_eq!((bits(&m), bits(&v)), (vec![0; 19], vec![0; 19]), "{}", isa.name());
    }
}

#[test]
fn products_and_tables_take_denormal_numbers_for_zero() {
    for isa in Isa::all() {
        for [x, weight] in [[1e-20, 1e-20], [1e-40, 1e20], [1e20, 1e-40]] {
            let (panels, depth, rows) = (Panels::plain(48), 9, 4);
            let mut packed = vec![0.0; panels.len(depth)];
            panels.pack(isa, &vec![weight; 48 * depth], depth, &mut packed);
            let mut out = vec![f32::NAN; rows * panels.out_width()];
            let (x, weights, start) = (&vec![x; rows * depth][..], &packed[..], Start::Zero);
            let (piece, panels, x_stride) = (0..depth, &panels, depth);
            let pieces = std::slice::from_ref(&piece);
            Affine { rows, x, x_stride, pieces, panels, weights, start, out: &mut out }.run_on(isa);
            assert_zero(&out, isa.name());
            let mut out = [f32::NAN; 19];
            multiply(isa, &[x[0]; 19], &[weight; 19], &mut out);
            assert_zero(&out, isa.name());
        }
        let pairs = StoredRows { deltas: vec![1e-40; 5 * 16], width: 16, inputs: vec![], depth: 0, run: 0 };
        let (mut table, mut sum) = (vec![f32::NAN; 2 * 16], vec![f32::NAN; 16]);
        let (ids, columns) = (&[0, 1, 0, 1, 1][..], 0..16);
        Scatter { pairs: &pairs, ids, columns, table: &mut table, sum: &mut sum }.run_on(isa);
        assert_zero(&[table, sum].concat(), isa.name());
    }
    let mut table = vec![1e-40; 32];
    add_columns(&[1e-40; 2 * 18], 2, &Slots::plain(18), &[1], &mut table);
    assert_zero(&table[..18], "one-hot inputs");
}

#[test]
fn functions_of_elements_take_denormal_numbers_for_zero() {
    for isa in Isa::all() {
        let mut values = [-1e-40, 1e-45, 1.1e-38, -88.0].repeat(5);
        Activate { function: Function::Tanh, values: &mut values[..3] }.run_on(isa);
        assert_eq!(bits(&values[..3]), bits(&[-0.0, 0.0, 0.0]), "{}", isa.name());
        Activate { function: Function::Sigmoid, values: &mut values }.run_on(isa);
        assert_eq!(bits(&values[3..6]), bits(&[0.0, 0.5, 0.5]), "{}", isa.name());
        assert_eq!(sum_of_squares(isa, &[1e-40, 1e-20, 3.0]), 9.0, "{}", isa.name());
        // e^-87 times 0.01 is denormal.
        let mut logits = [[0.0; 20], [-90.0; 20]].concat();
        logits[20] = 0.0;
        let (mut losses, mut correct) = ([0.0; 2], [false; 2]);
        CrossEntropy {
            vocabulary: 20,
            stride: 20,
            logits: &mut logits,
            targets: &[0, 0],
            gradient_scale: Some(0.01),
            losses: &mut losses,
            correct: &mut correct,
        }
        .run_on(isa);
        assert_zero(&logits[20..], isa.name());
    }
}

#[test]
fn fixed_cells_have_the_bits_of_batches_for_denormal_numbers() {
    const H: usize = 13;
    let sizes =
        CaseSizes { steps: 4, rows: 1, hidden: H, width: 1, table: 0, keep: true, offset: 0, seed: 1 };
    let mut n = Numbers(3);
    let mut case = replaced(&CellCase::new(CellKind::Lstm, sizes), |values| spread(&mut n, values.len()));
    case.h.fill(0.0);
    case.c.fill(0.0);
    let zeros = [0.0; 4 * H];
    for isa in Isa::all() {
        let cell = Lstm::<1, H>::new(&case.weight_ih, &case.weight_hh, &case.table, &zeros).unwrap();
        let (mut cell, trace) = (cell.on(isa), case.forward(isa));
        for (t, x) in case.x.iter().enumerate() {
            let h = *cell.step(&[*x]);
            assert_no_denormal(&h, isa.name());
            if fuses(isa) {
                assert_bits(&h, &trace.h[(t + 1) * H..][..H], isa.name());
            }
        }
        let mut linear = Linear::<H, 1>::new(&[1e-20; H], &[0.0]).unwrap().on(isa);
        assert_zero(linear.step(&[1e-20; H]), isa.name());
    }
}

//! Cells with sizes fixed at compile time or given at run time have the bits of the kernels for
//! batches.

use crate::cases::{CaseSizes, CellCase, CellKind, KINDS};
use crate::harness::Numbers;
use unrolled_kernels::Isa;
use unrolled_kernels::fixed::sliced::SlicedCell;
use unrolled_kernels::fixed::{
    CellSizes, CellTensors, Error, Gru, GruBefore, Linear, Lstm, RnnRelu, RnnTanh, Stage, equations,
};
use unrolled_kernels::rnn::Activation;

/// Odd, so that a reset comes at the other turn of a cell than its start.
const STEPS: usize = 5;

fn case(kind: CellKind, width: usize, hidden: usize) -> CellCase {
    let seed = (hidden * 3 + width) as u64;
    CellCase::new(
        kind,
        CaseSizes { steps: STEPS, rows: 1, hidden, width, table: 0, keep: true, offset: 0, seed },
    )
}

/// Returns (`bias_ih`, `bias_hh`) in PyTorch's order. Their sums are the case's start.
fn biases(case: &CellCase) -> (Vec<f32>, Vec<f32>) {
    let hidden = case.window.hidden;
    let slot = |i: usize| &case.table[i * hidden..][..hidden];
    let zeros = vec![0.0; case.weight_hh.len() / hidden];
    match case.kind {
        CellKind::Lstm | CellKind::Rnn(_) => (case.table.clone(), zeros),
        CellKind::GruBefore => ([slot(1), slot(2), slot(0)].concat(), zeros),
        CellKind::GruAfter => {
            ([slot(1), slot(2), slot(0)].concat(), [&zeros[..2 * hidden], slot(3)].concat())
        }
    }
}

/// Asserts equal bits. The portable backend may round a product before its sum, so there it asserts
/// equality within rounding.
fn assert_same(found: &[f32], expected: &[f32], isa: Isa, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (unit, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = if isa == Isa::PORTABLE {
            (found - expected).abs() <= 2e-6
        } else {
            found.to_bits() == expected.to_bits()
        };
        assert!(same, "{what}, unit {unit} on {}: {found:e}, expected {expected:e}", isa.name());
    }
}

/// Runs the cell of run-time sizes through the case's steps.
fn check_sliced<K: equations::CellEquations>(case: &CellCase, isa: Isa) {
    let (hidden, width) = (case.window.hidden, case.width);
    let (bias_ih, bias_hh) = biases(case);
    let weights = CellTensors {
        weight_ih: &case.weight_ih,
        weight_hh: &case.weight_hh,
        bias_ih: &bias_ih,
        bias_hh: &bias_hh,
    };
    let sizes = CellSizes { input: width, hidden };
    let mut memory = vec![0.0; SlicedCell::<K>::memory(sizes)];
    let mut cell = SlicedCell::<K>::new(sizes, weights, &mut memory).unwrap().on(isa);
    cell.hidden_mut().copy_from_slice(&case.h);
    let trace = case.forward(isa);
    for t in 0..STEPS {
        let h = cell.step(&case.x[t * width..][..width]);
        let what = format!("{:?}, H = {hidden}, I = {width}, step {t}", case.kind);
        assert_same(h, &trace.h[(t + 1) * hidden..][..hidden], isa, &what);
    }
}

#[test]
fn every_size_has_the_bits_of_the_batch_kernels() {
    for isa in Isa::all() {
        for hidden in (1..=49).chain([64, 65, 100, 128, 144]) {
            for width in [1, 3] {
                for kind in KINDS {
                    // The sliced LSTM starts from a zero cell state.
                    let mut case = case(kind, width, hidden);
                    case.c.fill(0.0);
                    match kind {
                        CellKind::Lstm => check_sliced::<equations::LstmEquations>(&case, isa),
                        CellKind::GruAfter => check_sliced::<equations::GruAfterEquations>(&case, isa),
                        CellKind::GruBefore => check_sliced::<equations::GruBeforeEquations>(&case, isa),
                        CellKind::Rnn(Activation::Tanh) => {
                            check_sliced::<equations::RnnTanhEquations>(&case, isa)
                        }
                        CellKind::Rnn(Activation::Relu) => {
                            check_sliced::<equations::RnnReluEquations>(&case, isa)
                        }
                        // Fixed cells do not have these activations.
                        CellKind::Rnn(Activation::Sigmoid | Activation::Identity) => {}
                    }
                }
            }
        }
    }
}

/// Runs a cell of fixed sizes through the case's steps, twice, with a reset in between.
fn check_fixed<const H: usize, L: Stage<Input = [f32; 1], Output = [f32; H]>>(
    mut cell: L,
    case: &CellCase,
    isa: Isa,
) {
    let trace = case.forward(isa);
    for round in 0..2 {
        for t in 0..STEPS {
            let h = *cell.step(&[case.x[t]]);
            let what = format!("{:?}, H = {H}, round {round}, step {t}", case.kind);
            assert_same(&h, &trace.h[(t + 1) * H..][..H], isa, &what);
        }
        cell.reset();
    }
}

fn check_size<const H: usize>(isa: Isa) {
    for kind in KINDS {
        let mut case = case(kind, 1, H);
        case.h.fill(0.0);
        case.c.fill(0.0);
        let (b_ih, b_hh) = biases(&case);
        let (ih, hh) = (case.weight_ih.clone(), case.weight_hh.clone());
        match kind {
            CellKind::Lstm => {
                check_fixed(Lstm::<1, H>::new(&ih, &hh, &b_ih, &b_hh).unwrap().on(isa), &case, isa)
            }
            CellKind::GruAfter => {
                check_fixed(Gru::<1, H>::new(&ih, &hh, &b_ih, &b_hh).unwrap().on(isa), &case, isa);
            }
            CellKind::GruBefore => {
                check_fixed(GruBefore::<1, H>::new(&ih, &hh, &b_ih, &b_hh).unwrap().on(isa), &case, isa);
            }
            CellKind::Rnn(Activation::Tanh) => {
                check_fixed(RnnTanh::<1, H>::new(&ih, &hh, &b_ih, &b_hh).unwrap().on(isa), &case, isa);
            }
            CellKind::Rnn(Activation::Relu) => {
                check_fixed(RnnRelu::<1, H>::new(&ih, &hh, &b_ih, &b_hh).unwrap().on(isa), &case, isa);
            }
            CellKind::Rnn(Activation::Sigmoid | Activation::Identity) => {}
        }
    }
}

#[test]
fn fixed_sizes_have_the_bits_of_the_batch_kernels() {
    for isa in Isa::all() {
        check_size::<1>(isa);
        check_size::<8>(isa);
        check_size::<13>(isa);
        check_size::<40>(isa);
        check_size::<64>(isa);
        check_size::<100>(isa);
    }
}

#[test]
fn a_linear_layer_is_its_sum() {
    for isa in Isa::all() {
        let mut n = Numbers(7);
        let (weight, bias, x) = (n.floats(2 * 37), n.floats(2), n.floats(37));
        let mut linear = Linear::<37, 2>::new(&weight, &bias).unwrap().on(isa);
        let found = *linear.step(&std::array::from_fn(|i| x[i]));
        for (o, found) in found.into_iter().enumerate() {
            let products = weight[o * 37..][..37].iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x));
            let exact = f64::from(bias[o]) + products.sum::<f64>();
            // 37 roundings of sums below 37.
            assert!((f64::from(found) - exact).abs() < 1e-5, "{found} on {}, expected {exact}", isa.name());
        }
    }
}

#[test]
fn a_slice_of_the_wrong_length_is_an_error_with_its_name() {
    let error = Lstm::<1, 8>::new(&[0.0; 32], &[0.0; 255], &[0.0; 32], &[0.0; 32]).unwrap_err();
    assert_eq!(error, Error::Length { name: "weight_hh", found: 255, expected: 256 });
    let error = Linear::<8, 2>::new(&[0.0; 16], &[0.0; 3]).unwrap_err();
    assert_eq!(error, Error::Length { name: "bias", found: 3, expected: 2 });
}

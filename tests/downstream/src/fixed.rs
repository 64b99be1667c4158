//! Cells of fixed sizes: the README's example, every cell on every instruction set, and large cells
//! in boxes and statics.

use crate::on_small_stack;
use std::sync::Mutex;
use unrolled_kernels::Isa;
use unrolled_kernels::fixed::{
    Error, FixedCell, Gru, GruBefore, Linear, Lstm, Pipeline, RnnRelu, RnnTanh, Stage, equations,
};

/// Returns PyTorch's four tensors of a cell with G gates.
fn tensors(gates: usize, input: usize, hidden: usize) -> [Vec<f32>; 4] {
    let rows = gates * hidden;
    let wave = |count: usize| (0..count).map(|i| (i as f32).sin() / hidden as f32).collect::<Vec<f32>>();
    [wave(rows * input), wave(rows * hidden), wave(rows), wave(rows)]
}

/// Runs a few steps of a cell by value and of one on the heap, which must agree.
fn run<K: equations::CellEquations, const G: usize, const B: usize, const V: usize, const H: usize>(isa: Isa) {
    let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(G, 1, H);
    let cell = FixedCell::<K, G, B, V, 1, H>::new(&weight_ih, &weight_hh, &bias_ih, &bias_hh);
    let boxed = FixedCell::<K, G, B, V, 1, H>::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh);
    let (mut cell, mut boxed) = (cell.unwrap().on(isa), boxed.unwrap());
    boxed.set_isa(isa);
    for x in [0.5, -1.0, 2.0] {
        assert_eq!(cell.step(&[x]), boxed.step(&[x]), "{} units on {}", H, isa.name());
    }
}

fn run_every_cell<const H: usize>() {
    for isa in Isa::all() {
        run::<equations::LstmEquations, 4, 4, 3, H>(isa);
        run::<equations::GruAfterEquations, 3, 4, 2, H>(isa);
        run::<equations::GruBeforeEquations, 3, 3, 4, H>(isa);
        run::<equations::RnnTanhEquations, 1, 1, 2, H>(isa);
        run::<equations::RnnReluEquations, 1, 1, 2, H>(isa);
    }
}

#[test]
fn the_example_of_the_readme_runs() {
    on_small_stack(|| {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(4, 1, 8);
        let cell = Lstm::<1, 8>::new(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        let mut model = Pipeline::new(cell, Linear::<8, 1>::new(&[0.5; 8], &[0.25]).unwrap());
        let [y] = *model.step(&[1.0]);
        let mut block = [[0.0]; 16];
        model.reset();
        model.process(&[[1.0]; 16], &mut block);
        assert_eq!(block[0], [y]);
    });
}

#[test]
fn small_cells_run_on_small_stacks() {
    on_small_stack(run_every_cell::<1>);
    on_small_stack(run_every_cell::<8>);
    on_small_stack(run_every_cell::<13>);
    on_small_stack(run_every_cell::<40>);
}

#[test]
fn large_cells_in_boxes_run_on_small_stacks() {
    on_small_stack(|| {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(4, 1, 256);
        let lstm = Lstm::<1, 256>::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        let head = Linear::<256, 256>::boxed(&[0.01; 256 * 256], &[0.0; 256]).unwrap();
        let mut model = Pipeline::new(lstm, head);
        for isa in Isa::all() {
            model.first.set_isa(isa);
            model.reset();
            assert!(model.step(&[1.0])[255].is_finite());
        }
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(3, 256, 256);
        let mut gru = Gru::<256, 256>::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        let mut before = GruBefore::<256, 256>::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        assert!(gru.step(&[0.1; 256])[0].is_finite() && before.step(&[0.1; 256])[0].is_finite());
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(1, 256, 256);
        let mut rnn = RnnTanh::<256, 256>::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        let mut relu = RnnRelu::<256, 256>::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        assert!(rnn.step(&[0.1; 256])[0].is_finite() && relu.step(&[0.1; 256])[0].is_finite());
    });
}

static CELL: Mutex<Lstm<1, 256>> = Mutex::new(Lstm::zeros());

#[test]
fn a_static_cell_is_filled_in_place() {
    on_small_stack(|| {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(4, 1, 256);
        let mut cell = CELL.lock().unwrap();
        let error = cell.load(&weight_ih[1..], &weight_hh, &bias_ih, &bias_hh).unwrap_err();
        assert_eq!(error, Error::Length { name: "weight_ih", found: 1023, expected: 1024 });
        cell.load(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        let first = cell.step(&[1.0])[0];
        cell.step(&[1.0]);
        cell.load(&weight_ih, &weight_hh, &bias_ih, &bias_hh).unwrap();
        assert_eq!(cell.step(&[1.0])[0], first, "loading sets the state to zero");
    });
}

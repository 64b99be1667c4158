//! A real-time step allocates nothing.

use allocation_counter::measure;
use unrolled_kernels::fixed::{Gru, Linear, Lstm, Pipeline, Stage};

#[test]
fn a_step_of_fixed_cells_allocates_nothing() {
    let lstm = Lstm::<1, 40>::new(&[0.1; 160], &[0.01; 6400], &[0.0; 160], &[0.0; 160]).unwrap();
    let gru = Gru::<40, 8>::new(&[0.1; 960], &[0.02; 192], &[0.0; 24], &[0.0; 24]).unwrap();
    let mut model = Pipeline::new(Pipeline::new(lstm, gru), Linear::<8, 1>::new(&[0.5; 8], &[0.25]).unwrap());
    let mut out = [[0.0]; 32];
    let counted = measure(|| {
        for _ in 0..100 {
            model.step(&[0.5]);
        }
        model.process(&[[0.5]; 32], &mut out);
        model.reset();
    });
    assert_eq!(counted.count_total, 0, "allocations in 132 steps");
    assert!(out[31][0].is_finite());
}

#[test]
fn the_counter_counts_allocations() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1.0f32; 16]))).count_total, 1);
}

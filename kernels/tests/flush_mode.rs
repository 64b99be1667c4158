//! The mode of the caller before, in and after kernels.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use crate::stored_rows::StoredRows;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use unrolled_kernels::Isa;
use unrolled_kernels::denormals::flush;
use unrolled_kernels::masks::multiply;
use unrolled_kernels::one_hot::Scatter;

/// Returns whether denormal results and denormal operands count as zero on this thread.
fn mode() -> [bool; 2] {
    let result = black_box(f32::MIN_POSITIVE) * black_box(0.5);
    let product = black_box(1e-40f32) * black_box(1e20);
    [result.to_bits() == 0, product.to_bits() == 0]
}

/// Runs a kernel that finishes, one that panics before it starts, and one that panics while it
/// runs.
fn run_kernels(isa: Isa) {
    let mut out = [0.0; 3];
    multiply(isa, &[1.0; 3], &[2.0; 3], &mut out);
    assert_eq!(out, [2.0; 3]);
    let short = AssertUnwindSafe(|| multiply(isa, &[1.0; 3], &[2.0; 2], &mut [0.0; 3]));
    assert!(catch_unwind(short).is_err());
    let pairs = StoredRows { deltas: vec![1.0; 16], width: 16, inputs: vec![], depth: 0, run: 0 };
    let (mut table, mut sum) = ([0.0; 16], [0.0; 16]);
    let unknown_id = AssertUnwindSafe(|| {
        Scatter { pairs: &pairs, ids: &[1], columns: 0..16, table: &mut table, sum: &mut sum }.run_on(isa);
    });
    assert!(catch_unwind(unknown_id).is_err());
}

#[test]
fn kernels_restore_the_mode_of_the_caller() {
    for isa in Isa::all() {
        assert_eq!(mode(), [false; 2]);
        run_kernels(isa);
        assert_eq!(mode(), [false; 2], "{}", isa.name());
        flush(|| {
            run_kernels(isa);
            assert_eq!(mode(), [true; 2], "{}", isa.name());
        });
        assert_eq!(mode(), [false; 2], "{}", isa.name());
    }
}

#[test]
fn work_that_panics_restores_the_mode() {
    let panics = || flush(|| panic!("on purpose"));
    assert!(catch_unwind(panics).is_err());
    assert_eq!(mode(), [false; 2]);
    flush(|| {
        assert!(catch_unwind(panics).is_err());
        assert_eq!(mode(), [true; 2]);
    });
}

#[test]
fn the_mode_belongs_to_one_thread() {
    flush(|| {
        let other = std::thread::spawn(mode);
        // A thread may start in the mode of the thread that starts it, as on Linux.
        other.join().unwrap();
        assert_eq!(mode(), [true; 2]);
    });
    std::thread::scope(|scope| {
        let other = scope.spawn(|| flush(mode));
        assert_eq!(other.join().unwrap(), [true; 2]);
        assert_eq!(mode(), [false; 2]);
    });
}

//! Kernels of random shapes and contents, on every instruction set of this machine, against their
//! reference implementations. AVX2 and AVX-512 must give the same bits.
//!
//! The first byte of an input chooses the kernel, the next ones its sizes. A seed fills the
//! buffers. The remaining bytes put special values into them: zeros of both signs, denormal
//! numbers, large numbers and, where the result is defined, NaN and infinities. The reference
//! implementations run in the mode of the kernels, in which denormal numbers count as zero.
#![no_main]

mod cells;
mod contents;
mod elements;
mod products;

// The cases and layouts of the kernels' tests.
#[path = "../../../kernels/tests/case_kernels.rs"]
mod case_kernels;
#[expect(dead_code, reason = "the tests of the kernels use more")]
#[path = "../../../kernels/tests/cases.rs"]
mod cases;
#[expect(dead_code, reason = "the tests of the kernels use more")]
#[path = "../../../kernels/tests/harness.rs"]
mod harness;
#[path = "../../../kernels/tests/stored_rows.rs"]
mod stored_rows;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use unrolled_kernels::denormals::flush;

fuzz_target!(|bytes: &[u8]| {
    // An input that ends too early is ignored.
    let _ = flush(|| run(&mut Unstructured::new(bytes)));
});

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=9)? {
        0..=3 => cells::check(u),
        4 => products::check_affine(u),
        5 => products::check_gradient(u),
        6 => products::check_scatter(u),
        7 => elements::check_softmax(u),
        8 => elements::check_update(u),
        _ => elements::check_norm(u),
    }
}

//! The kernels alone, on one thread: products beside matrixmultiply's sgemm, packing, cells,
//! functions of elements, and fixed cells. Each is compared with its reference implementation
//! before it is timed.

mod cells;
mod elements;
mod fixed;
#[path = "../measure.rs"]
mod measure;
mod packing;
mod products;
mod values;

fn main() {
    let (mut criterion, mut peaks) = (measure::criterion(), measure::Peaks::default());
    products::run(&mut criterion, &mut peaks);
    packing::run(&mut criterion, &mut peaks);
    cells::run(&mut criterion, &mut peaks);
    elements::run(&mut criterion, &mut peaks);
    fixed::run(&mut criterion, &mut peaks);
    criterion.final_summary();
}

/// Returns the instruction set that runs.
fn isa() -> unrolled_kernels::Isa {
    let detected = unrolled_kernels::Isa::detect();
    detected.expect("UNROLLED_ISA is unset, or names an instruction set of this processor")
}

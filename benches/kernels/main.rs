//! The kernels by themselves, on one thread: products beside matrixmultiply's sgemm, cells, and what works element by
//! element. Each is compared with its naive twin before it is timed.

mod cells;
mod elements;
mod fixed;
#[path = "../measure.rs"]
mod measure;
mod packing;
mod products;

fn main() {
    let (mut criterion, mut peaks) = (measure::criterion(), measure::Peaks::default());
    products::run(&mut criterion, &mut peaks);
    packing::run(&mut criterion, &mut peaks);
    cells::run(&mut criterion, &mut peaks);
    elements::run(&mut criterion, &mut peaks);
    fixed::run(&mut criterion, &mut peaks);
    criterion.final_summary();
}

/// The instruction set that runs.
fn isa() -> unrolled_kernels::Isa {
    unrolled_kernels::Isa::detect().expect("UNROLLED_ISA names an instruction set that is there, or nothing")
}

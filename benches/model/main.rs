//! Benchmarks of whole models: a training step and a forward pass at the shapes of the README's
//! table; the static mode compared with the dynamic one, with the build time and the number of
//! steps that compensate it; the speed on 1 to 16 threads; the streamed step; underflowing values;
//! and mapped texts.
//!
//! Before a measurement, both modes and all numbers of threads must give the same bits of loss and
//! logits.

#[path = "../measure.rs"]
mod measure;
mod modes;
mod shapes;
mod stream;
mod texts;
mod threads;
mod underflow;

fn main() {
    let (mut criterion, mut peaks) = (measure::criterion(), measure::Peaks::default());
    for shape in shapes::SHAPES {
        modes::run(&mut criterion, &mut peaks, shape.for_this_run());
    }
    threads::run(&mut criterion, &mut peaks);
    stream::run(&mut criterion, &mut peaks);
    underflow::run(&mut criterion, &mut peaks);
    texts::run(&mut criterion, &mut peaks);
    criterion.final_summary();
}

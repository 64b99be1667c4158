//! Benchmarks of whole models: a training step and a forward pass at the shapes of the README's
//! table; the static mode compared with the dynamic one, with the build time and the number of
//! steps that compensate it; thread scaling; the streamed step; underflowing values; and mapped
//! texts.
//!
//! Before a measurement, both modes must give the same bits of loss and logits.

#[path = "../measure.rs"]
mod measure;
mod modes;
mod shapes;
mod stream;
mod texts;
mod underflow;

fn main() {
    let (mut criterion, mut peaks) = (measure::criterion(), measure::Peaks::default());
    for shape in shapes::SHAPES {
        modes::run(&mut criterion, &mut peaks, shape.for_this_run());
    }
    stream::run(&mut criterion, &mut peaks);
    underflow::run(&mut criterion, &mut peaks);
    texts::run(&mut criterion, &mut peaks);
    criterion.final_summary();
}

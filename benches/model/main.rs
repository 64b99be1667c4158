//! Whole models: a training step and a forward pass at the shapes of the README's table, static against dynamic with what
//! building takes and the number of steps after which it has paid, thread scaling, the streamed step, and mapped texts.
//!
//! Before anything is timed, both modes have to report the same loss and the same logits, bit for bit.

#[path = "../measure.rs"]
mod measure;
mod modes;
mod shapes;
mod stream;
mod texts;

fn main() {
    let (mut criterion, mut peaks) = (measure::criterion(), measure::Peaks::default());
    for shape in shapes::SHAPES {
        modes::run(&mut criterion, &mut peaks, shape.for_this_run());
    }
    stream::run(&mut criterion, &mut peaks);
    texts::run(&mut criterion, &mut peaks);
    criterion.final_summary();
}

//! A training step whose weights, states and gradients underflow, compared with one whose values
//! are normal numbers.

use crate::measure::{Group, Peaks, Work, only_tests};
use crate::shapes::{SHAPES, Shape, VOCABULARY};
use criterion::Criterion;
use unrolled::train::Training;
use unrolled::{Cell, Init, InputKind, Mode, Settings};

/// Standard deviations of the initial weights: normal numbers, a few denormal products, and nearly
/// only denormal numbers.
const SCALES: [f32; 3] = [1e-2, 1e-30, 1e-38];

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "underflow");
    for cell in [Cell::Rnn, Cell::Lstm, Cell::Gru] {
        let steps = if only_tests() { 20 } else { 200 };
        let input = InputKind::Embedding;
        let shape = Shape { cell, layers: 1, hidden: 128, batch: 16, steps, input, ..SHAPES[0] };
        let times = SCALES.map(|scale| time(&mut group, &shape, scale));
        let Some(normal) = times[0] else { continue };
        for (scale, seconds) in SCALES.iter().zip(times).skip(1) {
            let Some(seconds) = seconds else { continue };
            println!(
                "    {} 1x128, weights of {scale:e}: {:.0}k characters/s, {:.2} times the speed of {:.0}k",
                cell.name(),
                shape.tokens() as f64 / seconds / 1e3,
                normal / seconds,
                shape.tokens() as f64 / normal / 1e3,
            );
        }
    }
}

fn time(group: &mut Group<'_>, shape: &Shape, scale: f32) -> Option<f64> {
    let operations = shape.arithmetic().training * shape.tokens() as f64;
    let id = format!("{} 1x128, B16 T200/{scale:e}", shape.cell.name());
    group.time(
        &id,
        Work::of(operations),
        || checked(shape, scale),
        |training| {
            training.step().expect("a finite loss");
        },
    )
}

/// A run whose first loss is that of random guesses.
fn checked(shape: &Shape, scale: f32) -> Training {
    let mut settings: Settings = shape.settings(Mode::Static);
    settings.model.init = Init::Normal;
    settings.model.init_scale = Some(scale);
    settings.model.forget_bias = 0.0;
    settings.schedule.learning_rate = 1e-30;
    let mut training = Training::new(shape.corpus(), settings, Some(1)).expect("a shape that works");
    let (found, guess) = (training.step().expect("a finite loss").loss, (VOCABULARY as f64).ln());
    assert!((found - guess).abs() < 0.01, "first loss {found}, that of guessing {guess}");
    training
}

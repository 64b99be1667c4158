//! Predicts the next value of sine waves: an LSTM with a linear head and the mean squared error.

use unrolled::ModelSettings;
use unrolled::exec::Window;
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::train::{Trainer, TrainerSettings};

const STEPS: usize = 40;
const ROWS: usize = 16;

/// Values of `ROWS` waves, time-major [STEPS + 1, ROWS]. Each wave has its own phase.
fn waves(first: usize) -> Vec<f32> {
    let value = |t: usize, row: usize| ((first + t) as f32 * 0.2 + row as f32).sin();
    (0..=STEPS).flat_map(|t| (0..ROWS).map(move |row| value(t, row))).collect()
}

fn main() -> unrolled::Result<()> {
    let model = Model::of_vectors(&ModelSettings::lstm(32).on_vectors(1, 1), 1)?;
    let mut trainer = Trainer::new(model, TrainerSettings::adam(5e-3))?;
    for round in 0..200 {
        let values = waves(round * STEPS);
        let window = Window::new(STEPS, ROWS, &values[..STEPS * ROWS]);
        let targets = Objective::new(Loss::MeanSquared, &values[ROWS..]);
        let report = trainer.step(&window, &targets)?;
        if round % 40 == 0 {
            println!("step {:>3}: mean squared error {:.5}", report.step, report.loss);
        }
    }
    Ok(())
}

//! Predicts the next value of sine waves: an LSTM with a linear head and the mean squared error. The
//! model is saved, loaded and run one step at a time.

use unrolled::checkpoint::Checkpoint;
use unrolled::exec::{Stream, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::train::{Trainer, TrainerSettings};
use unrolled::{Layer, OptimizerSettings};

const STEPS: usize = 40;
const ROWS: usize = 16;

/// Values of `ROWS` waves, time-major [STEPS + 1, ROWS]. Each wave has its own phase.
fn waves(first: usize) -> Vec<f32> {
    let value = |t: usize, row: usize| ((first + t) as f32 * 0.2 + row as f32).sin();
    (0..=STEPS).flat_map(|t| (0..ROWS).map(move |row| value(t, row))).collect()
}

fn main() -> unrolled::Result<()> {
    let model = Model::of_layers(&[Layer::lstm(32)], 1, 1, 7)?; // 1 value in, 1 value out, seed 7
    let optimizer = OptimizerSettings { clip: 1.0, ..OptimizerSettings::adam() };
    let mut trainer = Trainer::new(model, TrainerSettings { optimizer, ..TrainerSettings::adam(5e-3) })?;
    for round in 0..200 {
        let values = waves(round * STEPS);
        let window = Window::new(STEPS, ROWS, &values[..STEPS * ROWS]);
        let targets = Objective::new(Loss::MeanSquared, &values[ROWS..]);
        let report = trainer.step(&window, &targets)?;
        if round % 40 == 0 {
            println!("step {:>3}: mean squared error {:.5}", report.step, report.loss);
        }
    }
    let path = std::env::temp_dir().join(format!("waves-{}.safetensors", std::process::id()));
    trainer.save(&path)?; // Trainer::resume continues from it

    let mut stream = Stream::new(Checkpoint::load(&path)?.model()?)?;
    std::fs::remove_file(&path).ok();
    let values: Vec<f32> = waves(0).into_iter().step_by(ROWS).collect(); // the first wave
    let mut predicted = 0.0;
    for value in &values[..STEPS] {
        predicted = stream.step(value)?[0];
    }
    println!("predicted {predicted:.3}, expected {:.3}", values[STEPS]);
    assert!((predicted - values[STEPS]).abs() < 0.1);
    Ok(())
}

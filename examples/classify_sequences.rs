//! Classifies sequences of different lengths: is their sum positive? A GRU reads them, and only the
//! output after the last step of each row counts.

use unrolled::Layer;
use unrolled::exec::{OutputSteps, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::random::{DrawPurpose, Draws};
use unrolled::train::{Trainer, TrainerSettings};

const STEPS: usize = 20;
const ROWS: usize = 32;

fn main() -> unrolled::Result<()> {
    let model = Model::of_layers(&[Layer::gru(32)], 1, 2, 1)?; // 1 value in, 2 classes out, seed 1
    let mut trainer = Trainer::new(model, TrainerSettings::adam(1e-2))?;
    for round in 0..150 {
        let mut draws = Draws::new(7, DrawPurpose::Sample, 0, round);
        let lengths: Vec<usize> =
            (0..ROWS).map(|_| 1 + (draws.uniform() * STEPS as f32) as usize % STEPS).collect();
        let values: Vec<f32> = (0..STEPS * ROWS).map(|_| draws.uniform() - 0.5).collect(); // [T, B, 1]
        let sum = |row: usize| (0..lengths[row]).map(|t| values[t * ROWS + row]).sum::<f32>();
        let classes: Vec<u32> = (0..ROWS).map(|row| u32::from(sum(row) > 0.0)).collect();
        let output_steps = OutputSteps::Last;
        let window = Window { lengths: Some(&lengths), output_steps, ..Window::new(STEPS, ROWS, &values) };
        let objective = Objective::new(Loss::CROSS_ENTROPY, &classes);
        trainer.step(&window, &objective)?;
        if round % 30 == 29 {
            let measure = trainer.evaluate(&window, &objective)?;
            println!("step {:>3}: loss {:.3}, accuracy {:.2}", round + 1, measure.loss, measure.accuracy);
        }
    }
    Ok(())
}

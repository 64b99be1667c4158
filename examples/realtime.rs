//! A small recurrent model as an audio effect: blocks of samples in, blocks of samples out, without
//! allocation.
//!
//! `cargo run --release --example realtime [FILE]`. FILE holds a PyTorch module with `rnn`, an
//! `nn.LSTM(1, 16)`, and `head`, an `nn.Linear(16, 1)`. Without FILE the weights are made up.

use std::{path::Path, time::Instant};
use unrolled::checkpoint::TensorFile;
use unrolled::fixed::{Linear, Lstm, Pipeline, Stage};

const HIDDEN: usize = 16;
const RATE: f32 = 48_000.0;
const BLOCK: usize = 64;

type Effect = Pipeline<Lstm<1, HIDDEN>, Linear<HIDDEN, 1>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut effect = match std::env::args_os().nth(1) {
        Some(file) => load(Path::new(&file))?,
        None => make_up()?,
    };
    let (mut input, mut output, mut best) = ([[0.0]; BLOCK], [[0.0]; BLOCK], f64::INFINITY);
    for block in 0..RATE as usize / BLOCK {
        for (i, sample) in input.iter_mut().enumerate() {
            *sample = [pluck((block * BLOCK + i) as f32 / RATE)];
        }
        let start = Instant::now();
        effect.process(&input, &mut output); // or `effect.step(&sample)`, one at a time
        best = best.min(start.elapsed().as_secs_f64() / BLOCK as f64);
    }
    let share = 100.0 * best * f64::from(RATE);
    println!("{:.0} ns per sample, {share:.2}% of one core at {RATE} samples per second", best * 1e9);
    println!("last sample: input {:.4}, output {:.4}", input[BLOCK - 1][0], output[BLOCK - 1][0]);
    Ok(())
}

fn load(file: &Path) -> unrolled::Result<Effect> {
    let file = TensorFile::load(file)?;
    let effect = Pipeline::new(file.cell("rnn", 0)?, file.linear("head")?);
    file.finish()?; // an error if the file holds other tensors
    Ok(effect)
}

fn make_up() -> Result<Effect, Box<dyn std::error::Error>> {
    let wave =
        |count: usize, scale: f32| -> Vec<f32> { (0..count).map(|i| scale * (i as f32).sin()).collect() };
    let (rows, bias) = (4 * HIDDEN, vec![0.0; 4 * HIDDEN]);
    let cell = Lstm::new(&wave(rows, 0.9), &wave(rows * HIDDEN, 0.25), &bias, &bias)?;
    Ok(Pipeline::new(cell, Linear::new(&wave(HIDDEN, 0.5), &[0.0])?))
}

/// Returns the sound of a string that is plucked twice a second.
fn pluck(seconds: f32) -> f32 {
    let since = seconds % 0.5;
    (-6.0 * since).exp() * (std::f32::consts::TAU * 110.0 * since).sin()
}

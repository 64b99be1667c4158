//! Trains a small model on a text and prints text that the model writes:
//! `cargo run --release --example train_and_sample [FILE]`.
//!
//! Without FILE it learns the corpus inside the library, which is the sources of this project.

use unrolled::corpus::Corpus;
use unrolled::sample::{Generator, Sampling};
use unrolled::train::Training;
use unrolled::{Invalid, ModelSettings, Result, RunSettings, Settings, Unit};

fn main() -> Result<()> {
    let corpus = match std::env::args_os().nth(1) {
        Some(file) => Corpus::open(&[file.into()], Unit::Char, Invalid::Error)?,
        None => Corpus::embedded(Unit::Char)?,
    };
    let settings = Settings {
        model: ModelSettings { hidden: 128, ..ModelSettings::default() },
        run: RunSettings { epochs: 100.0, max_steps: Some(400), ..RunSettings::default() },
        ..Settings::default()
    };
    let mut training = Training::new(corpus, settings, None)?;
    while !training.is_done() {
        let report = training.step()?;
        if let Some(record) = report.record {
            eprintln!("step {}: {:.3} nats per symbol", record.step, record.train_loss);
        }
    }
    let sampling = Sampling { temperature: 0.8, ..Sampling::default() };
    let mut generator = Generator::new(training.model().clone(), training.vocabulary(), sampling, 0)?;
    let ids: Vec<u32> = (0..500).map(|_| generator.next_id()).collect();
    println!("{}", training.vocabulary().decode(&ids));
    Ok(())
}

//! Trains with the preset `min-char-rnn` and prints the smoothed loss of 25 characters, as the
//! original program of 100 lines does: `cargo run --release --example min_char_rnn [FILE]`.
//!
//! Without FILE it learns the corpus inside the library, which is the sources of this project.

use unrolled::corpus::Corpus;
use unrolled::train::Training;
use unrolled::{Invalid, Result, Settings};

fn main() -> Result<()> {
    let settings = Settings::preset("min-char-rnn").expect("a preset of this crate");
    let corpus = match std::env::args_os().nth(1) {
        Some(file) => Corpus::open(&[file.into()], settings.data.unit, Invalid::Error)?,
        None => Corpus::embedded(settings.data.unit)?,
    };
    let steps = settings.run.steps as f64;
    let symbols = corpus.vocabulary().len() as f64;
    let mut training = Training::new(corpus, settings, Some(1))?;
    let mut smooth = symbols.ln() * steps;
    while !training.is_done() {
        let report = training.step()?;
        smooth = 0.999 * smooth + 0.001 * report.loss * steps;
        if report.step % 1000 == 0 || training.is_done() {
            println!("iter {}, loss: {smooth:.2}", report.step);
        }
    }
    Ok(())
}

//! Feeds a model one character at a time, saves its state, and continues from there in two ways:
//! `cargo run --release --example stream [CHECKPOINT]`.
//!
//! CHECKPOINT is a file of `unrolled train`. Without it the model is untrained.

use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::{Corpus, Vocabulary};
use unrolled::exec::Stream;
use unrolled::model::Model;
use unrolled::{ModelSettings, Result, Unit};

fn main() -> Result<()> {
    let (model, vocabulary) = match std::env::args_os().nth(1) {
        Some(file) => {
            let checkpoint = Checkpoint::load(Path::new(&file))?;
            (checkpoint.model()?, checkpoint.vocabulary)
        }
        None => {
            let vocabulary = Corpus::embedded(Unit::Char)?.vocabulary().clone();
            (Model::new(&ModelSettings::default(), vocabulary.len(), 1)?, vocabulary)
        }
    };
    let mut stream = Stream::new(model)?;
    let mut next = 0;
    for id in vocabulary.encode("the ")? {
        next = likeliest(stream.step(&id)?);
    }
    println!("after {:?} the likeliest is {:?}", "the ", vocabulary.decode(&[next]));
    let saved = stream.state(); // a value: keep it, send it, or reset one of its rows
    let mut fork = stream.clone(); // the same weights, with another copy of the state
    println!("fed its own output:  {:?}", go_on(&mut stream, next, &vocabulary)?);
    println!("a fork fed an 's':   {:?}", go_on(&mut fork, vocabulary.encode("s")?[0], &vocabulary)?);
    stream.set_state(&saved)?;
    println!("from the saved state: {:?}", go_on(&mut stream, next, &vocabulary)?);
    Ok(())
}

/// Returns 40 symbols. Each is the likeliest one after the symbol before it.
fn go_on(stream: &mut Stream, first: u32, vocabulary: &Vocabulary) -> Result<String> {
    let mut ids = vec![first];
    while ids.len() < 40 {
        ids.push(likeliest(stream.step(&ids[ids.len() - 1])?));
    }
    Ok(vocabulary.decode(&ids))
}

fn likeliest(logits: &[f32]) -> u32 {
    (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(id, _)| id)
}

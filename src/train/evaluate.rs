//! Loss of a model on a part of a text, read as contiguous streams.

use super::Evaluation;
use crate::corpus::{Batch, Corpus, Streams};
use crate::exec::{self, Goal, Packed, Pass, Purpose, Shaped, Weights};
use crate::model::{Model, Parameters};
use crate::parallel::Threads;
use crate::{Error, Result};
use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

/// Streams that a part is read as, unless asked otherwise.
pub const EVALUATION_STREAMS: usize = 16;
/// Steps of a window, where no training run says how many.
const STEPS: usize = 64;

/// Evaluates `model` on `part` of `corpus`, read as `streams` contiguous streams of (n - 1) / streams targets each, every
/// one from a zero state carried to its end. Uses `threads` threads, or all cores.
///
/// # Errors
/// When the part has fewer than two symbols, the text was cut short meanwhile, or the threads or the forced instruction
/// set cannot be had.
pub fn evaluate(
    model: &Model,
    corpus: &Corpus,
    part: Range<usize>,
    streams: usize,
    threads: Option<usize>,
) -> Result<Evaluation> {
    let threads = Threads::new(threads)?;
    let mut weights = Weights::new(model.config(), exec::detect()?);
    weights.pack(model.parameters(), false, &threads);
    let reader = Reader { corpus, part, streams, steps: STEPS, interrupt: None };
    let evaluation = reader.run(&weights, model.parameters(), &threads)?;
    corpus.whole()?;
    Ok(evaluation)
}

/// A part of a text, read window by window.
pub(super) struct Reader<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) part: Range<usize>,
    pub(super) streams: usize,
    pub(super) steps: usize,
    /// Ends the evaluation when it is set.
    pub(super) interrupt: Option<&'a AtomicBool>,
}

impl Reader<'_> {
    pub(super) fn run(
        &self,
        weights: &Weights,
        parameters: &Parameters,
        threads: &Threads,
    ) -> Result<Evaluation> {
        let streams = Streams::new(self.part.clone(), self.streams, self.steps)?;
        let mut shaped = Shaped::new(Purpose { train: false, dropout: false });
        let mut batch = Batch::default();
        let (mut totals, mut symbols) = ((0.0, 0), 0u64);
        for index in 0..streams.windows() {
            if self.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(Error::Interrupted);
            }
            streams.fill(self.corpus, index, &mut batch);
            let executor = shaped.shape(weights, batch.steps, batch.rows, threads);
            let Batch { inputs, targets, fresh, .. } = &batch;
            let pass = Pass { inputs, targets, fresh: *fresh, dropping: None, goal: Goal::Losses };
            executor.run(Packed { weights, parameters, threads }, pass);
            totals = executor.tally(totals);
            symbols += batch.targets.len() as u64;
        }
        let (sum, right) = totals;
        let loss = sum / symbols as f64;
        Ok(Evaluation {
            symbols,
            loss,
            bits_per_symbol: loss / std::f64::consts::LN_2,
            perplexity: loss.exp(),
            accuracy: right as f64 / symbols as f64,
        })
    }
}

//! Loss of a model on a part of a text, read as contiguous streams.

use super::Evaluation;
use crate::corpus::{Batch, Corpus, Streams};
use crate::exec::{Engine, Executor, Extent, Goal, Inputs, Needs, Order, Pass};
use crate::loss::{Loss, Targets};
use crate::model::Model;
use crate::{Error, Result};
use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Streams that a part is read as, unless asked otherwise.
pub const EVALUATION_STREAMS: usize = 16;
/// Steps of a window, where no training run says how many.
const STEPS: usize = 64;

/// What an evaluation reads, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The symbols read.
    pub part: Range<usize>,
    /// Contiguous streams that they are read as, of (n - 1) / streams targets each.
    pub streams: usize,
    /// Also counts the symbols that are among the k likeliest, as [`crate::loss::in_top_k`] does.
    pub top_k: Option<NonZeroUsize>,
}

/// Evaluates `model` on `part` of `corpus`, read as `streams` contiguous streams of (n - 1) / streams targets each, every
/// one from a zero state carried to its end. Uses `threads` threads, or all cores.
///
/// # Errors
/// When the part has fewer than two symbols, the text has more symbols than the model or was cut short meanwhile, or the
/// threads or the forced instruction set cannot be had.
pub fn evaluate(
    model: impl Into<Arc<Model>>,
    corpus: &Corpus,
    part: Range<usize>,
    streams: usize,
    threads: Option<usize>,
) -> Result<Evaluation> {
    evaluate_as(model, corpus, Reading { part, streams, top_k: None }, threads)
}

/// [`evaluate`], as `reading` says.
///
/// # Errors
/// As for [`evaluate`].
pub fn evaluate_as(
    model: impl Into<Arc<Model>>,
    corpus: &Corpus,
    reading: Reading,
    threads: Option<usize>,
) -> Result<Evaluation> {
    let model = model.into();
    model.config().check_predicts_symbols()?;
    let (symbols, known) = (corpus.vocabulary().len(), model.config().vocabulary);
    if symbols > known {
        let expected = format!("the model knows {known} symbols; open the text with the model's vocabulary");
        return Err(Error::setting("vocabulary", symbols, expected));
    }
    let engine = Engine::new(model, threads)?;
    let reader = Reader { corpus, reading, steps: STEPS, interrupt: None };
    let evaluation = reader.run(&engine)?;
    corpus.check_truncation()?;
    Ok(evaluation)
}

/// A part of a text, read window by window.
pub(super) struct Reader<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) reading: Reading,
    pub(super) steps: usize,
    /// Ends the evaluation when it is set.
    pub(super) interrupt: Option<&'a AtomicBool>,
}

/// What is counted over all windows.
#[derive(Default)]
struct Count {
    /// Losses, and symbols predicted right.
    totals: (f64, u64),
    symbols: u64,
    within: u64,
}

impl Reader<'_> {
    pub(super) fn run(&self, engine: &Engine) -> Result<Evaluation> {
        let streams = Streams::new(self.reading.part.clone(), self.reading.streams, self.steps)?;
        let mut executor = Executor::new(engine.weights(), Needs::INFERENCE);
        let (mut batch, mut count) = (Batch::default(), Count::default());
        for index in 0..streams.windows() {
            if self.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(Error::Interrupted);
            }
            streams.fill(self.corpus, index, &mut batch);
            let Batch { inputs, targets, fresh, .. } = &batch;
            executor.reshape(engine.weights(), Extent::full(batch.steps, batch.rows), engine.pool());
            let top_k = self.reading.top_k.map(NonZeroUsize::get);
            let goal = Goal::Losses { loss: Loss::CROSS_ENTROPY, top_k };
            let (order, dropping) = (Order::TimeMajor, None);
            let (inputs, labels) = (Inputs::Ids(inputs), Some((Targets::Ids(targets), None)));
            let pass = Pass { inputs, order, targets: labels, fresh: *fresh, dropping, goal };
            let within = executor.run(engine.packed(), pass);
            count.add(&executor, targets.len(), within);
        }
        Ok(count.evaluation(self.reading.top_k.is_some()))
    }
}

impl Count {
    fn add(&mut self, executor: &Executor, targets: usize, within: u64) {
        self.totals = executor.window.tally(self.totals);
        self.symbols += targets as u64;
        self.within += within;
    }

    fn evaluation(&self, asked: bool) -> Evaluation {
        let (sum, right) = self.totals;
        let share = |count: u64| count as f64 / self.symbols as f64;
        let loss = sum / self.symbols as f64;
        Evaluation {
            symbols: self.symbols,
            loss,
            bits_per_symbol: loss / std::f64::consts::LN_2,
            perplexity: loss.exp(),
            accuracy: share(right),
            top_k_accuracy: asked.then(|| share(self.within)),
        }
    }
}

//! The loss of a model on a range of a corpus, which is read as contiguous streams.

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

/// The default number of streams.
pub const EVALUATION_STREAMS: usize = 16;
/// Steps of a window outside of a training run.
const STEPS: usize = 64;

/// The options of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationOptions {
    /// The range of symbols to read.
    pub range: Range<usize>,
    /// Number of contiguous streams. Each has (n - 1) / streams targets, for a range of n symbols.
    pub streams: usize,
    /// k, to also count the symbols that are among the k most likely predictions, as
    /// [`crate::loss::in_top_k`] does.
    pub top_k: Option<NonZeroUsize>,
}

/// Evaluates a model on a range of n symbols of a corpus, which is read as `streams` contiguous
/// streams of (n - 1) / streams targets each. Each stream starts from a zero state, which is
/// carried to its end. Uses `threads` threads, or all cores if `None`.
///
/// # Errors
/// 1. [`Error::TooFewSymbols`] for a range of fewer than 2 symbols.
/// 2. [`Error::Setting`] for 0 streams, a vocabulary larger than the model's, or a head that does
///    not predict the symbols that the model reads.
/// 3. [`Error::TextChanged`] if a file of the corpus was changed.
/// 4. As for [`Engine::new`].
pub fn evaluate(
    model: impl Into<Arc<Model>>,
    corpus: &Corpus,
    range: Range<usize>,
    streams: usize,
    threads: Option<usize>,
) -> Result<Evaluation> {
    evaluate_with(model, corpus, EvaluationOptions { range, streams, top_k: None }, threads)
}

/// Evaluates a model as [`evaluate`] does, with all options.
///
/// # Errors
/// As for [`evaluate`].
pub fn evaluate_with(
    model: impl Into<Arc<Model>>,
    corpus: &Corpus,
    options: EvaluationOptions,
    threads: Option<usize>,
) -> Result<Evaluation> {
    let model = model.into();
    model.config().check_predicts_symbols()?;
    let (symbols, known) = (corpus.vocabulary().len(), model.config().vocabulary);
    if symbols > known {
        let expected = format!("the model has {known} symbols; open the text with the model's vocabulary");
        return Err(Error::setting("vocabulary", symbols, expected));
    }
    let engine = Engine::new(model, threads)?;
    let evaluator = Evaluator { corpus, options, steps: STEPS, interrupt: None };
    let evaluation = evaluator.run(&engine)?;
    corpus.check_truncation()?;
    Ok(evaluation)
}

/// Evaluates a model window by window.
pub(super) struct Evaluator<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) options: EvaluationOptions,
    pub(super) steps: usize,
    /// Ends the evaluation if it is set.
    pub(super) interrupt: Option<&'a AtomicBool>,
}

/// Totals over all windows.
#[derive(Default)]
struct Totals {
    /// The sum of the losses, and the number of right predictions.
    losses: (f64, u64),
    symbols: u64,
    /// Number of symbols among the k most likely ones.
    within: u64,
}

impl Evaluator<'_> {
    pub(super) fn run(&self, engine: &Engine) -> Result<Evaluation> {
        let streams = Streams::new(self.options.range.clone(), self.options.streams, self.steps)?;
        let mut executor = Executor::new(engine.weights(), Needs::INFERENCE);
        let (mut batch, mut next, mut totals) = (Batch::default(), Batch::default(), Totals::default());
        streams.fill(self.corpus, 0, &mut batch);
        for index in 0..streams.windows() {
            if self.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(Error::Interrupted);
            }
            engine.enter(batch.inputs.len(), || {
                let read = || {
                    if index + 1 < streams.windows() {
                        streams.fill(self.corpus, index + 1, &mut next);
                    }
                };
                engine.pool().join(|| self.add(engine, &mut executor, &batch, &mut totals), read);
            });
            std::mem::swap(&mut batch, &mut next);
        }
        Ok(totals.evaluation(self.options.top_k.is_some()))
    }

    /// Runs a window and adds its results to `totals`.
    fn add(&self, engine: &Engine, executor: &mut Executor, batch: &Batch, totals: &mut Totals) {
        let Batch { steps, rows, inputs, targets, fresh } = batch;
        executor.reshape(engine.weights(), Extent::full(*steps, *rows), engine.pool());
        let top_k = self.options.top_k.map(NonZeroUsize::get);
        let goal = Goal::Losses { loss: Loss::CROSS_ENTROPY, top_k };
        let (order, dropping) = (Order::TimeMajor, None);
        let (inputs, labels) = (Inputs::Ids(inputs), Some((Targets::Ids(targets), None)));
        let pass = Pass { inputs, order, targets: labels, fresh: *fresh, dropping, goal };
        let within = executor.run(engine.packed(), pass);
        totals.add(executor, targets.len(), within);
    }
}

impl Totals {
    fn add(&mut self, executor: &Executor, targets: usize, within: u64) {
        self.losses = executor.window.tally(self.losses);
        self.symbols += targets as u64;
        self.within += within;
    }

    fn evaluation(&self, top_k: bool) -> Evaluation {
        let (sum, right) = self.losses;
        let share = |count: u64| count as f64 / self.symbols as f64;
        let loss = sum / self.symbols as f64;
        Evaluation {
            symbols: self.symbols,
            loss,
            bits_per_symbol: loss / std::f64::consts::LN_2,
            perplexity: loss.exp(),
            accuracy: share(right),
            top_k_accuracy: top_k.then(|| share(self.within)),
        }
    }
}

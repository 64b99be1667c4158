//! The loss of a model on a range of a corpus, which is read as contiguous streams.

mod divided;
mod rows;
mod totals;

use super::{Evaluation, Ranks};
use crate::corpus::{Corpus, Streams};
use crate::exec::Engine;
use crate::model::{Model, ModelConfig};
use crate::{Error, Result};
use rows::{Rows, Source};
use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use totals::Totals;

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
    check(model.config(), corpus)?;
    evaluate_on(&Engine::new(model, threads)?, corpus, options)
}

/// Evaluates the model of an engine as [`evaluate_with`] does, with the threads and the precision of
/// the engine.
///
/// ```
/// use unrolled::corpus::Corpus;
/// use unrolled::exec::Engine;
/// use unrolled::model::Model;
/// use unrolled::train::{EvaluationOptions, evaluate_on};
/// use unrolled::{ModelSettings, Precision, Unit};
///
/// # fn main() -> unrolled::Result<()> {
/// let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(9), Unit::Char)?;
/// let model = Model::new(&ModelSettings::lstm(8), corpus.vocabulary().len(), 1)?;
/// let options = EvaluationOptions { range: 0..corpus.len(), streams: 2, top_k: None };
/// let engine = Engine::with_precision(model, Precision::Bf16, Some(1))?;
/// assert!(evaluate_on(&engine, &corpus, options)?.loss > 2.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As for [`evaluate`].
pub fn evaluate_on(engine: &Engine, corpus: &Corpus, options: EvaluationOptions) -> Result<Evaluation> {
    check(engine.config(), corpus)?;
    let evaluator = Evaluator { corpus, options, steps: STEPS, interrupt: None, ranks: None };
    evaluator.run(engine)
}

/// Checks that a model predicts all symbols of a corpus.
fn check(config: &ModelConfig, corpus: &Corpus) -> Result<()> {
    config.check_predicts_symbols()?;
    let (symbols, known) = (corpus.vocabulary().len(), config.vocabulary);
    if symbols > known {
        let expected = format!("the model has {known} symbols; open the text with the model's vocabulary");
        return Err(Error::setting("vocabulary", symbols, expected));
    }
    Ok(())
}

/// Evaluates a model window by window.
pub(super) struct Evaluator<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) options: EvaluationOptions,
    pub(super) steps: usize,
    /// Ends the evaluation if it is set.
    pub(super) interrupt: Option<&'a AtomicBool>,
    /// The ranks that share the evaluation; all of them run it, and have the same result.
    pub(super) ranks: Option<&'a dyn Ranks>,
}

impl Evaluator<'_> {
    /// Runs the evaluation.
    ///
    /// # Errors
    /// [`Error::TooFewSymbols`] and [`Error::Setting`] as for [`evaluate`]; [`Error::Interrupted`]
    /// and [`Error::TextChanged`], on all ranks if it happens to one.
    pub(super) fn run(&self, engine: &Engine) -> Result<Evaluation> {
        let streams = Streams::new(self.options.range.clone(), self.options.streams, self.steps)?;
        let source = Source { engine, corpus: self.corpus, streams: &streams, top_k: self.options.top_k };
        let totals = match self.ranks {
            Some(ranks) if ranks.count() > 1 => divided::run(source, ranks, self.interrupt)?,
            _ => self.run_alone(source)?,
        };
        Ok(totals.evaluation(streams.targets() as u64, self.options.top_k.is_some()))
    }

    fn run_alone(&self, source: Source<'_>) -> Result<Totals> {
        let (mut rows, mut totals) = (Rows::new(source, 0..source.streams.rows()), Totals::default());
        for _ in 0..source.streams.windows() {
            if self.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(Error::Interrupted);
            }
            rows.run(|window, within| {
                totals.losses = window.tally(totals.losses);
                totals.within += within;
            });
        }
        self.corpus.check_truncation()?;
        Ok(totals)
    }
}

#[cfg(test)]
mod tests;

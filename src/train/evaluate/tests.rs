//! Tests of evaluations that ranks share.

use super::{EvaluationOptions, Evaluator};
use crate::corpus::Corpus;
use crate::exec::Engine;
use crate::train::local_ranks::{LocalRanks, run_ranks};
use crate::train::{Evaluation, Ranks, Training};
use crate::{Cell, Error, InputKind, ModelSettings, Result, RunSettings, Settings, Unit};
use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

/// Returns a run after some steps.
fn trained(model: ModelSettings) -> Training {
    let text: String = (0..4000u32).map(|n| char::from(97 + (n * n % 23 + n / 700) as u8)).collect();
    let settings = Settings {
        model,
        run: RunSettings { batch: 3, steps: 7, max_steps: Some(6), ..RunSettings::default() },
        ..Settings::default()
    };
    let mut training =
        Training::new(Corpus::from_text(text, Unit::Char).unwrap(), settings, Some(1)).unwrap();
    (0..4).for_each(|_| _ = training.step().unwrap());
    training
}

fn models() -> [ModelSettings; 4] {
    let lstm = ModelSettings { cell: Cell::Lstm, hidden: 19, layers: 2, ..ModelSettings::default() };
    let gru = ModelSettings { cell: Cell::Gru, hidden: 33, layers: 1, ..lstm.clone() };
    let one_hot = |model: &ModelSettings| ModelSettings { input: InputKind::OneHot, ..model.clone() };
    [one_hot(&lstm), one_hot(&gru), lstm, ModelSettings { embedding: Some(5), ..gru }]
}

/// The symbols of [`long_text`].
const ALL: Range<usize> = 0..90_000;

/// Evaluates a range of a corpus in `rows` streams and windows of `steps`.
fn evaluate(
    engine: &Engine,
    (corpus, range, rows, steps): (&Corpus, Range<usize>, usize, usize),
    ranks: Option<&dyn Ranks>,
    interrupt: Option<&AtomicBool>,
) -> Result<Evaluation> {
    let options = EvaluationOptions { range, streams: rows, top_k: NonZeroUsize::new(3) };
    Evaluator { corpus, options, steps, interrupt, ranks }.run(engine)
}

/// Returns all numbers of an evaluation, with their bits.
fn bits(evaluation: &Evaluation) -> (u64, [u64; 5]) {
    let Evaluation { symbols, loss, bits_per_symbol, perplexity, accuracy, top_k_accuracy } = evaluation;
    let numbers = [*loss, *bits_per_symbol, *perplexity, *accuracy, top_k_accuracy.unwrap()];
    (*symbols, numbers.map(f64::to_bits))
}

#[test]
fn ranks_evaluate_with_the_bits_of_one_process() {
    for model in models() {
        let training = trained(model);
        for (range, rows, steps) in
            [(0..900, 16, 7), (100..1000, 5, 64), (20..200, 1, 50), (3..10, 16, 8), (8..10, 3, 1)]
        {
            let shape = || (&training.corpus, range.clone(), rows, steps);
            let alone = bits(&evaluate(&training.engine, shape(), None, None).unwrap());
            for n in [1, 2, 3, 5, 8, 20] {
                let found = run_ranks(n, |ranks| {
                    let engine = training.engine.with_threads(Some(1 + ranks.rank() % 3)).unwrap();
                    bits(&evaluate(&engine, shape(), Some(&*ranks), None).unwrap())
                });
                assert_eq!(
                    found,
                    vec![alone; n],
                    "{n} ranks, {range:?} by {rows} rows, {:?}",
                    training.settings.model
                );
            }
        }
    }
}

/// Returns a text of [`ALL`] symbols. Its evaluation takes several messages.
fn long_text() -> String {
    (0..ALL.end as u32).map(|n| char::from(97 + (n % 1000 * n % 23) as u8)).collect()
}

/// Returns a small model, and the long text.
fn long_corpus() -> (Training, Corpus) {
    let training = trained(ModelSettings { hidden: 4, ..ModelSettings::default() });
    let corpus = Corpus::from_text_with(long_text(), training.vocabulary()).unwrap();
    (training, corpus)
}

#[test]
fn many_messages_add_up_to_the_same_bits() {
    let (training, corpus) = long_corpus();
    let run = |ranks: Option<&dyn Ranks>| {
        bits(&evaluate(&training.engine, (&corpus, ALL, 9, 64), ranks, None).unwrap())
    };
    let alone = run(None);
    assert_eq!(run_ranks(4, |ranks| run(Some(&*ranks))), vec![alone; 4]);
}

/// Ranks, of which rank 0 is interrupted after the first message.
#[derive(Debug)]
struct Interrupting<'a> {
    ranks: &'a LocalRanks,
    flag: &'a AtomicBool,
}

impl Ranks for Interrupting<'_> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn count(&self) -> usize {
        self.ranks.count()
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        self.ranks.broadcast(bytes);
    }

    fn all_gather(&self, own: &[u8], counts: &[usize], all: &mut [u8]) {
        self.ranks.all_gather(own, counts, all);
        self.flag.store(self.rank() == 0, Ordering::Relaxed);
    }

    fn all_to_all(&self, own: &[u8], counts: &[usize], all: &mut [u8], received: &[usize]) {
        self.ranks.all_to_all(own, counts, all, received);
    }
}

#[test]
fn an_interrupt_on_one_rank_ends_the_evaluation_on_all() {
    let (training, corpus) = long_corpus();
    // With 3 rows, rank 0 has none.
    for rows in [3, 9] {
        for late in [false, true] {
            let results = run_ranks(4, |ranks| {
                let flag = AtomicBool::new(!late && ranks.rank() == 0);
                let interrupting = Interrupting { ranks: &ranks, flag: &flag };
                let ranks: &dyn Ranks = if late { &interrupting } else { &*ranks };
                evaluate(&training.engine, (&corpus, ALL, rows, 64), Some(ranks), Some(&flag))
            });
            for result in results {
                assert!(matches!(result, Err(Error::Interrupted)), "{rows} rows, late: {late}: {result:?}");
            }
        }
    }
}

#[cfg(all(unix, feature = "files"))]
#[test]
fn a_text_that_is_cut_short_on_one_rank_ends_the_evaluation_on_all() {
    crate::corpus::install_truncation_guard().unwrap();
    let training = trained(ModelSettings { hidden: 4, ..ModelSettings::default() });
    let folder = tempfile::tempdir().unwrap();
    let errors = run_ranks(3, |ranks| {
        let path = folder.path().join(format!("text of {}", ranks.rank()));
        std::fs::write(&path, long_text()).unwrap();
        let corpus =
            Corpus::open_with(std::slice::from_ref(&path), training.vocabulary(), crate::Invalid::Error)
                .unwrap();
        if ranks.rank() == 1 {
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(45_000).unwrap();
        }
        let shape = (&corpus, ALL, 9, 64);
        evaluate(&training.engine, shape, Some(&*ranks), None).unwrap_err().to_string()
    });
    let path = folder.path().join("text of 1");
    let own = format!("{} was cut short while it was being read; ", path.display());
    let other = format!("rank 1: {own}");
    assert!(errors[0].starts_with(&other) && errors[2].starts_with(&other), "{errors:?}");
    assert!(errors[1].starts_with(&own), "{errors:?}");
}

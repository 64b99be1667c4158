//! An evaluation that ranks share.
//!
//! A row's results do not depend on other rows, so each rank runs some of the rows. The losses are
//! one chain of additions in the order (window, step, row): all ranks gather the losses of some
//! windows at a time, and each adds them up in this order. So the sum has the bits of one process.
//!
//! A message of a rank is an array of numbers: its [`Outcome`], its right predictions, its targets
//! within the top k, and the losses of its tokens in the order (window, step, row).

use super::rows::{Rows, Source};
use super::totals::Totals;
use crate::train::Ranks;
use crate::train::divide::{Outcome, agree};
use crate::{Error, Result};
use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

/// The tokens of all ranks in a message, at most, if a window does not have more. Fewer would be
/// messages all the time; with more, ranks would learn late that one was interrupted.
const TOKENS: usize = 1 << 15;
/// Length of a message without the losses.
const HEAD: usize = 3;

/// Runs the rows of this rank, and returns the totals of all rows. All ranks call it.
pub(super) fn run(source: Source<'_>, ranks: &dyn Ranks, interrupt: Option<&AtomicBool>) -> Result<Totals> {
    let streams = source.streams;
    let own = share(streams.rows(), ranks, ranks.rank());
    let mut rows = (!own.is_empty()).then(|| Rows::new(source, own));
    let (mut messages, mut totals) = (Messages::default(), Totals::default());
    let windows = (TOKENS / streams.rows() / streams.steps_of(0..1)).max(1);
    for first in (0..streams.windows()).step_by(windows) {
        let windows = first..streams.windows().min(first + windows);
        messages.begin();
        let mut done = Ok(());
        for _ in windows.clone() {
            if interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                done = Err(Error::Interrupted);
                break;
            }
            rows.iter_mut().for_each(|rows| messages.record(rows));
        }
        let done = done.and_then(|()| source.corpus.check_truncation());
        let steps = streams.steps_of(windows);
        messages.exchange(ranks, [steps, streams.rows()], &done);
        agree(ranks, &messages.outcomes(), done)?;
        messages.add_to(&mut totals, steps);
    }
    Ok(totals)
}

/// Returns the rows of a rank.
fn share(rows: usize, ranks: &dyn Ranks, rank: usize) -> Range<usize> {
    let start = |rank: usize| rows * rank / ranks.count();
    start(rank)..start(rank + 1)
}

/// The messages of all ranks about some windows.
#[derive(Default)]
struct Messages {
    own: Vec<f64>,
    /// Those of all ranks, one behind the other.
    all: Vec<f64>,
    /// Number of rows of each rank.
    rows: Vec<usize>,
    /// Length in bytes of the message of each rank.
    counts: Vec<usize>,
}

impl Messages {
    fn begin(&mut self) {
        self.own.clear();
        self.own.extend([0.0; HEAD]);
    }

    /// Runs the next window of the rows of this rank.
    fn record(&mut self, rows: &mut Rows<'_>) {
        let own = &mut self.own;
        rows.run(|window, within| {
            let right = window.each_loss(|loss| own.push(loss));
            own[1] += right as f64;
            own[2] += within as f64;
        });
    }

    /// Sends the message of this rank about `steps` steps to all ranks, and receives theirs.
    fn exchange(&mut self, ranks: &dyn Ranks, [steps, rows]: [usize; 2], done: &Result<()>) {
        let Self { own, all, rows: rows_of, counts } = self;
        rows_of.clear();
        rows_of.extend((0..ranks.count()).map(|rank| share(rows, ranks, rank).len()));
        counts.clear();
        counts.extend(rows_of.iter().map(|rows| (HEAD + rows * steps) * size_of::<f64>()));
        own[0] = Outcome::of(done).code();
        // A rank that stopped early has fewer losses. Nobody reads them.
        own.resize(counts[ranks.rank()] / size_of::<f64>(), 0.0);
        all.resize(counts.iter().sum::<usize>() / size_of::<f64>(), 0.0);
        ranks.all_gather(bytemuck::cast_slice(own), counts, bytemuck::cast_slice_mut(all));
    }

    /// Returns the messages of all ranks, each with the number of rows of its rank.
    fn each(&self) -> impl Iterator<Item = (&[f64], usize)> {
        let mut rest = &self.all[..];
        self.counts.iter().zip(&self.rows).map(move |(bytes, rows)| {
            let (message, others) = rest.split_at(bytes / size_of::<f64>());
            rest = others;
            (message, *rows)
        })
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.each().map(|(message, _)| Outcome::of_code(message[0])).collect()
    }

    /// Adds the results of all ranks, in the order of one process.
    fn add_to(&self, totals: &mut Totals, steps: usize) {
        let (sum, right) = &mut totals.losses;
        let mut losses = Vec::new();
        for (message, rows) in self.each() {
            *right += message[1] as u64;
            totals.within += message[2] as u64;
            losses.push((&message[HEAD..], rows));
        }
        for step in 0..steps {
            for (losses, rows) in &losses {
                losses[step * rows..][..*rows].iter().for_each(|loss| *sum += loss);
            }
        }
    }
}

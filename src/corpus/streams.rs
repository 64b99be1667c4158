//! The windows of an evaluation.

use super::{Batch, Corpus, batches::at_least_one};
use crate::{Error, Result};
use std::ops::Range;

/// Reads a range of a corpus as `rows` contiguous streams of equal length, window by window, each
/// symbol once: for an evaluation.
///
/// Every stream has floor((n - 1) / rows) targets. Its state starts at zero and is carried to its
/// end. The last window may be shorter, and the few remaining symbols are dropped.
#[derive(Clone, Debug)]
pub struct Streams {
    start: usize,
    rows: usize,
    /// Number of targets of each row.
    length: usize,
    steps: usize,
}

impl Streams {
    /// Reads `range`, a range of symbols, in windows of `steps` by `rows`. Uses fewer rows if the
    /// range has fewer than `rows` + 1 symbols.
    ///
    /// # Errors
    /// [`Error::Setting`] if `rows` or `steps` is 0, [`Error::TooFewSymbols`] for fewer than 2
    /// symbols.
    pub fn new(range: Range<usize>, rows: usize, steps: usize) -> Result<Self> {
        at_least_one("eval-streams", rows)?;
        at_least_one("steps", steps)?;
        let targets = range.len().saturating_sub(1);
        if targets == 0 {
            let (purpose, advice) = ("an evaluation".into(), "name a longer text or a larger split of it");
            return Err(Error::TooFewSymbols { found: range.len(), needed: 2, purpose, advice });
        }
        let rows = rows.min(targets);
        let length = targets / rows;
        Ok(Self { start: range.start, rows, length, steps: steps.min(length) })
    }

    /// Number of windows.
    pub fn windows(&self) -> usize {
        self.length.div_ceil(self.steps)
    }

    /// Number of streams, which is the number of rows of every window.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of symbols that all windows predict.
    pub fn targets(&self) -> usize {
        self.rows * self.length
    }

    /// Fills `batch` with window number `index`. `fresh` is true for the first. Allocates only in
    /// the first call.
    ///
    /// # Panics
    /// If `index` is not below the number of windows, or the range ends after the end of `corpus`.
    pub fn fill(&self, corpus: &Corpus, index: usize, batch: &mut Batch) {
        self.fill_rows(corpus, index, 0..self.rows, batch);
    }

    /// Fills `batch` with some rows of window number `index`, as [`Streams::fill`] does with all.
    pub(crate) fn fill_rows(&self, corpus: &Corpus, index: usize, rows: Range<usize>, batch: &mut Batch) {
        assert!(index < self.windows(), "window {index} of {}", self.windows());
        let done = index * self.steps;
        batch.resize(self.steps_of(index..index + 1), rows.len());
        batch.fresh = index == 0;
        for (row, stream) in rows.enumerate() {
            batch.fill_row(corpus, row, self.start + stream * self.length + done);
        }
    }

    /// Number of steps of some windows together.
    pub(crate) fn steps_of(&self, windows: Range<usize>) -> usize {
        let before = |window: usize| (window * self.steps).min(self.length);
        before(windows.end) - before(windows.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;

    #[test]
    fn every_stream_is_read_once_from_end_to_end() {
        let text: String = (0..60).map(|id| char::from_u32(0x4E00 + id).unwrap()).collect();
        let corpus = Corpus::from_text(text, Unit::Char).unwrap();
        for (range, rows, steps) in
            [(0..60, 4, 5), (3..60, 7, 3), (3..10, 16, 8), (8..10, 16, 1), (0..60, 1, 59)]
        {
            let streams = Streams::new(range.clone(), rows, steps).unwrap();
            let rows = rows.min(range.len() - 1);
            let length = (range.len() - 1) / rows;
            let mut read = vec![Vec::new(); rows];
            let mut batch = Batch::default();
            for index in 0..streams.windows() {
                streams.fill(&corpus, index, &mut batch);
                assert_eq!((batch.fresh, batch.rows), (index == 0, rows));
                for (at, (&input, &target)) in batch.inputs.iter().zip(&batch.targets).enumerate() {
                    read[at % rows].push(input);
                    assert_eq!(target, input + 1);
                }
            }
            for (row, read) in read.iter().enumerate() {
                let start = range.start + row * length;
                assert_eq!(*read, (start as u32..(start + length) as u32).collect::<Vec<_>>(), "{range:?}");
            }
            assert_eq!((streams.targets(), streams.rows()), (rows * length, rows));
        }
    }

    #[test]
    fn an_evaluation_needs_two_symbols() {
        for n in [0, 1] {
            assert_eq!(
                Streams::new(5..5 + n, 16, 64).unwrap_err().to_string(),
                format!(
                    "too few symbols: an evaluation needs 2, found {n}; name a longer text or a larger split of it"
                )
            );
        }
        assert!(Streams::new(0..9, 0, 1).unwrap_err().to_string().starts_with("eval-streams = 0 is invalid"));
        assert!(Streams::new(0..9, 1, 0).unwrap_err().to_string().starts_with("steps = 0 is invalid"));
    }
}

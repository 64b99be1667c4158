//! Windows to evaluate on.

use super::{Batch, Corpus, batches::at_least_one};
use crate::{Error, Result};
use std::ops::Range;

/// Reads a part as `rows` contiguous streams of equal length, window by window, each symbol once: for evaluation.
///
/// Every stream has floor((n - 1) / rows) targets, carried from a zero state to its end; the last window may be
/// shorter, and the few symbols left over are dropped.
#[derive(Clone, Debug)]
pub struct Streams {
    start: usize,
    rows: usize,
    /// Targets of each row.
    length: usize,
    steps: usize,
}

impl Streams {
    /// Reads `part`, a range of symbols, in windows of `steps` by `rows`; fewer rows when the part has fewer than
    /// `rows` + 1 symbols.
    ///
    /// # Errors
    /// [`Error::Setting`] when `rows` or `steps` is 0, [`Error::TooFewSymbols`] below 2 symbols.
    pub fn new(part: Range<usize>, rows: usize, steps: usize) -> Result<Self> {
        at_least_one("eval-streams", rows)?;
        at_least_one("steps", steps)?;
        let targets = part.len().saturating_sub(1);
        if targets == 0 {
            let (purpose, advice) = ("an evaluation".into(), "name a longer text or a larger part of it");
            return Err(Error::TooFewSymbols { found: part.len(), needed: 2, purpose, advice });
        }
        let rows = rows.min(targets);
        let length = targets / rows;
        Ok(Self { start: part.start, rows, length, steps: steps.min(length) })
    }

    /// Number of windows.
    pub fn windows(&self) -> usize {
        self.length.div_ceil(self.steps)
    }

    /// Number of streams, and so of rows in every window.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Symbols predicted over all windows.
    pub fn targets(&self) -> usize {
        self.rows * self.length
    }

    /// Fills `batch` with window number `index`; `fresh` only for the first. Allocates in the first call only.
    ///
    /// # Panics
    /// If `index` is not below the number of windows, or the part reaches beyond the end of `corpus`.
    pub fn fill(&self, corpus: &Corpus, index: usize, batch: &mut Batch) {
        assert!(index < self.windows(), "window {index} of {}", self.windows());
        let done = index * self.steps;
        batch.resize(self.steps.min(self.length - done), self.rows);
        batch.fresh = index == 0;
        for row in 0..self.rows {
            batch.fill_row(corpus, row, self.start + row * self.length + done);
        }
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
        for (part, rows, steps) in
            [(0..60, 4, 5), (3..60, 7, 3), (3..10, 16, 8), (8..10, 16, 1), (0..60, 1, 59)]
        {
            let streams = Streams::new(part.clone(), rows, steps).unwrap();
            let rows = rows.min(part.len() - 1);
            let length = (part.len() - 1) / rows;
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
                let start = part.start + row * length;
                assert_eq!(*read, (start as u32..(start + length) as u32).collect::<Vec<_>>(), "{part:?}");
            }
            assert_eq!((streams.targets(), streams.rows()), (rows * length, rows));
        }
    }

    #[test]
    fn one_symbol_cannot_be_evaluated() {
        for n in [0, 1] {
            assert_eq!(
                Streams::new(5..5 + n, 16, 64).unwrap_err().to_string(),
                format!(
                    "too few symbols: an evaluation needs 2, found {n}; name a longer text or a larger part of it"
                )
            );
        }
        assert!(Streams::new(0..9, 0, 1).unwrap_err().to_string().starts_with("eval-streams = 0 is invalid"));
        assert!(Streams::new(0..9, 1, 0).unwrap_err().to_string().starts_with("steps = 0 is invalid"));
    }
}

//! The windows of training.
//!
//! With n symbols in the range, B rows and T steps, row `r` of window `i` of an epoch reads T
//! symbols from this position on:
//!
//! ```text
//! stream     r ((n - 1) / B) + i T      state carried from window to window, zero at i = 0
//! random     a draw from 0..n - T       always a zero state
//! sliding    i B + r                    always a zero state
//! ```
//!
//! If K windows make one step of the optimizer, each of the K has streams of its own: the text is cut
//! into K B streams, and row `r` of window `i` reads stream `(i mod K) B + r` from position `(i / K) T`
//! on. So a step reads the same symbols as one with a single window of K B rows.
//!
//! At each step the target is the next symbol. A window depends on nothing else, so a resumed run
//! continues with the next window number.

use super::Corpus;
use crate::{Error, Result, Windows, error::require, random::generator};
use rand_chacha::rand_core::Rng;
use std::ops::Range;

/// Separates these draws from others of the same seed.
const PURPOSE: [u8; 8] = *b"windows ";

/// Cuts a range of a corpus into windows of T steps by B rows: a pure function of the step number.
#[derive(Clone, Debug)]
pub struct Batches {
    range: Range<usize>,
    windows: Windows,
    rows: usize,
    steps: usize,
    seed: u64,
    steps_per_epoch: u64,
    /// Number of windows with streams of their own (K).
    accumulate: u64,
}

/// One window: input ids and target ids.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Number of steps (T).
    pub steps: usize,
    /// Number of rows (B).
    pub rows: usize,
    /// [T, B], time-major.
    pub inputs: Vec<u32>,
    /// [T, B], time-major: the symbol that follows each input.
    pub targets: Vec<u32>,
    /// True if the state starts from zero.
    pub fresh: bool,
}

impl Batch {
    /// Sets T and B. Allocates only if the buffers are too small.
    pub(super) fn resize(&mut self, steps: usize, rows: usize) {
        (self.steps, self.rows) = (steps, rows);
        self.inputs.resize(steps * rows, 0);
        self.targets.resize(steps * rows, 0);
    }

    /// Reads the T inputs of one row from `start` on, and their targets.
    pub(super) fn fill_row(&mut self, corpus: &Corpus, row: usize, start: usize) {
        let Self { steps, rows, inputs, targets, .. } = self;
        corpus.each(start, *steps + 1, |step, id| {
            if step < *steps {
                inputs[step * *rows + row] = id;
            }
            if step > 0 {
                targets[(step - 1) * *rows + row] = id;
            }
        });
    }
}

impl Batches {
    /// Cuts `range`, a range of symbols, into windows of `steps` by `rows`. `seed` decides the
    /// random windows.
    ///
    /// # Errors
    /// [`Error::Setting`] if `rows` or `steps` is 0 or their product overflows.
    /// [`Error::TooFewSymbols`] if the range does not hold one window: T B + 1 symbols for streams,
    /// T + 1 for random windows, T + B for sliding windows.
    pub fn new(range: Range<usize>, windows: Windows, rows: usize, steps: usize, seed: u64) -> Result<Self> {
        Self::accumulated(range, windows, (rows, 1), steps, seed)
    }

    /// Cuts `range` as [`Batches::new`] does, for optimizer steps of `accumulate` windows. `stream`
    /// then needs T B K + 1 symbols.
    ///
    /// # Errors
    /// As for [`Batches::new`].
    pub fn accumulated(
        range: Range<usize>,
        windows: Windows,
        (rows, accumulate): (usize, usize),
        steps: usize,
        seed: u64,
    ) -> Result<Self> {
        at_least_one("batch", rows)?;
        at_least_one("steps", steps)?;
        at_least_one("accumulate", accumulate)?;
        let size = rows.checked_mul(steps).filter(|&size| size < usize::MAX / 8).ok_or_else(|| {
            let expected = format!("with steps = {steps} one window overflows the memory; lower one of them");
            Error::setting("batch", rows, expected)
        })?;
        let (needed, purpose, advice) = match windows {
            Windows::Stream if accumulate == 1 => {
                (size + 1, format!("one batch of {rows} rows by {steps} steps"), LOWER_BOTH)
            }
            Windows::Stream => (
                size.saturating_mul(accumulate).saturating_add(1),
                format!("one step of {accumulate} batches of {rows} rows by {steps} steps"),
                LOWER_ALL,
            ),
            Windows::Random => (steps + 1, format!("one window of {steps} steps"), LOWER_STEPS),
            Windows::Sliding => {
                (steps + rows, format!("one batch of {rows} shifted windows of {steps} steps"), LOWER_BOTH)
            }
        };
        let found = range.len();
        if found < needed {
            return Err(Error::TooFewSymbols { found, needed, purpose, advice });
        }
        let steps_per_epoch = match windows {
            Windows::Stream => (found - 1) / (rows * accumulate) / steps * accumulate,
            Windows::Random => ((found - 1) / size).max(1),
            Windows::Sliding => (found - steps) / rows,
        } as u64;
        Ok(Self { range, windows, rows, steps, seed, steps_per_epoch, accumulate: accumulate as u64 })
    }

    /// Number of whole windows in one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Fills `batch` with window number `step` (from 0; epochs follow each other). Allocates only
    /// in the first call.
    ///
    /// # Panics
    /// If the range ends after the end of `corpus`.
    pub fn fill(&self, corpus: &Corpus, step: u64, batch: &mut Batch) {
        batch.resize(self.steps, self.rows);
        let window = step % self.steps_per_epoch;
        let (place, part) = (window / self.accumulate, step % self.accumulate);
        batch.fresh = place == 0 || self.windows != Windows::Stream;
        // 64 bits per row.
        let mut draws = generator(self.seed, PURPOSE, step);
        for row in 0..self.rows {
            let start = match self.windows {
                Windows::Stream => {
                    let streams = self.rows * self.accumulate as usize;
                    let stream = part as usize * self.rows + row;
                    stream * ((self.range.len() - 1) / streams) + place as usize * self.steps
                }
                Windows::Random => below(draws.next_u64(), self.range.len() - self.steps),
                Windows::Sliding => window as usize * self.rows + row,
            };
            batch.fill_row(corpus, row, self.range.start + start);
        }
    }
}

const LOWER_BOTH: &str = "lower batch or steps, lower val-fraction or test-fraction, or name a longer text";
const LOWER_ALL: &str =
    "lower batch, steps or accumulate, lower val-fraction or test-fraction, or name a longer text";
const LOWER_STEPS: &str = "lower steps, lower val-fraction or test-fraction, or name a longer text";

/// Maps a draw to a number below `end`. The probabilities are equal to within `end` / 2^64.
pub(super) fn below(draw: u64, end: usize) -> usize {
    ((u128::from(draw) * end as u128) >> 64) as usize
}

/// Refuses zero.
pub(super) fn at_least_one(name: &'static str, value: usize) -> Result<()> {
    require(value > 0, name, value, "it must be at least 1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;

    /// A text of n distinct symbols: every id is its position.
    fn count(n: u32) -> Corpus {
        let text: String = (0..n).map(|id| char::from_u32(0x4E00 + id).unwrap()).collect();
        Corpus::from_text(text, Unit::Char).unwrap()
    }

    /// The first input of every row. Checks that the other inputs and the targets follow it.
    fn starts(batches: &Batches, corpus: &Corpus, step: u64) -> (Vec<u32>, bool) {
        let mut batch = Batch::default();
        batches.fill(corpus, step, &mut batch);
        let rows = batch.rows;
        assert_eq!(batch.inputs.len(), batch.steps * rows);
        let starts = batch.inputs[..rows].to_vec();
        for (at, (&input, &target)) in batch.inputs.iter().zip(&batch.targets).enumerate() {
            assert_eq!((input, target), (starts[at % rows] + (at / rows) as u32, input + 1));
        }
        (starts, batch.fresh)
    }

    #[test]
    fn streams_continue_in_the_next_window() {
        let corpus = count(30);
        let batches = Batches::new(2..30, Windows::Stream, 3, 4, 1).unwrap();
        assert_eq!(batches.steps_per_epoch(), 2); // 27 / 3 = 9 symbols per stream, 4 per window
        for (step, first, fresh) in [(0, 0, true), (1, 4, false), (2, 0, true), (u64::MAX, 4, false)] {
            let expected = [2, 11, 20].map(|start| start + first).to_vec();
            assert_eq!(starts(&batches, &corpus, step), (expected, fresh), "step {step}");
        }
    }

    #[test]
    fn windows_of_one_step_have_streams_of_their_own() {
        let corpus = count(60);
        let whole = Batches::new(2..60, Windows::Stream, 6, 4, 1).unwrap();
        let parts = Batches::accumulated(2..60, Windows::Stream, (2, 3), 4, 1).unwrap();
        assert_eq!((whole.steps_per_epoch(), parts.steps_per_epoch()), (2, 6));
        for step in [0, 1, 2, 3] {
            let read: Vec<_> = (0..3).map(|part| starts(&parts, &corpus, 3 * step + part)).collect();
            let (rows, fresh) = starts(&whole, &corpus, step);
            assert_eq!(read.iter().flat_map(|(rows, _)| rows.clone()).collect::<Vec<_>>(), rows);
            assert!(read.iter().all(|(_, part)| *part == fresh), "step {step}");
        }
        let error = Batches::accumulated(0..24, Windows::Stream, (2, 3), 4, 1).unwrap_err().to_string();
        assert!(error.contains("one step of 3 batches of 2 rows by 4 steps needs 25, found 24"), "{error}");
    }

    #[test]
    fn sliding_windows_shift_by_one() {
        let corpus = count(12);
        let batches = Batches::new(1..12, Windows::Sliding, 3, 4, 1).unwrap();
        assert_eq!(batches.steps_per_epoch(), 2); // 7 windows
        assert_eq!(starts(&batches, &corpus, 0), (vec![1, 2, 3], true));
        assert_eq!(starts(&batches, &corpus, 1), (vec![4, 5, 6], true));
        assert_eq!(starts(&batches, &corpus, 2), (vec![1, 2, 3], true));
    }

    #[test]
    fn random_windows_are_a_function_of_seed_step_and_row() {
        let corpus = count(2000);
        let batches = |rows, seed| Batches::new(0..2000, Windows::Random, rows, 10, seed).unwrap();
        let (all, fresh) = starts(&batches(8, 1), &corpus, 5);
        assert!(fresh);
        // The row's draw depends neither on the rows after it nor on earlier steps.
        assert_eq!(starts(&batches(3, 1), &corpus, 5).0, all[..3]);
        assert_ne!(starts(&batches(8, 1), &corpus, 6).0, all);
        assert_ne!(starts(&batches(8, 2), &corpus, 5).0, all);
        assert_eq!(batches(8, 1).steps_per_epoch(), 24);
        assert_eq!(batches(500, 1).steps_per_epoch(), 1);
    }

    #[test]
    fn random_draws_keep_their_bits() {
        let batches = Batches::new(0..1000, Windows::Random, 4, 10, 7).unwrap();
        let corpus = count(1000);
        assert_eq!(starts(&batches, &corpus, 3).0, [406, 858, 717, 346]);
    }

    #[test]
    fn random_windows_start_at_every_position_equally_often() {
        let batches = Batches::new(3..11, Windows::Random, 50, 5, 1).unwrap();
        let corpus = count(11);
        let mut hits = [0; 11];
        for step in 0..60 {
            starts(&batches, &corpus, step).0.iter().for_each(|&start| hits[start as usize] += 1);
        }
        assert_eq!((hits[..3].iter().sum::<u32>(), hits[6..].iter().sum::<u32>()), (0, 0));
        assert!(hits[3..6].iter().all(|hits| (900..1100).contains(hits)), "{hits:?}");
    }

    #[test]
    fn the_smallest_range_holds_one_window_and_one_symbol_less_is_an_error() {
        let cases = [
            (Windows::Stream, 13, "one batch of 3 rows by 4 steps needs 13, found 12; lower batch or steps"),
            (Windows::Random, 5, "one window of 4 steps needs 5, found 4; lower steps"),
            (
                Windows::Sliding,
                7,
                "one batch of 3 shifted windows of 4 steps needs 7, found 6; lower batch or steps",
            ),
        ];
        for (windows, needed, message) in cases {
            let batches = Batches::new(0..needed, windows, 3, 4, 1).unwrap();
            assert_eq!(batches.steps_per_epoch(), 1);
            starts(&batches, &count(needed as u32), 0);
            let error = Batches::new(0..needed - 1, windows, 3, 4, 1).unwrap_err().to_string();
            assert!(error.starts_with(&format!("too few symbols: {message}")), "{error}");
            assert!(error.ends_with("or name a longer text"), "{error}");
        }
    }

    #[test]
    fn zero_and_overflowing_sizes_are_refused() {
        let message =
            |rows, steps| Batches::new(0..100, Windows::Sliding, rows, steps, 1).unwrap_err().to_string();
        assert_eq!(message(0, 5), "batch = 0 is invalid: it must be at least 1");
        assert_eq!(message(5, 0), "steps = 0 is invalid: it must be at least 1");
        assert!(
            message(usize::MAX, 2).starts_with(&format!("batch = {} is invalid: with steps = 2", usize::MAX))
        );
        assert!(message(usize::MAX / 2, 1).contains("lower one of them"));
        assert!(message(1 << 20, 1 << 20).contains("too few symbols"));
    }

    #[test]
    fn buffers_are_reused() {
        let corpus = count(100);
        let batches = Batches::new(0..100, Windows::Stream, 3, 4, 1).unwrap();
        let mut batch = Batch::default();
        batches.fill(&corpus, 0, &mut batch);
        let buffers = (batch.inputs.as_ptr(), batch.targets.as_ptr());
        (1..50).for_each(|step| batches.fill(&corpus, step, &mut batch));
        assert_eq!((batch.inputs.as_ptr(), batch.targets.as_ptr()), buffers);
    }
}

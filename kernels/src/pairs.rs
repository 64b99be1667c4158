//! The tokens of a window in the order in which the gradients of weights sum them.

use core::ops::Range;

/// The tokens of a window in the order of the sum: from number m to stored deltas and input vector.
pub trait Pairs: Sync {
    /// Returns the number of tokens.
    fn len(&self) -> usize;
    /// Returns whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Returns the deltas of m, a stored row, and those of the rest of its run.
    fn delta(&self, m: usize) -> &[f32];
    /// Returns the input of m, and those of the rest of its run. The last row is readable in whole
    /// vectors of sixteen; the floats behind its last value may be anything.
    fn input(&self, m: usize) -> &[f32];
    /// Returns how far the slices of m reach beyond m.
    fn run(&self, _m: usize) -> PairRun {
        PairRun { rows: 1, delta_stride: 0, input_stride: 0 }
    }
}

/// Tokens whose deltas and inputs follow each other at constant distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairRun {
    /// Number of tokens, at least one.
    pub rows: usize,
    /// Floats from the deltas of one token to those of the next.
    pub delta_stride: usize,
    /// Floats from the input of one token to that of the next.
    pub input_stride: usize,
}

/// Splits `chunk` into runs: (m, rows, strides).
pub(crate) fn runs(pairs: &dyn Pairs, chunk: Range<usize>) -> impl Iterator<Item = (usize, PairRun)> {
    let mut m = chunk.start;
    core::iter::from_fn(move || {
        let (at, left) = (m, chunk.end - m);
        let run = (left > 0).then(|| pairs.run(at))?;
        let run = PairRun { rows: run.rows.clamp(1, left), ..run };
        m += run.rows;
        Some((at, run))
    })
}

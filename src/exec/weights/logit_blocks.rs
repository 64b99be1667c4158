//! The choice between keeping the logits of a whole window and computing them in blocks of tokens.

/// Number of tokens in a block: twice the chunk of a weight gradient, whose partial sums stop there
/// anyway.
const BLOCK: usize = 512;
/// The largest head whose outputs are kept for a window of any length.
const SMALL: usize = 1024;
/// The largest number of outputs kept for a whole window, in floats (16 MiB).
const KEPT: usize = 4 << 20;

/// Decides which windows keep the outputs of the head, and how many tokens a block of the others
/// has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogitBlocks {
    small: usize,
    kept: usize,
    pub(crate) tokens: usize,
}

impl Default for LogitBlocks {
    fn default() -> Self {
        Self { small: SMALL, kept: KEPT, tokens: BLOCK }
    }
}

impl LogitBlocks {
    /// Blocks of `tokens` tokens for every window.
    #[cfg(test)]
    pub(crate) fn always(tokens: usize) -> Self {
        Self { small: 0, kept: 0, tokens }
    }

    /// Returns true if a window of up to `most` tokens keeps its outputs.
    pub(crate) fn keep(&self, outputs: usize, most: usize) -> bool {
        let few = most.saturating_mul(outputs) <= self.kept;
        outputs <= self.small || most <= self.tokens || few
    }

    /// The number of tokens in a block of such a window; 0 if it keeps its outputs.
    pub(crate) fn room(&self, outputs: usize, most: usize) -> usize {
        if self.keep(outputs, most) { 0 } else { self.tokens }
    }
}

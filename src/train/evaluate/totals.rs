//! The totals of an evaluation.

use crate::train::Evaluation;

/// Totals over all windows.
#[derive(Default)]
pub(super) struct Totals {
    /// The sum of the losses, and the number of right predictions.
    pub(super) losses: (f64, u64),
    /// Number of symbols among the k most likely ones.
    pub(super) within: u64,
}

impl Totals {
    /// Returns the shares of `symbols` predicted symbols.
    pub(super) fn evaluation(&self, symbols: u64, top_k: bool) -> Evaluation {
        let (sum, right) = self.losses;
        let share = |count: u64| count as f64 / symbols as f64;
        let loss = sum / symbols as f64;
        Evaluation {
            symbols,
            loss,
            bits_per_symbol: loss / std::f64::consts::LN_2,
            perplexity: loss.exp(),
            accuracy: share(right),
            top_k_accuracy: top_k.then(|| share(self.within)),
        }
    }
}

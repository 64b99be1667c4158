//! Losses for training a model ([`Loss`], [`Objective`]), and losses of given logits with their
//! gradients, as in TensorFlow 1, for callers that compute the loss themselves.
//!
//! | TensorFlow 1 | here |
//! |---|---|
//! | [`nn.sparse_softmax_cross_entropy_with_logits`][1] | [`sparse_softmax_cross_entropy`] |
//! | [`nn.softmax_cross_entropy_with_logits_v2`][2] | [`softmax_cross_entropy`] |
//! | [`losses.softmax_cross_entropy(label_smoothing=..)`][3] | [`smoothed_labels`], [`Losses::over_nonzero_weights`] |
//! | [`contrib.legacy_seq2seq.sequence_loss_by_example`, `sequence_loss`][4] | [`sequence_loss_by_example`], [`Losses::sum`], [`Losses::mean`] |
//! | [`contrib.seq2seq.sequence_loss`][5] | [`sequence_loss`] |
//! | [`nn.in_top_k`][6], `argmax` and `equal` | [`in_top_k`], [`accuracy`], [`top_k_accuracy`] |
//!
//! Logits are [N, V] or [T, B, V], row-major and time-major. Losses are in nats. Sums are computed
//! in f64, in order.
//!
//! [1]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/sparse_softmax_cross_entropy_with_logits
//! [2]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/softmax_cross_entropy_with_logits_v2
//! [3]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/losses/softmax_cross_entropy
//! [4]: https://github.com/tensorflow/tensorflow/blob/v1.15.5/tensorflow/contrib/legacy_seq2seq/python/ops/seq2seq.py
//! [5]: https://github.com/tensorflow/tensorflow/blob/v1.15.5/tensorflow/contrib/seq2seq/python/ops/loss.py
//! [6]: https://www.tensorflow.org/api_docs/python/tf/math/in_top_k
//!
//! ```
//! use unrolled::loss::{Average, sequence_loss};
//!
//! # fn main() -> unrolled::Result<()> {
//! let (logits, targets) = ([2.0, 0.0, 0.0, 1.0], [0, 1]); // T = 2, B = 1, V = 2
//! let weights = [1.0, 0.0]; // the second step is padding
//! let loss = sequence_loss(&logits, &targets, &weights, 1, Average::Both)?;
//! assert!((loss.values[0] - (1.0 + (-2.0f64).exp()).ln()).abs() < 1e-12);
//! let gradient = loss.gradient(&[1.0]);
//! assert_eq!(gradient[2..], [0.0, 0.0]);
//! # Ok(())
//! # }
//! ```

mod accuracy;
mod cross_entropy;
mod objective;
mod sequence;

pub(crate) use accuracy::is_within;
pub use accuracy::{accuracy, in_top_k, top_k_accuracy};
pub use cross_entropy::{smoothed_labels, softmax_cross_entropy, sparse_softmax_cross_entropy};
pub use objective::{Loss, Objective, Targets};
pub use sequence::{Average, sequence_loss, sequence_loss_by_example};

use crate::{Error, Result};
use unrolled_kernels::denormals::flush;

/// Losses, and the data for their gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// The losses; their number depends on the function.
    pub values: Vec<f64>,
    /// Number of symbols V.
    symbols: usize,
    /// The gradient of each row's cross-entropy with respect to its logits [N, V].
    d_logits: Vec<f32>,
    /// The gradient with respect to the labels [N, V]; empty for sparse labels.
    d_labels: Vec<f32>,
    /// For each row, the index of the value that it is a part of, and its weight.
    shares: Vec<(usize, f64)>,
}

impl Losses {
    /// Returns the gradient of `sum(d_values * values)` with respect to the logits [N, V].
    ///
    /// # Panics
    /// If `d_values` does not have one number for each value.
    pub fn gradient(&self, d_values: &[f64]) -> Vec<f32> {
        self.back(&self.d_logits, d_values)
    }

    /// Returns the gradient with respect to dense labels [N, V]; empty for sparse labels.
    ///
    /// # Panics
    /// If `d_values` does not have one number for each value.
    pub fn gradient_of_labels(&self, d_values: &[f64]) -> Vec<f32> {
        self.back(&self.d_labels, d_values)
    }

    fn back(&self, rows: &[f32], d_values: &[f64]) -> Vec<f32> {
        assert_eq!(d_values.len(), self.values.len(), "a gradient for each loss");
        let rows = rows.chunks(self.symbols).zip(&self.shares);
        let gradient = rows.flat_map(|(row, (value, share))| {
            let scale = times(*share, d_values[*value]);
            row.iter().map(move |d| times(scale, f64::from(*d)) as f32)
        });
        flush(|| gradient.collect())
    }

    /// Returns the sum of the losses: one value (`sequence_loss` without `average_across_batch`).
    pub fn sum(self) -> Self {
        self.times(1.0)
    }

    /// Returns the mean of the losses: one value.
    pub fn mean(self) -> Self {
        let count = self.values.len() as f64;
        self.times(1.0 / count)
    }

    fn times(mut self, factor: f64) -> Self {
        self.values = vec![self.values.iter().sum::<f64>() * factor];
        self.shares.iter_mut().for_each(|share| *share = (0, share.1 * factor));
        self
    }

    /// Returns the weighted sum divided by the number of nonzero weights: one value, zero if all
    /// weights are zero (`Reduction.SUM_BY_NONZERO_WEIGHTS`).
    ///
    /// # Errors
    /// [`Error::Batch`] if there is not one weight for each loss.
    pub fn over_nonzero_weights(mut self, weights: &[f32]) -> Result<Self> {
        check(weights.len() == self.values.len(), weights.len(), "weights", self.values.len())?;
        let count = weights.iter().filter(|weight| **weight != 0.0).count().max(1) as f64;
        let factor = |value: usize| f64::from(weights[value]) / count;
        let sum = self.values.iter().enumerate().map(|(value, loss)| times(factor(value), *loss)).sum();
        self.shares.iter_mut().for_each(|(value, share)| (*share, *value) = (*share * factor(*value), 0));
        self.values = vec![sum];
        Ok(self)
    }
}

/// Returns the weighted value. A weight of zero marks padding: the result is zero even if the value
/// is not finite.
fn times(weight: f64, value: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * value }
}

fn check(holds: bool, found: usize, what: &str, expected: usize) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::batch(format!("{found} {what}"), format!("{expected}, and at least one")))
}

/// Returns the number of symbols V of logits [N, V] with N = `rows`.
fn shape(logits: &[f32], rows: usize) -> Result<usize> {
    let symbols = logits.len().checked_div(rows).unwrap_or(0);
    check(symbols > 0 && symbols * rows == logits.len(), logits.len(), "logits", rows)?;
    Ok(symbols)
}

fn check_targets(targets: &[u32], symbols: usize) -> Result<()> {
    match targets.iter().position(|target| *target as usize >= symbols) {
        None => Ok(()),
        Some(row) => {
            let found = format!("the target {} of row {row}", targets[row]);
            Err(Error::batch(found, format!("targets below {symbols}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_match_finite_differences() {
        let logits: Vec<f32> = (0..24).map(|i| (i as f32 * 1.7).sin() * 3.0).collect();
        let (targets, weights) = ([0, 3, 1, 2, 2, 3], [1.0, 0.5, 0.0, 2.0, 1.0, 0.25]);
        let loss = |logits: &[f32]| sequence_loss_by_example(logits, &targets, &weights, 2, true).unwrap();
        let cotangents = [0.7, -1.3];
        let total = |logits: &[f32]| {
            loss(logits).values.iter().zip(cotangents).map(|(value, c)| value * c).sum::<f64>()
        };
        for (i, found) in loss(&logits).gradient(&cotangents).into_iter().enumerate() {
            // A power of two is added to an f32 with little rounding.
            let at = |distance: f32| {
                let mut moved = logits.clone();
                moved[i] += distance;
                (total(&moved), f64::from(moved[i]))
            };
            let ((above, x), (below, y)) = (at(1.0 / 1024.0), at(-1.0 / 1024.0));
            let expected = (above - below) / (x - y);
            assert!((f64::from(found) - expected).abs() < 1e-6, "{i}: {found} for {expected}");
        }
    }

    #[test]
    fn invalid_sizes_targets_and_k_are_errors() {
        let message = |result: Result<Losses>| result.unwrap_err().to_string();
        assert!(message(sparse_softmax_cross_entropy(&[0.0; 5], &[0, 1])).contains("5 logits"));
        assert!(message(sparse_softmax_cross_entropy(&[], &[])).contains("0 logits"));
        assert!(message(sparse_softmax_cross_entropy(&[0.0; 4], &[0, 2])).contains("the target 2 of row 1"));
        assert!(message(softmax_cross_entropy(&[0.0; 4], &[0.0; 3], 2)).contains("3 labels"));
        assert!(message(sequence_loss(&[0.0; 4], &[0, 1], &[1.0], 1, Average::Both)).contains("1 weights"));
        assert!(
            message(sequence_loss(&[0.0; 4], &[0, 1], &[1.0; 2], 3, Average::Both)).contains("for 3 rows")
        );
        assert!(in_top_k(&[0.0; 4], &[0, 1], 0).unwrap_err().to_string().starts_with("top-k = 0"));
        let text = smoothed_labels(&[0], 2, 1.5).unwrap_err().to_string();
        assert!(text.starts_with("label-smoothing = 1.5"), "{text}");
        assert!(smoothed_labels(&[], 0, 0.5).unwrap_err().to_string().contains("0 symbols"));
    }

    #[test]
    fn weights_of_zero_give_zero_and_no_nan() {
        let logits = [f32::INFINITY, 0.0, f32::NAN, 1.0];
        for average in [Average::Both, Average::Timesteps, Average::Batch, Average::None] {
            let loss = sequence_loss(&logits, &[0, 1], &[0.0, 0.0], 1, average).unwrap();
            assert!(loss.values.iter().all(|value| *value == 0.0), "{average:?}: {:?}", loss.values);
            let gradient = loss.gradient(&vec![1.0; loss.values.len()]);
            assert_eq!(gradient, [0.0; 4], "{average:?}");
        }
        let losses = sparse_softmax_cross_entropy(&logits, &[0, 1]).unwrap();
        let losses = losses.over_nonzero_weights(&[0.0, 0.0]).unwrap();
        assert_eq!((&losses.values[..], losses.gradient(&[1.0])), (&[0.0][..], vec![0.0; 4]));
    }
}

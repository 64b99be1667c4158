//! Weighted cross-entropies of sequences.

use super::{Losses, check, sparse_softmax_cross_entropy, times};
use crate::Result;

/// Added to a divisor, so weights of zero give a loss of zero, as in TensorFlow.
const SMALL: f64 = 1e-12;

/// The average of a [`sequence_loss`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// Over steps and rows: one value.
    Both,
    /// Over steps: one value for each row `[B]`.
    Timesteps,
    /// Over rows: one value for each step `[T]`.
    Batch,
    /// No average: the weighted cross-entropies [T, B].
    None,
}

/// Returns weighted cross-entropies of `logits` [T, B, V] with `targets` [T, B] and B = `rows`.
/// Each sum over an averaged axis is divided by the sum of its `weights` [T, B] plus 1e-12, so
/// weights of zero give zero.
///
/// # Errors
/// As for [`sparse_softmax_cross_entropy`]; [`Error::Batch`](crate::Error::Batch) if the number of
/// targets is not a multiple of `rows`, or there is not one weight for each target.
pub fn sequence_loss(
    logits: &[f32],
    targets: &[u32],
    weights: &[f32],
    rows: usize,
    average: Average,
) -> Result<Losses> {
    let losses = weighted(logits, targets, weights, rows)?;
    let steps = targets.len() / rows;
    Ok(match average {
        Average::None => losses,
        Average::Both => losses.grouped(weights, 1, true, |_| 0),
        Average::Timesteps => losses.grouped(weights, rows, true, |token| token % rows),
        Average::Batch => losses.grouped(weights, steps, true, |token| token / rows),
    })
}

/// Returns the sum of the weighted cross-entropies of each row: one value for each row `[B]`. With
/// `average_across_timesteps`, it is divided by the sum of the row's weights plus 1e-12.
/// TensorFlow's `legacy_seq2seq.sequence_loss` is the [`Losses::sum`] of this result, or with
/// `average_across_batch` its [`Losses::mean`].
///
/// # Errors
/// As for [`sequence_loss`].
pub fn sequence_loss_by_example(
    logits: &[f32],
    targets: &[u32],
    weights: &[f32],
    rows: usize,
    average_across_timesteps: bool,
) -> Result<Losses> {
    let losses = weighted(logits, targets, weights, rows)?;
    Ok(losses.grouped(weights, rows, average_across_timesteps, |token| token % rows))
}

/// Returns the weighted cross-entropy of each token.
fn weighted(logits: &[f32], targets: &[u32], weights: &[f32], rows: usize) -> Result<Losses> {
    let divides = rows > 0 && targets.len().is_multiple_of(rows);
    check(divides, targets.len(), &format!("targets for {rows} rows"), rows)?;
    check(weights.len() == targets.len(), weights.len(), "weights", targets.len())?;
    let mut losses = sparse_softmax_cross_entropy(logits, targets)?;
    for (token, weight) in weights.iter().map(|weight| f64::from(*weight)).enumerate() {
        losses.shares[token].1 = weight;
        losses.values[token] = times(weight, losses.values[token]);
    }
    Ok(losses)
}

impl Losses {
    /// Returns the sums of `count` groups, divided by the sums of their weights if `divided`.
    fn grouped(mut self, weights: &[f32], count: usize, divided: bool, of: impl Fn(usize) -> usize) -> Self {
        let (mut sums, mut totals) = (vec![0.0; count], vec![0.0; count]);
        for (token, (loss, weight)) in self.values.iter().zip(weights).enumerate() {
            sums[of(token)] += loss;
            totals[of(token)] += f64::from(*weight);
        }
        let factor = |group: usize| if divided { 1.0 / (totals[group] + SMALL) } else { 1.0 };
        for (token, share) in self.shares.iter_mut().enumerate() {
            let group = of(token);
            *share = (group, share.1 * factor(group));
        }
        self.values = sums.iter().enumerate().map(|(group, sum)| sum * factor(group)).collect();
        self
    }
}

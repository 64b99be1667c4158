//! The share of predictions that are right.

use super::{check_targets, shape};
use crate::{Error, Result};

/// Returns for each row whether its target is among the k largest logits: that is, fewer than k
/// logits are larger, so ties count. The result is false for a row with a non-finite logit.
///
/// # Errors
/// As for [`sparse_softmax_cross_entropy`](super::sparse_softmax_cross_entropy); [`Error::Setting`]
/// for k = 0.
pub fn in_top_k(logits: &[f32], targets: &[u32], k: usize) -> Result<Vec<bool>> {
    let symbols = shape(logits, targets.len())?;
    check_targets(targets, symbols)?;
    if k == 0 {
        let expected = "give a whole number of at least 1".to_owned();
        return Err(Error::setting("top-k", "0", expected));
    }
    Ok(logits.chunks(symbols).zip(targets).map(|(row, target)| is_within(row, *target, k)).collect())
}

/// Returns whether the target of one row is among the k largest logits.
pub(crate) fn is_within(row: &[f32], target: u32, k: usize) -> bool {
    let of_target = row[target as usize];
    row.iter().all(|y| y.is_finite()) && row.iter().filter(|y| **y > of_target).count() < k
}

/// Returns the share of rows whose target is among the k largest logits.
///
/// # Errors
/// As for [`in_top_k`].
pub fn top_k_accuracy(logits: &[f32], targets: &[u32], k: usize) -> Result<f64> {
    let within = in_top_k(logits, targets, k)?;
    Ok(within.iter().filter(|within| **within).count() as f64 / within.len() as f64)
}

/// Returns the share of rows whose target has the largest logit, the first one of equal logits.
///
/// # Errors
/// As for [`sparse_softmax_cross_entropy`](super::sparse_softmax_cross_entropy).
pub fn accuracy(logits: &[f32], targets: &[u32]) -> Result<f64> {
    let symbols = shape(logits, targets.len())?;
    check_targets(targets, symbols)?;
    let first = |row: &[f32]| {
        let best = |best: usize, v: usize| if row[v] > row[best] { v } else { best };
        (0..row.len()).fold(0, best)
    };
    let right = logits.chunks(symbols).zip(targets).filter(|(row, target)| first(row) == **target as usize);
    Ok(right.count() as f64 / targets.len() as f64)
}

//! Losses on logits, with their gradients: those of TensorFlow 1, for outputs of one's own. (Training computes the sparse
//! cross-entropy in its own kernels.)
//!
//! | TensorFlow 1 | here |
//! |---|---|
//! | `nn.sparse_softmax_cross_entropy_with_logits` | [`sparse_softmax_cross_entropy`] |
//! | `nn.softmax_cross_entropy_with_logits_v2` | [`softmax_cross_entropy`] |
//! | `losses.softmax_cross_entropy(label_smoothing=..)` | [`smoothed_labels`], [`Losses::over_nonzero_weights`] |
//! | `contrib.legacy_seq2seq.sequence_loss_by_example`, `sequence_loss` | [`sequence_loss_by_example`], [`Losses::sum`], [`Losses::mean`] |
//! | `contrib.seq2seq.sequence_loss` | [`sequence_loss`] |
//! | `nn.in_top_k`, `argmax` and `equal` | [`in_top_k`], [`accuracy`], [`top_k_accuracy`] |
//!
//! Logits are [N, V] or [T, B, V], row-major and time-major, losses in nats. Sums are taken in f64, in order.
//!
//! ```
//! use unrolled::loss::{Average, sequence_loss};
//!
//! # fn main() -> unrolled::Result<()> {
//! let (logits, targets) = ([2.0, 0.0, 0.0, 1.0], [0, 1]); // T = 2, B = 1, V = 2
//! let loss = sequence_loss(&logits, &targets, &[1.0, 0.0], 1, Average::Both)?; // the second step is padding
//! assert!((loss.values[0] - (1.0 + (-2.0f64).exp()).ln()).abs() < 1e-12);
//! let gradient = loss.gradient(&[1.0]);
//! assert_eq!(gradient[2..], [0.0, 0.0]);
//! # Ok(())
//! # }
//! ```

mod objective;

pub use objective::{Loss, Objective, Targets};

use crate::{Error, Result};

/// Added to a sum of weights that divides, so that weights of zero give a loss of zero: TensorFlow's.
const SMALL: f64 = 1e-12;

/// Losses, and what it takes to go back to the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// One or more, as the function says.
    pub values: Vec<f64>,
    /// V.
    symbols: usize,
    /// [N, V]: each row's cross-entropy by its logits.
    d_logits: Vec<f32>,
    /// [N, V]: by its labels; empty for sparse ones.
    d_labels: Vec<f32>,
    /// For each row the value that it counts for, and how much.
    shares: Vec<(usize, f64)>,
}

impl Losses {
    /// The gradient of `sum(d_values * values)` by the logits [N, V].
    ///
    /// # Panics
    /// When there is not a number for each value.
    pub fn gradient(&self, d_values: &[f64]) -> Vec<f32> {
        self.back(&self.d_logits, d_values)
    }

    /// The same by dense labels; empty for sparse ones.
    ///
    /// # Panics
    /// When there is not a number for each value.
    pub fn gradient_of_labels(&self, d_values: &[f64]) -> Vec<f32> {
        self.back(&self.d_labels, d_values)
    }

    fn back(&self, rows: &[f32], d_values: &[f64]) -> Vec<f32> {
        assert_eq!(d_values.len(), self.values.len(), "a gradient for each loss");
        let rows = rows.chunks(self.symbols).zip(&self.shares);
        rows.flat_map(|(row, (value, share))| {
            let scale = times(*share, d_values[*value]);
            row.iter().map(move |d| times(scale, f64::from(*d)) as f32)
        })
        .collect()
    }

    /// Their sum: one value (`sequence_loss` without `average_across_batch`).
    pub fn sum(self) -> Self {
        self.times(1.0)
    }

    /// Their mean: one value.
    pub fn mean(self) -> Self {
        let count = self.values.len() as f64;
        self.times(1.0 / count)
    }

    fn times(mut self, factor: f64) -> Self {
        self.values = vec![self.values.iter().sum::<f64>() * factor];
        self.shares.iter_mut().for_each(|share| *share = (0, share.1 * factor));
        self
    }

    /// The weighted sum over the number of weights that are not zero: one value, zero when all weights are
    /// (`Reduction.SUM_BY_NONZERO_WEIGHTS`).
    ///
    /// # Errors
    /// [`Error::Batch`] when there is not a weight for each loss.
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

/// A weight of zero is padding, whatever it weighs: it gives zero, also of what is not finite.
fn times(weight: f64, value: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * value }
}

fn check(holds: bool, found: usize, what: &str, expected: usize) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::batch(format!("{found} {what}"), format!("{expected}, and at least one")))
}

/// Rows N and symbols V of logits that have `rows` rows.
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

/// log(sum(e^y)), and e^(y - that).
fn softmax(row: &[f32]) -> (f64, impl Iterator<Item = f64>) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    let sum: f64 = row.iter().map(|y| libm::exp(f64::from(*y) - most)).sum();
    let log = most + libm::log(sum);
    (log, row.iter().map(move |y| libm::exp(f64::from(*y) - log)))
}

/// The cross-entropy of each row of `logits` [N, V] with its target `[N]`: N values.
///
/// # Errors
/// [`Error::Batch`] when sizes do not fit, or a target is not below V.
pub fn sparse_softmax_cross_entropy(logits: &[f32], targets: &[u32]) -> Result<Losses> {
    let symbols = shape(logits, targets.len())?;
    check_targets(targets, symbols)?;
    let (mut values, mut d_logits) = (Vec::new(), Vec::with_capacity(logits.len()));
    for (row, target) in logits.chunks(symbols).zip(targets) {
        let (log, shares) = softmax(row);
        values.push(log - f64::from(row[*target as usize]));
        let hit = |v: usize| if v == *target as usize { 1.0 } else { 0.0 };
        d_logits.extend(shares.enumerate().map(|(v, share)| (share - hit(v)) as f32));
    }
    let shares = (0..targets.len()).map(|row| (row, 1.0)).collect();
    Ok(Losses { values, symbols, d_logits, d_labels: Vec::new(), shares })
}

/// The cross-entropy of each row of `logits` [N, V] with dense `labels` [N, V]: N values. Labels that do not add up to 1 are
/// taken as they are; the gradient by the logits is TensorFlow's, softmax - labels, all the same.
///
/// # Errors
/// [`Error::Batch`] when there are no rows, or not a label for each logit.
pub fn softmax_cross_entropy(logits: &[f32], labels: &[f32], rows: usize) -> Result<Losses> {
    let symbols = shape(logits, rows)?;
    check(labels.len() == logits.len(), labels.len(), "labels", logits.len())?;
    let mut losses = Losses {
        values: Vec::new(),
        symbols,
        d_logits: Vec::with_capacity(logits.len()),
        d_labels: Vec::with_capacity(logits.len()),
        shares: (0..rows).map(|row| (row, 1.0)).collect(),
    };
    for (row, labels) in logits.chunks(symbols).zip(labels.chunks(symbols)) {
        let (log, shares) = softmax(row);
        let against = |(y, label): (&f32, &f32)| times(f64::from(*label), log - f64::from(*y));
        losses.values.push(row.iter().zip(labels).map(against).sum());
        losses.d_labels.extend(row.iter().map(|y| (log - f64::from(*y)) as f32));
        losses.d_logits.extend(shares.zip(labels).map(|(share, label)| (share - f64::from(*label)) as f32));
    }
    Ok(losses)
}

/// Labels [N, V] that give `1 - smoothing` to the target and `smoothing / V` to every symbol (`label_smoothing`).
///
/// # Errors
/// [`Error::Batch`] for no symbols or a target that is not below V, [`Error::Setting`] for a smoothing that is no share.
pub fn smoothed_labels(targets: &[u32], symbols: usize, smoothing: f32) -> Result<Vec<f32>> {
    if symbols == 0 {
        return Err(Error::batch("0 symbols", "at least one"));
    }
    check_targets(targets, symbols)?;
    if !(0.0..=1.0).contains(&smoothing) {
        let (found, expected) = (smoothing.to_string(), "give a share from 0 to 1".to_owned());
        return Err(Error::setting("label-smoothing", found, expected));
    }
    let every = smoothing / symbols as f32;
    let mut labels = vec![every; targets.len() * symbols];
    targets
        .iter()
        .zip(labels.chunks_mut(symbols))
        .for_each(|(target, row)| row[*target as usize] += 1.0 - smoothing);
    Ok(labels)
}

/// What a [`sequence_loss`] averages over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// Steps and rows: one value.
    Both,
    /// Steps: a value for each row `[B]`.
    Timesteps,
    /// Rows: a value for each step `[T]`.
    Batch,
    /// Nothing: the weighted cross-entropies [T, B].
    None,
}

/// Weighted cross-entropies of `logits` [T, B, V] with `targets` [T, B], each sum divided by that of its `weights` [T, B]
/// plus 1e-12: weights of zero give zero.
///
/// # Errors
/// As for [`sparse_softmax_cross_entropy`], and when `rows` B does not divide the targets or there is not a weight for each.
pub fn sequence_loss(
    logits: &[f32],
    targets: &[u32],
    weights: &[f32],
    rows: usize,
    average: Average,
) -> Result<Losses> {
    let losses = weighed(logits, targets, weights, rows)?;
    let steps = targets.len() / rows;
    Ok(match average {
        Average::None => losses,
        Average::Both => losses.grouped(weights, 1, true, |_| 0),
        Average::Timesteps => losses.grouped(weights, rows, true, |token| token % rows),
        Average::Batch => losses.grouped(weights, steps, true, |token| token / rows),
    })
}

/// Weighted cross-entropies added up over the steps of each row, a value for each `[B]`; with `average_across_timesteps`
/// divided by the sum of the row's weights plus 1e-12. `sequence_loss` of the same module is their [`Losses::sum`], or with
/// `average_across_batch` their [`Losses::mean`].
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
    let losses = weighed(logits, targets, weights, rows)?;
    Ok(losses.grouped(weights, rows, average_across_timesteps, |token| token % rows))
}

fn weighed(logits: &[f32], targets: &[u32], weights: &[f32], rows: usize) -> Result<Losses> {
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
    /// Adds up in `count` groups, each divided by its weights.
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

/// Whether each row's target is among its k largest logits (`in_top_k`): fewer than k are larger, so that ties count. A row
/// with a number that is not finite has no order, and is never in.
///
/// # Errors
/// As for [`sparse_softmax_cross_entropy`]; [`Error::Setting`] for k = 0.
pub fn in_top_k(logits: &[f32], targets: &[u32], k: usize) -> Result<Vec<bool>> {
    let symbols = shape(logits, targets.len())?;
    check_targets(targets, symbols)?;
    if k == 0 {
        let expected = "give a whole number of at least 1".to_owned();
        return Err(Error::setting("top-k", "0", expected));
    }
    Ok(logits.chunks(symbols).zip(targets).map(|(row, target)| is_within(row, *target, k)).collect())
}

/// Whether one row's target is.
pub(crate) fn is_within(row: &[f32], target: u32, k: usize) -> bool {
    let own = row[target as usize];
    row.iter().all(|y| y.is_finite()) && row.iter().filter(|y| **y > own).count() < k
}

/// The share of rows whose target is among the k largest logits.
///
/// # Errors
/// As for [`in_top_k`].
pub fn top_k_accuracy(logits: &[f32], targets: &[u32], k: usize) -> Result<f64> {
    let within = in_top_k(logits, targets, k)?;
    Ok(within.iter().filter(|within| **within).count() as f64 / within.len() as f64)
}

/// The share of rows whose largest logit, the first of equals, is the target's.
///
/// # Errors
/// As for [`sparse_softmax_cross_entropy`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_differences() {
        let logits: Vec<f32> = (0..24).map(|i| (i as f32 * 1.7).sin() * 3.0).collect();
        let (targets, weights) = ([0, 3, 1, 2, 2, 3], [1.0, 0.5, 0.0, 2.0, 1.0, 0.25]);
        let loss = |logits: &[f32]| sequence_loss_by_example(logits, &targets, &weights, 2, true).unwrap();
        let cotangents = [0.7, -1.3];
        let total = |logits: &[f32]| {
            loss(logits).values.iter().zip(cotangents).map(|(value, c)| value * c).sum::<f64>()
        };
        for (i, found) in loss(&logits).gradient(&cotangents).into_iter().enumerate() {
            // The distance is a power of two, which f32 adds without rounding much.
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
    fn bad_sizes_targets_and_k_are_named() {
        let told = |result: Result<Losses>| result.unwrap_err().to_string();
        assert!(told(sparse_softmax_cross_entropy(&[0.0; 5], &[0, 1])).contains("5 logits"));
        assert!(told(sparse_softmax_cross_entropy(&[], &[])).contains("0 logits"));
        assert!(told(sparse_softmax_cross_entropy(&[0.0; 4], &[0, 2])).contains("the target 2 of row 1"));
        assert!(told(softmax_cross_entropy(&[0.0; 4], &[0.0; 3], 2)).contains("3 labels"));
        assert!(told(sequence_loss(&[0.0; 4], &[0, 1], &[1.0], 1, Average::Both)).contains("1 weights"));
        assert!(told(sequence_loss(&[0.0; 4], &[0, 1], &[1.0; 2], 3, Average::Both)).contains("for 3 rows"));
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

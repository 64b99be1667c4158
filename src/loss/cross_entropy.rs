//! Softmax cross-entropies of single rows, and label smoothing.

use super::{Losses, check, check_targets, shape, times};
use crate::{Error, Result};
use unrolled_kernels::denormals::flush;

/// Returns l = log(sum(e^y)), and e^(y - l) for each logit y.
fn softmax(row: &[f32]) -> (f64, impl Iterator<Item = f64>) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    let sum: f64 = row.iter().map(|y| libm::exp(f64::from(*y) - most)).sum();
    let log = most + libm::log(sum);
    (log, row.iter().map(move |y| libm::exp(f64::from(*y) - log)))
}

/// Returns the cross-entropy of each row of `logits` [N, V] with its target `[N]`: N values.
///
/// # Errors
/// [`Error::Batch`] if the sizes do not match, or a target is not below V.
pub fn sparse_softmax_cross_entropy(logits: &[f32], targets: &[u32]) -> Result<Losses> {
    let symbols = shape(logits, targets.len())?;
    check_targets(targets, symbols)?;
    let (mut values, mut d_logits) = (Vec::new(), Vec::with_capacity(logits.len()));
    flush(|| {
        for (row, target) in logits.chunks(symbols).zip(targets) {
            let (log, shares) = softmax(row);
            values.push(log - f64::from(row[*target as usize]));
            let label = |v: usize| if v == *target as usize { 1.0 } else { 0.0 };
            d_logits.extend(shares.enumerate().map(|(v, share)| (share - label(v)) as f32));
        }
    });
    let shares = (0..targets.len()).map(|row| (row, 1.0)).collect();
    Ok(Losses { values, symbols, d_logits, d_labels: Vec::new(), shares })
}

/// Returns the cross-entropy of each row of `logits` [N, V] with dense `labels` [N, V]: N values.
/// The labels of a row are not normalized, even if their sum is not 1; the gradient of the logits
/// is then still softmax - labels, as in TensorFlow.
///
/// # Errors
/// [`Error::Batch`] if there are no rows, or not one label for each logit.
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
    flush(|| {
        for (row, labels) in logits.chunks(symbols).zip(labels.chunks(symbols)) {
            let (log, shares) = softmax(row);
            let term = |(y, label): (&f32, &f32)| times(f64::from(*label), log - f64::from(*y));
            losses.values.push(row.iter().zip(labels).map(term).sum());
            losses.d_labels.extend(row.iter().map(|y| (log - f64::from(*y)) as f32));
            let d_logits = shares.zip(labels).map(|(share, label)| (share - f64::from(*label)) as f32);
            losses.d_logits.extend(d_logits);
        }
    });
    Ok(losses)
}

/// Returns labels [N, V] for [label smoothing](https://arxiv.org/abs/1512.00567): `smoothing / V`
/// for each symbol, plus `1 - smoothing` for the target.
///
/// # Errors
/// [`Error::Batch`] if V is 0 or a target is not below V; [`Error::Setting`] for a smoothing
/// outside of 0 to 1.
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

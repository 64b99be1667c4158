//! Softmax cross-entropy with its gradient, and the accuracy, row by row.
//!
//! ```text
//! loss[m] = log(sum over v of e^(y[m][v] - max)) + max - y[m][target]
//! d loss[m] / d y[m][v] = e^(y[m][v] - max) / sum - [v = target]
//! ```
//!
//! 1. Maxima and sums go through sixteen virtual lanes.
//! 2. The logarithm is a polynomial in f64 (`ln`), so that a loss has the same bits on every
//!    platform.

use crate::isa::Isa;
use crate::math::exp;
use crate::simd::{Kernel, Simd, fold16, sum16, tree16};

/// The losses of rows of logits, and their gradient in place.
#[derive(Debug)]
pub struct CrossEntropy<'a> {
    /// Size of the vocabulary (V).
    pub vocabulary: usize,
    /// Floats from one row to the next.
    pub stride: usize,
    /// [M, stride]: logits. With `gradient_scale` their gradient replaces them, with zeros behind
    /// the V-th.
    pub logits: &'a mut [f32],
    /// `[M]`, each below V.
    pub targets: &'a [u32],
    /// The factor of each row's gradient. `None` leaves the logits unchanged.
    pub gradient_scale: Option<f32>,
    /// `[M]`: losses in nats.
    pub losses: &'a mut [f64],
    /// `[M]`: true if no logit is larger than the target's, and none before it is equal.
    pub correct: &'a mut [bool],
}

impl CrossEntropy<'_> {
    /// Computes all rows.
    ///
    /// # Panics
    /// If a slice has the wrong length, or a target is not below V.
    pub fn run_on(self, isa: Isa) {
        let rows = self.targets.len();
        let (vocabulary, stride) = (self.vocabulary, self.stride);
        assert!(
            vocabulary >= 1 && vocabulary <= stride,
            "vocabulary is {vocabulary}, expected 1 to {stride}, the stride"
        );
        let lengths = [("losses", self.losses.len(), rows), ("correct", self.correct.len(), rows)];
        for (name, found, expected) in
            lengths.into_iter().chain([("logits", self.logits.len(), rows * stride)])
        {
            assert!(found == expected, "{name} has length {found}, expected {expected} for {rows} targets");
        }
        assert!(
            self.targets.iter().all(|&t| (t as usize) < vocabulary),
            "a target is not below {vocabulary}, the vocabulary"
        );
        isa.run(self);
    }
}

impl Kernel for CrossEntropy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.logits.chunks_mut(self.stride * GROUP).zip(self.targets.chunks(GROUP));
        let results = self.losses.chunks_mut(GROUP).zip(self.correct.chunks_mut(GROUP));
        for ((logits, targets), (losses, correct)) in rows.zip(results) {
            let mut sums = [1.0; GROUP];
            for (i, row) in logits.chunks_exact_mut(self.stride).enumerate() {
                let (logits, rest) = row.split_at_mut(self.vocabulary);
                let target = targets[i] as usize;
                let picked = logits[target];
                let max = maximum(s, logits);
                correct[i] = picked >= max && logits[..target].iter().all(|&y| y < picked);
                losses[i] = f64::from(max) - f64::from(picked);
                let sum = sum_exp(s, logits, s.splat(max), self.gradient_scale.is_some());
                sums[i] = f64::from(sum);
                if let Some(scale) = self.gradient_scale {
                    multiply(s, logits, scale / sum);
                    logits[target] -= scale;
                    rest.fill(0.0);
                }
            }
            // All at once, because the logarithms of a group run in vectors.
            let logarithms = sums.map(ln);
            losses.iter_mut().zip(logarithms).for_each(|(loss, ln)| *loss += ln);
        }
    }
}

/// Number of rows whose logarithms are computed together.
const GROUP: usize = 16;

/// Returns the largest logit. Every backend skips NaN; the sum and the loss become NaN anyway.
#[inline(always)]
fn maximum<S: Simd>(s: S, values: &[f32]) -> f32 {
    let mut lanes = [s.splat(f32::NEG_INFINITY); 2];
    fold16(s, values, f32::NEG_INFINITY, |half, v| lanes[half] = s.max(v, lanes[half]));
    tree16(s, lanes, |a, b| if b > a { b } else { a })
}

/// Returns the sum of e^(y - shift). With `keep` its terms replace the logits. A tail is summed
/// separately: filled with -inf it would be clamped to e^-87.
#[inline(always)]
fn sum_exp<S: Simd>(s: S, logits: &mut [f32], shift: S::F, keep: bool) -> f32 {
    let (whole, halves) = (logits.len() - logits.len() % 16, 16 / S::LANES);
    let (mut lanes, mut tail) = ([s.splat(0.0); 2], [0.0f32; 16]);
    for i in (0..whole).step_by(S::LANES) {
        // SAFETY: i + LANES <= whole <= len.
        unsafe {
            let at = logits.as_mut_ptr().add(i);
            let e = exp(s, s.sub(s.load(at), shift));
            lanes[i / S::LANES % halves] = s.add(lanes[i / S::LANES % halves], e);
            if keep {
                s.store(at, e);
            }
        }
    }
    let sum = tree16(s, lanes, |a, b| a + b);
    let rest = &mut logits[whole..];
    if rest.is_empty() {
        return sum;
    }
    tail[..rest.len()].copy_from_slice(rest);
    for half in (0..rest.len()).step_by(S::LANES) {
        // SAFETY: half + LANES <= 16.
        unsafe {
            let at = tail.as_mut_ptr().add(half);
            s.store(at, exp(s, s.sub(s.load(at), shift)));
        }
    }
    tail[rest.len()..].fill(0.0);
    if keep {
        rest.copy_from_slice(&tail[..rest.len()]);
    }
    sum + sum16(s, &tail, 0.0, |e| e)
}

/// Multiplies values by a factor.
#[inline(always)]
fn multiply<S: Simd>(s: S, values: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    for i in (0..values.len()).step_by(S::LANES) {
        let count = (values.len() - i).min(S::LANES);
        // SAFETY: `count` floats remain from i on.
        unsafe {
            let at = values.as_mut_ptr().add(i);
            s.store_up_to(at, count, s.mul(factor, s.load_up_to(at, count, 0.0)));
        }
    }
}

/// Returns the natural logarithm of a positive, normal number, within 2 ULP: x = 2^n m with m in
/// [0.75, 1.5), and ln m = 2 artanh((m - 1) / (m + 1)) by its series.
#[inline(always)]
fn ln(x: f64) -> f64 {
    let offset = 0x3FE8_0000_0000_0000u64;
    let n = (x.to_bits() as i64).wrapping_sub(offset as i64) >> 52;
    let m = f64::from_bits((x.to_bits() as i64).wrapping_sub(n << 52) as u64);
    let z = (m - 1.0) / (m + 1.0);
    let (square, mut sum) = (z * z, 0.0);
    for k in (1..=23).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(k);
    }
    let logarithm = f64::from(n as i32) * core::f64::consts::LN_2 + 2.0 * z * sum;
    let other = if x.is_nan() { x } else { f64::INFINITY * x.signum() };
    if x.is_finite() && x > f64::MIN_POSITIVE { logarithm } else { other }
}

#[cfg(test)]
mod tests {
    use super::ln;

    #[test]
    fn the_logarithm_is_within_two_ulp() {
        for i in 1..200_000 {
            let x = f64::from(i) * 0.013 + 0.3;
            let error = (ln(x) - x.ln()).abs();
            assert!(error <= 4.5e-16 * x.ln().abs().max(1.0), "ln({x}): {error}");
        }
        assert!(ln(f64::NAN).is_nan());
    }
}

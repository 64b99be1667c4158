//! Softmax cross-entropy with its gradient, and the accuracy, row by row.
//!
//! ```text
//! loss[m] = log(sum over v of e^(y[m][v] - max)) + max - y[m][target]
//! d loss[m] / d y[m][v] = e^(y[m][v] - max) / sum - [v = target]
//! ```
//!
//! Maxima and sums go through sixteen virtual lanes. The logarithm is taken in f64 by a polynomial of our own
//! (`ln`), so that a loss has the same bits on every platform.

use crate::dispatch::Isa;
use crate::math::exp;
use crate::simd::{Kernel, Simd, fold16, sum16, tree16};

/// Losses of rows of logits, and their gradient in place.
#[derive(Debug)]
pub struct CrossEntropy<'a> {
    /// Vocabulary V.
    pub vocabulary: usize,
    /// Floats from one row to the next.
    pub stride: usize,
    /// [M, stride]: logits; with `gradient_scale`, their gradient afterwards, zeros behind the V-th.
    pub logits: &'a mut [f32],
    /// `[M]`, each below V.
    pub targets: &'a [u32],
    /// What the gradient of each row is multiplied by; without it, logits stay as they are.
    pub gradient_scale: Option<f32>,
    /// [M]: nats.
    pub losses: &'a mut [f64],
    /// `[M]`: whether no logit exceeds the target's and none before it equals it.
    pub correct: &'a mut [bool],
}

impl CrossEntropy<'_> {
    /// Computes all rows.
    ///
    /// # Panics
    /// When a slice has not the stated length or a target is not below V.
    pub fn run_on(self, isa: Isa) {
        let rows = self.targets.len();
        assert!(self.vocabulary >= 1 && self.vocabulary <= self.stride, "V = {}", self.vocabulary);
        assert_eq!(self.logits.len(), rows * self.stride, "logits of {rows} rows");
        assert!(self.losses.len() == rows && self.correct.len() == rows, "losses of {rows} rows");
        assert!(
            self.targets.iter().all(|&t| (t as usize) < self.vocabulary),
            "a target beyond the vocabulary"
        );
        isa.run(self);
    }
}

impl Kernel for CrossEntropy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.logits.chunks_exact_mut(self.stride).zip(self.targets);
        for ((row, target), (loss, correct)) in rows.zip(self.losses.iter_mut().zip(self.correct.iter_mut()))
        {
            let (logits, rest) = row.split_at_mut(self.vocabulary);
            let target = *target as usize;
            let picked = logits[target];
            let max = maximum(s, logits);
            *correct = picked >= max && logits[..target].iter().all(|&y| y < picked);
            let shift = s.splat(max);
            // A tail filled with -inf is held to e^-87, so it is left out of the sum by a fill of its own.
            let sum = sum_exp(s, logits, shift);
            *loss = ln(f64::from(sum)) + (f64::from(max) - f64::from(picked));
            if let Some(scale) = self.gradient_scale {
                gradient(s, logits, shift, sum, scale);
                logits[target] -= scale;
                rest.fill(0.0);
            }
        }
    }
}

/// The largest logit; NaN is passed over on every leaf alike (the sum and the loss become NaN by themselves).
#[inline(always)]
fn maximum<S: Simd>(s: S, values: &[f32]) -> f32 {
    let mut lanes = [s.splat(f32::NEG_INFINITY); 2];
    fold16(s, values, f32::NEG_INFINITY, |half, v| lanes[half] = s.max(v, lanes[half]));
    tree16(s, lanes, |a, b| if b > a { b } else { a })
}

#[inline(always)]
fn sum_exp<S: Simd>(s: S, logits: &[f32], shift: S::F) -> f32 {
    let whole = logits.len() - logits.len() % 16;
    let mut sum = sum16(s, &logits[..whole], 0.0, |y| exp(s, s.sub(y, shift)));
    if whole < logits.len() {
        let mut tail = [0.0f32; 16];
        for half in (0..16).step_by(S::LANES) {
            let count = (logits.len() - whole).saturating_sub(half).min(S::LANES);
            // SAFETY: `count` floats remain from whole + half on; `tail` has sixteen.
            unsafe {
                let y = s.load_partial(logits.as_ptr().wrapping_add(whole + half), count, f32::NEG_INFINITY);
                s.store(tail.as_mut_ptr().add(half), exp(s, s.sub(y, shift)));
            }
        }
        tail[logits.len() - whole..].fill(0.0);
        sum += sum16(s, &tail, 0.0, |e| e);
    }
    sum
}

/// Replaces logits by scale * softmax.
#[inline(always)]
fn gradient<S: Simd>(s: S, logits: &mut [f32], shift: S::F, sum: f32, scale: f32) {
    let factor = s.splat(scale / sum);
    for i in (0..logits.len()).step_by(S::LANES) {
        let count = (logits.len() - i).min(S::LANES);
        // SAFETY: `count` floats remain from i on.
        unsafe {
            let at = logits.as_mut_ptr().add(i);
            let y = s.load_up_to(at, count, 0.0);
            s.store_up_to(at, count, s.mul(factor, exp(s, s.sub(y, shift))));
        }
    }
}

/// The natural logarithm of a positive, normal number, within 2 ULP: x = 2^n m with m in [0.75, 1.5), and
/// ln m = 2 artanh((m - 1) / (m + 1)) by its series.
fn ln(x: f64) -> f64 {
    if !(x.is_finite() && x > f64::MIN_POSITIVE) {
        return if x.is_nan() { x } else { f64::INFINITY * x.signum() };
    }
    let offset = 0x3FE8_0000_0000_0000u64;
    let n = (x.to_bits() as i64 - offset as i64) >> 52;
    let m = f64::from_bits((x.to_bits() as i64 - (n << 52)) as u64);
    let z = (m - 1.0) / (m + 1.0);
    let (square, mut sum) = (z * z, 0.0);
    for k in (1..=23).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(k);
    }
    n as f64 * core::f64::consts::LN_2 + 2.0 * z * sum
}

#[cfg(test)]
mod tests {
    use super::ln;

    #[test]
    fn logarithm_is_accurate() {
        for i in 1..200_000 {
            let x = f64::from(i) * 0.013 + 0.3;
            let error = (ln(x) - x.ln()).abs();
            assert!(error <= 4.5e-16 * x.ln().abs().max(1.0), "ln({x}): {error}");
        }
        assert!(ln(f64::NAN).is_nan());
    }
}

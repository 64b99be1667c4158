//! The dot of two tiles of bf16 pairs, as AMX computes it.

/// Number of words of k that one dot multiplies.
const GROUP: usize = 16;

/// Returns `y[m][n]` = `start[m][n]` + `x[m]` . `weights[..][n]`, for words x [M, K], weights [K, N]
/// and start [M, N].
///
/// A word is a pair of bf16 values. For each group of 16 words (the last may have fewer), products
/// of the low halves and of the high halves have sums of their own, from zero; then the sum of both
/// is added to y. Denormal operands and results count as zero, in every mode of the thread.
pub fn tile_product(depth: usize, x: &[u32], weights: &[u32], start: &[f32]) -> Vec<f32> {
    let outputs = weights.len() / depth;
    let element = |(i, sum): (usize, &f32)| {
        let (m, n) = (i / outputs, i % outputs);
        let column = weights[n..].iter().step_by(outputs).copied();
        let pairs: Vec<_> = x[m * depth..][..depth].iter().copied().zip(column).collect();
        pairs.chunks(GROUP).fold(*sum, add_tile_group)
    };
    start.iter().enumerate().map(element).collect()
}

/// Returns sum + (low products + high products).
pub(crate) fn add_tile_group(sum: f32, pairs: &[(u32, u32)]) -> f32 {
    let (mut low, mut high) = (0.0, 0.0);
    for (x, weight) in pairs {
        low = flushed_fma(low_half(*x), low_half(*weight), low);
        high = flushed_fma(high_half(*x), high_half(*weight), high);
    }
    flushed_fma(sum, 1.0, flushed_fma(low, 1.0, high))
}

fn low_half(word: u32) -> f32 {
    f32::from_bits(word << 16)
}

fn high_half(word: u32) -> f32 {
    f32::from_bits(word & 0xffff_0000)
}

/// Returns a b + c, rounded once, with denormal operands and results as zeros with their sign.
///
/// As on x86-64, a result is denormal if it is below the smallest normal number after rounding to
/// 24 bits. The f32 result does not tell, because it may be rounded up to that number. The f64 one
/// does: where a sum is that small, 53 bits hold it exactly, or a part of it that decides.
pub(crate) fn flushed_fma(a: f32, b: f32, c: f32) -> f32 {
    const LIMIT: f64 = f32::MIN_POSITIVE as f64 * (1.0 - f32::EPSILON as f64 / 4.0);
    let [a, b, c] = [a, b, c].map(flushed);
    let sum = a.mul_add(b, c);
    let precise = f64::from(a) * f64::from(b) + f64::from(c);
    if precise.abs() < LIMIT { 0.0f32.copysign(sum) } else { sum }
}

fn flushed(value: f32) -> f32 {
    if value.is_subnormal() { 0.0f32.copysign(value) } else { value }
}

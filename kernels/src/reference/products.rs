//! Products and sums of them.

use super::tile_product::tile_product;
use crate::bf16::{pair, round};
use crate::int8;
use crate::isa::Products;

/// Returns sum + `a[0]` `b[0]` + `a[1]` `b[1]` + ..., rounded once after each product.
pub fn chain<'a>(sum: f32, a: &'a [f32], b: &'a [f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "the two vectors of a product differ in length");
    a.iter().zip(b).fold(sum, |sum, (a, b)| a.mul_add(*b, sum))
}

/// Returns a value, rounded to bf16.
fn rounded(value: f32) -> f32 {
    f32::from_bits(u32::from(round(value)) << 16)
}

/// Returns the sum that `chain` returns, of values that are rounded to bf16. In each pair, the second
/// product comes first. Zeros fill the last group of sixteen values.
fn pair_chain(mut sum: f32, a: &[f32], b: &[f32]) -> f32 {
    let value = |v: &[f32], k: usize| v.get(k).map_or(0.0, |value| rounded(*value));
    for k in (0..a.len().next_multiple_of(16)).step_by(2) {
        sum = value(a, k + 1).mul_add(value(b, k + 1), sum);
        sum = value(a, k).mul_add(value(b, k), sum);
    }
    sum
}

/// Returns the sum that `chain_of` returns for bf16 values, in the order of AMX: zeros fill the last
/// group of 32 values.
pub fn chain_by_tiles(sum: f32, a: &[f32], b: &[f32]) -> f32 {
    let words = |v: &[f32]| -> Vec<u32> {
        let value = |k: usize| v.get(k).map_or(0.0, |value| *value);
        (0..v.len().next_multiple_of(32)).step_by(2).map(|k| pair(value(k), value(k + 1)).to_bits()).collect()
    };
    let (a, b) = (words(a), words(b));
    if a.is_empty() { sum } else { tile_product(a.len(), &a, &b, &[sum])[0] }
}

/// Returns zero for a denormal number.
fn flushed(value: f32) -> f32 {
    if value.is_subnormal() { 0.0 } else { value }
}

/// Returns a vector as integers, and its scale.
fn quantized(x: &[f32]) -> (Vec<i64>, f32) {
    let largest = x.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    match largest {
        _ if !x.iter().all(|value| value.is_finite()) => (vec![0; x.len()], f32::NAN),
        _ if largest < 127.0 * f32::MIN_POSITIVE => (vec![0; x.len()], 0.0),
        _ => {
            let integer = |value: &f32| (value * (127.0 / largest)).round_ties_even() as i64;
            (x.iter().map(integer).collect(), largest / 127.0)
        }
    }
}

/// Returns `sum` plus the product of a vector and a row of weights as 8-bit integers.
fn quad_sum(sum: f32, x: &[f32], weights: &[f32]) -> f32 {
    if x.is_empty() {
        return sum;
    }
    let (integers, x_scale) = quantized(x);
    let scale = int8::scale(weights);
    let product = |(x, weight): (&i64, &f32)| x * i64::from(int8::quantized(*weight, scale));
    let product: i64 = integers.iter().zip(weights).map(product).sum();
    flushed((product as f32).mul_add(flushed(x_scale * scale), sum))
}

/// Returns the sum that a product of that format adds to `sum`.
pub fn chain_of(products: Products, sum: f32, a: &[f32], b: &[f32]) -> f32 {
    match products {
        Products::F32 => chain(sum, a, b),
        Products::Bf16 => pair_chain(sum, a, b),
        Products::Int8 => quad_sum(sum, a, b),
    }
}

/// Returns `y[m][n]` = `start[m][n]` + `x[m]` . `weight[n]`, for x [M, K], weight [N, K] and start
/// [M, N].
pub fn affine(depth: usize, x: &[f32], weight: &[f32], start: &[f32]) -> Vec<f32> {
    affine_of(Products::F32, depth, x, weight, start)
}

/// Returns what `affine` returns, by products of that format.
pub fn affine_of(products: Products, depth: usize, x: &[f32], weight: &[f32], start: &[f32]) -> Vec<f32> {
    let outputs = weight.len() / depth;
    let element = |(i, sum): (usize, &f32)| {
        let (m, n) = (i / outputs, i % outputs);
        chain_of(products, *sum, &x[m * depth..][..depth], &weight[n * depth..][..depth])
    };
    start.iter().enumerate().map(element).collect()
}

/// Returns `dW[n][k]` and `db[n]`, m ascending, for delta [M, N] and x [M, K].
pub fn weight_gradient(outputs: usize, depth: usize, delta: &[f32], x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut weight, mut bias) = (vec![0.0f32; outputs * depth], vec![0.0f32; outputs]);
    for (delta, x) in delta.chunks_exact(outputs).zip(x.chunks_exact(depth)) {
        for n in 0..outputs {
            bias[n] += delta[n];
            for k in 0..depth {
                weight[n * depth + k] = delta[n].mul_add(x[k], weight[n * depth + k]);
            }
        }
    }
    (weight, bias)
}

/// Returns the weight gradient of values that are rounded to bf16. Tokens are taken two by two, the
/// second one first; zeros follow an odd last token.
pub fn rounded_weight_gradient(outputs: usize, depth: usize, delta: &[f32], x: &[f32]) -> Vec<f32> {
    let tokens = x.len() / depth;
    let mut weight = vec![0.0f32; outputs * depth];
    for (i, sum) in weight.iter_mut().enumerate() {
        let (n, k) = (i / depth, i % depth);
        let value = |v: &[f32], width: usize, m: usize, at: usize| {
            if m < tokens { rounded(v[m * width + at]) } else { 0.0 }
        };
        for m in (0..tokens).step_by(2).flat_map(|m| [m + 1, m]) {
            *sum = value(delta, outputs, m, n).mul_add(value(x, depth, m, k), *sum);
        }
    }
    weight
}

/// Returns what `rounded_weight_gradient` returns, in the order of AMX.
pub fn tiled_weight_gradient(outputs: usize, depth: usize, delta: &[f32], x: &[f32]) -> Vec<f32> {
    let column = |v: &[f32], width: usize, at: usize| -> Vec<f32> {
        v.chunks_exact(width).map(|row| row[at]).collect()
    };
    let element = |i| chain_by_tiles(0.0, &column(delta, outputs, i / depth), &column(x, depth, i % depth));
    (0..outputs * depth).map(element).collect()
}

/// Returns the sums of delta [M, N] in the table rows `ids` [D, N], and in one row `[N]`.
pub fn scatter(rows: usize, width: usize, delta: &[f32], ids: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let (mut table, mut sum) = (vec![0.0f32; rows * width], vec![0.0f32; width]);
    for (delta, id) in delta.chunks_exact(width).zip(ids) {
        for n in 0..width {
            table[*id as usize * width + n] += delta[n];
            sum[n] += delta[n];
        }
    }
    (table, sum)
}

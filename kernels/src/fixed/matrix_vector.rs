//! The product of a matrix and a vector, for one span of units.
//!
//! ```text
//! acc[gate][unit] = acc[gate][unit] + value[k] * matrix[k][gate][unit]      k ascending
//! ```

use super::spans::UnitSpan;
use crate::math::{sigmoid, tanh};
use crate::simd::Simd;

/// A matrix and the vector that it multiplies.
#[derive(Clone, Copy)]
pub(super) struct MatrixVector {
    /// Elements of the vector.
    pub(super) depth: usize,
    /// `[depth]`
    pub(super) values: *const f32,
    /// [tile][depth][GROUP][unit]
    pub(super) matrix: *const f32,
}

/// Continues the chains of G gates, from gate FROM of a group of GROUP on, over all k.
///
/// # Safety
/// The vector has `depth` elements. The matrix is readable for its elements and for the floats that
/// a vector reaches beyond them.
#[inline(always)]
pub(super) unsafe fn product<
    S: Simd,
    const U: usize,
    const G: usize,
    const GROUP: usize,
    const FROM: usize,
>(
    s: S,
    acc: &mut [[S::F; U]; G],
    span: UnitSpan,
    MatrixVector { depth, values, matrix }: MatrixVector,
) {
    let mut sums = *acc;
    let UnitSpan { unit, tile, width } = span;
    let mut row = matrix.wrapping_add(tile * depth * GROUP + FROM * width + (unit - tile));
    for k in 0..depth {
        // SAFETY: k < depth, and the span is within its tile.
        unsafe {
            let value = s.splat(*values.add(k));
            for (g, sums) in sums.iter_mut().enumerate() {
                for (u, sum) in sums.iter_mut().enumerate() {
                    *sum = s.fma(value, s.load(row.add(g * width + u * S::LANES)), *sum);
                }
            }
        }
        row = row.wrapping_add(GROUP * width);
    }
    *acc = sums;
}

/// Loads U vectors.
///
/// # Safety
/// `from` is readable for U vectors.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const U: usize>(s: S, from: *const f32) -> [S::F; U] {
    let mut values = [s.splat(0.0); U];
    for (u, value) in values.iter_mut().enumerate() {
        // SAFETY: the caller vouches for U vectors.
        *value = unsafe { s.load(from.add(u * S::LANES)) };
    }
    values
}

/// Returns sigmoid of U vectors, computed side by side: one alone waits for its own results.
#[inline(always)]
pub(super) fn sigmoids<S: Simd, const U: usize>(s: S, mut x: [S::F; U]) -> [S::F; U] {
    for x in &mut x {
        *x = sigmoid(s, *x);
    }
    x
}

/// Returns tanh of U vectors, computed side by side.
#[inline(always)]
pub(super) fn tanhs<S: Simd, const U: usize>(s: S, mut x: [S::F; U]) -> [S::F; U] {
    for x in &mut x {
        *x = tanh(s, *x);
    }
    x
}

//! The GRU with reset before the product, as in the paper and TensorFlow 1:
//!
//! ```text
//! r = sigmoid(W_r x + b_r + R_r h)        n = tanh(W_n x + b_n + R_n (r h))
//! z = sigmoid(W_z x + b_z + R_z h)        h' = n + z (h - n)
//! ```
//!
//! 1. State vectors: h and the next h in turn, r h, z.
//! 2. A step has two phases, because the candidate needs all of r h.

use super::cell_equations::{BiasVector, CellEquations};
use crate::fixed::hidden_width::HiddenWidth;
use crate::fixed::matrix_vector::{load, product, tanhs};
use crate::fixed::memory::CellMemory;
use crate::fixed::spans::{SpanKernel, UnitSpan, sweep};
use crate::math::sigmoid;
use crate::simd::Simd;

/// Gates r, z, n; reset before the product.
#[derive(Clone, Copy, Debug, Default)]
pub struct GruBeforeEquations;

impl CellEquations for GruBeforeEquations {
    const GATES: usize = 3;
    const BIASES: usize = 3;
    const VECTORS: usize = 4;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1], &[2]];
    const BIAS_OF: &'static [(usize, BiasVector)] =
        &[(0, BiasVector::Sum), (1, BiasVector::Sum), (2, BiasVector::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd, W: HiddenWidth>(s: S, at: CellMemory) {
        // SAFETY: the caller vouches for the memory.
        unsafe {
            sweep::<S, _, W>(s, at.hidden, at.turn, &GruBeforeGatesSpan(at));
            sweep::<S, _, W>(s, at.hidden, at.turn, &GruBeforeCandidateSpan(at));
        }
    }
}

/// The first phase: r h and z.
struct GruBeforeGatesSpan(CellMemory);

impl<S: Simd> SpanKernel<S> for GruBeforeGatesSpan {
    const SUMS: usize = 2;

    #[inline(always)]
    unsafe fn compute<const U: usize>(&self, s: S, span: UnitSpan) {
        let at = self.0;
        // SAFETY: the caller vouches for the span, and for the memory.
        unsafe {
            let mut sums: [[S::F; U]; 2] =
                [load(s, at.bias(3, 0).add(span.unit)), load(s, at.bias(3, 1).add(span.unit))];
            product::<S, U, 2, 2, 0>(s, &mut sums, span, at.inputs(3, 0));
            product::<S, U, 2, 2, 0>(s, &mut sums, span, at.recurrent(at.hidden(), 0));
            let [r, z] = sums;
            for (u, r) in r.into_iter().enumerate() {
                let unit = span.unit + u * S::LANES;
                let h = s.load(at.hidden().add(unit));
                s.store(at.vector(2).add(unit), s.mul(sigmoid(s, r), h));
            }
            for (u, z) in z.into_iter().enumerate() {
                s.store(at.vector(3).add(span.unit + u * S::LANES), sigmoid(s, z));
            }
        }
    }
}

/// The second phase: n and the new h.
struct GruBeforeCandidateSpan(CellMemory);

impl<S: Simd> SpanKernel<S> for GruBeforeCandidateSpan {
    const SUMS: usize = 1;

    #[inline(always)]
    unsafe fn compute<const U: usize>(&self, s: S, span: UnitSpan) {
        let at = self.0;
        // SAFETY: the caller vouches for the span, and for the memory.
        unsafe {
            let mut sums: [[S::F; U]; 1] = [load(s, at.bias(3, 2).add(span.unit))];
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.inputs(3, 2));
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.recurrent(at.vector(2), 2));
            let [n] = sums;
            let n = tanhs(s, n);
            for (u, n) in n.into_iter().enumerate() {
                let unit = span.unit + u * S::LANES;
                let (h, z) = (s.load(at.hidden().add(unit)), s.load(at.vector(3).add(unit)));
                s.store(at.next().add(unit), s.fma(z, s.sub(h, n), n));
            }
        }
    }
}

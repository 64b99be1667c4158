//! The GRU with reset after the product, as in PyTorch:
//!
//! ```text
//! r = sigmoid(W_r x + b_r + R_r h)        n = tanh(W_n x + b_in + r (R_n h + b_hn))
//! z = sigmoid(W_z x + b_z + R_z h)        h' = n + z (h - n)
//! ```
//!
//! 1. State vectors: h and the next h in turn.
//! 2. The input's part of all three gates comes first. The candidate's part stays apart from its
//!    recurrent product, because r multiplies only the latter.

use super::cell_equations::{BiasVector, CellEquations};
use crate::fixed::hidden_width::HiddenWidth;
use crate::fixed::matrix_vector::{load, product, sigmoids, tanhs};
use crate::fixed::memory::CellMemory;
use crate::fixed::spans::{SpanKernel, UnitSpan, sweep};
use crate::simd::Simd;

/// Gates r, z, n; reset after the product.
#[derive(Clone, Copy, Debug, Default)]
pub struct GruAfterEquations;

impl CellEquations for GruAfterEquations {
    const GATES: usize = 3;
    const BIASES: usize = 4;
    const VECTORS: usize = 2;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1, 2]];
    const BIAS_OF: &'static [(usize, BiasVector)] =
        &[(0, BiasVector::Sum), (1, BiasVector::Sum), (2, BiasVector::Hidden), (2, BiasVector::Input)];

    #[inline(always)]
    unsafe fn step<S: Simd, W: HiddenWidth>(s: S, at: CellMemory) {
        // SAFETY: the caller vouches for the memory.
        unsafe { sweep::<S, _, W>(s, at.hidden, at.turn, &GruAfterSpan(at)) };
    }
}

struct GruAfterSpan(CellMemory);

impl<S: Simd> SpanKernel<S> for GruAfterSpan {
    const SUMS: usize = 3;

    #[inline(always)]
    unsafe fn compute<const U: usize>(&self, s: S, span: UnitSpan) {
        let at = self.0;
        // SAFETY: the caller vouches for the span, and for the memory.
        unsafe {
            let (r, z, n) = (at.bias(3, 0), at.bias(3, 1), at.bias(3, 3));
            let mut first: [[S::F; U]; 3] =
                [load(s, r.add(span.unit)), load(s, z.add(span.unit)), load(s, n.add(span.unit))];
            product::<S, U, 3, 3, 0>(s, &mut first, span, at.inputs(3, 0));
            let [r, z, mut n] = first;
            let mut sums = [r, z, load(s, at.bias(3, 2).add(span.unit))];
            product::<S, U, 3, 3, 0>(s, &mut sums, span, at.recurrent(at.hidden(), 0));
            let [r, z, n_hidden] = sums;
            let r = sigmoids(s, r);
            for u in 0..U {
                n[u] = s.fma(r[u], n_hidden[u], n[u]);
            }
            let (n, z) = (tanhs(s, n), sigmoids(s, z));
            for u in 0..U {
                let unit = span.unit + u * S::LANES;
                let h = s.load(at.hidden().add(unit));
                s.store(at.next().add(unit), s.fma(z[u], s.sub(h, n[u]), n[u]));
            }
        }
    }
}

//! The LSTM, as in PyTorch:
//!
//! ```text
//! i = sigmoid(W_i x + b_i + R_i h)     c' = f c + i g
//! f = sigmoid(W_f x + b_f + R_f h)     h' = o tanh(c')
//! g =    tanh(W_g x + b_g + R_g h)
//! o = sigmoid(W_o x + b_o + R_o h)
//! ```
//!
//! 1. State vectors: h and the next h in turn, c.
//! 2. A cell of up to 16 units computes the output gate's product last. The activations of the
//!    other gates run beside it. In a larger cell the next span's products do that.

use super::cell_equations::{BiasVector, CellEquations};
use crate::fixed::hidden_width::{HiddenWidth, within};
use crate::fixed::matrix_vector::{load, product, sigmoids, tanhs};
use crate::fixed::memory::CellMemory;
use crate::fixed::spans::{SpanKernel, UnitSpan, sweep};
use crate::simd::Simd;
use core::marker::PhantomData;

/// The most units of a cell that computes the output gate last.
const OUTPUT_LAST: usize = 16;

/// Gates i, f, g, o, as in PyTorch.
#[derive(Clone, Copy, Debug, Default)]
pub struct LstmEquations;

impl CellEquations for LstmEquations {
    const GATES: usize = 4;
    const BIASES: usize = 4;
    const VECTORS: usize = 3;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1, 2, 3]];
    const BIAS_OF: &'static [(usize, BiasVector)] =
        &[(0, BiasVector::Sum), (1, BiasVector::Sum), (2, BiasVector::Sum), (3, BiasVector::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd, W: HiddenWidth>(s: S, at: CellMemory) {
        // SAFETY: the caller vouches for the memory.
        unsafe { sweep::<S, _, W>(s, at.hidden, at.turn, &LstmSpan::<W>(at, PhantomData)) };
    }
}

struct LstmSpan<W>(CellMemory, PhantomData<W>);

impl<S: Simd, W: HiddenWidth> SpanKernel<S> for LstmSpan<W> {
    const SUMS: usize = 4;

    #[inline(always)]
    unsafe fn compute<const U: usize>(&self, s: S, span: UnitSpan) {
        // SAFETY: the caller vouches for the span, and for the memory.
        unsafe {
            if const { within::<W>(0, OUTPUT_LAST) } {
                self.output_last::<S, U>(s, span)
            } else if const { within::<W>(OUTPUT_LAST + 1, usize::MAX) } || self.0.hidden > OUTPUT_LAST {
                self.together::<S, U>(s, span)
            } else if const { W::HIDDEN.is_none() } {
                self.output_last::<S, U>(s, span)
            }
        }
    }
}

impl<W> LstmSpan<W> {
    /// Returns the biases plus the input products of G gates from gate FROM on.
    ///
    /// # Safety
    /// The span is within the units.
    #[inline(always)]
    unsafe fn start<S: Simd, const U: usize, const G: usize, const FROM: usize>(
        &self,
        s: S,
        span: UnitSpan,
    ) -> [[S::F; U]; G] {
        let mut sums = [[s.splat(0.0); U]; G];
        // SAFETY: the caller vouches for the span; a vector may reach beyond the biases.
        unsafe {
            for (gate, sum) in sums.iter_mut().enumerate() {
                *sum = load(s, self.0.bias(4, FROM + gate).add(span.unit));
            }
            product::<S, U, G, 4, FROM>(s, &mut sums, span, self.0.inputs(4, 0));
        }
        sums
    }

    /// Computes all gates in one pass through the weights.
    ///
    /// # Safety
    /// The span is within the units.
    #[inline(always)]
    unsafe fn together<S: Simd, const U: usize>(&self, s: S, span: UnitSpan) {
        // SAFETY: the caller vouches for the span.
        unsafe {
            let mut sums = self.start::<S, U, 4, 0>(s, span);
            product::<S, U, 4, 4, 0>(s, &mut sums, span, self.0.recurrent(self.0.hidden(), 0));
            let [i, f, g, o] = sums;
            let c = self.next_c(s, [i, f, g], span.unit);
            self.next_h(s, o, c, span.unit);
        }
    }

    /// Computes the output gate's product beside the activations of the other gates, which would
    /// otherwise leave the processor idle.
    ///
    /// # Safety
    /// The span is within the units.
    #[inline(always)]
    unsafe fn output_last<S: Simd, const U: usize>(&self, s: S, span: UnitSpan) {
        // SAFETY: the caller vouches for the span.
        unsafe {
            let (mut sums, mut output) =
                (self.start::<S, U, 3, 0>(s, span), self.start::<S, U, 1, 3>(s, span));
            product::<S, U, 3, 4, 0>(s, &mut sums, span, self.0.recurrent(self.0.hidden(), 0));
            let c = self.next_c(s, sums, span.unit);
            product::<S, U, 1, 4, 3>(s, &mut output, span, self.0.recurrent(self.0.hidden(), 0));
            self.next_h(s, output[0], c, span.unit);
        }
    }

    /// Stores and returns the new c from the pre-activations of i, f and g.
    ///
    /// # Safety
    /// U vectors from `unit` on are within the units.
    #[inline(always)]
    unsafe fn next_c<S: Simd, const U: usize>(
        &self,
        s: S,
        [i, f, g]: [[S::F; U]; 3],
        unit: usize,
    ) -> [S::F; U] {
        let (i, f, mut next) = (sigmoids(s, i), sigmoids(s, f), tanhs(s, g));
        for u in 0..U {
            // SAFETY: the caller vouches for the units; a vector may reach beyond c.
            unsafe {
                let c = self.0.vector(2).add(unit + u * S::LANES);
                next[u] = s.fma(f[u], s.load(c), s.mul(i[u], next[u]));
                s.store(c, next[u]);
            }
        }
        next
    }

    /// Stores the new h from the pre-activation of o and the new c.
    ///
    /// # Safety
    /// U vectors from `unit` on are within the units.
    #[inline(always)]
    unsafe fn next_h<S: Simd, const U: usize>(&self, s: S, o: [S::F; U], c: [S::F; U], unit: usize) {
        let (o, c) = (sigmoids(s, o), tanhs(s, c));
        for u in 0..U {
            // SAFETY: the caller vouches for the units; a vector may reach beyond h.
            unsafe { s.store(self.0.next().add(unit + u * S::LANES), s.mul(o[u], c[u])) };
        }
    }
}

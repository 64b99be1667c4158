//! The vanilla RNN:
//!
//! ```text
//! h' = f(W x + b + R h)        f: tanh, relu
//! ```
//!
//! State vectors: h and the next h in turn.

use super::cell_equations::{BiasVector, CellEquations};
use crate::fixed::hidden_width::HiddenWidth;
use crate::fixed::matrix_vector::{load, product};
use crate::fixed::memory::CellMemory;
use crate::fixed::spans::{SpanKernel, UnitSpan, sweep};
use crate::math::tanh;
use crate::simd::Simd;
use core::marker::PhantomData;

/// h' = tanh(...)
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnTanhEquations;

/// h' = max(0, ...)
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnReluEquations;

/// The activation of an RNN.
trait RnnActivation {
    fn activate<S: Simd>(s: S, x: S::F) -> S::F;
}

impl RnnActivation for RnnTanhEquations {
    #[inline(always)]
    fn activate<S: Simd>(s: S, x: S::F) -> S::F {
        tanh(s, x)
    }
}

impl RnnActivation for RnnReluEquations {
    #[inline(always)]
    fn activate<S: Simd>(s: S, x: S::F) -> S::F {
        s.max(s.splat(0.0), x)
    }
}

impl<A: RnnActivation + Copy + Default + core::fmt::Debug + Send + Sync + 'static> CellEquations for A {
    const GATES: usize = 1;
    const BIASES: usize = 1;
    const VECTORS: usize = 2;
    const GROUPS: &'static [&'static [usize]] = &[&[0]];
    const BIAS_OF: &'static [(usize, BiasVector)] = &[(0, BiasVector::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd, W: HiddenWidth>(s: S, at: CellMemory) {
        let kernel = RnnSpan::<A> { at, activation: PhantomData };
        // SAFETY: the caller vouches for the memory.
        unsafe { sweep::<S, _, W>(s, at.hidden, at.turn, &kernel) };
    }
}

struct RnnSpan<A> {
    at: CellMemory,
    activation: PhantomData<A>,
}

impl<S: Simd, A: RnnActivation> SpanKernel<S> for RnnSpan<A> {
    const SUMS: usize = 1;

    #[inline(always)]
    unsafe fn compute<const U: usize>(&self, s: S, span: UnitSpan) {
        let at = self.at;
        // SAFETY: the caller vouches for the span, and for the memory.
        unsafe {
            let mut sums: [[S::F; U]; 1] = [load(s, at.bias(1, 0).add(span.unit))];
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.inputs(1, 0));
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.recurrent(at.hidden(), 0));
            let [sums] = sums;
            for (u, sum) in sums.into_iter().enumerate() {
                s.store(at.next().add(span.unit + u * S::LANES), A::activate(s, sum));
            }
        }
    }
}

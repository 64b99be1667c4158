//! The LSTM: equations as in `lstm.rs` of this crate. State vectors: h and the next h in turns, and c.

use super::body::{Biases, Block, Kind, Places, Size, Span, load, product, sigmoids, sweep, tanhs, within};
use crate::simd::Simd;
use core::marker::PhantomData;

/// Units of a cell so small that nothing but its own products is there to fill the wait for its activations.
const ALONE: usize = 16;

/// i, f, g, o as in PyTorch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lstm;

impl Kind for Lstm {
    const GATES: usize = 4;
    const BIASES: usize = 4;
    const VECTORS: usize = 3;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1, 2, 3]];
    const BIAS_OF: &'static [(usize, Biases)] =
        &[(0, Biases::Sum), (1, Biases::Sum), (2, Biases::Sum), (3, Biases::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd, Z: Size>(s: S, at: Places) {
        // SAFETY: the caller vouches for the places.
        unsafe { sweep::<S, _, Z>(s, at, &Units::<Z>(at, PhantomData)) };
    }
}

struct Units<Z>(Places, PhantomData<Z>);

impl<S: Simd, Z: Size> Block<S> for Units<Z> {
    const SUMS: usize = 4;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        // SAFETY: the caller vouches for the span, and for the places.
        unsafe {
            if const { within::<Z>(0, ALONE) } {
                self.output_last::<S, U>(s, span)
            } else if const { within::<Z>(ALONE + 1, usize::MAX) } || self.0.hidden > ALONE {
                self.together::<S, U>(s, span)
            } else if const { Z::HIDDEN.is_none() } {
                self.output_last::<S, U>(s, span)
            }
        }
    }
}

impl<Z> Units<Z> {
    /// The first sums of gates FROM.., and the input's part.
    ///
    /// # Safety
    /// The span lies within the units.
    #[inline(always)]
    unsafe fn start<S: Simd, const U: usize, const G: usize, const FROM: usize>(
        &self,
        s: S,
        span: Span,
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

    /// All gates in one walk through the weights.
    ///
    /// # Safety
    /// The span lies within the units.
    #[inline(always)]
    unsafe fn together<S: Simd, const U: usize>(&self, s: S, span: Span) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut sums = self.start::<S, U, 4, 0>(s, span);
            product::<S, U, 4, 4, 0>(s, &mut sums, span, self.0.recurrent(self.0.hidden(), 0));
            let [i, f, g, o] = sums;
            let c = self.remember(s, [i, f, g], span.unit);
            self.answer(s, o, c, span.unit);
        }
    }

    /// The output gate's product while the others wait for their activations: they leave the processor idle.
    ///
    /// # Safety
    /// The span lies within the units.
    #[inline(always)]
    unsafe fn output_last<S: Simd, const U: usize>(&self, s: S, span: Span) {
        // SAFETY: as the caller vouches.
        unsafe {
            let (mut sums, mut output) =
                (self.start::<S, U, 3, 0>(s, span), self.start::<S, U, 1, 3>(s, span));
            product::<S, U, 3, 4, 0>(s, &mut sums, span, self.0.recurrent(self.0.hidden(), 0));
            let c = self.remember(s, sums, span.unit);
            product::<S, U, 1, 4, 3>(s, &mut output, span, self.0.recurrent(self.0.hidden(), 0));
            self.answer(s, output[0], c, span.unit);
        }
    }

    /// The new c from the pre-activations of i, f and g.
    ///
    /// # Safety
    /// U vectors from `unit` on lie within the units.
    #[inline(always)]
    unsafe fn remember<S: Simd, const U: usize>(
        &self,
        s: S,
        [i, f, g]: [[S::F; U]; 3],
        unit: usize,
    ) -> [S::F; U] {
        let (i, f, mut next) = (sigmoids(s, i), sigmoids(s, f), tanhs(s, g));
        for u in 0..U {
            // SAFETY: as the caller vouches; a vector may reach beyond c.
            unsafe {
                let c = self.0.vector(2).add(unit + u * S::LANES);
                next[u] = s.fma(f[u], s.load(c), s.mul(i[u], next[u]));
                s.store(c, next[u]);
            }
        }
        next
    }

    /// The new h from the pre-activation of o and the new c.
    ///
    /// # Safety
    /// U vectors from `unit` on lie within the units.
    #[inline(always)]
    unsafe fn answer<S: Simd, const U: usize>(&self, s: S, o: [S::F; U], c: [S::F; U], unit: usize) {
        let (o, c) = (sigmoids(s, o), tanhs(s, c));
        for u in 0..U {
            // SAFETY: as the caller vouches; a vector may reach beyond h.
            unsafe { s.store(self.0.next().add(unit + u * S::LANES), s.mul(o[u], c[u])) };
        }
    }
}

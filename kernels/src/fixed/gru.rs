//! The GRU in both forms: equations as in `gru.rs` of this crate.

use super::body::{Biases, Block, Kind, Places, Size, Span, load, product, sigmoids, sweep, tanhs};
use crate::math::sigmoid;
use crate::simd::Simd;

/// r, z, n; reset after the product, as in PyTorch. State vectors: h and the next h in turns.
#[derive(Clone, Copy, Debug, Default)]
pub struct GruAfter;

/// r, z, n; reset before the product. State vectors: h and the next h in turns, r h, z.
#[derive(Clone, Copy, Debug, Default)]
pub struct GruBefore;

impl Kind for GruAfter {
    const GATES: usize = 3;
    const BIASES: usize = 4;
    const VECTORS: usize = 2;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1, 2]];
    const BIAS_OF: &'static [(usize, Biases)] =
        &[(0, Biases::Sum), (1, Biases::Sum), (2, Biases::Hidden), (2, Biases::Input)];

    #[inline(always)]
    unsafe fn step<S: Simd, Z: Size>(s: S, at: Places) {
        // SAFETY: the caller vouches for the places.
        unsafe { sweep::<S, _, Z>(s, at, &After(at)) };
    }
}

struct After(Places);

impl<S: Simd> Block<S> for After {
    const SUMS: usize = 3;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        let at = self.0;
        // SAFETY: the caller vouches for the span, and for the places.
        unsafe {
            // The input's part of all three gates first; that of the candidate stays apart.
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

impl Kind for GruBefore {
    const GATES: usize = 3;
    const BIASES: usize = 3;
    const VECTORS: usize = 4;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1], &[2]];
    const BIAS_OF: &'static [(usize, Biases)] = &[(0, Biases::Sum), (1, Biases::Sum), (2, Biases::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd, Z: Size>(s: S, at: Places) {
        // SAFETY: the caller vouches for the places.
        unsafe {
            sweep::<S, _, Z>(s, at, &Gates(at));
            sweep::<S, _, Z>(s, at, &Candidate(at));
        }
    }
}

/// r h and z.
struct Gates(Places);

impl<S: Simd> Block<S> for Gates {
    const SUMS: usize = 2;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        let at = self.0;
        // SAFETY: the caller vouches for the span, and for the places.
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

/// n and the new h.
struct Candidate(Places);

impl<S: Simd> Block<S> for Candidate {
    const SUMS: usize = 1;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        let at = self.0;
        // SAFETY: the caller vouches for the span, and for the places.
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

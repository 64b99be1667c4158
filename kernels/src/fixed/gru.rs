//! The GRU in both forms: equations as in `gru.rs` of this crate.

use super::body::{Biases, Block, Kind, Places, Span, at_once, load, product, replace, sweep};
use crate::math::{sigmoid, tanh};
use crate::simd::Simd;

/// r, z, n; reset after the product, as in PyTorch. State vectors: h, and the next h where not all units are computed at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct GruAfter;

/// r, z, n; reset before the product. State vectors: h, r h, z.
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
    unsafe fn step<S: Simd>(s: S, at: Places) {
        let whole = at_once::<S>(at.hidden, 3);
        let to = at.vector(if whole { 0 } else { 1 });
        // SAFETY: the caller vouches for the places.
        unsafe {
            sweep(s, at.hidden, &After { at, to });
            if !whole {
                replace(s, at.hidden, to, at.vector(0));
            }
        }
    }
}

struct After {
    at: Places,
    to: *mut f32,
}

impl<S: Simd> Block<S> for After {
    const SUMS: usize = 3;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        let at = self.at;
        // SAFETY: the caller vouches for the span, and for the places.
        unsafe {
            // The input's part of all three gates first; that of the candidate stays apart.
            let (r, z, n) = (at.bias(3, 0), at.bias(3, 1), at.bias(3, 3));
            let mut first: [[S::F; U]; 3] =
                [load(s, r.add(span.unit)), load(s, z.add(span.unit)), load(s, n.add(span.unit))];
            product::<S, U, 3, 3, 0>(s, &mut first, span, at.inputs(3, 0));
            let [r, z, n] = first;
            let mut sums = [r, z, load(s, at.bias(3, 2).add(span.unit))];
            product::<S, U, 3, 3, 0>(s, &mut sums, span, at.recurrent(0, 0));
            let [r, z, n_hidden] = sums;
            for u in 0..U {
                let unit = span.unit + u * S::LANES;
                let h = s.load(at.vector(0).add(unit));
                let r = sigmoid(s, r[u]);
                let n = tanh(s, s.fma(r, n_hidden[u], n[u]));
                s.store(self.to.add(unit), s.fma(sigmoid(s, z[u]), s.sub(h, n), n));
            }
        }
    }
}

impl Kind for GruBefore {
    const GATES: usize = 3;
    const BIASES: usize = 3;
    const VECTORS: usize = 3;
    const GROUPS: &'static [&'static [usize]] = &[&[0, 1], &[2]];
    const BIAS_OF: &'static [(usize, Biases)] = &[(0, Biases::Sum), (1, Biases::Sum), (2, Biases::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd>(s: S, at: Places) {
        // SAFETY: the caller vouches for the places.
        unsafe {
            sweep(s, at.hidden, &Gates(at));
            sweep(s, at.hidden, &Candidate(at));
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
            product::<S, U, 2, 2, 0>(s, &mut sums, span, at.recurrent(0, 0));
            let [r, z] = sums;
            for u in 0..U {
                let unit = span.unit + u * S::LANES;
                let h = s.load(at.vector(0).add(unit));
                s.store(at.vector(1).add(unit), s.mul(sigmoid(s, r[u]), h));
                s.store(at.vector(2).add(unit), sigmoid(s, z[u]));
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
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.recurrent(1, 2));
            let [sums] = sums;
            for (u, sum) in sums.into_iter().enumerate() {
                let unit = span.unit + u * S::LANES;
                let h = at.vector(0).add(unit);
                let (n, z) = (tanh(s, sum), s.load(at.vector(2).add(unit)));
                s.store(h, s.fma(z, s.sub(s.load(h), n), n));
            }
        }
    }
}

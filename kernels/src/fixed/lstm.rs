//! The LSTM: equations as in `lstm.rs` of this crate. State vectors: h, c, and the next h where not all units are computed at once.

use super::body::{Biases, Block, Kind, Places, Span, at_once, load, product, replace, sweep};
use crate::math::{sigmoid, tanh};
use crate::simd::Simd;

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
    unsafe fn step<S: Simd>(s: S, at: Places) {
        let whole = at_once::<S>(at.hidden, 4);
        let to = at.vector(if whole { 0 } else { 2 });
        // SAFETY: the caller vouches for the places.
        unsafe {
            sweep(s, at.hidden, &Units { at, to });
            if !whole {
                replace(s, at.hidden, to, at.vector(0));
            }
        }
    }
}

struct Units {
    at: Places,
    to: *mut f32,
}

impl<S: Simd> Block<S> for Units {
    const SUMS: usize = 4;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        let at = self.at;
        // SAFETY: the caller vouches for the span, and for the places.
        unsafe {
            let mut sums = [[s.splat(0.0); U]; 4];
            for (gate, sum) in sums.iter_mut().enumerate() {
                *sum = load(s, at.bias(4, gate).add(span.unit));
            }
            product(s, &mut sums, span, (at.input, at.x, at.weight_ih(4, 0)));
            product(s, &mut sums, span, (at.hidden, at.vector(0), at.weight_hh(0)));
            let [i, f, g, o] = sums;
            for u in 0..U {
                let unit = span.unit + u * S::LANES;
                let c = at.vector(1).add(unit);
                let (i, f, g, o) = (sigmoid(s, i[u]), sigmoid(s, f[u]), tanh(s, g[u]), sigmoid(s, o[u]));
                let next = s.fma(f, s.load(c), s.mul(i, g));
                s.store(c, next);
                s.store(self.to.add(unit), s.mul(o, tanh(s, next)));
            }
        }
    }
}

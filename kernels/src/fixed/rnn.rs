//! The vanilla RNN: equations as in `rnn.rs` of this crate. State vectors: h and the next h in turns.

use super::body::{Biases, Block, Kind, Places, Size, Span, load, product, sweep};
use crate::math::tanh;
use crate::simd::Simd;
use core::marker::PhantomData;

/// h' = tanh(...)
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnTanh;

/// h' = max(0, ...)
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnRelu;

trait Squash {
    fn squash<S: Simd>(s: S, x: S::F) -> S::F;
}

impl Squash for RnnTanh {
    #[inline(always)]
    fn squash<S: Simd>(s: S, x: S::F) -> S::F {
        tanh(s, x)
    }
}

impl Squash for RnnRelu {
    #[inline(always)]
    fn squash<S: Simd>(s: S, x: S::F) -> S::F {
        s.max(s.splat(0.0), x)
    }
}

impl<K: Squash + Copy + Default + core::fmt::Debug + Send + Sync + 'static> Kind for K {
    const GATES: usize = 1;
    const BIASES: usize = 1;
    const VECTORS: usize = 2;
    const GROUPS: &'static [&'static [usize]] = &[&[0]];
    const BIAS_OF: &'static [(usize, Biases)] = &[(0, Biases::Sum)];

    #[inline(always)]
    unsafe fn step<S: Simd, Z: Size>(s: S, at: Places) {
        // SAFETY: the caller vouches for the places.
        unsafe { sweep::<S, _, Z>(s, at, &Units::<K> { at, squash: PhantomData }) };
    }
}

struct Units<K> {
    at: Places,
    squash: PhantomData<K>,
}

impl<S: Simd, K: Squash> Block<S> for Units<K> {
    const SUMS: usize = 1;

    #[inline(always)]
    unsafe fn block<const U: usize>(&self, s: S, span: Span) {
        let at = self.at;
        // SAFETY: the caller vouches for the span, and for the places.
        unsafe {
            let mut sums: [[S::F; U]; 1] = [load(s, at.bias(1, 0).add(span.unit))];
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.inputs(1, 0));
            product::<S, U, 1, 1, 0>(s, &mut sums, span, at.recurrent(at.hidden(), 0));
            let [sums] = sums;
            for (u, sum) in sums.into_iter().enumerate() {
                s.store(at.next().add(span.unit + u * S::LANES), K::squash(s, sum));
            }
        }
    }
}

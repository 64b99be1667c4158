//! Layers one after another.

use crate::dispatch::Isa;
use crate::simd::{Kernel, Simd};

/// What answers an input vector with an output vector, and may remember: a cell, a head, or two layers in a [`Model`].
/// This crate alone implements it.
pub trait Layer {
    /// An array of floats.
    type Input;
    /// An array of floats.
    type Output;

    /// The instruction set that runs it.
    fn isa(&self) -> Isa;

    /// Back to the state at the start: zeros.
    fn reset(&mut self);

    #[doc(hidden)]
    fn run<S: Simd>(&mut self, s: S, x: &Self::Input) -> &Self::Output;

    /// The output for the next input. Allocates nothing.
    #[inline]
    fn step(&mut self, x: &Self::Input) -> &Self::Output
    where
        Self: Sized,
    {
        self.isa().run(Step(self, x))
    }

    /// The outputs for the next inputs, as by `step` for each. Allocates nothing.
    ///
    /// # Panics
    /// When `xs` and `ys` differ in length.
    #[inline]
    fn process(&mut self, xs: &[Self::Input], ys: &mut [Self::Output])
    where
        Self: Sized,
        Self::Output: Copy,
    {
        assert!(xs.len() == ys.len(), "{} inputs and room for {} outputs", xs.len(), ys.len());
        self.isa().run(Process(self, xs, ys));
    }
}

/// A layer on the heap, such as a cell from [`super::Cell::boxed`].
#[cfg(feature = "std")]
impl<L: Layer> Layer for Box<L> {
    type Input = L::Input;
    type Output = L::Output;

    fn isa(&self) -> Isa {
        (**self).isa()
    }

    fn reset(&mut self) {
        (**self).reset();
    }

    #[inline(always)]
    fn run<S: Simd>(&mut self, s: S, x: &L::Input) -> &L::Output {
        (**self).run(s, x)
    }
}

struct Step<'a, 'x, L: Layer>(&'a mut L, &'x L::Input);

impl<'a, L: Layer> Kernel for Step<'a, '_, L> {
    type Output = &'a L::Output;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> &'a L::Output {
        self.0.run(s, self.1)
    }
}

struct Process<'a, L: Layer>(&'a mut L, &'a [L::Input], &'a mut [L::Output]);

impl<L: Layer<Output: Copy>> Kernel for Process<'_, L> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (x, y) in self.1.iter().zip(self.2) {
            *y = *self.0.run(s, x);
        }
    }
}

/// Two layers, the second fed by the first; either may be such a pair itself.
#[derive(Clone, Debug)]
pub struct Model<A, B> {
    /// What takes the input.
    pub first: A,
    /// What gives the output.
    pub second: B,
}

impl<A: Layer, B: Layer<Input = A::Output>> Model<A, B> {
    /// Both run on the first one's instruction set.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Layer, B: Layer<Input = A::Output>> Layer for Model<A, B> {
    type Input = A::Input;
    type Output = B::Output;

    fn isa(&self) -> Isa {
        self.first.isa()
    }

    fn reset(&mut self) {
        self.first.reset();
        self.second.reset();
    }

    #[inline(always)]
    fn run<S: Simd>(&mut self, s: S, x: &A::Input) -> &B::Output {
        self.second.run(s, self.first.run(s, x))
    }
}

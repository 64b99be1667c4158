//! One stage of a pipeline, and the ways to run it.

use crate::isa::Isa;
use crate::simd::{Kernel, Simd};

/// A stage maps an input vector to an output vector and may keep a state: a cell, a head, or a
/// [`Pipeline`](super::Pipeline) of two stages. Only this crate implements it.
pub trait Stage {
    /// An array of floats.
    type Input;
    /// An array of floats.
    type Output;

    /// Returns the instruction set that runs the stage.
    fn isa(&self) -> Isa;

    /// Sets the state to zero, the initial state.
    fn reset(&mut self);

    #[doc(hidden)]
    fn run<S: Simd>(&mut self, s: S, x: &Self::Input) -> &Self::Output;

    /// Returns the output for the next input. Allocates nothing.
    #[inline]
    fn step(&mut self, x: &Self::Input) -> &Self::Output
    where
        Self: Sized,
    {
        self.isa().run(StageStep(self, x))
    }

    /// Computes the outputs for the next inputs, the same as calling `step` for each. Allocates
    /// nothing.
    ///
    /// # Panics
    /// If `xs` and `ys` differ in length.
    #[inline]
    fn process(&mut self, xs: &[Self::Input], ys: &mut [Self::Output])
    where
        Self: Sized,
        Self::Output: Copy,
    {
        assert!(xs.len() == ys.len(), "ys has length {}, expected {}, that of xs", ys.len(), xs.len());
        self.isa().run(StageBlock(self, xs, ys));
    }
}

/// A stage on the heap, such as a cell from [`FixedCell::boxed`](super::FixedCell::boxed).
#[cfg(feature = "std")]
impl<L: Stage> Stage for Box<L> {
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

/// One step of a stage.
struct StageStep<'a, 'x, L: Stage>(&'a mut L, &'x L::Input);

impl<'a, L: Stage> Kernel for StageStep<'a, '_, L> {
    type Output = &'a L::Output;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> &'a L::Output {
        self.0.run(s, self.1)
    }
}

/// The steps of a block of inputs.
struct StageBlock<'a, L: Stage>(&'a mut L, &'a [L::Input], &'a mut [L::Output]);

impl<L: Stage<Output: Copy>> Kernel for StageBlock<'_, L> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (x, y) in self.1.iter().zip(self.2) {
            *y = *self.0.run(s, x);
        }
    }
}

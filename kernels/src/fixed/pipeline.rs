//! Two stages in a row.

use super::stage::Stage;
use crate::isa::Isa;
use crate::simd::Simd;

/// Two stages; the first feeds the second. Each may be a pipeline itself.
#[derive(Clone, Debug)]
pub struct Pipeline<A, B> {
    /// The stage that takes the input.
    pub first: A,
    /// The stage that gives the output.
    pub second: B,
}

impl<A: Stage, B: Stage<Input = A::Output>> Pipeline<A, B> {
    /// Joins two stages. Both run on the instruction set of the first.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Stage, B: Stage<Input = A::Output>> Stage for Pipeline<A, B> {
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

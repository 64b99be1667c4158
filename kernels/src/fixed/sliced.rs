//! The cells of [`super`] with sizes given at run time, in memory that the caller lends.
//!
//! ```
//! use unrolled_kernels::fixed::sliced::{Lstm, Sizes, Weights};
//! # fn main() -> Result<(), unrolled_kernels::fixed::Error> {
//! let sizes = Sizes { input: 1, hidden: 3 };
//! let weights =
//!     Weights { weight_ih: &[0.5; 12], weight_hh: &[0.1; 36], bias_ih: &[0.0; 12], bias_hh: &[0.0; 12] };
//! let mut memory = [0.0; Lstm::memory(Sizes { input: 1, hidden: 3 })];
//! let mut cell = Lstm::new(sizes, weights, &mut memory)?;
//! assert!(cell.step(&[1.0])[2] > 0.0);
//! # Ok(())
//! # }
//! ```

use super::body::{self, Kind, Places, REACH, Unknown};
use super::{Error, check, kind, native};
use crate::dispatch::Isa;
use crate::simd::{Kernel, Simd};
use core::marker::PhantomData;

pub use super::pack::{Sizes, Weights};

/// An LSTM.
pub type Lstm<'a> = Cell<'a, kind::Lstm>;
/// A GRU whose reset gate comes after the recurrent product, as in PyTorch.
pub type Gru<'a> = Cell<'a, kind::GruAfter>;
/// A GRU whose reset gate comes before the recurrent product.
pub type GruBefore<'a> = Cell<'a, kind::GruBefore>;
/// A vanilla RNN with tanh.
pub type Rnn<'a> = Cell<'a, kind::RnnTanh>;
/// A vanilla RNN with relu.
pub type RnnRelu<'a> = Cell<'a, kind::RnnRelu>;

/// A cell in lent memory.
#[derive(Debug)]
pub struct Cell<'a, K> {
    sizes: Sizes,
    weights: &'a [f32],
    state: &'a mut [f32],
    turn: usize,
    isa: Isa,
    kind: PhantomData<K>,
}

impl<'a, K: Kind> Cell<'a, K> {
    /// Floats of packed weights, the reach included.
    const fn weights(Sizes { input, hidden }: Sizes) -> usize {
        let matrices = K::GATES.saturating_mul(hidden).saturating_mul(hidden.saturating_add(input));
        matrices.saturating_add(K::BIASES.saturating_mul(hidden)).saturating_add(REACH)
    }

    /// Floats of memory that a cell needs.
    pub const fn memory(sizes: Sizes) -> usize {
        Self::weights(sizes).saturating_add(K::VECTORS.saturating_mul(body::vector(sizes.hidden)))
    }

    /// A cell whose weights and state lie in `memory`, which holds [`Self::memory`] floats (fastest when they start at a
    /// multiple of 64 bytes); the state is zero.
    ///
    /// # Errors
    /// When a length is wrong, or `UNROLLED_ISA` names what this processor lacks.
    pub fn new(sizes: Sizes, weights: Weights<'_>, memory: &'a mut [f32]) -> Result<Self, Error> {
        weights.check(K::GATES, sizes)?;
        check("memory", memory.len(), Self::memory(sizes))?;
        let isa = native()?;
        memory.fill(0.0);
        let (packed, state) = memory.split_at_mut(Self::weights(sizes));
        weights.pack::<K>(sizes, packed);
        Ok(Self { sizes, weights: packed, state, turn: 0, isa, kind: PhantomData })
    }

    /// The same cell on another instruction set.
    pub fn on(self, isa: Isa) -> Self {
        Self { isa, ..self }
    }

    /// The hidden state `[H]` for the next input `[I]`. Allocates nothing.
    ///
    /// # Panics
    /// When `x` has not I elements.
    pub fn step(&mut self, x: &[f32]) -> &[f32] {
        let Sizes { input, hidden } = self.sizes;
        assert!(x.len() == input, "x holds {} floats, expected {input}", x.len());
        let (weights, state) = (self.weights.as_ptr(), self.state.as_mut_ptr());
        let at = Places { input, hidden, x: x.as_ptr(), weights, state, turn: self.turn };
        self.isa.run(Step::<K>(at, PhantomData));
        self.turn = 1 - self.turn;
        self.hidden()
    }

    /// Back to the state at the start: zeros.
    pub fn reset(&mut self) {
        self.state.fill(0.0);
        self.turn = 0;
    }

    /// The hidden state `[H]`.
    pub fn hidden(&self) -> &[f32] {
        &self.state[self.turn * body::vector(self.sizes.hidden)..][..self.sizes.hidden]
    }

    /// The hidden state `[H]`, to be set.
    pub fn hidden_mut(&mut self) -> &mut [f32] {
        &mut self.state[self.turn * body::vector(self.sizes.hidden)..][..self.sizes.hidden]
    }
}

impl Lstm<'_> {
    /// The cell state c `[H]`.
    pub fn cell(&self) -> &[f32] {
        &self.state[2 * body::vector(self.sizes.hidden)..][..self.sizes.hidden]
    }

    /// The cell state c `[H]`, to be set.
    pub fn cell_mut(&mut self) -> &mut [f32] {
        &mut self.state[2 * body::vector(self.sizes.hidden)..][..self.sizes.hidden]
    }
}

struct Step<K>(Places, PhantomData<K>);

impl<K: Kind> Kernel for Step<K> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: `Cell` has checked the lengths of its memory and of x.
        unsafe { K::step::<S, Unknown>(s, self.0) };
    }
}

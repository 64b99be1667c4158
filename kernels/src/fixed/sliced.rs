//! The cells of [`super`] with sizes given at run time, in caller-owned memory.
//!
//! ```
//! use unrolled_kernels::fixed::sliced::SlicedLstm;
//! use unrolled_kernels::fixed::{CellSizes, CellTensors};
//! # fn main() -> Result<(), unrolled_kernels::fixed::Error> {
//! let (ih, hh, bias) = ([0.5; 12], [0.1; 36], [0.0; 12]);
//! let tensors = CellTensors { weight_ih: &ih, weight_hh: &hh, bias_ih: &bias, bias_hh: &bias };
//! const SIZES: CellSizes = CellSizes { input: 1, hidden: 3 };
//! let mut memory = [0.0; SlicedLstm::memory(SIZES)];
//! let mut cell = SlicedLstm::new(SIZES, tensors, &mut memory)?;
//! assert!(cell.step(&[1.0])[2] > 0.0);
//! # Ok(())
//! # }
//! ```

use super::equations::{
    CellEquations, GruAfterEquations, GruBeforeEquations, LstmEquations, RnnReluEquations, RnnTanhEquations,
};
use super::error::{Error, check, native};
use super::hidden_width::AnyWidth;
use super::memory::{CellMemory, REACH, state_floats};
use super::tensors::{CellSizes, CellTensors};
use crate::isa::Isa;
use crate::simd::{Kernel, Simd};
use core::marker::PhantomData;

/// An LSTM.
pub type SlicedLstm<'a> = SlicedCell<'a, LstmEquations>;
/// A GRU with reset after the recurrent product, as in PyTorch.
pub type SlicedGru<'a> = SlicedCell<'a, GruAfterEquations>;
/// A GRU with reset before the recurrent product.
pub type SlicedGruBefore<'a> = SlicedCell<'a, GruBeforeEquations>;
/// A vanilla RNN with tanh.
pub type SlicedRnnTanh<'a> = SlicedCell<'a, RnnTanhEquations>;
/// A vanilla RNN with relu.
pub type SlicedRnnRelu<'a> = SlicedCell<'a, RnnReluEquations>;

/// A cell in caller-owned memory.
#[derive(Debug)]
pub struct SlicedCell<'a, K> {
    sizes: CellSizes,
    weights: &'a [f32],
    state: &'a mut [f32],
    turn: usize,
    isa: Isa,
    equations: PhantomData<K>,
}

impl<'a, K: CellEquations> SlicedCell<'a, K> {
    /// Returns the floats of packed weights, including the reach.
    const fn weights(CellSizes { input, hidden }: CellSizes) -> usize {
        let matrices = K::GATES.saturating_mul(hidden).saturating_mul(hidden.saturating_add(input));
        matrices.saturating_add(K::BIASES.saturating_mul(hidden)).saturating_add(REACH)
    }

    /// Returns the floats of memory that a cell needs.
    pub const fn memory(sizes: CellSizes) -> usize {
        Self::weights(sizes).saturating_add(K::VECTORS.saturating_mul(state_floats(sizes.hidden)))
    }

    /// Makes a cell with zero state. `memory` holds its weights and state: [`Self::memory`] floats,
    /// fastest if they start at a multiple of 64 bytes.
    ///
    /// # Errors
    /// If a length is wrong, or `UNROLLED_ISA` names an instruction set that this processor lacks.
    pub fn new(sizes: CellSizes, tensors: CellTensors<'_>, memory: &'a mut [f32]) -> Result<Self, Error> {
        tensors.check(K::GATES, sizes)?;
        check("memory", memory.len(), Self::memory(sizes))?;
        let isa = native()?;
        memory.fill(0.0);
        let (packed, state) = memory.split_at_mut(Self::weights(sizes));
        tensors.pack::<K>(sizes, packed);
        Ok(Self { sizes, weights: packed, state, turn: 0, isa, equations: PhantomData })
    }

    /// Returns the same cell on another instruction set.
    pub fn on(self, isa: Isa) -> Self {
        Self { isa, ..self }
    }

    /// Returns the hidden state `[H]` for the next input `[I]`. Allocates nothing.
    ///
    /// # Panics
    /// If `x` does not have I elements.
    pub fn step(&mut self, x: &[f32]) -> &[f32] {
        let CellSizes { input, hidden } = self.sizes;
        assert!(x.len() == input, "x has length {}, expected {input}", x.len());
        let (weights, state) = (self.weights.as_ptr(), self.state.as_mut_ptr());
        let at = CellMemory { input, hidden, x: x.as_ptr(), weights, state, turn: self.turn };
        self.isa.run(SlicedStep::<K>(at, PhantomData));
        self.turn = 1 - self.turn;
        self.hidden()
    }

    /// Sets the state to zero, the initial state.
    pub fn reset(&mut self) {
        self.state.fill(0.0);
        self.turn = 0;
    }

    /// Returns the hidden state `[H]`.
    pub fn hidden(&self) -> &[f32] {
        self.vector(self.turn)
    }

    /// Returns the hidden state `[H]`, to be set.
    pub fn hidden_mut(&mut self) -> &mut [f32] {
        self.vector_mut(self.turn)
    }

    /// Returns the units of state vector `i`.
    fn vector(&self, i: usize) -> &[f32] {
        &self.state[i * state_floats(self.sizes.hidden)..][..self.sizes.hidden]
    }

    fn vector_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.state[i * state_floats(self.sizes.hidden)..][..self.sizes.hidden]
    }
}

impl SlicedLstm<'_> {
    /// Returns the cell state c `[H]`.
    pub fn cell(&self) -> &[f32] {
        self.vector(2)
    }

    /// Returns the cell state c `[H]`, to be set.
    pub fn cell_mut(&mut self) -> &mut [f32] {
        self.vector_mut(2)
    }
}

/// One step of a cell in caller-owned memory.
struct SlicedStep<K>(CellMemory, PhantomData<K>);

impl<K: CellEquations> Kernel for SlicedStep<K> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: `SlicedCell` has checked the lengths of its memory and of x.
        unsafe { K::step::<S, AnyWidth>(s, self.0) };
    }
}

//! A cell that holds its own memory.

use super::equations::{
    CellEquations, GruAfterEquations, GruBeforeEquations, LstmEquations, RnnReluEquations, RnnTanhEquations,
};
use super::error::{Error, native};
use super::hidden_width::KnownWidth;
use super::memory::{CellMemory, REACH, state_floats};
use super::stage::Stage;
use super::tensors::{CellSizes, CellTensors, FromTensors};
use crate::isa::Isa;
use crate::simd::Simd;
use core::marker::PhantomData;

/// An LSTM.
pub type Lstm<const I: usize, const H: usize> = FixedCell<LstmEquations, 4, 4, 3, I, H>;
/// A GRU with reset after the recurrent product, as in PyTorch.
pub type Gru<const I: usize, const H: usize> = FixedCell<GruAfterEquations, 3, 4, 2, I, H>;
/// A GRU with reset before the recurrent product, as in the paper and TensorFlow 1.
pub type GruBefore<const I: usize, const H: usize> = FixedCell<GruBeforeEquations, 3, 3, 4, I, H>;
/// A vanilla RNN with tanh.
pub type RnnTanh<const I: usize, const H: usize> = FixedCell<RnnTanhEquations, 1, 1, 2, I, H>;
/// A vanilla RNN with relu.
pub type RnnRelu<const I: usize, const H: usize> = FixedCell<RnnReluEquations, 1, 1, 2, I, H>;

/// A cell with equations K, G gates, B bias vectors, V state vectors, input width I and hidden
/// width H >= 1. Use the names [`Lstm`], [`Gru`], [`GruBefore`], [`RnnTanh`] and [`RnnRelu`].
///
/// A cell is as large as its weights: an LSTM with H = 64 has 66 KB, one with H = 256 more than 1
/// MB. A step takes little stack for any H (at most 256 KiB in a build without optimization). But
/// [`FixedCell::new`] returns the cell by value, and such a build copies it several times. From H =
/// 64 on, use [`FixedCell::boxed`], fill a `static` in place with [`FixedCell::zeros`] and
/// [`FixedCell::load`], or use [`super::sliced`].
#[derive(Clone, Debug)]
#[repr(C)]
pub struct FixedCell<K, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize> {
    weights: PackedTensors<G, B, I, H>,
    state: [StateVector<H>; V],
    turn: usize,
    isa: Isa,
    equations: PhantomData<K>,
}

/// The packed weights. The names say what is where, not in which order (see [`super`]).
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct PackedTensors<const G: usize, const B: usize, const I: usize, const H: usize> {
    weight_hh: [[[f32; H]; G]; H],
    weight_ih: [[[f32; H]; G]; I],
    bias: [[f32; H]; B],
    reach: [f32; REACH],
}

/// A state vector.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct StateVector<const H: usize> {
    values: [f32; H],
    reach: [f32; REACH],
}

impl<const H: usize> StateVector<H> {
    const ZERO: Self = Self { values: [0.0; H], reach: [0.0; REACH] };
}

impl<const G: usize, const B: usize, const I: usize, const H: usize> PackedTensors<G, B, I, H> {
    const FLOATS: usize = G * H * (H + I) + B * H;
    const ZERO: Self = Self {
        weight_hh: [[[0.0; H]; G]; H],
        weight_ih: [[[0.0; H]; G]; I],
        bias: [[0.0; H]; B],
        reach: [0.0; REACH],
    };

    /// Returns all floats but the reach, as one slice.
    fn floats(&mut self) -> &mut [f32] {
        // SAFETY: FLOATS counts the three fields that a `repr(C)` struct of floats stores first,
        // without gaps.
        unsafe { core::slice::from_raw_parts_mut((&raw mut *self).cast(), Self::FLOATS) }
    }
}

impl<K: CellEquations, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize>
    FixedCell<K, G, B, V, I, H>
{
    /// The conditions on the constants, checked at compile time.
    const VALID: () = {
        assert!(H >= 1, "a cell has at least one unit");
        assert!(G == K::GATES && B == K::BIASES && V == K::VECTORS, "use the names of the cells");
        assert!(size_of::<StateVector<H>>() == state_floats(H) * size_of::<f32>());
    };

    /// Returns a cell of zeros, for a `static` or a field that [`FixedCell::load`] fills in place.
    pub const fn zeros() -> Self {
        const { Self::VALID }
        Self {
            weights: PackedTensors::ZERO,
            state: [StateVector::ZERO; V],
            turn: 0,
            isa: Isa::compiled(),
            equations: PhantomData,
        }
    }

    /// Loads PyTorch's tensors, row-major: `weight_ih` [G * H, I], `weight_hh` [G * H, H],
    /// `bias_ih` and `bias_hh` [G * H]. Sets the state to zero. The stack never holds the weights.
    ///
    /// # Errors
    /// If a length is wrong, or `UNROLLED_ISA` names an instruction set that this processor lacks.
    /// The cell is then unchanged.
    pub fn load(
        &mut self,
        weight_ih: &[f32],
        weight_hh: &[f32],
        bias_ih: &[f32],
        bias_hh: &[f32],
    ) -> Result<(), Error> {
        self.load_tensors(CellTensors { weight_ih, weight_hh, bias_ih, bias_hh })
    }

    /// Makes a cell from PyTorch's tensors, as [`FixedCell::load`] takes them.
    ///
    /// # Errors
    /// As for [`FixedCell::load`].
    pub fn new(
        weight_ih: &[f32],
        weight_hh: &[f32],
        bias_ih: &[f32],
        bias_hh: &[f32],
    ) -> Result<Self, Error> {
        Self::from_tensors(CellTensors { weight_ih, weight_hh, bias_ih, bias_hh })
    }

    /// Makes a cell on the heap. The stack never holds the cell, whatever its size.
    ///
    /// # Errors
    /// As for [`FixedCell::load`].
    #[cfg(feature = "std")]
    pub fn boxed(
        weight_ih: &[f32],
        weight_hh: &[f32],
        bias_ih: &[f32],
        bias_hh: &[f32],
    ) -> Result<Box<Self>, Error> {
        Box::from_tensors(CellTensors { weight_ih, weight_hh, bias_ih, bias_hh })
    }

    fn load_tensors(&mut self, tensors: CellTensors<'_>) -> Result<(), Error> {
        let sizes = CellSizes { input: I, hidden: H };
        tensors.check(G, sizes)?;
        self.isa = native()?;
        tensors.pack::<K>(sizes, self.weights.floats());
        self.reset();
        Ok(())
    }

    /// Returns the same cell on another instruction set.
    pub fn on(mut self, isa: Isa) -> Self {
        self.set_isa(isa);
        self
    }

    /// Runs on another instruction set from now on.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }

    /// Returns the hidden state, the output of the last step.
    pub fn hidden(&self) -> &[f32; H] {
        &self.state[self.turn].values
    }

    /// Returns the hidden state, to be set.
    pub fn hidden_mut(&mut self) -> &mut [f32; H] {
        &mut self.state[self.turn].values
    }
}

impl<const I: usize, const H: usize> Lstm<I, H> {
    /// Returns the cell state c.
    pub fn cell(&self) -> &[f32; H] {
        &self.state[2].values
    }

    /// Returns the cell state c, to be set.
    pub fn cell_mut(&mut self) -> &mut [f32; H] {
        &mut self.state[2].values
    }
}

impl<K: CellEquations, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize>
    FromTensors for FixedCell<K, G, B, V, I, H>
{
    const GATES: usize = G;
    const SIZES: CellSizes = CellSizes { input: I, hidden: H };

    fn from_tensors(tensors: CellTensors<'_>) -> Result<Self, Error> {
        let mut cell = Self::zeros();
        cell.load_tensors(tensors)?;
        Ok(cell)
    }
}

#[cfg(feature = "std")]
impl<K: CellEquations, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize>
    FromTensors for Box<FixedCell<K, G, B, V, I, H>>
{
    const GATES: usize = G;
    const SIZES: CellSizes = CellSizes { input: I, hidden: H };

    fn from_tensors(tensors: CellTensors<'_>) -> Result<Self, Error> {
        const { FixedCell::<K, G, B, V, I, H>::VALID }
        let mut cell = Self::new_uninit();
        // SAFETY: zero bytes are valid floats, a turn and the portable instruction set; the
        // equations have no bytes.
        let mut cell = unsafe {
            cell.as_mut_ptr().write_bytes(0, 1);
            cell.assume_init()
        };
        cell.load_tensors(tensors)?;
        Ok(cell)
    }
}

impl<K: CellEquations, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize> Stage
    for FixedCell<K, G, B, V, I, H>
{
    type Input = [f32; I];
    type Output = [f32; H];

    fn isa(&self) -> Isa {
        self.isa
    }

    fn reset(&mut self) {
        self.state = [StateVector::ZERO; V];
        self.turn = 0;
    }

    #[inline(always)]
    fn run<S: Simd>(&mut self, s: S, x: &[f32; I]) -> &[f32; H] {
        let at = CellMemory {
            input: I,
            hidden: H,
            x: x.as_ptr(),
            weights: (&raw const self.weights).cast(),
            state: (&raw mut self.state).cast(),
            turn: self.turn,
        };
        // SAFETY: `VALID` has checked that the fields match `CellMemory`.
        unsafe { K::step::<S, KnownWidth<H>>(s, at) };
        self.turn = 1 - self.turn;
        &self.state[self.turn].values
    }
}

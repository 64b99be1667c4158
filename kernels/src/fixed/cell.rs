//! A cell with its memory in itself.

use super::body::{self, Kind, Known, Places, REACH};
use super::model::Layer;
use super::pack::{Sizes, Weights};
use super::{Error, kind, native};
use crate::dispatch::Isa;
use crate::simd::Simd;
use core::marker::PhantomData;

/// An LSTM.
pub type Lstm<const I: usize, const H: usize> = Cell<kind::Lstm, 4, 4, 3, I, H>;
/// A GRU whose reset gate comes after the recurrent product, as in PyTorch.
pub type Gru<const I: usize, const H: usize> = Cell<kind::GruAfter, 3, 4, 2, I, H>;
/// A GRU whose reset gate comes before the recurrent product, as in the paper and TensorFlow 1.
pub type GruBefore<const I: usize, const H: usize> = Cell<kind::GruBefore, 3, 3, 4, I, H>;
/// A vanilla RNN with tanh.
pub type Rnn<const I: usize, const H: usize> = Cell<kind::RnnTanh, 1, 1, 2, I, H>;
/// A vanilla RNN with relu.
pub type RnnRelu<const I: usize, const H: usize> = Cell<kind::RnnRelu, 1, 1, 2, I, H>;

/// A cell of kind K with G gates, B bias vectors and V state vectors, which [`Lstm`], [`Gru`], [`GruBefore`], [`Rnn`] and
/// [`RnnRelu`] fill in; input width I, hidden width H >= 1.
///
/// A cell is as large as its weights: an LSTM with H = 64 has 66 KB, one with H = 256 more than 1 MB. A step takes little
/// stack whatever H is (at most 256 KiB in a build without optimisation), but [`Cell::new`] returns the cell by value, and
/// such a build copies it several times. From H = 64 on, use [`Cell::boxed`], fill a `static` in its place with
/// [`Cell::zeros`] and [`Cell::load`], or use [`super::sliced`].
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Cell<K, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize> {
    weights: Packed<G, B, I, H>,
    state: [Vector<H>; V],
    turn: usize,
    isa: Isa,
    kind: PhantomData<K>,
}

/// The weights, as the steps read them; the names say what is where, not in which order (see [`super`]).
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Packed<const G: usize, const B: usize, const I: usize, const H: usize> {
    weight_hh: [[[f32; H]; G]; H],
    weight_ih: [[[f32; H]; G]; I],
    bias: [[f32; H]; B],
    reach: [f32; REACH],
}

/// A state vector.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Vector<const H: usize> {
    values: [f32; H],
    reach: [f32; REACH],
}

impl<const H: usize> Vector<H> {
    const ZERO: Self = Self { values: [0.0; H], reach: [0.0; REACH] };
}

impl<const G: usize, const B: usize, const I: usize, const H: usize> Packed<G, B, I, H> {
    const FLOATS: usize = G * H * (H + I) + B * H;
    const ZERO: Self = Self {
        weight_hh: [[[0.0; H]; G]; H],
        weight_ih: [[[0.0; H]; G]; I],
        bias: [[0.0; H]; B],
        reach: [0.0; REACH],
    };

    /// All but the reach, as one slice.
    fn floats(&mut self) -> &mut [f32] {
        // SAFETY: FLOATS counts the three fields that a `repr(C)` struct of floats lays out first, without gaps.
        unsafe { core::slice::from_raw_parts_mut((&raw mut *self).cast(), Self::FLOATS) }
    }
}

impl<K: Kind, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize>
    Cell<K, G, B, V, I, H>
{
    /// What the constants must be, checked while compiling.
    const VALID: () = {
        assert!(H >= 1, "a cell has at least one unit");
        assert!(G == K::GATES && B == K::BIASES && V == K::VECTORS, "use the names of the cells");
        assert!(size_of::<Vector<H>>() == body::vector(H) * size_of::<f32>());
    };

    /// A cell whose weights and state are zero: for a `static` or a field, which [`Cell::load`] fills in its place.
    pub const fn zeros() -> Self {
        const { Self::VALID }
        Self {
            weights: Packed::ZERO,
            state: [Vector::ZERO; V],
            turn: 0,
            isa: Isa::compiled(),
            kind: PhantomData,
        }
    }

    /// Takes PyTorch's tensors, row-major: `weight_ih` [G * H, I], `weight_hh` [G * H, H], `bias_ih` and `bias_hh` [G * H]. The
    /// state becomes zero. The stack never holds the weights.
    ///
    /// # Errors
    /// When a length is wrong, or `UNROLLED_ISA` names what this processor lacks. The cell is then as it was.
    pub fn load(
        &mut self,
        weight_ih: &[f32],
        weight_hh: &[f32],
        bias_ih: &[f32],
        bias_hh: &[f32],
    ) -> Result<(), Error> {
        let sizes = Sizes { input: I, hidden: H };
        let weights = Weights { weight_ih, weight_hh, bias_ih, bias_hh };
        weights.check(G, sizes)?;
        self.isa = native()?;
        weights.pack::<K>(sizes, self.weights.floats());
        self.reset();
        Ok(())
    }

    /// A cell with PyTorch's tensors, as [`Cell::load`] takes them.
    ///
    /// # Errors
    /// As for [`Cell::load`].
    pub fn new(
        weight_ih: &[f32],
        weight_hh: &[f32],
        bias_ih: &[f32],
        bias_hh: &[f32],
    ) -> Result<Self, Error> {
        let mut cell = Self::zeros();
        cell.load(weight_ih, weight_hh, bias_ih, bias_hh)?;
        Ok(cell)
    }

    /// The same on the heap: the stack never holds the cell, whatever its size.
    ///
    /// # Errors
    /// As for [`Cell::load`].
    #[cfg(feature = "std")]
    pub fn boxed(
        weight_ih: &[f32],
        weight_hh: &[f32],
        bias_ih: &[f32],
        bias_hh: &[f32],
    ) -> Result<Box<Self>, Error> {
        const { Self::VALID }
        let mut cell = Box::<Self>::new_uninit();
        // SAFETY: zeros are floats, a turn, and the portable instruction set; a kind has no bytes.
        let mut cell = unsafe {
            cell.as_mut_ptr().write_bytes(0, 1);
            cell.assume_init()
        };
        cell.load(weight_ih, weight_hh, bias_ih, bias_hh)?;
        Ok(cell)
    }

    /// The same cell on another instruction set.
    pub fn on(mut self, isa: Isa) -> Self {
        self.set_isa(isa);
        self
    }

    /// Runs on another instruction set from now on.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }

    /// The hidden state: what the last step gave.
    pub fn hidden(&self) -> &[f32; H] {
        &self.state[self.turn].values
    }

    /// The hidden state, to be set.
    pub fn hidden_mut(&mut self) -> &mut [f32; H] {
        &mut self.state[self.turn].values
    }
}

impl<const I: usize, const H: usize> Lstm<I, H> {
    /// The cell state c.
    pub fn cell(&self) -> &[f32; H] {
        &self.state[2].values
    }

    /// The cell state c, to be set.
    pub fn cell_mut(&mut self) -> &mut [f32; H] {
        &mut self.state[2].values
    }
}

impl<K: Kind, const G: usize, const B: usize, const V: usize, const I: usize, const H: usize> Layer
    for Cell<K, G, B, V, I, H>
{
    type Input = [f32; I];
    type Output = [f32; H];

    fn isa(&self) -> Isa {
        self.isa
    }

    fn reset(&mut self) {
        self.state = [Vector::ZERO; V];
        self.turn = 0;
    }

    #[inline(always)]
    fn run<S: Simd>(&mut self, s: S, x: &[f32; I]) -> &[f32; H] {
        let at = Places {
            input: I,
            hidden: H,
            x: x.as_ptr(),
            weights: (&raw const self.weights).cast(),
            state: (&raw mut self.state).cast(),
            turn: self.turn,
        };
        // SAFETY: `VALID` has seen that the fields lie as `Places` says.
        unsafe { K::step::<S, Known<H>>(s, at) };
        self.turn = 1 - self.turn;
        &self.state[self.turn].values
    }
}

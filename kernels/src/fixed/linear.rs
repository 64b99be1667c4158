//! The head.
//!
//! ```text
//! y = W x + b
//! ```
//!
//! Each output is summed in sixteen lanes. Lane l takes `x[l]`, `x[l + 16]`, ... in a chain of
//! fused multiply-adds. Then lane l is added to l + 8, + 4, + 2, + 1, and last the bias.

use super::error::{Error, check, native};
use super::stage::Stage;
use crate::isa::Isa;
use crate::simd::Simd;

/// A linear layer, y = W x + b.
#[derive(Clone, Debug)]
pub struct Linear<const I: usize, const O: usize> {
    weight: [[f32; I]; O],
    bias: [f32; O],
    out: [f32; O],
    isa: Isa,
}

impl<const I: usize, const O: usize> Linear<I, O> {
    /// Returns a layer of zeros, for a `static` or a field that [`Linear::load`] fills in place.
    pub const fn zeros() -> Self {
        Self { weight: [[0.0; I]; O], bias: [0.0; O], out: [0.0; O], isa: Isa::compiled() }
    }

    /// Loads PyTorch's tensors, row-major: `weight` [O, I], `bias` `[O]`.
    ///
    /// # Errors
    /// If a length is wrong, or `UNROLLED_ISA` names an instruction set that this processor lacks.
    /// The layer is then unchanged.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) -> Result<(), Error> {
        check("weight", weight.len(), I.saturating_mul(O))?;
        check("bias", bias.len(), O)?;
        self.isa = native()?;
        self.weight.as_flattened_mut().copy_from_slice(weight);
        self.bias.copy_from_slice(bias);
        Ok(())
    }

    /// Makes a layer from PyTorch's tensors, as [`Linear::load`] takes them.
    ///
    /// # Errors
    /// As for [`Linear::load`].
    pub fn new(weight: &[f32], bias: &[f32]) -> Result<Self, Error> {
        let mut linear = Self::zeros();
        linear.load(weight, bias)?;
        Ok(linear)
    }

    /// Makes a layer on the heap. The stack never holds the layer, whatever its size.
    ///
    /// # Errors
    /// As for [`Linear::load`].
    #[cfg(feature = "std")]
    pub fn boxed(weight: &[f32], bias: &[f32]) -> Result<Box<Self>, Error> {
        let mut linear = Box::<Self>::new_uninit();
        // SAFETY: zero bytes are valid floats and the portable instruction set.
        let mut linear = unsafe {
            linear.as_mut_ptr().write_bytes(0, 1);
            linear.assume_init()
        };
        linear.load(weight, bias)?;
        Ok(linear)
    }

    /// Returns the same layer on another instruction set.
    pub fn on(mut self, isa: Isa) -> Self {
        self.set_isa(isa);
        self
    }

    /// Runs on another instruction set from now on.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }
}

impl<const I: usize, const O: usize> Stage for Linear<I, O> {
    type Input = [f32; I];
    type Output = [f32; O];

    fn isa(&self) -> Isa {
        self.isa
    }

    fn reset(&mut self) {}

    #[inline(always)]
    fn run<S: Simd>(&mut self, s: S, x: &[f32; I]) -> &[f32; O] {
        for ((y, row), bias) in self.out.iter_mut().zip(&self.weight).zip(self.bias) {
            *y = bias + if I <= 8 { dot(s.narrow(), x, row) } else { dot(s, x, row) };
        }
        &self.out
    }
}

#[inline(always)]
fn dot<S: Simd, const I: usize>(s: S, x: &[f32; I], row: &[f32; I]) -> f32 {
    let mut lanes = [s.splat(0.0); 2];
    for i in (0..I).step_by(S::LANES) {
        let count = if I - i < S::LANES { I - i } else { S::LANES };
        let half = i / S::LANES % (16 / S::LANES);
        // SAFETY: i + count <= I.
        unsafe {
            let (x, w) = (x.as_ptr().add(i), row.as_ptr().add(i));
            let (x, w) = (s.load_up_to(x, count, 0.0), s.load_up_to(w, count, 0.0));
            lanes[half] = s.fma(x, w, lanes[half]);
        }
    }
    s.sum_lanes(lanes)
}

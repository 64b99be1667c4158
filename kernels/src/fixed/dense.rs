//! The head.

use super::model::Layer;
use super::{Error, check, native};
use crate::dispatch::Isa;
use crate::simd::Simd;

/// y = W x + b.
///
/// Each output is summed in sixteen lanes, lane l taking `x[l]`, `x[l + 16]`, ... in a chain of fused multiply-adds; then lane l
/// and l + 8, + 4, + 2, + 1; then the bias.
#[derive(Clone, Debug)]
pub struct Dense<const I: usize, const O: usize> {
    weight: [[f32; I]; O],
    bias: [f32; O],
    out: [f32; O],
    isa: Isa,
}

impl<const I: usize, const O: usize> Dense<I, O> {
    /// A head of zeros: for a `static` or a field, which [`Dense::load`] fills in its place.
    pub const fn zeros() -> Self {
        Self { weight: [[0.0; I]; O], bias: [0.0; O], out: [0.0; O], isa: Isa::compiled() }
    }

    /// Takes PyTorch's tensors, row-major: `weight` [O, I], `bias` `[O]`.
    ///
    /// # Errors
    /// When a length is wrong, or `UNROLLED_ISA` names what this processor lacks. The head is then as it was.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) -> Result<(), Error> {
        check("weight", weight.len(), I.saturating_mul(O))?;
        check("bias", bias.len(), O)?;
        self.isa = native()?;
        self.weight.as_flattened_mut().copy_from_slice(weight);
        self.bias.copy_from_slice(bias);
        Ok(())
    }

    /// A head with PyTorch's tensors, as [`Dense::load`] takes them.
    ///
    /// # Errors
    /// As for [`Dense::load`].
    pub fn new(weight: &[f32], bias: &[f32]) -> Result<Self, Error> {
        let mut dense = Self::zeros();
        dense.load(weight, bias)?;
        Ok(dense)
    }

    /// The same on the heap: the stack never holds the head, whatever its size.
    ///
    /// # Errors
    /// As for [`Dense::load`].
    #[cfg(feature = "std")]
    pub fn boxed(weight: &[f32], bias: &[f32]) -> Result<Box<Self>, Error> {
        let mut dense = Box::<Self>::new_uninit();
        // SAFETY: zeros are floats and the portable instruction set.
        let mut dense = unsafe {
            dense.as_mut_ptr().write_bytes(0, 1);
            dense.assume_init()
        };
        dense.load(weight, bias)?;
        Ok(dense)
    }

    /// The same head on another instruction set.
    pub fn on(mut self, isa: Isa) -> Self {
        self.set_isa(isa);
        self
    }

    /// Runs on another instruction set from now on.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }
}

impl<const I: usize, const O: usize> Layer for Dense<I, O> {
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

//! The interface between a cell's equations and the types that hold its memory.

use crate::fixed::hidden_width::HiddenWidth;
use crate::fixed::memory::CellMemory;
use crate::simd::Simd;

/// The equations of a cell.
pub trait CellEquations: Copy + Default + core::fmt::Debug + Send + Sync + 'static {
    /// Number of gates (G) in the weight matrices.
    const GATES: usize;
    /// Number of bias vectors of H that remain after summing.
    const BIASES: usize;
    /// Number of state vectors: two that take turns as h, then others.
    const VECTORS: usize;
    /// Gates in groups whose products are computed together, numbered as in PyTorch. Each group is
    /// a separate matrix.
    #[doc(hidden)]
    const GROUPS: &'static [&'static [usize]];
    /// The gate of each bias vector, and PyTorch's bias vectors that it takes.
    #[doc(hidden)]
    const BIAS_OF: &'static [(usize, BiasVector)];

    /// Computes one step.
    ///
    /// # Safety
    /// The memory holds what [`CellMemory`] says.
    #[doc(hidden)]
    unsafe fn step<S: Simd, W: HiddenWidth>(s: S, at: CellMemory);
}

/// PyTorch's bias vectors that a sum starts from.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BiasVector {
    /// `bias_ih + bias_hh`
    Sum,
    /// `bias_ih`
    Input,
    /// `bias_hh`
    Hidden,
}

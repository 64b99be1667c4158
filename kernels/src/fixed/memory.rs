//! The memory of one cell: sizes, weights and state as raw places.

use super::matrix_vector::MatrixVector;

/// Floats behind the weights and behind each state vector that whole vectors may reach into.
pub(super) const REACH: usize = 16;

/// Returns the floats of a state vector: H, the reach, and the rest of a cache line.
pub(super) const fn state_floats(hidden: usize) -> usize {
    hidden.saturating_add(REACH).saturating_add(15) / 16 * 16
}

/// A cell's sizes and memory.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct CellMemory {
    /// I
    pub input: usize,
    /// H >= 1
    pub hidden: usize,
    /// `[I]`
    pub x: *const f32,
    /// `weight_hh` [G * H * H], `weight_ih` [G * H * I], biases [BIASES, H], and REACH floats more.
    pub weights: *const f32,
    /// [VECTORS, state_floats(H)]
    pub state: *mut f32,
    /// 0 or 1: the state vector that is h. The other one of the first two takes the next h.
    pub turn: usize,
}

impl CellMemory {
    /// Returns x with its matrix from gate `gate` on, for a cell with `all` gates.
    #[inline(always)]
    pub(super) fn inputs(&self, all: usize, gate: usize) -> MatrixVector {
        MatrixVector { depth: self.input, values: self.x, matrix: self.weight_ih(all, gate) }
    }
    /// Returns a vector [H] with the recurrent matrix from gate `gate` on.
    #[inline(always)]
    pub(super) fn recurrent(&self, values: *const f32, gate: usize) -> MatrixVector {
        MatrixVector { depth: self.hidden, values, matrix: self.weight_hh(gate) }
    }
    /// Returns h.
    #[inline(always)]
    pub(super) fn hidden(&self) -> *mut f32 {
        self.vector(self.turn)
    }
    /// Returns the next h.
    #[inline(always)]
    pub(super) fn next(&self) -> *mut f32 {
        self.vector(1 - self.turn)
    }
    /// Returns state vector `i`.
    #[inline(always)]
    pub(super) fn vector(&self, i: usize) -> *mut f32 {
        self.state.wrapping_add(i * state_floats(self.hidden))
    }
    /// Returns `weight_hh` from gate `gate` on. Gates count through all groups.
    #[inline(always)]
    fn weight_hh(&self, gate: usize) -> *const f32 {
        self.weights.wrapping_add(gate * self.hidden * self.hidden)
    }
    /// Returns `weight_ih` from gate `gate` on, for a cell with `all` gates.
    #[inline(always)]
    fn weight_ih(&self, all: usize, gate: usize) -> *const f32 {
        self.weight_hh(all).wrapping_add(gate * self.hidden * self.input)
    }
    /// Returns bias vector `i`, for a cell with `all` gates.
    #[inline(always)]
    pub(super) fn bias(&self, all: usize, i: usize) -> *const f32 {
        self.weight_ih(all, all).wrapping_add(i * self.hidden)
    }
}

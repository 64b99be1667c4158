//! The interface between a layer and the kernels of its cell.

use super::buffers::{Extras, View};
use super::crew::Crew;
use crate::aligned::Aligned;
use std::fmt::Debug;
use std::ops::Range;
use unrolled_kernels::Input;
use unrolled_kernels::pack::{Panels, Slots, padded};

/// The kernels of a recurrent cell of H hidden units.
pub(crate) trait CellKernels: Debug + Send + Sync {
    /// Returns the slots that `weight_ih` feeds.
    fn input_slots(&self) -> Slots;
    /// Returns the packing of `weight_ih` for the forward pass: one set, or two for a cell of two
    /// phases.
    fn input_panels(&self) -> Vec<Panels>;
    /// Returns the products of `weight_hh`.
    fn recurrent(&self) -> Vec<Recurrent>;
    /// Returns the optional buffers that the cell uses.
    fn extras(&self) -> Extras;
    /// Returns true if a team can divide the units of a window.
    fn divides_units(&self) -> bool {
        true
    }
    /// Returns true if its kernels round vectors in room of the caller.
    fn needs_room(&self) -> bool {
        true
    }
    /// Computes a window.
    fn forward(&self, on: Crew<'_>, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>);
    /// Computes the deltas of a window from the gradient `dh` [N, padded(H)] of its outputs.
    /// `carry` holds the gradient that comes from the steps after: that of c, or zeros.
    fn backward(&self, on: Crew<'_>, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>);
}

/// One product of `weight_hh` with a vector of the step before.
#[derive(Clone, Debug)]
pub(crate) struct Recurrent {
    /// The slots that it feeds.
    pub(crate) slots: Slots,
    /// The packing for the forward pass.
    pub(crate) panels: Panels,
    /// Its rows of `weight_hh`.
    pub(crate) rows: Range<usize>,
    /// Its columns.
    pub(crate) depth: usize,
    /// The vector that it multiplies.
    pub(crate) source: RecurrentInput,
}

/// The vector that a recurrent product multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecurrentInput {
    /// h of the step before.
    Hidden,
    /// The GRU's r h.
    ResetHidden,
}

/// A layer's packed recurrent weights, in the order of [`CellKernels::recurrent`].
#[derive(Debug)]
pub(crate) struct CellWeights<'a> {
    /// For the forward pass.
    pub(crate) recurrent: &'a [Aligned],
    /// For the backward pass, transposed.
    pub(crate) recurrent_t: &'a [Aligned],
    /// `Panels::plain(H)`.
    pub(crate) units: &'a Panels,
    /// The pieces of a stored row that the transposed products multiply.
    pub(crate) pieces: &'a [Vec<Range<usize>>],
    /// `weight_hr`, for both passes.
    pub(crate) projection: Option<&'a Plain>,
    /// Peepholes [3 or 2, padded(H)], or the weights and biases of a norm [10, padded(H)].
    pub(crate) vectors: &'a [f32],
}

/// A product without gates.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Its outputs.
    pub(crate) panels: Panels,
    pub(crate) slots: Slots,
    /// Outputs of the transposed product.
    pub(crate) units: Panels,
    pub(crate) weight: Aligned,
    pub(crate) weight_t: Aligned,
    /// [padded(outputs)]
    pub(crate) bias: Vec<f32>,
}

impl Plain {
    pub(crate) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            panels: Panels::plain(outputs),
            slots: Slots::plain(outputs),
            units: Panels::plain(inputs),
            weight: Aligned::default(),
            weight_t: Aligned::default(),
            bias: vec![0.0; padded(outputs)],
        }
    }
}

//! Cells: which gates a layer has, how its weights feed them, and the kernels that compute a window.
//!
//! A cell says where its matrices' outputs lie ([`Slots`]) and how its kernels want them packed; packing, bias sums,
//! products with the layers below and the gradients of all weights follow from that, written once in
//! [`crate::exec`].

mod gru;
mod lstm;
mod rnn;

use crate::model::ModelConfig;
use crate::settings::{self, Reset};
use std::fmt::Debug;
use std::ops::Range;
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::{Aligned, Input, Isa, Window};

/// A recurrent cell of H hidden units.
pub(crate) trait Cell: Debug + Send + Sync {
    /// What `weight_ih` feeds.
    fn input_slots(&self) -> Slots;
    /// How `weight_ih` is packed for the forward pass: one set, or two for a cell of two phases.
    fn input_panels(&self) -> Vec<Panels>;
    /// The products of `weight_hh`.
    fn recurrent(&self) -> Vec<Recurrent>;
    /// Buffers of one value per unit besides h and gates.
    fn extras(&self) -> Extras;
    /// Computes a window.
    fn forward(&self, isa: Isa, weights: &CellWeights<'_>, input: Input<'_>, buffers: &mut Buffers);
    /// Computes the deltas of a window from the gradient `dh` [T, B, padded(H)] of its outputs.
    fn backward(&self, isa: Isa, weights: &CellWeights<'_>, dh: &[f32], buffers: &mut Buffers);
}

/// One product of `weight_hh` with something of the step before.
#[derive(Clone, Debug)]
pub(crate) struct Recurrent {
    /// What it feeds.
    pub(crate) slots: Slots,
    /// How it is packed for the forward pass.
    pub(crate) panels: Panels,
    /// Its rows of `weight_hh`.
    pub(crate) rows: Range<usize>,
    /// What it multiplies.
    pub(crate) source: Source,
}

/// What a recurrent product multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// h of the step before.
    Hidden,
    /// The GRU's r h.
    ResetHidden,
}

/// Which of [`Buffers`]' optional parts a cell uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    /// A cell state c that lives as long as h.
    pub(crate) cell_state: bool,
    /// One more value per unit and step.
    pub(crate) extra: bool,
    /// A gradient carried from step to step.
    pub(crate) carry: bool,
}

/// A layer's packed recurrent weights, in the order of [`Cell::recurrent`].
#[derive(Debug)]
pub(crate) struct CellWeights<'a> {
    /// For the forward pass.
    pub(crate) recurrent: &'a [Aligned],
    /// For the backward pass, transposed.
    pub(crate) recurrent_t: &'a [Aligned],
    /// `Panels::plain(H)`.
    pub(crate) units: &'a Panels,
    /// Where the transposed products find their k.
    pub(crate) pieces: &'a [Vec<Range<usize>>],
}

/// One layer's activations for a window of some rows.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    /// T, B, H.
    pub(crate) window: Window,
    /// [T + 1, B, padded(H)]: initial state and outputs.
    pub(crate) h: Vec<f32>,
    /// [T + 1, B, padded(H)], or [1, ...] when not kept.
    pub(crate) c: Vec<f32>,
    /// [T, B, stored]: gates, then deltas.
    pub(crate) gates: Vec<f32>,
    /// [T, B, padded(H)]: tanh(c), or r h.
    pub(crate) extra: Vec<f32>,
    /// [B, padded(H)]: a gradient carried backwards.
    pub(crate) carry: Vec<f32>,
}

impl Buffers {
    /// Zeros for a window.
    pub(crate) fn new(cell: &dyn Cell, window: Window) -> Self {
        let (step, extras) = (window.step(), cell.extras());
        let zeros = |used: bool, count: usize| vec![0.0; if used { count * step } else { 0 }];
        let kept = window.kept_steps();
        Self {
            h: zeros(true, window.steps + 1),
            c: zeros(extras.cell_state, if window.keep { window.steps + 1 } else { 1 }),
            gates: vec![0.0; kept * window.rows * cell.input_slots().width()],
            extra: zeros(extras.extra, kept),
            carry: zeros(extras.carry, 1),
            window,
        }
    }

    /// h after each step [T, B, padded(H)].
    pub(crate) fn outputs(&self) -> &[f32] {
        &self.h[self.window.step()..]
    }

    /// Makes the last state the initial one of the next window.
    pub(crate) fn carry_over(&mut self) {
        let (step, last) = (self.window.step(), self.window.steps * self.window.step());
        self.h.copy_within(last..last + step, 0);
        if self.window.keep && !self.c.is_empty() {
            self.c.copy_within(last..last + step, 0);
        }
    }

    /// The cell state after the last step [B, padded(H)].
    pub(crate) fn last_c(&self) -> &[f32] {
        let from = if self.window.keep { self.window.steps * self.window.step() } else { 0 };
        &self.c[from.min(self.c.len())..]
    }
}

/// Padded width of a hidden vector.
pub(crate) fn stride(config: &ModelConfig) -> usize {
    padded(config.hidden)
}

/// The cell of a model.
pub(crate) fn build(config: &ModelConfig) -> Box<dyn Cell> {
    let hidden = config.hidden;
    match (config.cell, config.reset) {
        (settings::Cell::Rnn, _) => Box::new(rnn::Rnn::new(hidden, config.activation)),
        (settings::Cell::Lstm, _) => Box::new(lstm::Lstm { hidden }),
        (settings::Cell::Gru, Reset::After) => Box::new(gru::ResetAfter { hidden }),
        (settings::Cell::Gru, Reset::Before) => Box::new(gru::ResetBefore::new(hidden)),
    }
}

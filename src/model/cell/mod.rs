//! Cells: which gates a layer has, how its weights feed them, and the kernels that compute a window.
//!
//! A cell says where its matrices' outputs lie ([`Slots`]) and how its kernels want them packed; packing, bias sums,
//! products with the layers below and the gradients of all weights follow from that, written once in
//! [`crate::exec`].

mod gru;
mod lstm;
mod rnn;

use crate::aligned::Aligned;
use crate::model::ModelConfig;
use crate::settings::{self, Reset};
use std::fmt::Debug;
use std::ops::Range;
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::{Input, Isa, Window};

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

/// One layer's activations for a window of some rows; [N, ..] as [`Window`] has it.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    /// T, B, H; which rows take part is in `active`.
    pub(crate) window: Window<'static>,
    /// `[T]`, or empty: see [`Window`].
    pub(crate) active: Vec<u32>,
    /// [B + N, padded(H)]: initial state and outputs.
    pub(crate) h: Vec<f32>,
    /// [B + N, padded(H)], or [B, ...] when not kept.
    pub(crate) c: Vec<f32>,
    /// [N, stored]: gates, then deltas.
    pub(crate) gates: Vec<f32>,
    /// [N, padded(H)]: tanh(c), or r h.
    pub(crate) extra: Vec<f32>,
    /// [B, padded(H)]: a gradient carried backwards.
    pub(crate) carry: Vec<f32>,
}

impl Buffers {
    /// Zeros for a window.
    pub(crate) fn new(cell: &dyn Cell, window: Window<'static>) -> Self {
        let [h, c, gates, extra, carry] = [const { Vec::new() }; 5];
        let mut buffers = Self { window, active: Vec::new(), h, c, gates, extra, carry };
        buffers.resize(cell, window);
        buffers
    }

    /// Takes the sizes of another window. What the buffers hold loses its meaning, but what was zero behind the last unit
    /// stays zero. Room is made for rows of full length, so that other lengths need no more.
    pub(crate) fn resize(&mut self, cell: &dyn Cell, window: Window<'_>) {
        let (extras, vector, stored) = (cell.extras(), padded(window.hidden), cell.input_slots().width());
        let full = Window { active: &[], ..window };
        let fit = |values: &mut Vec<f32>, used: bool, width: usize, size: fn(&Window<'_>) -> usize| {
            if used {
                resize(values, size(&window) * width, size(&full) * width);
            }
        };
        fit(&mut self.h, true, vector, |w| w.states());
        fit(&mut self.c, extras.cell_state, vector, |w| if w.keep { w.states() } else { w.rows });
        fit(&mut self.gates, true, stored, |w| w.kept_tokens());
        fit(&mut self.extra, extras.extra, vector, |w| w.kept_tokens());
        fit(&mut self.carry, extras.carry, vector, |w| w.rows);
        self.active.clear();
        self.active.extend_from_slice(window.active);
        self.window = Window { active: &[], ..window };
    }

    /// T, B, H and which rows take part.
    pub(crate) fn window(&self) -> Window<'_> {
        Window { active: &self.active, ..self.window }
    }

    /// h after each token's step [N, padded(H)].
    pub(crate) fn outputs(&self) -> &[f32] {
        &self.h[self.window.step()..]
    }

    /// Whether the cell has a state c.
    pub(crate) fn has_cell(&self) -> bool {
        !self.c.is_empty()
    }

    /// Hidden vector `place`, `[H]`.
    pub(crate) fn h_of(&self, place: usize) -> &[f32] {
        &self.h[place * padded(self.window.hidden)..][..self.window.hidden]
    }

    /// Cell vector `place`, `[H]`.
    pub(crate) fn c_of(&self, place: usize) -> &[f32] {
        &self.c[place * padded(self.window.hidden)..][..self.window.hidden]
    }

    /// Where the rows' last states lie (see [`Window::ends`]), or, with `initial`, their first ones.
    pub(crate) fn states(&self, initial: bool) -> impl Iterator<Item = (Range<usize>, usize)> {
        let window = self.window();
        if initial { Window { steps: 0, active: &[], ..window } } else { window }.ends()
    }

    /// Makes each row's last state the initial one of the next window.
    pub(crate) fn carry_over(&mut self) {
        let Self { window, active, h, c, .. } = self;
        let vector = padded(window.hidden);
        for (rows, place) in (Window { active, ..*window }).ends() {
            let (from, to) = (place + rows.start, rows.start * vector);
            h.copy_within(from * vector..(from + rows.len()) * vector, to);
            if window.keep && !c.is_empty() {
                c.copy_within(from * vector..(from + rows.len()) * vector, to);
            }
        }
    }
}

/// Gives `values` `len` elements and room for `most`. A smaller buffer keeps its room.
pub(crate) fn resize<A: Clone + Default>(values: &mut Vec<A>, len: usize, most: usize) {
    values.reserve_exact(most.saturating_sub(values.len()));
    values.resize(len, A::default());
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

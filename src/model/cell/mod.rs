//! Cells: which gates a layer has, how its weights feed them, and the kernels that compute a window.
//!
//! A cell says where its matrices' outputs lie ([`Slots`]) and how its kernels want them packed; packing, bias sums,
//! products with the layers below and the gradients of all weights follow from that, written once in
//! [`crate::exec`].

pub(crate) mod custom;
pub(crate) mod extended;
mod gru;
mod lstm;
mod rnn;

use crate::aligned::Aligned;
use crate::settings::{self, Layer, Reset};
use std::fmt::Debug;
use std::ops::Range;
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::{Input, Isa, WindowShape};

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
    fn forward(&self, isa: Isa, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>);
    /// Computes the deltas of a window from the gradient `dh` [N, padded(H)] of its outputs; `carry` holds what is
    /// carried from the steps after: the gradient of c, or zeros.
    fn backward(&self, isa: Isa, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>);
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
    /// Its columns.
    pub(crate) depth: usize,
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
    /// Floats of each token in further buffers: the first two in every pass, two more when a backward pass may follow; and of
    /// each row, in the last.
    pub(crate) further: [usize; 5],
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
    /// `weight_hr`, both ways.
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

/// Widths of a layer's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Hidden units H, the width of c.
    pub(crate) hidden: usize,
    /// Width of h.
    pub(crate) state: usize,
    /// Floats in a stored row of gates.
    pub(crate) stored: usize,
    /// The optional parts.
    pub(crate) extras: Extras,
}

/// One layer's activations for a window of some rows; [N, ..] as [`WindowShape`] has it.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub(crate) sizes: Sizes,
    /// T, B, H; which rows take part is in `active`.
    pub(crate) window: WindowShape<'static>,
    /// `[T]`, or empty: see [`WindowShape`].
    pub(crate) active: Vec<u32>,
    /// [B + N, padded(state)]: initial state and outputs.
    pub(crate) h: Vec<f32>,
    /// [B + N, padded(H)], or [B, ...] when not kept.
    pub(crate) c: Vec<f32>,
    /// [N, stored]: gates, then deltas.
    pub(crate) gates: Vec<f32>,
    /// [N, padded(H)]: tanh(c), or r h.
    pub(crate) extra: Vec<f32>,
    /// [B, padded(H)]: a gradient carried backwards.
    pub(crate) carry: Vec<f32>,
    /// As [`Extras::further`] says.
    pub(crate) further: [Vec<f32>; 5],
}

/// A window of buffers, or one step of it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) window: WindowShape<'a>,
    pub(crate) h: &'a mut [f32],
    pub(crate) c: &'a mut [f32],
    pub(crate) gates: &'a mut [f32],
    pub(crate) extra: &'a mut [f32],
    pub(crate) carry: &'a mut [f32],
    pub(crate) further: [&'a mut [f32]; 5],
}

/// Where one step of a window lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepPlace {
    /// Rows of the step before, or all rows before the first.
    pub(crate) rows: usize,
    /// Those that take part, the first of them.
    pub(crate) active: usize,
    /// The first hidden vector of the state before the step. Those after it lie `rows` further.
    pub(crate) before: usize,
    /// The first token.
    pub(crate) token: usize,
}

impl Buffers {
    /// Zeros for a window.
    pub(crate) fn new(sizes: Sizes, window: WindowShape<'static>) -> Self {
        let [h, c, gates, extra, carry] = [const { Vec::new() }; 5];
        let further = [const { Vec::new() }; 5];
        let mut buffers = Self { sizes, window, active: Vec::new(), h, c, gates, extra, carry, further };
        buffers.resize(window);
        buffers
    }

    /// Takes the sizes of another window. What the buffers hold loses its meaning, but what was zero behind the last unit
    /// stays zero. Room is made for rows of full length, so that other lengths need no more.
    pub(crate) fn resize(&mut self, window: WindowShape<'_>) {
        let Sizes { hidden, state, stored, extras } = self.sizes;
        let vector = padded(hidden);
        let full = WindowShape { active: &[], ..window };
        let fit = |values: &mut Vec<f32>, used: bool, width: usize, size: fn(&WindowShape<'_>) -> usize| {
            if used {
                resize(values, size(&window) * width, size(&full) * width);
            }
        };
        fit(&mut self.h, true, padded(state), |w| w.states());
        fit(&mut self.c, extras.cell_state, vector, |w| if w.keep { w.states() } else { w.rows });
        fit(&mut self.gates, true, stored, |w| w.kept_tokens());
        fit(&mut self.extra, extras.extra, vector, |w| w.kept_tokens());
        fit(&mut self.carry, extras.carry, vector, |w| w.rows);
        for (n, (values, width)) in self.further.iter_mut().zip(extras.further).enumerate() {
            let size: fn(&WindowShape<'_>) -> usize = if n < 4 { |w| w.kept_tokens() } else { |w| w.rows };
            fit(values, width > 0 && (n < 2 || window.keep), width, size);
        }
        self.active.clear();
        self.active.extend_from_slice(window.active);
        self.window = WindowShape { active: &[], ..window };
    }

    /// The whole window.
    pub(crate) fn view(&mut self) -> View<'_> {
        let Self { window, active, h, c, gates, extra, carry, further, .. } = self;
        let further = further.each_mut().map(Vec::as_mut_slice);
        View { window: WindowShape { active, ..*window }, h, c, gates, extra, carry, further }
    }

    /// One step of it; `active` is room for a number.
    pub(crate) fn view_step<'a>(&'a mut self, at: StepPlace, active: &'a mut [u32; 1]) -> View<'a> {
        let Self { sizes, window, h, c, gates, extra, carry, further, .. } = self;
        let (vector, state, keep) = (padded(sizes.hidden), padded(sizes.state), window.keep);
        active[0] = at.active as u32;
        let window = WindowShape { steps: 1, rows: at.rows, active: &*active, ..*window };
        let (before, token) = if keep { (at.before, at.token) } else { (0, 0) };
        let cells = if keep { window.states() } else { window.rows };
        let part = |values: &'a mut Vec<f32>, from: usize, count: usize, width: usize| match values.is_empty()
        {
            true => &mut [][..],
            false => &mut values[from * width..][..count * width],
        };
        let [a, b, c_further, d, e] = further;
        let widths = sizes.extras.further;
        let tokens = window.kept_tokens();
        View {
            further: [
                part(a, token, tokens, widths[0]),
                part(b, token, tokens, widths[1]),
                part(c_further, token, tokens, widths[2]),
                part(d, token, tokens, widths[3]),
                part(e, 0, window.rows, widths[4]),
            ],
            h: part(h, at.before, window.states(), state),
            c: part(c, before, cells, vector),
            gates: part(gates, token, window.kept_tokens(), sizes.stored),
            extra: part(extra, token, window.kept_tokens(), vector),
            carry: part(carry, 0, window.rows, vector),
            window,
        }
    }

    /// The steps, from the first to the last.
    pub(crate) fn steps(&self) -> impl DoubleEndedIterator<Item = StepPlace> + use<> {
        let window = self.window();
        let (mut before, mut rows, mut token) = (0, window.rows, 0);
        let places: Vec<StepPlace> = (0..window.steps)
            .map(|t| {
                let place = StepPlace { rows, active: window.active(t), before, token };
                (before, rows, token) = (before + rows, place.active, token + place.active);
                place
            })
            .collect();
        places.into_iter()
    }

    /// T, B, H and which rows take part.
    pub(crate) fn window(&self) -> WindowShape<'_> {
        WindowShape { active: &self.active, ..self.window }
    }

    /// h after each token's step [N, padded(H)].
    pub(crate) fn outputs(&self) -> &[f32] {
        &self.h[self.window.rows * padded(self.sizes.state)..]
    }

    /// Widths of h and c; 0 for a c that there is not.
    pub(crate) fn widths(&self) -> [usize; 2] {
        [self.sizes.state, if self.sizes.extras.cell_state { self.sizes.hidden } else { 0 }]
    }

    /// Whether the cell has a state c.
    pub(crate) fn has_cell(&self) -> bool {
        self.sizes.extras.cell_state
    }

    /// Hidden vector `place`, `[state]`.
    pub(crate) fn h_of(&self, place: usize) -> &[f32] {
        &self.h[place * padded(self.sizes.state)..][..self.sizes.state]
    }

    /// Cell vector `place`, `[H]`.
    pub(crate) fn c_of(&self, place: usize) -> &[f32] {
        &self.c[place * padded(self.window.hidden)..][..self.window.hidden]
    }

    /// Where the rows' last states lie (see [`WindowShape::ends`]), or, with `initial`, their first ones.
    pub(crate) fn states(&self, initial: bool) -> impl Iterator<Item = (Range<usize>, usize)> {
        let window = self.window();
        if initial { WindowShape { steps: 0, active: &[], ..window } } else { window }.ends()
    }

    /// Makes each row's last state the initial one of the next window.
    pub(crate) fn carry_over(&mut self) {
        let Self { sizes, window, active, h, c, .. } = self;
        let (vector, state) = (padded(sizes.hidden), padded(sizes.state));
        for (rows, place) in (WindowShape { active, ..*window }).ends() {
            let from = place + rows.start;
            h.copy_within(from * state..(from + rows.len()) * state, rows.start * state);
            if window.keep && !c.is_empty() {
                c.copy_within(from * vector..(from + rows.len()) * vector, rows.start * vector);
            }
        }
    }
}

/// Gives `values` `len` elements and room for `most`. A smaller buffer keeps its room.
pub(crate) fn resize<A: Clone + Default>(values: &mut Vec<A>, len: usize, most: usize) {
    values.reserve_exact(most.saturating_sub(values.len()));
    values.resize(len, A::default());
}

/// The cell of a layer.
pub(crate) fn build(layer: &Layer) -> Box<dyn Cell> {
    let hidden = layer.hidden;
    if layer.is_extended() {
        return Box::new(extended::ExtendedLstm::new(layer));
    }
    match (layer.cell, layer.reset) {
        (settings::Cell::Rnn, _) => Box::new(rnn::Rnn::new(hidden, layer.activation)),
        (settings::Cell::Lstm, _) => Box::new(lstm::Lstm { hidden }),
        (settings::Cell::Gru, Reset::After) => Box::new(gru::ResetAfter { hidden }),
        (settings::Cell::Gru, Reset::Before) => Box::new(gru::ResetBefore::new(hidden)),
    }
}

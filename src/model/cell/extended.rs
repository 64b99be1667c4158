//! The LSTM with any option; equations in [`unrolled_kernels::lstm::extended`].
//!
//! A step is a product with the gates' rows, a kernel that goes over the rows, and with a projection one more product. The input
//! product of all steps comes first where all gates are kept.

use super::{Buffers, Cell, CellWeights, Extras, Recurrent, Source, StepPlace, View};
use crate::settings::Layer;
use std::ops::Range;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::lstm::extended::{
    CellStates, ExtendedBackward, ExtendedForward, LstmOptions, hold, hold_backward, slots_of,
};
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::{Input, Isa, WindowShape};

/// Long short-term memory with peepholes, clips, a projection, coupled gates, or layer normalisation.
#[derive(Debug)]
pub(crate) struct ExtendedLstm {
    layer: Layer,
    slots: Slots,
    gates: Panels,
    pieces: Vec<Range<usize>>,
    /// `Panels::plain(H)`: outputs of the projection's transposed product.
    units: Panels,
}

/// Which of the further buffers hold what: m, what a norm keeps, the terms of peepholes and norms, the gradient of h, and
/// that of m.
const OUTPUT: usize = 0;
pub(crate) const TERMS: usize = 2;
pub(crate) const D_STATE: usize = 3;

impl ExtendedLstm {
    pub(crate) fn new(layer: &Layer) -> Self {
        let slots = slots_of(layer.hidden, layer.coupled);
        let (gates, pieces) = (Panels::gates(&slots), slots.pieces());
        Self { layer: layer.clone(), slots, gates, pieces, units: Panels::plain(layer.hidden) }
    }

    fn options<'a>(&self, weights: &CellWeights<'a>) -> LstmOptions<'a> {
        let Layer { hidden, coupled, cell_clip, peepholes, layer_norm, forget_bias, .. } = self.layer;
        let (peepholes, norm) = match (peepholes, layer_norm) {
            (true, _) => (weights.vectors, &[][..]),
            (_, true) => (&[][..], weights.vectors),
            _ => (&[][..], &[][..]),
        };
        let cell_clip = cell_clip.unwrap_or(f32::INFINITY);
        LstmOptions { hidden, coupled, peepholes, cell_clip, norm, forget_bias }
    }

    /// Width of the state.
    fn state(&self) -> usize {
        self.layer.output_size()
    }

    /// Starts the gates of `tokens` tokens from `token` on with the bias and what the inputs bring.
    fn start(&self, isa: Isa, input: &Input<'_>, (token, tokens): (usize, usize), gates: &mut [f32]) {
        let stored = self.slots.width();
        for (n, row) in gates.chunks_exact_mut(stored).enumerate() {
            let from = input.ids.map_or(0, |ids| ids[token + n] as usize);
            row.copy_from_slice(&input.start[from * stored..][..stored]);
        }
        if let Some(dense) = &input.dense {
            let piece = 0..dense.width;
            let product = Affine {
                rows: tokens,
                x: &dense.values[token * dense.stride..],
                x_stride: dense.stride,
                pieces: std::slice::from_ref(&piece),
                panels: &self.gates,
                weights: dense.weights,
                start: Start::Out,
                out: gates,
            };
            product.run_on(isa);
        }
    }

    /// Adds the product with the state.
    fn add_state(&self, isa: Isa, weights: &CellWeights<'_>, rows: usize, h: &[f32], gates: &mut [f32]) {
        let piece = 0..self.state();
        let product = Affine {
            rows,
            x: h,
            x_stride: padded(self.state()),
            pieces: std::slice::from_ref(&piece),
            panels: &self.gates,
            weights: &weights.recurrent[0],
            start: Start::Out,
            out: gates,
        };
        product.run_on(isa);
    }

    /// From m to h.
    fn project(&self, isa: Isa, weights: &CellWeights<'_>, rows: usize, m: &[f32], h: &mut [f32]) {
        let Some(projection) = weights.projection else { return h.copy_from_slice(m) };
        let piece = 0..self.layer.hidden;
        let product = Affine {
            rows,
            x: m,
            x_stride: padded(self.layer.hidden),
            pieces: std::slice::from_ref(&piece),
            panels: &projection.panels,
            weights: &projection.weight,
            start: Start::Zero,
            out: &mut *h,
        };
        product.run_on(isa);
        if let Some(limit) = self.layer.projection_clip {
            hold(isa, h, limit);
        }
    }

    /// From the gradient of h, which loses what the clip has held, to that of m.
    fn project_backward(
        &self,
        isa: Isa,
        weights: &CellWeights<'_>,
        h: &[f32],
        d_h: &mut [f32],
        d_m: &mut [f32],
    ) {
        let Some(projection) = weights.projection else { return };
        if let Some(limit) = self.layer.projection_clip {
            hold_backward(isa, h, limit, d_h);
        }
        let piece = 0..self.state();
        let product = Affine {
            rows: d_h.len() / padded(self.state()),
            x: d_h,
            x_stride: padded(self.state()),
            pieces: std::slice::from_ref(&piece),
            panels: &self.units,
            weights: &projection.weight_t,
            start: Start::Zero,
            out: d_m,
        };
        product.run_on(isa);
    }
}

/// Rows `range` of a buffer of `width` floats each.
fn rows(values: &[f32], range: Range<usize>, width: usize) -> &[f32] {
    &values[range.start * width..range.end * width]
}

fn rows_mut(values: &mut [f32], range: Range<usize>, width: usize) -> &mut [f32] {
    &mut values[range.start * width..range.end * width]
}

/// The steps of a window, from the first to the last.
fn steps(window: WindowShape<'_>) -> impl Iterator<Item = StepPlace> {
    let (mut before, mut rows, mut token) = (0, window.rows, 0);
    (0..window.steps).map(move |t| {
        let place = StepPlace { rows, active: window.active(t), before, token };
        (before, rows, token) = (before + rows, place.active, token + place.active);
        place
    })
}

/// The steps from the last to the first, each with the rows that go on after it.
fn steps_back(window: WindowShape<'_>) -> impl Iterator<Item = (StepPlace, usize)> {
    let mut token = window.tokens();
    (0..window.steps).rev().map(move |t| {
        let active = window.active(t);
        token -= active;
        let rows = if t == 0 { window.rows } else { window.active(t - 1) };
        let before = if t == 0 { 0 } else { window.rows + token - rows };
        (StepPlace { rows, active, before, token }, window.active(t + 1))
    })
}

impl Cell for ExtendedLstm {
    fn input_slots(&self) -> Slots {
        self.slots.clone()
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![self.gates.clone()]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let (slots, panels) = (self.slots.clone(), self.gates.clone());
        let (rows, depth) = (0..self.slots.depth(), self.state());
        vec![Recurrent { slots, panels, rows, depth, source: Source::Hidden }]
    }

    fn extras(&self) -> Extras {
        let [hidden, state] = [self.layer.hidden, self.state()].map(padded);
        let peepholes = if self.layer.coupled { 2 } else { 3 };
        let terms = match (self.layer.peepholes, self.layer.layer_norm) {
            (true, _) => peepholes * hidden,
            (_, true) => 10 * hidden,
            _ => 0,
        };
        let kept = if self.layer.layer_norm { 5 * hidden + 16 } else { 0 };
        let d_output = if self.layer.projection.is_some() { hidden } else { 0 };
        let further = [hidden, kept, terms, state, d_output];
        Extras { cell_state: true, extra: true, carry: true, further }
    }

    fn forward(&self, isa: Isa, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>) {
        let View { window, h, c, gates, extra, further, .. } = view;
        let [hidden, state, stored] = [padded(self.layer.hidden), padded(self.state()), self.slots.width()];
        let options = self.options(weights);
        let [output, kept, ..] = further;
        if window.keep {
            self.start(isa, &input, (0, window.tokens()), gates);
        }
        for StepPlace { rows: all, active, before, token } in steps(window).filter(|at| at.active > 0) {
            let place = if window.keep { token } else { 0 };
            let here = place..place + active;
            let gates = rows_mut(gates, here.clone(), stored);
            if !window.keep {
                self.start(isa, &input, (token, active), gates);
            }
            let (old_h, new_h) = h.split_at_mut((before + all) * state);
            self.add_state(isa, weights, active, rows(old_h, before..before + active, state), gates);
            let cell = if window.keep {
                let (old, new) = c.split_at_mut((before + all) * hidden);
                let old = rows(old, before..before + active, hidden);
                CellStates::Kept { old, new: &mut new[..active * hidden] }
            } else {
                CellStates::InPlace(&mut c[..active * hidden])
            };
            let output = rows_mut(output, here.clone(), hidden);
            let kernel = ExtendedForward {
                options,
                rows: active,
                gates,
                cell,
                tanh_c: rows_mut(extra, here.clone(), hidden),
                output,
                kept: rows_mut(kept, here, options.kept_width()),
            };
            kernel.run_on(isa);
            self.project(isa, weights, active, output, &mut new_h[..active * state]);
        }
    }

    fn backward(&self, isa: Isa, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>) {
        let View { window, h, c, gates, extra, carry, further } = view;
        let [hidden, state, stored] = [padded(self.layer.hidden), padded(self.state()), self.slots.width()];
        let options = self.options(weights);
        let [_, kept, terms, d_state, d_output] = further;
        d_state.copy_from_slice(dh);
        for (StepPlace { rows: all, active, before, token }, going) in steps_back(window) {
            let (here, now) = (token..token + active, before + all..before + all + active);
            let (gates, after) = gates.split_at_mut((token + active) * stored);
            let product = Affine {
                rows: going,
                x: after,
                x_stride: stored,
                pieces: &self.pieces,
                panels: weights.units,
                weights: &weights.recurrent_t[0],
                start: Start::Out,
                out: rows_mut(d_state, token..token + going, state),
            };
            product.run_on(isa);
            let d_state = rows_mut(d_state, here.clone(), state);
            let d_m = &mut d_output[..if self.layer.projection.is_some() { active * hidden } else { 0 }];
            self.project_backward(isa, weights, rows(h, now.clone(), state), d_state, d_m);
            let kernel = ExtendedBackward {
                options,
                rows: active,
                gates: rows_mut(gates, here.clone(), stored),
                old: rows(c, before..before + active, hidden),
                new: rows(c, now, hidden),
                tanh_c: rows(extra, here.clone(), hidden),
                d_output: if self.layer.projection.is_some() { d_m } else { d_state },
                dc: &mut carry[..active * hidden],
                kept: rows_mut(kept, here.clone(), options.kept_width()),
                terms: rows_mut(terms, here, options.terms_width()),
            };
            kernel.run_on(isa);
        }
    }
}

impl Buffers {
    /// m of each token [N, padded(H)], which a projection multiplies.
    pub(crate) fn projected(&self) -> &[f32] {
        &self.further[OUTPUT]
    }
}

//! The LSTM with options; equations in [`unrolled_kernels::lstm::extended`].
//!
//! 1. A step is a product of the state with the gates' weights, then a kernel over the rows, and
//!    with a projection one more product.
//! 2. If all gates are kept, the input product of all steps comes first.

use super::buffers::{ExtendedParts, Extras, View};
use super::crew::Crew;
use super::kernels::{CellKernels, CellWeights, Recurrent, RecurrentInput};
use crate::settings::Layer;
use std::ops::Range;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::lstm::extended::{
    CellStates, ExtendedBackward, ExtendedForward, LstmOptions, clip, clip_backward, slots_of,
};
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::{Input, Isa, StepPlace};

/// The kernels of the LSTM with peepholes, clips, a projection, coupled gates, or layer
/// normalization.
#[derive(Debug)]
pub(crate) struct ExtendedLstmKernels {
    layer: Layer,
    slots: Slots,
    gates: Panels,
    pieces: Vec<Range<usize>>,
    /// `Panels::plain(H)`: outputs of the projection's transposed product.
    units: Panels,
}

impl ExtendedLstmKernels {
    pub(crate) fn new(layer: &Layer) -> Self {
        let slots = slots_of(layer.hidden, layer.coupled);
        let (gates, pieces) = (Panels::gates(&slots), slots.pieces());
        Self { layer: layer.clone(), slots, gates, pieces, units: Panels::plain(layer.hidden) }
    }

    fn options<'a>(&self, weights: &CellWeights<'a>) -> LstmOptions<'a> {
        let Layer { hidden, coupled, cell_clip, peepholes, layer_norm, forget_bias, .. } = self.layer;
        let vectors = |used: bool| if used { weights.vectors } else { &[] };
        let (peepholes, norm) = (vectors(peepholes), vectors(layer_norm));
        let cell_clip = cell_clip.unwrap_or(f32::INFINITY);
        LstmOptions { hidden, coupled, peepholes, cell_clip, norm, forget_bias }
    }

    /// Returns the width of the state.
    fn state(&self) -> usize {
        self.layer.direction_size()
    }

    /// Starts the gates of `tokens` tokens from `token` on with the bias and the input product.
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

    /// Adds the product of the state to the gates.
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

    /// Projects m to h.
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
            clip(isa, h, limit);
        }
    }

    /// Returns the gradient of m from the gradient of h, in `d_m` if there is a projection. The
    /// gradient of a clipped h becomes zero.
    fn project_backward<'d>(
        &self,
        isa: Isa,
        weights: &CellWeights<'_>,
        h: &[f32],
        d_h: &'d mut [f32],
        d_m: &'d mut [f32],
    ) -> &'d [f32] {
        let Some(projection) = weights.projection else { return d_h };
        let rows = d_h.len() / padded(self.state());
        let d_m = &mut d_m[..rows * padded(self.layer.hidden)];
        if let Some(limit) = self.layer.projection_clip {
            clip_backward(isa, h, limit, d_h);
        }
        let piece = 0..self.state();
        let product = Affine {
            rows,
            x: d_h,
            x_stride: padded(self.state()),
            pieces: std::slice::from_ref(&piece),
            panels: &self.units,
            weights: &projection.weight_t,
            start: Start::Zero,
            out: &mut *d_m,
        };
        product.run_on(isa);
        d_m
    }
}

/// Returns rows `range` of a buffer with rows of `width` floats.
fn rows(values: &[f32], range: Range<usize>, width: usize) -> &[f32] {
    &values[range.start * width..range.end * width]
}

/// Returns rows `range` of a buffer, to be written.
fn rows_mut(values: &mut [f32], range: Range<usize>, width: usize) -> &mut [f32] {
    &mut values[range.start * width..range.end * width]
}

impl CellKernels for ExtendedLstmKernels {
    fn input_slots(&self) -> Slots {
        self.slots.clone()
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![self.gates.clone()]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let (slots, panels) = (self.slots.clone(), self.gates.clone());
        let (rows, depth) = (0..self.slots.depth(), self.state());
        vec![Recurrent { slots, panels, rows, depth, source: RecurrentInput::Hidden }]
    }

    fn extras(&self) -> Extras {
        let [hidden, state] = [self.layer.hidden, self.state()].map(padded);
        let peepholes = if self.layer.coupled { 2 } else { 3 };
        let terms = match (self.layer.peepholes, self.layer.layer_norm) {
            (true, _) => peepholes * hidden,
            (_, true) => 10 * hidden,
            _ => 0,
        };
        let norm = if self.layer.layer_norm { 5 * hidden + 16 } else { 0 };
        let d_output = if self.layer.projection.is_some() { hidden } else { 0 };
        let extended = ExtendedParts { output: hidden, norm, terms, d_state: state, d_output };
        Extras { cell_state: true, tanh_c: true, carry: true, extended, ..Extras::default() }
    }

    fn divides_units(&self) -> bool {
        false
    }

    fn needs_room(&self) -> bool {
        false
    }

    fn forward(&self, on: Crew<'_>, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>) {
        let isa = on.isa;
        let View { window, h, c, gates, tanh_c, extended, .. } = view;
        let [hidden, state, stored] = [padded(self.layer.hidden), padded(self.state()), self.slots.width()];
        let options = self.options(weights);
        let ExtendedParts { output, norm, .. } = extended;
        if window.keep {
            self.start(isa, &input, (0, window.tokens()), gates);
        }
        let steps = window.forward_steps().filter(|at| at.active > 0);
        for StepPlace { rows: all, active, before, token, .. } in steps {
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
                tanh_c: rows_mut(tanh_c, here.clone(), hidden),
                output,
                kept: rows_mut(norm, here, options.kept_width()),
            };
            kernel.run_on(isa);
            self.project(isa, weights, active, output, &mut new_h[..active * state]);
        }
    }

    fn backward(&self, on: Crew<'_>, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>) {
        let isa = on.isa;
        let View { window, h, c, gates, tanh_c, carry, extended, .. } = view;
        let [hidden, state, stored] = [padded(self.layer.hidden), padded(self.state()), self.slots.width()];
        let options = self.options(weights);
        let ExtendedParts { norm, terms, d_state, d_output, .. } = extended;
        d_state.copy_from_slice(dh);
        for StepPlace { rows: all, active, following: going, before, token } in window.backward_steps() {
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
            let h = rows(h, now.clone(), state);
            let d_output = self.project_backward(isa, weights, h, d_state, d_output);
            let kernel = ExtendedBackward {
                options,
                rows: active,
                gates: rows_mut(gates, here.clone(), stored),
                old: rows(c, before..before + active, hidden),
                new: rows(c, now, hidden),
                tanh_c: rows(tanh_c, here.clone(), hidden),
                d_output,
                dc: &mut carry[..active * hidden],
                kept: rows_mut(norm, here.clone(), options.kept_width()),
                terms: rows_mut(terms, here, options.terms_width()),
            };
            kernel.run_on(isa);
        }
    }
}

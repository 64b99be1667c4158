//! A layer with a custom cell, one step at a time, in arrays without padding.

use super::activations::{CustomBuffers, LayerActivations, LayerContext, LayerInput};
use crate::exec::masks::Site;
use crate::model::cell::Buffers;
use crate::model::{CellStep, CellStepBackward, RnnCell};
use std::ops::Range;
use unrolled_kernels::StepPlace;
use unrolled_kernels::pack::padded;

impl CustomBuffers {
    fn clear_gradients(&mut self, variables: &[Vec<f32>]) {
        self.gradients.resize(variables.len(), Vec::new());
        for (gradient, variable) in self.gradients.iter_mut().zip(variables) {
            gradient.clear();
            gradient.resize(variable.len(), 0.0);
        }
    }
}

/// Copies rows of `width` floats out of padded ones.
fn compact(padded_rows: &[f32], width: usize, rows: usize, out: &mut Vec<f32>) {
    out.clear();
    padded_rows.chunks(padded(width)).take(rows).for_each(|row| out.extend_from_slice(&row[..width]));
}

/// Copies rows of `width` floats into padded ones: the inverse of [`compact`].
fn spread(rows: &[f32], width: usize, out: &mut [f32]) {
    for (row, to) in rows.chunks_exact(width).zip(out.chunks_mut(padded(width))) {
        to[..width].copy_from_slice(row);
    }
}

/// Returns the widths of inputs, state and outputs.
fn widths(at: LayerContext<'_>) -> [usize; 3] {
    [at.weights.inputs, at.weights.sizes.state, at.weights.outputs]
}

fn cell<'a>(at: LayerContext<'a>) -> &'a dyn RnnCell {
    let custom = at.weights.layer.custom.as_ref().and_then(|custom| custom.cell());
    custom.expect("a model is made with its cells")
}

/// The input vectors of a custom cell. It never reads an input table.
fn vectors(below: LayerInput<'_>) -> &[f32] {
    match below {
        LayerInput::Dense(x) => x,
        LayerInput::Table { .. } => &[],
    }
}

impl LayerActivations {
    pub(super) fn forward_custom(
        &mut self,
        at: LayerContext<'_>,
        variables: &[Vec<f32>],
        below: LayerInput<'_>,
    ) {
        let views: Vec<&[f32]> = variables.iter().map(Vec::as_slice).collect();
        let ([e, s, p], x) = (widths(at), vectors(below));
        for place in self.buffers.steps().filter(|place| place.active > 0) {
            let rows = place.active;
            self.read_step(at, place, x);
            let Self { custom, buffers, given, .. } = self;
            let kept = kept_range(buffers, place);
            let step = CellStep {
                rows,
                inputs: &custom.inputs,
                state: &custom.state,
                next_state: &mut custom.next,
                outputs: &mut custom.outputs,
                kept: &mut buffers.gates[kept],
            };
            cell(at).step(&views, step);
            spread(&custom.next, s, &mut buffers.h[(place.before + place.rows) * padded(s)..]);
            spread(&custom.outputs, p, &mut given[place.token * padded(p)..]);
            debug_assert_eq!((custom.inputs.len(), custom.outputs.len()), (rows * e, rows * p));
            self.change_h(place);
        }
    }

    /// Fills the compact arrays with the inputs and the state of a step.
    fn read_step(&mut self, at: LayerContext<'_>, place: StepPlace, x: &[f32]) {
        let [e, s, p] = widths(at);
        let Self { custom, buffers, .. } = self;
        compact(&x[place.token * padded(e)..], e, place.active, &mut custom.inputs);
        compact(&buffers.h[place.before * padded(s)..], s, place.active, &mut custom.state);
        custom.next.clear();
        custom.next.resize(place.active * s, 0.0);
        custom.outputs.clear();
        custom.outputs.resize(place.active * p, 0.0);
    }

    pub(super) fn backward_custom(
        &mut self,
        at: LayerContext<'_>,
        variables: &[Vec<f32>],
        below: LayerInput<'_>,
        dy: &[f32],
        dx: &mut [f32],
    ) {
        let views: Vec<&[f32]> = variables.iter().map(Vec::as_slice).collect();
        let ([e, s, p], x) = (widths(at), vectors(below));
        self.custom.clear_gradients(variables);
        self.start_d_state();
        for place in self.buffers.steps().rev().filter(|place| place.active > 0) {
            self.read_step(at, place, x);
            self.unchange_custom(place);
            let Self { custom, buffers, steps, .. } = self;
            let CustomBuffers { inputs, state, next, outputs, d_inputs, d_state, gradients, .. } = custom;
            compact(&dy[place.token * padded(p)..], p, place.active, outputs);
            compact(&steps.d_state[0], s, place.active, next);
            d_inputs.clear();
            d_inputs.resize(place.active * e, 0.0);
            d_state.clear();
            d_state.resize(place.active * s, 0.0);
            let mut d_variables: Vec<&mut [f32]> = gradients.iter_mut().map(Vec::as_mut_slice).collect();
            let step = CellStepBackward {
                rows: place.active,
                inputs,
                state,
                kept: &buffers.gates[kept_range(buffers, place)],
                d_outputs: outputs,
                d_next_state: next,
                d_inputs,
                d_state,
                d_variables: &mut d_variables,
            };
            cell(at).step_backward(&views, step);
            if !dx.is_empty() {
                spread(d_inputs, e, &mut dx[place.token * padded(e)..]);
            }
            spread(d_state, s, &mut steps.d_state[0]);
            steps.add_around(place.active * padded(s));
        }
    }

    /// Turns the gradient of the state that the next step started from into that of the cell's next
    /// state.
    fn unchange_custom(&mut self, at: StepPlace) {
        let vector = padded(self.buffers.sizes.state);
        let (count, token) = (at.active * vector, at.token * vector);
        let Self { steps, masks, shares, .. } = self;
        let mask = |site: Site| shares[site as usize].map(|_| &masks[site as usize][token..]);
        steps.split(count, mask(Site::State), mask(Site::Zoneout));
    }
}

/// Returns the range of the values that a step keeps.
fn kept_range(buffers: &Buffers, place: StepPlace) -> Range<usize> {
    let kept = buffers.sizes.stored;
    let from = if buffers.window.keep { place.token * kept } else { 0 };
    from..from + place.active * kept
}

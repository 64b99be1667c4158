//! A layer with gates, one step at a time, because zoneout or dropout changes its state between two
//! steps.
//!
//! ```text
//! s = cell(x, s_before)        s = z s_before + (1 - z) s        s' = mask s, for the next step
//! ```
//!
//! The outputs of the layer are h before the mask. Sources: zoneout by Krueger et al. 2016,
//! <https://arxiv.org/abs/1606.01305> (after training, z is its expectation); state dropout as in
//! TensorFlow 1's `DropoutWrapper`.

use super::activations::{LayerActivations, StepBuffers};
use crate::exec::masks::Site;
use crate::exec::weights::GatedWeights;
use crate::model::cell::Crew;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;
use unrolled_kernels::{DenseInput, Input, Isa, StepPlace};

impl StepBuffers {
    /// Splits the gradient of a changed h, `count` floats, between the output of the cell and the
    /// state before the step.
    pub(super) fn split(&mut self, count: usize, mask: Option<&[f32]>, zones: Option<&[f32]>) {
        let (d_h, around) = (&mut self.d_state[0][..count], &mut self.around[0][..count]);
        if let Some(mask) = mask {
            scale(d_h, mask);
        }
        around.fill(0.0);
        for ((d, around), z) in d_h.iter_mut().zip(around).zip(zones.unwrap_or_default()) {
            (*around, *d) = (z * *d, (1.0 - z) * *d);
        }
    }

    /// Adds the part that bypassed the cell to the gradient of h before the step.
    pub(super) fn add_around(&mut self, count: usize) {
        let parts = self.d_state[0].iter_mut().zip(&self.around[0]);
        parts.take(count).for_each(|(d, around)| *d += around);
    }
}

/// Computes `z old + (1 - z) new` in place.
fn zone_out(new: &mut [f32], old: &[f32], zones: &[f32]) {
    for ((new, old), z) in new.iter_mut().zip(old).zip(zones) {
        *new = z * old + (1.0 - z) * *new;
    }
}

fn scale(values: &mut [f32], by: &[f32]) {
    values.iter_mut().zip(by).for_each(|(value, by)| *value *= by);
}

/// The input of one step.
fn of_step<'a>(input: Input<'a>, at: StepPlace) -> Input<'a> {
    let ids = input.ids.map(|ids| &ids[at.token..at.token + at.active]);
    let dense =
        input.dense.map(|dense| DenseInput { values: &dense.values[at.token * dense.stride..], ..dense });
    Input { ids, dense, ..input }
}

impl LayerActivations {
    pub(super) fn forward_stepped(&mut self, isa: Isa, gated: &GatedWeights, input: Input<'_>) {
        let mut active = [0];
        for at in self.buffers.steps().filter(|at| at.active > 0) {
            self.keep_old_cell(at);
            let view = self.buffers.view_step(at, &mut active);
            gated.cell.forward(Crew::alone(isa), &gated.weights(), of_step(input, at), view);
            self.change_h(at);
            self.change_c(at);
        }
    }

    /// Copies the cell state before a step, which the step may overwrite.
    fn keep_old_cell(&mut self, at: StepPlace) {
        if self.buffers.has_cell() {
            let vector = padded(self.buffers.sizes.hidden);
            let from = if self.buffers.window.keep { at.before } else { 0 };
            self.steps.old_cell.clear();
            self.steps.old_cell.extend_from_slice(&self.buffers.c[from * vector..][..at.active * vector]);
        }
    }

    /// Applies zoneout and the mask to h after a step.
    pub(super) fn change_h(&mut self, at: StepPlace) {
        let vector = padded(self.buffers.sizes.state);
        let (count, token) = (at.active * vector, at.token * vector);
        let (before, now) = self.buffers.h.split_at_mut((at.before + at.rows) * vector);
        let (old, now) = (&before[at.before * vector..][..count], &mut now[..count]);
        if !self.steps.raw[0].is_empty() {
            self.steps.raw[0][token..][..count].copy_from_slice(now);
        }
        if self.shares[Site::Zoneout as usize].is_some() {
            zone_out(now, old, &self.masks[Site::Zoneout as usize][token..]);
        }
        if !self.custom.is_custom {
            self.given[token..][..count].copy_from_slice(now);
        }
        if self.shares[Site::State as usize].is_some() {
            scale(now, &self.masks[Site::State as usize][token..]);
        }
    }

    /// Applies zoneout and the mask to c after a step.
    fn change_c(&mut self, at: StepPlace) {
        if !self.buffers.has_cell() {
            return;
        }
        let vector = padded(self.buffers.sizes.hidden);
        let (count, token) = (at.active * vector, at.token * vector);
        let place = if self.buffers.window.keep { at.before + at.rows } else { 0 };
        let now = &mut self.buffers.c[place * vector..][..count];
        if !self.steps.raw[1].is_empty() {
            self.steps.raw[1][token..][..count].copy_from_slice(now);
        }
        if self.shares[Site::ZoneoutCell as usize].is_some() {
            zone_out(now, &self.steps.old_cell, &self.masks[Site::ZoneoutCell as usize][token..]);
        }
        if self.shares[Site::CellState as usize].is_some() {
            scale(now, &self.masks[Site::CellState as usize][token..]);
        }
    }

    pub(super) fn backward_stepped(&mut self, isa: Isa, gated: &GatedWeights, dy: &mut [f32]) {
        self.start_d_state();
        let vector = padded(self.buffers.sizes.state);
        let mut active = [0];
        for at in self.buffers.steps().rev().filter(|at| at.active > 0) {
            let (token, count) = (at.token * vector, at.active * vector);
            self.unchange(at, &mut dy[token..][..count]);
            self.swap_raw(at);
            gated.cell.backward(
                Crew::alone(isa),
                &gated.weights(),
                &dy[token..][..count],
                self.buffers.view_step(at, &mut active),
            );
            self.swap_raw(at);
            self.gradient_before(isa, gated, at);
        }
    }

    /// Starts from the gradients of the last state.
    pub(super) fn start_d_state(&mut self) {
        let (sizes, rows) = (self.buffers.sizes, self.buffers.window.rows);
        let cell = if self.buffers.has_cell() { rows * padded(sizes.hidden) } else { 0 };
        let steps = &mut self.steps;
        for (part, len) in [rows * padded(sizes.state), cell].into_iter().enumerate() {
            steps.around[part].resize(len, 0.0);
            steps.d_state[part].clear();
            steps.d_state[part].extend_from_slice(&steps.d_last[part]);
            steps.d_state[part].resize(len, 0.0);
        }
        steps.product.resize(rows * padded(sizes.state), 0.0);
    }

    /// Computes the gradients of the cell's outputs (h in `dy`, c in the carry) from the gradient
    /// of the state that the next step started from and from `dy` of the layer's outputs.
    fn unchange(&mut self, at: StepPlace, dy: &mut [f32]) {
        let Self { steps, masks, shares, buffers, .. } = self;
        let [h, c] = [buffers.sizes.state, buffers.sizes.hidden].map(|width| at.active * padded(width));
        let mask = |site: Site, from: usize| shares[site as usize].map(|_| &masks[site as usize][from..]);
        let [token_h, token_c] =
            [buffers.sizes.state, buffers.sizes.hidden].map(|width| at.token * padded(width));
        let d_h = &mut steps.d_state[0][..h];
        if let Some(mask) = mask(Site::State, token_h) {
            scale(d_h, mask);
        }
        d_h.iter().zip(&mut *dy).for_each(|(from, dy)| *dy += from);
        let around = &mut steps.around[0][..h];
        match mask(Site::Zoneout, token_h) {
            None => around.fill(0.0),
            Some(zones) => {
                for ((dy, around), z) in dy.iter_mut().zip(around).zip(zones) {
                    (*around, *dy) = (z * *dy, (1.0 - z) * *dy);
                }
            }
        }
        if !buffers.has_cell() {
            buffers.carry.fill(0.0);
            return;
        }
        let d_c = &mut steps.d_state[1][..c];
        if let Some(mask) = mask(Site::CellState, token_c) {
            scale(d_c, mask);
        }
        let (around, carry) = (&mut steps.around[1][..c], &mut buffers.carry[..c]);
        carry.copy_from_slice(d_c);
        match mask(Site::ZoneoutCell, token_c) {
            None => around.fill(0.0),
            Some(zones) => {
                for ((carry, around), z) in carry.iter_mut().zip(around).zip(zones) {
                    (*around, *carry) = (z * *carry, (1.0 - z) * *carry);
                }
            }
        }
    }

    /// Swaps the state as the cell computed it, which the cell's backward pass reads, with the
    /// state that the next step started from, which the gradients of the weights read.
    fn swap_raw(&mut self, at: StepPlace) {
        let Self { steps, buffers, .. } = self;
        let widths = [buffers.sizes.state, buffers.sizes.hidden].map(padded);
        for ((raw, now), width) in steps.raw.iter_mut().zip([&mut buffers.h, &mut buffers.c]).zip(widths) {
            if !raw.is_empty() {
                let now = &mut now[(at.before + at.rows) * width..][..at.active * width];
                now.swap_with_slice(&mut raw[at.token * width..][..at.active * width]);
            }
        }
    }

    /// Computes the gradient of the state before a step from its deltas.
    fn gradient_before(&mut self, isa: Isa, gated: &GatedWeights, at: StepPlace) {
        let Self { steps, buffers, .. } = self;
        let [h, c] = [buffers.sizes.state, buffers.sizes.hidden].map(|width| at.active * padded(width));
        let out = &mut steps.product[..h];
        gated.product_before(isa, &buffers.gates[at.token * buffers.sizes.stored..], at.active, out);
        let d_h = steps.d_state[0].iter_mut().zip(&*out).zip(&steps.around[0]);
        d_h.take(h).for_each(|((d, product), around)| *d = product + around);
        let carried = if buffers.has_cell() { 1 } else { 0 };
        if carried == 1 {
            let d_c = steps.d_state[1].iter_mut().zip(buffers.carry.iter()).zip(&steps.around[1]);
            d_c.take(c).for_each(|((d, carry), around)| *d = carry + around);
        } else if !buffers.carry.is_empty() {
            steps.d_state[0].iter_mut().zip(buffers.carry.iter()).take(h).for_each(|(d, carry)| *d += carry);
        }
    }

    /// Returns the gradients of h and c of the first state, which `compute_d_initial` left: [B,
    /// padded(..)].
    pub(crate) fn d_initial(&self) -> &[Vec<f32>; 2] {
        &self.steps.d_state
    }

    /// Computes the gradients of h and c of the first state after a backward pass.
    pub(crate) fn compute_d_initial(&mut self, isa: Isa, gated: Option<&GatedWeights>) {
        let Some(gated) = gated.filter(|_| !self.changes_state()) else { return };
        self.start_d_state();
        let Self { steps, buffers, .. } = self;
        let first = buffers.window().active(0);
        let [h, c] = [buffers.sizes.state, buffers.sizes.hidden].map(|width| first * padded(width));
        let out = &mut steps.product[..h];
        gated.product_before(isa, &buffers.gates, first, out);
        steps.d_state[0][..h].copy_from_slice(out);
        if buffers.has_cell() {
            steps.d_state[1][..c].copy_from_slice(&buffers.carry[..c]);
        } else if !buffers.carry.is_empty() {
            steps.d_state[0].iter_mut().zip(buffers.carry.iter()).take(h).for_each(|(d, carry)| *d += carry);
        }
    }
}

impl GatedWeights {
    /// Multiplies `rows` rows of deltas by the recurrent weights into `out` [rows, padded(state)].
    fn product_before(&self, isa: Isa, deltas: &[f32], rows: usize, out: &mut [f32]) {
        let weights = self.weights();
        let product = Affine {
            rows,
            x: deltas,
            x_stride: self.input_slots.width(),
            pieces: &weights.pieces[0],
            panels: weights.units,
            weights: &weights.recurrent_t[0],
            start: Start::Zero,
            out,
        };
        product.run_on(isa);
    }
}

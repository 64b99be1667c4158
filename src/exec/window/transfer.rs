//! Copies between the caller's arrays and the shards: inputs, targets, outputs and gradients, in
//! either order.

use super::activations::{WindowActivations, share};
use super::ragged::Ragged;
use super::shard::Shard;
use crate::exec::inputs::{Order, OutputSteps};
use crate::exec::weights::PackedWeights;
use crate::loss::Targets;
use unrolled_kernels::pack::padded;

impl WindowActivations {
    /// The index of token `n` of the head in the caller's outputs.
    pub(crate) fn head_index(&self, order: Order, n: usize) -> usize {
        let source = self.source(self.head_token(n));
        let (step, row) = (source / self.rows, source % self.rows);
        self.output_index(order, step, row).unwrap_or_default()
    }

    /// Removes target values and weights, because the targets are class ids that all weigh 1.
    pub(crate) fn clear_values(&mut self) {
        for shard in &mut self.shards {
            shard.target_values.clear();
            shard.token_weights.clear();
        }
    }

    /// Calls `f` with the shard, the index in it, the step and the row of each token.
    fn each_token(&self, f: impl FnMut(usize, usize, usize, usize)) {
        each_token(&self.ragged, self.shards.len(), [self.steps, self.rows], f);
    }

    /// Calls `f` with the shard itself, and otherwise as [`WindowActivations::each_token`].
    fn each_token_mut(&mut self, mut f: impl FnMut(&Self, &mut Shard, usize, usize, usize)) {
        let mut shards = std::mem::take(&mut self.shards);
        each_token(&self.ragged, shards.len(), [self.steps, self.rows], |shard, token, step, row| {
            f(self, &mut shards[shard], token, step, row);
        });
        self.shards = shards;
    }

    /// The index of a token's output in the caller's array; `None` if it has none.
    fn output_index(&self, order: Order, step: usize, row: usize) -> Option<usize> {
        match self.output_steps() {
            OutputSteps::Every => Some(order.index([self.steps, self.rows], step, row)),
            OutputSteps::Last => self.is_last(step, row).then_some(row),
        }
    }

    /// Copies vectors [T, B, E] to the inputs of the first layer.
    pub(crate) fn load_vectors(&mut self, width: usize, order: Order, values: &[f32]) {
        let shape = [self.steps, self.rows];
        self.each_token_mut(|_, shard, token, step, row| {
            let from = &values[order.index(shape, step, row) * width..][..width];
            shard.inputs[token * padded(width)..][..width].copy_from_slice(from);
        });
    }

    /// Copies targets and weights to the shards, in any order. `outputs` is the width O of
    /// the head.
    pub(crate) fn load_targets(
        &mut self,
        outputs: usize,
        order: Order,
        (targets, weights): (Targets<'_>, Option<&[f32]>),
    ) {
        for shard in &mut self.shards {
            let tokens = shard.tokens();
            let values = if matches!(targets, Targets::Values(_)) { tokens * outputs } else { 0 };
            shard.target_values.resize(values, 0.0);
            shard.token_weights.resize(if weights.is_some() { tokens } else { 0 }, 0.0);
            shard.losses.fill(0.0);
            shard.correct.fill(false);
        }
        self.each_token_mut(|window, shard, token, step, row| {
            let Some(from) = window.output_index(order, step, row) else { return };
            match targets {
                Targets::Ids(ids) => shard.targets[token] = ids[from],
                Targets::Values(values) => shard.target_values[token * outputs..][..outputs]
                    .copy_from_slice(&values[from * outputs..][..outputs]),
            }
            if let Some(weights) = weights {
                shard.token_weights[token] = weights[from];
            }
        });
    }

    /// Copies the last layer's outputs, `width` floats each, to `out`; zeros beyond the end of a
    /// row.
    pub(crate) fn copy_stack_outputs(&self, width: usize, order: Order, out: &mut [f32]) {
        let place = |step, row| self.output_index(order, step, row);
        self.copy_out(width, place, Shard::stack_outputs, out);
    }

    /// Copies the head's outputs that were kept, `width` floats each, to `out`; zeros beyond the
    /// end of a row.
    pub(crate) fn copy_head_outputs(&self, width: usize, order: Order, out: &mut [f32]) {
        let place = |step, row| self.output_index(order, step, row);
        self.copy_out(width, place, |shard| &shard.outputs, out);
    }

    /// Copies the gradients of the first layer's inputs to `out` [T, B, E]; zeros beyond the end of
    /// a row.
    pub(crate) fn copy_d_inputs(&self, width: usize, order: Order, out: &mut [f32]) {
        let place = |step, row| Some(order.index([self.steps, self.rows], step, row));
        self.copy_out(width, place, Shard::d_inputs, out);
    }

    /// Copies values of all tokens to `out`. `place` is the index of the token of a step and a row;
    /// `None` if it has no place there.
    fn copy_out(
        &self,
        width: usize,
        place: impl Fn(usize, usize) -> Option<usize>,
        values: impl Fn(&Shard) -> &[f32],
        out: &mut [f32],
    ) {
        if self.is_ragged() {
            out.fill(0.0);
        }
        self.each_token(|shard, token, step, row| {
            let Some(to) = place(step, row) else { return };
            let from = &values(&self.shards[shard])[token * padded(width)..][..width];
            out[to * width..][..width].copy_from_slice(from);
        });
    }

    /// Copies gradients of the last layer's outputs to the shards, zeros where there are none.
    pub(crate) fn load_stack_gradients(&mut self, weights: &PackedWeights, order: Order, d_outputs: &[f32]) {
        let width = weights.config.stack_width();
        self.shards.iter_mut().for_each(|shard| shard.clear_stack_gradient(weights));
        self.load_gradients(width, order, d_outputs, Shard::stack_gradient_mut);
    }

    /// Copies gradients of the head's outputs to the shards, which keep them for the whole window.
    pub(crate) fn load_head_gradients(&mut self, width: usize, order: Order, d_outputs: &[f32]) {
        self.load_gradients(width, order, d_outputs, |shard| &mut shard.outputs);
    }

    fn load_gradients(
        &mut self,
        width: usize,
        order: Order,
        d_outputs: &[f32],
        gradient: impl Fn(&mut Shard) -> &mut [f32],
    ) {
        self.each_token_mut(|window, shard, token, step, row| {
            let Some(from) = window.output_index(order, step, row) else { return };
            let to = &mut gradient(shard)[token * padded(width)..][..padded(width)];
            to[..width].copy_from_slice(&d_outputs[from * width..][..width]);
            to[width..].fill(0.0);
        });
    }
}

/// Calls `f` with the shard, the index in it, the step and the row of each token.
fn each_token(
    ragged: &Ragged,
    shards: usize,
    [steps, rows]: [usize; 2],
    mut f: impl FnMut(usize, usize, usize, usize),
) {
    if !ragged.is_used() {
        for index in 0..shards {
            let share = share(rows, shards, index);
            for step in 0..steps {
                let first = step * share.len();
                share.clone().zip(first..).for_each(|(row, token)| f(index, token, step, row));
            }
        }
        return;
    }
    for location in &ragged.locations {
        let source = location.source as usize;
        f(location.shard as usize, location.token as usize, source / rows, source % rows);
    }
}

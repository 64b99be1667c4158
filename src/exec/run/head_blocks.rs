//! The head by blocks of tokens: for windows with too many outputs to keep, and for outputs of the
//! last step alone.
//!
//! ```text
//! all shards forward through the layers
//! for each block of tokens, in the order (step, row)
//!     x [block, padded(P)], targets           gathered from the shards
//!     outputs, losses, their gradients, d_x   threads divide the tokens of the block
//!     dW, db of the head                      threads divide the rows of W; the sums continue from the block before
//!     losses, d_x                             copied back to the shards
//! all shards backward through the layers
//! ```
//!
//! 1. The chains of dW run over (step, row), as they do over a whole window, so the bits are equal.
//! 2. The outputs of a block are used again while they are in the caches. They take as much memory
//!    as W if P is the number of tokens in a block.

use super::block_part::BlockPart;
use super::pass::Goal;
use crate::aligned::Aligned;
use crate::exec::gradient::matrix::MatrixGradient;
use crate::exec::gradient::token_pairs::RowPairs;
use crate::exec::inputs::{Order, OutputSteps};
use crate::exec::weights::tensor_ranges::BufferSplitter;
use crate::exec::weights::{PackedModel, PackedWeights};
use crate::exec::window::activations::WindowActivations;
use crate::loss::Loss;
use crate::model::cell::resize;
use crate::phases::Phase;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use unrolled_kernels::pack::padded;

/// Buffers of a block of tokens, used again for the blocks after.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadBlocks {
    /// [block, padded(P)]: outputs of the last layer, and their gradients.
    x: Vec<f32>,
    d_x: Vec<f32>,
    /// [block, padded(O)]: outputs of the head, then their gradients.
    outputs: Aligned,
    /// `[block]`: class ids.
    targets: Vec<u32>,
    /// [block, O]: target values; empty if the targets are class ids.
    values: Vec<f32>,
    /// `[block]`: weights; empty if all tokens weigh 1.
    weights: Vec<f32>,
    /// `[block]`
    losses: Vec<f64>,
    /// `[block]`
    correct: Vec<bool>,
}

impl HeadBlocks {
    /// Runs the head and goes on to the goal. Leaves losses and the gradients of the last layer's
    /// outputs in the shards. Returns the number of targets within the top k, if the goal asks for
    /// it.
    pub(crate) fn run(
        &mut self,
        window: &mut WindowActivations,
        model: PackedModel<'_>,
        order: Order,
        goal: &mut Goal<'_>,
    ) -> u64 {
        match goal {
            Goal::Outputs(_) if !model.weights.config.has_head() => {}
            Goal::Outputs(out) => {
                self.write_outputs(window, model, order, out);
            }
            Goal::Losses { loss, top_k } => return self.measure(window, model, *loss, *top_k),
            Goal::Deltas { loss, scale, gradient } => self.descend(window, model, (*loss, *scale), gradient),
        }
        0
    }

    /// Writes the outputs; zeros beyond the end of a row.
    fn write_outputs(
        &mut self,
        window: &WindowActivations,
        model: PackedModel<'_>,
        order: Order,
        out: &mut [f32],
    ) {
        if (order, window.output_steps()) == (Order::TimeMajor, OutputSteps::Every) {
            return self.write_in_place(window, model, out);
        }
        let PackedModel { weights, threads, .. } = model;
        let width = weights.config.outputs;
        out.fill(0.0);
        for block in blocks(window, weights) {
            self.gather(window, weights, block.clone());
            self.part(block.clone()).divide(weights, threads, &|_| 0, &|part| {
                weights.head_outputs(part.x, part.outputs);
            });
            for (n, row) in block.zip(self.outputs.chunks_exact(padded(width))) {
                let to = window.head_index(order, n) * width;
                out[to..][..width].copy_from_slice(&row[..width]);
            }
        }
    }

    /// Writes time-major outputs of every step [T, B, O]: threads write to the caller's array.
    fn write_in_place(&mut self, window: &WindowActivations, model: PackedModel<'_>, out: &mut [f32]) {
        let PackedModel { weights, threads, .. } = model;
        let width = weights.config.outputs;
        let place = |m: usize| window.source(m) * width;
        let (before, mut rest) = out.split_at_mut(place(0));
        before.fill(0.0);
        for block in blocks(window, weights) {
            self.gather(window, weights, block.clone());
            let (out, after) = rest.split_at_mut(place(block.end) - place(block.start));
            rest = after;
            let part = BlockPart { out, ..self.part(block) };
            part.divide(weights, threads, &place, &|part| part.write_outputs(weights, &place));
        }
    }

    fn measure(
        &mut self,
        window: &mut WindowActivations,
        model: PackedModel<'_>,
        loss: Loss,
        top_k: Option<usize>,
    ) -> u64 {
        let PackedModel { weights, threads, .. } = model;
        let within = AtomicU64::new(0);
        for block in blocks(window, weights) {
            self.gather(window, weights, block.clone());
            self.part(block.clone()).divide(weights, threads, &|_| 0, &|mut part| {
                weights.head_outputs(part.x, part.outputs);
                within.fetch_add(part.losses().measure(weights, loss, top_k), Ordering::Relaxed);
            });
            self.scatter(window, weights, block);
        }
        within.into_inner()
    }

    /// Writes the head's part of `gradient`, a flat buffer with the layout of the parameters.
    fn descend(
        &mut self,
        window: &mut WindowActivations,
        model: PackedModel<'_>,
        (loss, scale): (Loss, f32),
        gradient: &mut [f32],
    ) {
        let weights = model.weights;
        self.go_backward(window, model, gradient, &|_, part| {
            weights.head_outputs(part.x, part.outputs);
            part.losses().descend(weights, loss, scale);
        });
    }

    /// Goes backward through the head, from the gradients of its outputs. Writes the head's part of
    /// `gradient`.
    pub(crate) fn backward(
        &mut self,
        window: &mut WindowActivations,
        model: PackedModel<'_>,
        (order, d_outputs): (Order, &[f32]),
        gradient: &mut [f32],
    ) {
        let width = model.weights.config.outputs;
        self.go_backward(window, model, gradient, &|window, part| {
            for (n, row) in part.tokens.clone().zip(part.outputs.chunks_exact_mut(padded(width))) {
                let from = window.head_index(order, n) * width;
                row[..width].copy_from_slice(&d_outputs[from..][..width]);
                row[width..].fill(0.0);
            }
        });
    }

    /// Goes backward through the head, block by block. `differentiate` writes the gradients of a
    /// part's outputs to them.
    fn go_backward(
        &mut self,
        window: &mut WindowActivations,
        model: PackedModel<'_>,
        gradient: &mut [f32],
        differentiate: &(impl Fn(&WindowActivations, &mut BlockPart<'_>) + Sync),
    ) {
        let PackedModel { weights, threads, .. } = model;
        let mut gradient = HeadGradient::of(gradient, weights, window);
        clear_unselected(window, weights);
        for block in blocks(window, weights) {
            self.gather(window, weights, block.clone());
            self.d_x.resize(self.x.len(), 0.0);
            self.part(block.clone()).divide(weights, threads, &|_| 0, &|mut part| {
                differentiate(window, &mut part);
                weights.head_input_gradient(part.outputs, part.d_x);
            });
            gradient.add_block(self, block.clone(), model);
            self.scatter(window, weights, block);
        }
    }

    /// Copies the inputs of the head for the tokens of a block, and their targets.
    fn gather(&mut self, window: &WindowActivations, weights: &PackedWeights, block: Range<usize>) {
        let (vector, tokens) = (padded(weights.config.stack_width()), block.len());
        let (most, outputs) = (weights.blocks.tokens, weights.config.outputs);
        self.x.clear();
        self.targets.clear();
        self.values.clear();
        self.weights.clear();
        self.d_x.clear();
        resize(&mut self.x, 0, most * vector);
        for (shard, token) in block.map(|n| window.locate_head(n)) {
            let shard = &window.shards[shard];
            self.x.extend_from_slice(&shard.stack_outputs()[token * vector..][..vector]);
            self.targets.push(shard.targets[token]);
            if !shard.target_values.is_empty() {
                self.values.extend_from_slice(&shard.target_values[token * outputs..][..outputs]);
            }
            self.weights.extend(shard.token_weights.get(token));
        }
        self.outputs.resize(tokens * padded(outputs));
        resize(&mut self.losses, tokens, most);
        resize(&mut self.correct, tokens, most);
    }

    /// Copies losses, and the gradients of the last layer's outputs if there are any, to the
    /// shards.
    fn scatter(&self, window: &mut WindowActivations, weights: &PackedWeights, block: Range<usize>) {
        let vector = padded(weights.config.stack_width());
        for (i, n) in block.enumerate() {
            let (shard, token) = window.locate_head(n);
            let shard = &mut window.shards[shard];
            (shard.losses[token], shard.correct[token]) = (self.losses[i], self.correct[i]);
            if let Some(d_x) = self.d_x.get(i * vector..(i + 1) * vector) {
                shard.stack_gradient_mut()[token * vector..][..vector].copy_from_slice(d_x);
            }
        }
    }

    fn part(&mut self, tokens: Range<usize>) -> BlockPart<'_> {
        let Self { x, d_x, outputs, targets, values, weights, losses, correct } = self;
        BlockPart { tokens, x, targets, values, weights, outputs, losses, correct, d_x, out: &mut [] }
    }
}

/// The gradients of the head's weight and bias.
struct HeadGradient<'g> {
    weight: &'g mut [f32],
    bias: &'g mut [f32],
}

impl<'g> HeadGradient<'g> {
    /// Takes the head's part of a flat buffer.
    fn of(gradient: &'g mut [f32], weights: &PackedWeights, window: &WindowActivations) -> Self {
        let mut buffer = BufferSplitter::new(gradient);
        let (weight, bias) = (buffer.take(&weights.tensors.head), buffer.take(&weights.tensors.head_bias));
        if window.head_tokens() == 0 {
            weight.fill(0.0);
            bias.fill(0.0);
        }
        Self { weight, bias }
    }

    /// Adds the sums over a block; the first block overwrites.
    fn add_block(&mut self, head: &HeadBlocks, block: Range<usize>, model: PackedModel<'_>) {
        let PackedModel { weights, threads, .. } = model;
        let (rows, depth) = (weights.config.outputs, weights.config.stack_width());
        let pairs = RowPairs {
            count: block.len(),
            deltas: (&head.outputs, padded(rows)),
            inputs: (&head.x, padded(depth)),
        };
        let (slots, continues) = (&weights.head.slots, block.start > 0);
        let clock = weights.phases.of(Phase::HeadGradient);
        let matrix = MatrixGradient { pairs: &pairs, slots, depth, rows: 0..rows, continues, clock };
        matrix.run(weights.isa, (&mut *self.weight, &mut *self.bias), threads);
    }
}

/// Zeroes the gradients of the last layer's outputs if the head does not run on all tokens.
fn clear_unselected(window: &mut WindowActivations, weights: &PackedWeights) {
    if window.output_steps() == OutputSteps::Last {
        window.shards.iter_mut().for_each(|shard| shard.clear_stack_gradient(weights));
    }
}

/// The blocks of a window, in order.
fn blocks(window: &WindowActivations, weights: &PackedWeights) -> impl Iterator<Item = Range<usize>> + use<> {
    let (tokens, block) = (window.head_tokens(), weights.blocks.tokens);
    (0..tokens).step_by(block).map(move |first| first..(first + block).min(tokens))
}

#[cfg(test)]
mod tests;

//! The head by blocks of tokens: for windows with too many outputs to keep, and for outputs of the
//! last step alone.
//!
//! ```text
//! all shards forward through the layers
//! for each block of tokens, in the order (step, row)
//!     threads divide the tokens of the block
//!         x [block, padded(P)], targets   gathered from the shards
//!         outputs, losses, their gradients, d_x
//!     at the same time
//!         dW, db of the head              threads divide the rows of W
//!         losses, d_x                     each shard copies its own
//! all shards backward through the layers
//! ```
//!
//! 1. The chains of dW run over (step, row), as they do over a whole window, so the bits are equal.
//! 2. The outputs of a block are used again while they are in the caches. They take as much memory
//!    as W if P is the number of tokens in a block.

use super::block_part::{BlockPart, HeadPlace};
use super::pass::Goal;
use crate::aligned::Aligned;
use crate::exec::gradient::matrix::MatrixGradient;
use crate::exec::gradient::token_pairs::RowPairs;
use crate::exec::inputs::{Order, OutputSteps};
use crate::exec::weights::tensor_ranges::BufferSplitter;
use crate::exec::weights::{PackedModel, PackedWeights};
use crate::exec::window::activations::WindowActivations;
use crate::exec::window::shard::Shard;
use crate::loss::Loss;
use crate::model::cell::resize;
use crate::parallel::Threads;
use crate::phases::Phase;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use unrolled_kernels::pack::padded;

/// The fewest floats of the caller's outputs that one thread writes at a time.
const FEWEST: usize = 1 << 12;

/// Buffers of a block of tokens, used again for the blocks after.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadBlocks {
    /// `[block]`
    places: Vec<HeadPlace>,
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
        // Each piece looks at all tokens of a block, so the number of pieces has a limit.
        let share = threads.share(out.len(), FEWEST, usize::MAX).div_ceil(width);
        threads.chunks(out, share * width, &|_, out| out.fill(0.0));
        for block in blocks(window, weights) {
            self.resize(window, weights, block.len());
            self.part(block).divide(weights, threads, &|_| 0, &|mut part| {
                part.gather(window, weights, order);
                weights.head_outputs(part.x, part.outputs);
            });
            threads.chunks(out, share * width, &|i, out| self.copy_outputs(i * share, width, out));
        }
    }

    /// Copies the outputs of the tokens that have a place in `out`, whose first place is `first`.
    fn copy_outputs(&self, first: usize, width: usize, out: &mut [f32]) {
        for (place, row) in self.places.iter().zip(self.outputs.chunks_exact(padded(width))) {
            let to = place.output.checked_sub(first).and_then(|n| out.get_mut(n * width..(n + 1) * width));
            if let Some(to) = to {
                to.copy_from_slice(&row[..width]);
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
            self.resize(window, weights, block.len());
            let (out, after) = rest.split_at_mut(place(block.end) - place(block.start));
            rest = after;
            let part = BlockPart { out, ..self.part(block) };
            part.divide(weights, threads, &place, &|mut part| {
                part.gather(window, weights, Order::TimeMajor);
                part.write_outputs(weights, &place);
            });
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
            self.resize(window, weights, block.len());
            self.d_x.clear();
            self.part(block).divide(weights, threads, &|_| 0, &|mut part| {
                part.gather(window, weights, Order::TimeMajor);
                weights.head_outputs(part.x, part.outputs);
                within.fetch_add(part.losses().measure(weights, loss, top_k), Ordering::Relaxed);
            });
            self.scatter(&mut window.shards, weights, threads);
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
        self.go_backward(window, model, Order::TimeMajor, gradient, &|part| {
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
        self.go_backward(window, model, order, gradient, &|part| {
            for (place, row) in part.places.iter().zip(part.outputs.chunks_exact_mut(padded(width))) {
                row[..width].copy_from_slice(&d_outputs[place.output * width..][..width]);
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
        order: Order,
        gradient: &mut [f32],
        differentiate: &(impl Fn(&mut BlockPart<'_>) + Sync),
    ) {
        let PackedModel { weights, threads, .. } = model;
        let mut gradient = HeadGradient::of(gradient, weights, window);
        clear_unselected(window, weights, threads);
        for block in blocks(window, weights) {
            self.resize(window, weights, block.len());
            self.d_x.resize(self.x.len(), 0.0);
            self.part(block.clone()).divide(weights, threads, &|_| 0, &|mut part| {
                part.gather(window, weights, order);
                differentiate(&mut part);
                weights.head_input_gradient(part.outputs, part.d_x);
            });
            threads.join(
                || gradient.add_block(self, block, model),
                || self.scatter(&mut window.shards, weights, threads),
            );
        }
    }

    /// Makes room for a block of `tokens` tokens, except for the gradients of inputs.
    fn resize(&mut self, window: &WindowActivations, weights: &PackedWeights, tokens: usize) {
        let (vector, outputs) = (padded(weights.config.stack_width()), weights.config.outputs);
        let most = weights.blocks.tokens;
        let any = |has: fn(&Shard) -> bool| if window.shards.iter().any(has) { tokens } else { 0 };
        resize(&mut self.places, tokens, most);
        resize(&mut self.x, tokens * vector, most * vector);
        resize(&mut self.targets, tokens, most);
        self.values.resize(any(|shard| !shard.target_values.is_empty()) * outputs, 0.0);
        self.weights.resize(any(|shard| !shard.token_weights.is_empty()), 0.0);
        self.outputs.resize(tokens * padded(outputs));
        resize(&mut self.losses, tokens, most);
        resize(&mut self.correct, tokens, most);
    }

    /// Copies losses, and the gradients of the last layer's outputs if there are any, to the
    /// shards.
    fn scatter(&self, shards: &mut [Shard], weights: &PackedWeights, threads: &Threads) {
        let vector = padded(weights.config.stack_width());
        threads.chunks(shards, 1, &|s, shards| {
            let _clock = weights.phases.time(Phase::HeadBackward);
            let shard = &mut shards[0];
            for (i, place) in self.places.iter().enumerate().filter(|(_, place)| place.shard == s) {
                let token = place.token;
                (shard.losses[token], shard.correct[token]) = (self.losses[i], self.correct[i]);
                if let Some(d_x) = self.d_x.get(i * vector..(i + 1) * vector) {
                    shard.stack_gradient_mut()[token * vector..][..vector].copy_from_slice(d_x);
                }
            }
        });
    }

    fn part(&mut self, tokens: Range<usize>) -> BlockPart<'_> {
        let Self { places, x, d_x, outputs, targets, values, weights, losses, correct } = self;
        let out = &mut [];
        BlockPart { tokens, places, x, targets, values, weights, outputs, losses, correct, d_x, out }
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
fn clear_unselected(window: &mut WindowActivations, weights: &PackedWeights, threads: &Threads) {
    if window.output_steps() == OutputSteps::Last {
        threads.each(&mut window.shards, &|shard| shard.clear_stack_gradient(weights));
    }
}

/// The blocks of a window, in order.
fn blocks(window: &WindowActivations, weights: &PackedWeights) -> impl Iterator<Item = Range<usize>> + use<> {
    let (tokens, block) = (window.head_tokens(), weights.blocks.tokens);
    (0..tokens).step_by(block).map(move |first| first..(first + block).min(tokens))
}

#[cfg(test)]
mod tests;

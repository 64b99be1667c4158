//! Some tokens of a block, for one thread.

use crate::exec::head::losses::TokenLosses;
use crate::exec::head::token_part::divide_tokens;
use crate::exec::inputs::Order;
use crate::exec::weights::PackedWeights;
use crate::exec::window::activations::WindowActivations;
use crate::parallel::Threads;
use crate::phases::Phase;
use std::ops::Range;
use unrolled_kernels::pack::padded;

/// The places of a token.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadPlace {
    /// Index of its shard.
    pub(super) shard: usize,
    /// Index in the shard.
    pub(super) token: usize,
    /// Index of its outputs in the caller's array.
    pub(super) output: usize,
}

/// Some tokens of a block, for one thread.
pub(super) struct BlockPart<'a> {
    /// Their indices in the window.
    pub(super) tokens: Range<usize>,
    /// `[N]`
    pub(super) places: &'a mut [HeadPlace],
    /// [N, padded(P)]
    pub(super) x: &'a mut [f32],
    /// `[N]`
    pub(super) targets: &'a mut [u32],
    /// [N, O], or empty.
    pub(super) values: &'a mut [f32],
    /// `[N]`, or empty.
    pub(super) weights: &'a mut [f32],
    /// [N, padded(O)]
    pub(super) outputs: &'a mut [f32],
    /// `[N]`
    pub(super) losses: &'a mut [f64],
    pub(super) correct: &'a mut [bool],
    /// [N, padded(P)], or empty.
    pub(super) d_x: &'a mut [f32],
    /// The caller's outputs, from the first of these tokens up to the first one after them; or
    /// empty.
    pub(super) out: &'a mut [f32],
}

impl<'a> BlockPart<'a> {
    /// Calls `f` on one part for each thread. `place` is the index of a token's outputs in the
    /// caller's array.
    pub(super) fn divide(
        self,
        weights: &PackedWeights,
        threads: &Threads,
        place: &(impl Fn(usize) -> usize + Sync),
        f: &(impl Fn(BlockPart<'_>) + Sync),
    ) {
        let split = |part: Self, at| part.split(at, weights, place);
        divide_tokens(self.tokens.len(), self, threads, &split, &|part| f(part));
    }

    fn split(
        self,
        at: usize,
        weights: &PackedWeights,
        place: &impl Fn(usize) -> usize,
    ) -> [BlockPart<'a>; 2] {
        let BlockPart {
            tokens,
            places,
            x,
            targets,
            values,
            weights: token_weights,
            outputs,
            losses,
            correct,
            d_x,
            out,
        } = self;
        let (vector, width) = (padded(weights.config.stack_width()), weights.config.outputs);
        let middle = tokens.start + at;
        let (places, places_after) = places.split_at_mut(at);
        let (x, x_after) = x.split_at_mut(at * vector);
        let (targets, targets_after) = targets.split_at_mut(at);
        let (values, values_after) = values.split_at_mut(values.len().min(at * width));
        let (token_weights, weights_after) = token_weights.split_at_mut(token_weights.len().min(at));
        let (outputs, outputs_after) = outputs.split_at_mut(at * padded(width));
        let (losses, losses_after) = losses.split_at_mut(at);
        let (correct, correct_after) = correct.split_at_mut(at);
        let (d_x, d_x_after) = d_x.split_at_mut(d_x.len().min(at * vector));
        let (out, out_after) = out.split_at_mut(place(middle) - place(tokens.start));
        let weights = token_weights;
        let first = BlockPart {
            tokens: tokens.start..middle,
            places,
            x,
            targets,
            values,
            weights,
            outputs,
            losses,
            correct,
            d_x,
            out,
        };
        let second = BlockPart {
            tokens: middle..tokens.end,
            places: places_after,
            x: x_after,
            targets: targets_after,
            values: values_after,
            weights: weights_after,
            outputs: outputs_after,
            losses: losses_after,
            correct: correct_after,
            d_x: d_x_after,
            out: out_after,
        };
        [first, second]
    }

    /// Copies the inputs of the head, and the targets, from the shards.
    pub(super) fn gather(&mut self, window: &WindowActivations, weights: &PackedWeights, order: Order) {
        let _clock = weights.phases.time(Phase::Head);
        let Self { tokens, places, x, targets, values, weights: token_weights, .. } = self;
        let (vector, width) = (padded(weights.config.stack_width()), weights.config.outputs);
        for (i, (n, x)) in tokens.clone().zip(x.chunks_exact_mut(vector)).enumerate() {
            let (index, token) = window.locate_head(n);
            let shard = &window.shards[index];
            places[i] = HeadPlace { shard: index, token, output: window.head_index(order, n) };
            x.copy_from_slice(&shard.stack_outputs()[token * vector..][..vector]);
            targets[i] = shard.targets[token];
            if !values.is_empty() {
                let from = &shard.target_values[token * width..][..width];
                values[i * width..][..width].copy_from_slice(from);
            }
            if !token_weights.is_empty() {
                token_weights[i] = shard.token_weights[token];
            }
        }
    }

    /// The losses of the tokens.
    pub(super) fn losses(&mut self) -> TokenLosses<'_> {
        let BlockPart { outputs, targets, values, weights, losses, correct, .. } = self;
        TokenLosses { outputs, targets, values, weights, losses, correct }
    }

    /// Writes the outputs of the head to `out`; zeros between the tokens.
    pub(super) fn write_outputs(self, weights: &PackedWeights, place: &impl Fn(usize) -> usize) {
        let BlockPart { tokens, x, outputs, mut out, .. } = self;
        let width = weights.config.outputs;
        if width == padded(width) && out.len() == tokens.len() * width {
            return weights.head_outputs(x, out);
        }
        weights.head_outputs(x, outputs);
        for (m, row) in tokens.zip(outputs.chunks_exact(padded(width))) {
            let (to, rest) = out.split_at_mut(place(m + 1) - place(m));
            to[..width].copy_from_slice(&row[..width]);
            to[width..].fill(0.0);
            out = rest;
        }
    }
}

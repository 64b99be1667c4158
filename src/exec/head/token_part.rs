//! Some tokens of a shard, for one thread: from the outputs of the last layer to losses and
//! gradients.

use super::losses::TokenLosses;
use crate::exec::weights::PackedWeights;
use crate::parallel::Threads;
use unrolled_kernels::pack::padded;

/// Some tokens of a shard.
pub(in crate::exec) struct TokenPart<'a> {
    /// [N, padded(P)]
    pub(in crate::exec) x: &'a [f32],
    /// `[N]`
    pub(in crate::exec) targets: &'a [u32],
    /// [N, O], or empty.
    pub(in crate::exec) values: &'a [f32],
    /// `[N]`, or empty.
    pub(in crate::exec) token_weights: &'a [f32],
    /// [N, padded(O)]
    pub(in crate::exec) outputs: &'a mut [f32],
    /// `[N]`
    pub(in crate::exec) losses: &'a mut [f64],
    pub(in crate::exec) correct: &'a mut [bool],
    /// [N, padded(P)], or empty.
    pub(in crate::exec) d_x: &'a mut [f32],
}

/// Calls `f` on one part of the `tokens` tokens of `all` for each thread. `split` returns the tokens
/// of a part before an index, and the others.
pub(in crate::exec) fn divide_tokens<P: Send>(
    tokens: usize,
    all: P,
    threads: &Threads,
    split: &(impl Fn(P, usize) -> [P; 2] + Sync),
    f: &(impl Fn(P) + Sync),
) {
    halve((tokens, tokens.div_ceil(threads.at_work())), all, threads, split, f);
}

/// Halves `part` until a part has at most `share` tokens.
fn halve<P: Send>(
    (tokens, share): (usize, usize),
    part: P,
    threads: &Threads,
    split: &(impl Fn(P, usize) -> [P; 2] + Sync),
    f: &(impl Fn(P) + Sync),
) {
    let pieces = tokens.div_ceil(share.max(1));
    if pieces <= 1 {
        return f(part);
    }
    let half = tokens * pieces.div_ceil(2) / pieces;
    let [first, second] = split(part, half);
    threads.join(
        || halve((half, share), first, threads, split, f),
        || halve((tokens - half, share), second, threads, split, f),
    );
}

impl<'a> TokenPart<'a> {
    /// Calls `f` on one part for each thread.
    pub(in crate::exec) fn divide(
        self,
        weights: &PackedWeights,
        threads: &Threads,
        f: &(impl Fn(TokenPart<'_>) + Sync),
    ) {
        if threads.at_work() == 1 {
            return f(self);
        }
        let split = |part: Self, at| part.split(at, weights);
        divide_tokens(self.losses.len(), self, threads, &split, &|part| f(part));
    }

    fn split(self, at: usize, weights: &PackedWeights) -> [Self; 2] {
        let (vector, width) = (padded(weights.config.stack_width()), weights.config.outputs);
        let TokenPart { x, targets, values, token_weights, outputs, losses, correct, d_x } = self;
        let (x, x_after) = x.split_at(at * vector);
        let (targets, targets_after) = targets.split_at(at);
        let (values, values_after) = values.split_at(values.len().min(at * width));
        let (token_weights, weights_after) = token_weights.split_at(token_weights.len().min(at));
        let (outputs, outputs_after) = outputs.split_at_mut(at * padded(width));
        let (losses, losses_after) = losses.split_at_mut(at);
        let (correct, correct_after) = correct.split_at_mut(at);
        let (d_x, d_x_after) = d_x.split_at_mut(d_x.len().min(at * vector));
        let first = TokenPart { x, targets, values, token_weights, outputs, losses, correct, d_x };
        let second = TokenPart {
            x: x_after,
            targets: targets_after,
            values: values_after,
            token_weights: weights_after,
            outputs: outputs_after,
            losses: losses_after,
            correct: correct_after,
            d_x: d_x_after,
        };
        [first, second]
    }

    /// The losses of the tokens.
    pub(in crate::exec) fn losses(&mut self) -> TokenLosses<'_> {
        let TokenPart { outputs, targets, values, token_weights: weights, losses, correct, .. } = self;
        TokenLosses { outputs, targets, values, weights, losses, correct }
    }
}

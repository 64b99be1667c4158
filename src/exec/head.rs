//! The head of a window whose logits are too many to keep: block by block of tokens.
//!
//! ```text
//! all shards forward through the layers
//! for each block of tokens, in the order (step, row)
//!     x [block, padded(P)], targets           gathered from the shards
//!     logits, losses, their gradients, d_x    threads divide the tokens of the block
//!     dW, db of the head                      threads divide the rows of W; the sums go on from the block before
//!     losses, d_x                             copied back to the shards
//! all shards backward through the layers
//! ```
//!
//! 1. The chains of dW run over (step, row), as they do over a whole window, so the bits are equal.
//! 2. The logits of a block are used again while they are in the caches. Their room, [block, padded(V)], is of the size of
//!    W where P is [`BLOCK`].

use super::executor::{Executor, Goal};
use super::gradient::Matrix;
use super::logits::{Losses, Slope};
use super::table::Packed;
use super::tensors::Arena;
use super::tokens::Vectors;
use super::weights::Weights;
use crate::aligned::Aligned;
use crate::model::cell::resize;
use crate::parallel::Threads;
use crate::phases::Phase;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use unrolled_kernels::pack::padded;

/// Tokens of a block: twice as many as a weight gradient walks at a time, so that its sums stop where they stop anyway.
const BLOCK: usize = 512;
/// Vocabularies up to this size keep the logits of a window, however long it is.
const SMALL: usize = 1024;
/// Floats of the largest logits that are kept for a whole window (16 MiB).
const KEPT: usize = 4 << 20;

/// Which windows keep their logits, and how many tokens the others take at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    small: usize,
    kept: usize,
    tokens: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { small: SMALL, kept: KEPT, tokens: BLOCK }
    }
}

impl Blocks {
    /// Blocks of `tokens` tokens, for every window.
    #[cfg(test)]
    pub(crate) fn always(tokens: usize) -> Self {
        Self { small: 0, kept: 0, tokens }
    }

    /// Whether a window of up to `most` tokens keeps its logits.
    pub(crate) fn keep(&self, vocabulary: usize, most: usize) -> bool {
        let few = most.saturating_mul(vocabulary) <= self.kept;
        vocabulary <= self.small || most <= self.tokens || few
    }

    /// Tokens of a block of such a window; none where it keeps its logits.
    pub(crate) fn room(&self, vocabulary: usize, most: usize) -> usize {
        if self.keep(vocabulary, most) { 0 } else { self.tokens }
    }
}

/// Buffers of a block of tokens, used again for the blocks after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// [block, padded(P)]: what the last layer gave, and the gradient of that.
    x: Vec<f32>,
    d_x: Vec<f32>,
    /// [block, padded(V)]: logits, then their gradients.
    logits: Aligned,
    /// `[block]`
    targets: Vec<u32>,
    losses: Vec<f64>,
    correct: Vec<bool>,
}

impl Head {
    /// Goes on to the goal from what the last layer of the shards gave. Losses and the gradient of that are left in the
    /// shards. Returns how many targets are among the top k, where that is asked for.
    pub(crate) fn run(&mut self, executor: &mut Executor, packed: Packed<'_>, goal: &mut Goal<'_>) -> u64 {
        match goal {
            Goal::Outputs => {}
            Goal::Logits(out) => self.write_logits(executor, packed, out),
            Goal::Losses { top_k } => return self.measure(executor, packed, *top_k),
            Goal::Deltas { slope, gradient } => self.descend(executor, packed, *slope, gradient),
        }
        0
    }

    /// Writes the logits [T, B, V], zeros beyond the end of a row.
    fn write_logits(
        &mut self,
        executor: &Executor,
        Packed { weights, threads, .. }: Packed<'_>,
        out: &mut [f32],
    ) {
        let vocabulary = weights.config.vocabulary;
        let place = |m: usize| executor.source(m) * vocabulary;
        let (before, mut rest) = out.split_at_mut(place(0));
        before.fill(0.0);
        for block in blocks(executor, weights) {
            self.gather(executor, weights, block.clone());
            let (out, after) = rest.split_at_mut(place(block.end) - place(block.start));
            rest = after;
            let part = Part { out, ..self.part(block) };
            part.divide(weights, threads, &place, &|part| part.write_logits(weights, &place));
        }
    }

    fn measure(&mut self, executor: &mut Executor, packed: Packed<'_>, top_k: Option<usize>) -> u64 {
        let Packed { weights, threads, .. } = packed;
        let within = AtomicU64::new(0);
        for block in blocks(executor, weights) {
            self.gather(executor, weights, block.clone());
            self.part(block.clone()).divide(weights, threads, &|_| 0, &|part| {
                weights.logits(part.x, part.logits);
                within.fetch_add(part.losses().measure(weights, top_k), Ordering::Relaxed);
            });
            self.scatter(executor, weights, block);
        }
        within.into_inner()
    }

    /// Writes the head's part of `gradient`, an arena parallel to the parameters.
    fn descend(&mut self, executor: &mut Executor, packed: Packed<'_>, slope: Slope, gradient: &mut [f32]) {
        let Packed { weights, threads, .. } = packed;
        let (rows, depth) = (weights.config.vocabulary, weights.config.output_width());
        let mut arena = Arena::new(gradient);
        let (weight, bias) = (arena.take(&weights.tensors.head), arena.take(&weights.tensors.head_bias));
        for block in blocks(executor, weights) {
            self.gather(executor, weights, block.clone());
            self.d_x.resize(self.x.len(), 0.0);
            let part = self.part(block.clone());
            part.divide(weights, threads, &|_| 0, &|part| {
                weights.logits(part.x, part.logits);
                let Part { logits, targets, losses, correct, d_x, .. } = part;
                Losses { logits: &mut *logits, targets, losses, correct }.descend(weights, slope);
                weights.below_logits(logits, d_x);
            });
            let pairs = Vectors {
                count: block.len(),
                deltas: (&self.logits, padded(rows)),
                inputs: (&self.x, padded(depth)),
            };
            let (slots, continues) = (&weights.head.slots, block.start > 0);
            let clock = weights.phases.of(Phase::HeadGradient);
            let matrix = Matrix { pairs: &pairs, slots, depth, rows: 0..rows, continues, clock };
            matrix.run(weights.isa, (&mut *weight, &mut *bias), threads);
            self.scatter(executor, weights, block);
        }
    }

    /// Takes what the last layer gave for the tokens of a block, and their targets.
    fn gather(&mut self, executor: &Executor, weights: &Weights, block: Range<usize>) {
        let (vector, tokens) = (padded(weights.config.output_width()), block.len());
        let most = weights.blocks.tokens;
        self.x.clear();
        self.targets.clear();
        self.d_x.clear();
        resize(&mut self.x, 0, most * vector);
        for (shard, token) in block.map(|m| executor.place(m)) {
            let shard = &executor.shards[shard];
            self.x.extend_from_slice(&shard.outputs()[token * vector..][..vector]);
            self.targets.push(shard.targets[token]);
        }
        self.logits.resize(tokens * padded(weights.config.vocabulary));
        resize(&mut self.losses, tokens, most);
        resize(&mut self.correct, tokens, most);
    }

    /// Copies losses, and the gradient of what the last layer gave where there is one, to their places in the shards.
    fn scatter(&self, executor: &mut Executor, weights: &Weights, block: Range<usize>) {
        let vector = padded(weights.config.output_width());
        for (i, m) in block.enumerate() {
            let (shard, token) = executor.place(m);
            let shard = &mut executor.shards[shard];
            (shard.losses[token], shard.correct[token]) = (self.losses[i], self.correct[i]);
            if let Some(d_x) = self.d_x.get(i * vector..(i + 1) * vector) {
                shard.dy_mut()[token * vector..][..vector].copy_from_slice(d_x);
            }
        }
    }

    fn part(&mut self, tokens: Range<usize>) -> Part<'_> {
        let Self { x, d_x, logits, targets, losses, correct } = self;
        Part { tokens, x, targets, logits, losses, correct, d_x, out: &mut [] }
    }
}

/// The blocks of a window, in order.
fn blocks(executor: &Executor, weights: &Weights) -> impl Iterator<Item = Range<usize>> + use<> {
    let (tokens, block) = (executor.tokens(), weights.blocks.tokens);
    (0..tokens).step_by(block).map(move |first| first..(first + block).min(tokens))
}

/// Some tokens of a block, for one thread.
struct Part<'a> {
    /// Their numbers in the window.
    tokens: Range<usize>,
    /// [N, padded(P)]
    x: &'a [f32],
    /// `[N]`
    targets: &'a [u32],
    /// [N, padded(V)]
    logits: &'a mut [f32],
    /// `[N]`
    losses: &'a mut [f64],
    correct: &'a mut [bool],
    /// [N, padded(P)], or empty.
    d_x: &'a mut [f32],
    /// The caller's logits, from the place of the first token up to that of the first one behind them; or empty.
    out: &'a mut [f32],
}

impl<'a> Part<'a> {
    /// Calls `f` on as many parts as there are threads. `place` is where a token's row begins in the caller's logits.
    fn divide(
        self,
        weights: &Weights,
        threads: &Threads,
        place: &(impl Fn(usize) -> usize + Sync),
        f: &(impl Fn(Part<'_>) + Sync),
    ) {
        let share = self.tokens.len().div_ceil(threads.at_work());
        self.halve(weights, (threads, share), place, f);
    }

    fn halve(
        self,
        weights: &Weights,
        (threads, share): (&Threads, usize),
        place: &(impl Fn(usize) -> usize + Sync),
        f: &(impl Fn(Part<'_>) + Sync),
    ) {
        let pieces = self.tokens.len().div_ceil(share.max(1));
        if pieces <= 1 {
            return f(self);
        }
        let half = self.tokens.len() * pieces.div_ceil(2) / pieces;
        let [first, second] = self.split(half, weights, place);
        threads.join(
            || first.halve(weights, (threads, share), place, f),
            || second.halve(weights, (threads, share), place, f),
        );
    }

    fn split(self, at: usize, weights: &Weights, place: &impl Fn(usize) -> usize) -> [Part<'a>; 2] {
        let Part { tokens, x, targets, logits, losses, correct, d_x, out } = self;
        let vector = padded(weights.config.output_width());
        let middle = tokens.start + at;
        let (x, x_after) = x.split_at(at * vector);
        let (targets, targets_after) = targets.split_at(at);
        let (logits, logits_after) = logits.split_at_mut(at * padded(weights.config.vocabulary));
        let (losses, losses_after) = losses.split_at_mut(at);
        let (correct, correct_after) = correct.split_at_mut(at);
        let (d_x, d_x_after) = d_x.split_at_mut(d_x.len().min(at * vector));
        let (out, out_after) = out.split_at_mut(place(middle) - place(tokens.start));
        let first = Part { tokens: tokens.start..middle, x, targets, logits, losses, correct, d_x, out };
        let second = Part {
            tokens: middle..tokens.end,
            x: x_after,
            targets: targets_after,
            logits: logits_after,
            losses: losses_after,
            correct: correct_after,
            d_x: d_x_after,
            out: out_after,
        };
        [first, second]
    }

    fn losses(self) -> Losses<'a> {
        let Part { logits, targets, losses, correct, .. } = self;
        Losses { logits, targets, losses, correct }
    }

    fn write_logits(self, weights: &Weights, place: &impl Fn(usize) -> usize) {
        let Part { tokens, x, logits, mut out, .. } = self;
        let vocabulary = weights.config.vocabulary;
        if vocabulary == padded(vocabulary) && out.len() == tokens.len() * vocabulary {
            return weights.logits(x, out);
        }
        weights.logits(x, logits);
        for (m, row) in tokens.zip(logits.chunks_exact(padded(vocabulary))) {
            let (to, rest) = out.split_at_mut(place(m + 1) - place(m));
            to[..vocabulary].copy_from_slice(&row[..vocabulary]);
            to[vocabulary..].fill(0.0);
            out = rest;
        }
    }
}

#[cfg(test)]
mod tests;

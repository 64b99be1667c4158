//! The tokens of a window in the order (step, row), whichever shards they lie in: what gradients of weights are summed over.

use super::executor::Executor;
use super::shard::Shard;
use crate::model::cell::Source;
use unrolled_kernels::gemm::{Pairs, Run};
use unrolled_kernels::pack::padded;

/// The tokens of a window in the order (step, row), as pairs of deltas and inputs.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) hidden: usize,
    pub(crate) delta: Delta,
    pub(crate) input: From,
}

#[derive(Clone, Copy)]
pub(crate) enum Delta {
    /// A layer's.
    Layer(usize),
    /// The logits'.
    Head,
}

#[derive(Clone, Copy)]
pub(crate) enum From {
    /// What a layer (or the head, as one more layer) reads from below.
    Below(usize),
    /// What a layer's recurrent product multiplies.
    Before(usize, Source),
}

/// Where a token lies.
struct Found<'a> {
    shard: &'a Shard,
    /// Its number within the shard.
    token: usize,
    /// The hidden vector that it starts from.
    before: usize,
    /// How many tokens lie behind each other from it on.
    rows: usize,
}

impl Tokens<'_> {
    fn find(&self, m: usize) -> Found<'_> {
        let (rows, shards) = (self.executor.rows, &self.executor.shards);
        if self.executor.is_ragged() {
            let place = self.executor.ragged.places[m];
            let (token, before) = (place.token as usize, place.before as usize);
            return Found { shard: &shards[place.shard as usize], token, before, rows: 1 };
        }
        if let [only] = &shards[..] {
            return Found { shard: only, token: m, before: m, rows: self.len() - m };
        }
        let (t, row) = (m / rows, m % rows);
        let shard = shards.iter().rev().find(|shard| shard.first() <= row).unwrap_or(&shards[0]);
        let within = row - shard.first();
        let token = t * shard.rows() + within;
        Found { shard, token, before: token, rows: shard.rows() - within }
    }
}

impl Pairs for Tokens<'_> {
    fn len(&self) -> usize {
        self.executor.tokens()
    }

    fn delta(&self, m: usize) -> &[f32] {
        let Found { shard, token, .. } = self.find(m);
        match self.delta {
            Delta::Layer(l) => &shard.layers[l].gates[token * self.delta_stride()..],
            Delta::Head => &shard.logits[token * self.delta_stride()..],
        }
    }

    fn input(&self, m: usize) -> &[f32] {
        let Found { shard, token, before, .. } = self.find(m);
        let stride = padded(self.hidden);
        match self.input {
            From::Below(0) => &[],
            From::Below(l) => shard.dense_input(l, token, self.executor.dropped),
            From::Before(l, Source::Hidden) => &shard.layers[l].h[before * stride..],
            From::Before(l, Source::ResetHidden) => &shard.layers[l].extra[token * stride..],
        }
    }

    fn run(&self, m: usize) -> Run {
        let rows = self.find(m).rows;
        Run { rows, delta_stride: self.delta_stride(), input_stride: padded(self.hidden) }
    }
}

impl Tokens<'_> {
    fn delta_stride(&self) -> usize {
        match self.delta {
            Delta::Layer(_) => self.executor.stored_width,
            Delta::Head => self.executor.logit_width,
        }
    }
}

//! The tokens of a window in the order (step, row), whichever shards they lie in: what gradients of weights are summed over.

use super::executor::Executor;
use super::shard::Shard;
use super::weights::Weights;
use crate::model::cell::RecurrentInput;
use unrolled_kernels::pack::padded;
use unrolled_kernels::pairs::{PairRun, Pairs};

/// The tokens of a window in the order (step, row), as pairs of deltas and inputs.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) weights: &'a Weights,
    pub(crate) delta: Delta,
    pub(crate) input: From,
}

#[derive(Clone, Copy)]
pub(crate) enum Delta {
    /// A layer's.
    Layer(usize),
    /// The logits'.
    Head,
    /// Those of what the first layer reads.
    Inputs,
    /// Those of a layer's highway gates.
    Mix(usize),
    /// Gradients of a layer's projected state.
    Projected(usize),
    /// The terms that the gradients of a layer's peepholes or norm are sums of.
    Terms(usize),
}

#[derive(Clone, Copy)]
pub(crate) enum From {
    /// Nothing.
    Nothing,
    /// What a layer (or the head, as one more layer) multiplies of what is below.
    Below(usize),
    /// What a layer reads, before anything of it is dropped.
    Read(usize),
    /// What a layer's recurrent product multiplies.
    Before(usize, RecurrentInput),
    /// What a layer's projection multiplies.
    Output(usize),
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
        let (number, token) = self.executor.place(m);
        let shard = &self.executor.shards[number];
        if self.executor.is_ragged() {
            let before = self.executor.ragged.places[m].before as usize;
            return Found { shard, token, before, rows: 1 };
        }
        let rows = match self.executor.shards.len() {
            1 => self.len() - m,
            _ => shard.rows() - token % shard.rows(),
        };
        Found { shard, token, before: token, rows }
    }
}

impl Pairs for Tokens<'_> {
    fn len(&self) -> usize {
        self.executor.tokens()
    }

    fn delta(&self, m: usize) -> &[f32] {
        let Found { shard, token, .. } = self.find(m);
        let values = match self.delta {
            Delta::Layer(l) => &shard.layers[l].buffers.gates,
            Delta::Head => &shard.logits[..],
            Delta::Inputs => shard.d_inputs(),
            Delta::Mix(l) => shard.layers[l].mix(),
            Delta::Projected(l) => &shard.layers[l].buffers.extended.d_state,
            Delta::Terms(l) => &shard.layers[l].buffers.extended.terms,
        };
        &values[token * self.delta_stride()..]
    }

    fn input(&self, m: usize) -> &[f32] {
        let Found { shard, token, before, .. } = self.find(m);
        let stride = self.input_stride();
        match self.input {
            From::Nothing => &[],
            From::Below(l) => shard.dense_input(l, token, self.below_width(l)),
            From::Read(l) => &shard.below(l)[token * stride..],
            From::Output(l) => &shard.layers[l].buffers.projected()[token * stride..],
            From::Before(l, RecurrentInput::Hidden) => &shard.layers[l].buffers.h[before * stride..],
            From::Before(l, RecurrentInput::ResetHidden) => {
                &shard.layers[l].buffers.reset_h[token * stride..]
            }
        }
    }

    fn run(&self, m: usize) -> PairRun {
        let rows = self.find(m).rows;
        PairRun { rows, delta_stride: self.delta_stride(), input_stride: self.input_stride() }
    }
}

impl Tokens<'_> {
    fn delta_stride(&self) -> usize {
        match self.delta {
            Delta::Layer(l) => self.weights.layers[l].sizes.stored,
            Delta::Head => self.executor.logit_width,
            Delta::Inputs => padded(self.weights.config.input_width(0)),
            Delta::Mix(l) => self.weights.layers[l].highway.as_ref().map_or(0, |plain| plain.bias.len()),
            Delta::Projected(l) => self.weights.layers[l].sizes.extras.extended.d_state,
            Delta::Terms(l) => self.weights.layers[l].sizes.extras.extended.terms,
        }
    }

    fn input_stride(&self) -> usize {
        match self.input {
            From::Nothing => 0,
            From::Below(l) | From::Read(l) => padded(self.below_width(l)),
            From::Before(l, RecurrentInput::Hidden) => padded(self.weights.layers[l].sizes.state),
            From::Before(l, RecurrentInput::ResetHidden) | From::Output(l) => {
                padded(self.weights.layers[l].sizes.hidden)
            }
        }
    }

    fn below_width(&self, l: usize) -> usize {
        self.weights.layers.get(l).map_or(self.weights.config.output_width(), |layer| layer.inputs)
    }
}

/// Rows of two matrices as pairs: values, and floats in a row.
pub(crate) struct Vectors<'a> {
    pub(crate) count: usize,
    pub(crate) deltas: (&'a [f32], usize),
    pub(crate) inputs: (&'a [f32], usize),
}

impl Pairs for Vectors<'_> {
    fn len(&self) -> usize {
        self.count
    }
    fn delta(&self, m: usize) -> &[f32] {
        &self.deltas.0[m * self.deltas.1..]
    }
    fn input(&self, m: usize) -> &[f32] {
        &self.inputs.0[m * self.inputs.1..]
    }
    fn run(&self, m: usize) -> PairRun {
        PairRun { rows: self.count - m, delta_stride: self.deltas.1, input_stride: self.inputs.1 }
    }
}

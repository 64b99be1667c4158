//! The deltas and inputs of a window's tokens, in the order (step, row), for sums over tokens. The
//! order does not depend on the shards.

use crate::exec::weights::PackedWeights;
use crate::exec::window::activations::WindowActivations;
use crate::exec::window::shard::Shard;
use crate::model::cell::RecurrentInput;
use unrolled_kernels::pack::padded;
use unrolled_kernels::pairs::{PairRun, Pairs};

/// The deltas and inputs of a window's tokens.
#[derive(Clone, Copy)]
pub(crate) struct TokenPairs<'a> {
    pub(crate) window: &'a WindowActivations,
    pub(crate) weights: &'a PackedWeights,
    pub(crate) delta: DeltaOf,
    pub(crate) input: InputOf,
}

/// The delta of a token. Numbers are indices of layers.
#[derive(Clone, Copy)]
pub(crate) enum DeltaOf {
    /// The deltas of a layer's gates.
    Layer(usize),
    /// The gradients of the head's outputs.
    Head,
    /// The gradients of the first layer's inputs.
    Inputs,
    /// The deltas of a layer's highway gates.
    Highway(usize),
    /// The gradients of a layer's projected state.
    Projected(usize),
    /// The terms of the gradients of a layer's peepholes or norm.
    Terms(usize),
}

/// The input of a token. Numbers are indices of layers.
#[derive(Clone, Copy)]
pub(crate) enum InputOf {
    /// None: only the deltas are summed.
    Nothing,
    /// The factors of a layer's input weights, or of the head's (index: the number of layers).
    Factors(usize),
    /// A layer's inputs before dropout.
    Unmasked(usize),
    /// The factors of a layer's recurrent weights.
    State(usize, RecurrentInput),
    /// The factors of a layer's projection.
    Output(usize),
}

/// The place of a token.
struct Located<'a> {
    shard: &'a Shard,
    /// Index of the token in the shard.
    token: usize,
    /// Index of the hidden vector before its step.
    before: usize,
    /// Number of tokens that follow each other from it on.
    rows: usize,
}

impl TokenPairs<'_> {
    fn find(&self, m: usize) -> Located<'_> {
        let (index, token) = self.window.locate(m);
        let shard = &self.window.shards[index];
        if self.window.is_ragged() {
            let before = self.window.ragged.locations[m].before as usize;
            return Located { shard, token, before, rows: 1 };
        }
        let rows = match self.window.shards.len() {
            1 => self.len() - m,
            _ => shard.rows() - token % shard.rows(),
        };
        Located { shard, token, before: token, rows }
    }
}

impl Pairs for TokenPairs<'_> {
    fn len(&self) -> usize {
        self.window.tokens()
    }

    fn delta(&self, m: usize) -> &[f32] {
        let Located { shard, token, .. } = self.find(m);
        let values = match self.delta {
            DeltaOf::Layer(l) => &shard.layers[l].buffers.gates,
            DeltaOf::Head => &shard.outputs[..],
            DeltaOf::Inputs => shard.d_inputs(),
            DeltaOf::Highway(l) => shard.layers[l].highway_deltas(),
            DeltaOf::Projected(l) => &shard.layers[l].buffers.extended.d_state,
            DeltaOf::Terms(l) => &shard.layers[l].buffers.extended.terms,
        };
        &values[token * self.delta_stride()..]
    }

    fn input(&self, m: usize) -> &[f32] {
        let Located { shard, token, before, .. } = self.find(m);
        let stride = self.input_stride();
        match self.input {
            InputOf::Nothing => &[],
            InputOf::Factors(l) => shard.factors(l, token, self.input_width(l)),
            InputOf::Unmasked(l) => &shard.layer_inputs(l)[token * stride..],
            InputOf::Output(l) => &shard.layers[l].buffers.projected()[token * stride..],
            InputOf::State(l, RecurrentInput::Hidden) => &shard.layers[l].buffers.h[before * stride..],
            InputOf::State(l, RecurrentInput::ResetHidden) => {
                &shard.layers[l].buffers.reset_h[token * stride..]
            }
        }
    }

    fn run(&self, m: usize) -> PairRun {
        let rows = self.find(m).rows;
        PairRun { rows, delta_stride: self.delta_stride(), input_stride: self.input_stride() }
    }
}

impl TokenPairs<'_> {
    fn delta_stride(&self) -> usize {
        match self.delta {
            DeltaOf::Layer(l) => self.weights.layers[l].sizes.stored,
            DeltaOf::Head => self.window.output_width,
            DeltaOf::Inputs => padded(self.weights.config.input_width(0)),
            DeltaOf::Highway(l) => {
                self.weights.layers[l].highway.as_ref().map_or(0, |gates| gates.bias.len())
            }
            DeltaOf::Projected(l) => self.weights.layers[l].sizes.extras.extended.d_state,
            DeltaOf::Terms(l) => self.weights.layers[l].sizes.extras.extended.terms,
        }
    }

    fn input_stride(&self) -> usize {
        match self.input {
            InputOf::Nothing => 0,
            InputOf::Factors(l) | InputOf::Unmasked(l) => padded(self.input_width(l)),
            InputOf::State(l, RecurrentInput::Hidden) => padded(self.weights.layers[l].sizes.state),
            InputOf::State(l, RecurrentInput::ResetHidden) | InputOf::Output(l) => {
                padded(self.weights.layers[l].sizes.hidden)
            }
        }
    }

    fn input_width(&self, l: usize) -> usize {
        self.weights.layers.get(l).map_or(self.weights.config.stack_width(), |layer| layer.inputs)
    }
}

/// The rows of two matrices as deltas and inputs: values, and floats in a row.
pub(crate) struct RowPairs<'a> {
    pub(crate) count: usize,
    pub(crate) deltas: (&'a [f32], usize),
    pub(crate) inputs: (&'a [f32], usize),
}

impl Pairs for RowPairs<'_> {
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

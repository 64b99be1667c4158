//! The passes of a shard through all layers: which outputs a layer reads, and where its gradients
//! go.

use super::shard::Shard;
use crate::exec::layer::{
    LayerContext, LayerInput, add_reverse, forward_gradient, outputs_of, reverse_gradient,
};
use crate::exec::masks::{MaskSource, ShardRows};
use crate::exec::weights::PackedWeights;
use crate::parallel::Threads;
use crate::phases::Phase;
use unrolled_kernels::pack::padded;

/// The context of a pass through the layers.
struct PassContext<'a> {
    weights: &'a PackedWeights,
    rows: ShardRows<'a>,
    dropping: Option<MaskSource<'a>>,
    threads: &'a Threads,
    /// The phase of a layer.
    phase: fn(usize) -> Phase,
}

impl<'a> PassContext<'a> {
    /// The context of entry `l` of the layers.
    fn of(&self, l: usize) -> LayerContext<'a> {
        let Self { weights, rows, dropping, threads, phase } = *self;
        let (isa, clock) = (weights.isa, weights.phases.of(phase(l)));
        LayerContext { isa, index: l, weights: &weights.layers[l], rows, dropping, threads, clock }
    }
}

impl Shard {
    /// Runs all layers, from the state at the start of the buffers.
    pub(crate) fn forward(
        &mut self,
        weights: &PackedWeights,
        table: &[f32],
        (dropping, threads): (Option<MaskSource<'_>>, &Threads),
    ) {
        let ends = self.joined_at_ends();
        let Self { layers, both, mirrored, ids, inputs, order, batch, .. } = self;
        let rows = ShardRows { order, batch: *batch };
        let pass = PassContext { weights, rows, dropping, threads, phase: Phase::Forward };
        for l in 0..layers.len() {
            let ((below, layer), (both_below, both)) = (layers.split_at_mut(l), both.split_at_mut(l));
            let (at, layer, both) = (pass.of(l), &mut layer[0], &mut both[0]);
            if both.is_reverse {
                // The forward direction, entry l - 1, reads what is below it.
                let read = outputs_of(&below[..l - 1], &both_below[..l - 1]).unwrap_or(inputs);
                both.read(at, mirrored, read);
                layer.forward(at, LayerInput::Dense(both.inputs()));
                let place = |token| if ends == Some(l) { token } else { mirrored.of(token) };
                both.join(at, &place, [below[l - 1].outputs(), layer.outputs()]);
                continue;
            }
            let input = match outputs_of(below, both_below) {
                Some(below) => LayerInput::Dense(below),
                None if weights.gathers => LayerInput::Table { rows: table, ids },
                None => LayerInput::Dense(inputs),
            };
            layer.forward(at, input);
        }
    }

    /// Goes backward through all layers, from the gradient of the last layer's outputs in `dy`.
    pub(crate) fn layers_backward(
        &mut self,
        weights: &PackedWeights,
        (dropping, threads): (Option<MaskSource<'_>>, &Threads),
    ) {
        let ends = self.joined_at_ends();
        let Self { layers, both, mirrored, ids, inputs, order, batch, dy, dx, d_direction, .. } = self;
        let (rows, tokens) = (ShardRows { order, batch: *batch }, ids.len());
        let pass = PassContext { weights, rows, dropping, threads, phase: Phase::Backward };
        for l in (0..layers.len()).rev() {
            let (below, layer) = layers.split_at_mut(l);
            let (at, layer) = (pass.of(l), &mut layer[0]);
            let wanted = if l > 0 || !weights.gathers { tokens * padded(at.weights.inputs) } else { 0 };
            let d_direction = &mut d_direction[..];
            let read = outputs_of(below, &both[..l]).unwrap_or(inputs);
            let width = tokens * padded(at.weights.outputs);
            if both[l].is_reverse {
                let d_outputs = &mut d_direction[..width];
                let place = |token| if ends == Some(l) { token } else { mirrored.of(token) };
                reverse_gradient(at, &place, dy, d_outputs);
                layer.backward(at, LayerInput::Dense(both[l].inputs()), d_outputs, &mut dx[..wanted]);
            } else if both.get(l + 1).is_some_and(|both| both.is_reverse) {
                let d_outputs = &mut d_direction[..width];
                forward_gradient(at, dy, d_outputs);
                layer.backward(at, LayerInput::Dense(read), d_outputs, &mut dy[..wanted]);
                add_reverse(at, mirrored, dx, &mut dy[..wanted]);
            } else {
                layer.backward(at, LayerInput::Dense(read), &mut dy[..width], &mut dx[..wanted]);
                std::mem::swap(dy, dx);
            }
        }
    }

    /// The entry of the layers whose outputs are the last ones of each direction, if there is one.
    fn joined_at_ends(&self) -> Option<usize> {
        self.layers.len().checked_sub(1).filter(|_| self.joins_ends)
    }

    /// The outputs of the last layer [N, padded(P)].
    pub(crate) fn stack_outputs(&self) -> &[f32] {
        outputs_of(&self.layers, &self.both).unwrap_or_default()
    }

    /// The inputs [N, padded(E)] of entry `l` of the layers, or of the head if `l` is their number.
    pub(crate) fn layer_inputs(&self, l: usize) -> &[f32] {
        match self.both.get(l).filter(|both| both.is_reverse) {
            Some(both) => both.inputs(),
            None => outputs_of(&self.layers[..l], &self.both[..l]).unwrap_or(&self.inputs),
        }
    }

    /// The factors of the weights of entry `l` of the layers (or of the head), from token `token`
    /// on: [.., padded(E)].
    pub(crate) fn factors(&self, l: usize, token: usize, width: usize) -> &[f32] {
        let inputs = self.layer_inputs(l);
        let values = self.layers.get(l).map_or(inputs, |layer| layer.factors(inputs));
        &values[token * padded(width)..]
    }
}

//! Some rows of a batch: their activations through all layers and steps, forward and backward, on one thread.

use super::executor::{Goal, Purpose, spread};
use super::layer::{At, Below, LayerRun};
use super::logits::Losses;
use super::masks::{Dropping, Rows};
use super::state::State;
use super::weights::Weights;
use crate::model::Parameters;
use crate::model::cell::resize;
use crate::phases::Phase;
use unrolled_kernels::WindowShape;
use unrolled_kernels::pack::padded;

/// Some rows of the batch; [N, ..] stands for their tokens, step by step (see [`WindowShape`]).
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// The batch row of each of its rows: in order, or the longest first.
    pub(crate) order: Vec<u32>,
    /// Rows of the whole batch.
    batch: usize,
    steps: usize,
    pub(crate) purpose: Purpose,
    pub(crate) layers: Vec<LayerRun>,
    /// `[N]`: rows of the input table.
    pub(crate) ids: Vec<u32>,
    /// [N, padded(E)]: what the first layer reads, where that is no row of a table.
    pub(crate) inputs: Vec<f32>,
    /// `[N]`
    pub(crate) targets: Vec<u32>,
    /// [N, padded(V)]: logits, then their gradients; empty where they are not kept.
    pub(crate) logits: Vec<f32>,
    /// [N, padded(width)]: the gradient on its way down, from one to the other.
    dy: Vec<f32>,
    dx: Vec<f32>,
    /// `[N]`
    pub(crate) losses: Vec<f64>,
    pub(crate) correct: Vec<bool>,
    /// Targets within the top k, where that was asked for.
    pub(crate) within: u64,
}

impl Shard {
    /// Of no rows.
    pub(crate) fn new(weights: &Weights, purpose: Purpose) -> Self {
        Self {
            order: Vec::new(),
            batch: 0,
            steps: 0,
            purpose,
            layers: weights.layers.iter().map(|layer| LayerRun::new(layer, purpose.train)).collect(),
            ids: Vec::new(),
            inputs: Vec::new(),
            targets: Vec::new(),
            logits: Vec::new(),
            dy: Vec::new(),
            dx: Vec::new(),
            losses: Vec::new(),
            correct: Vec::new(),
            within: 0,
        }
    }

    /// Makes room for the rows in `order`, of `batch` in all, over `steps` steps, with `active` of them in each, or all.
    pub(crate) fn resize(&mut self, weights: &Weights, batch: usize, steps: usize, active: &[u32]) {
        (self.steps, self.batch) = (steps, batch);
        let rows = self.order.len();
        let window = WindowShape { steps, rows, hidden: 0, keep: self.purpose.train, active };
        for (run, layer) in self.layers.iter_mut().zip(&weights.layers) {
            run.resize(layer, window, self.purpose.dropout);
        }
        let (tokens, most) = (window.tokens(), steps * rows);
        let vocabulary = weights.config.vocabulary;
        let keeps = weights.blocks.keep(vocabulary, batch * steps);
        let logits = if keeps { padded(vocabulary) } else { 0 };
        resize(&mut self.ids, tokens, most);
        resize(&mut self.targets, tokens, most);
        resize(&mut self.losses, tokens, most);
        resize(&mut self.correct, tokens, most);
        resize(&mut self.logits, tokens * logits, most * logits);
        if !weights.gathers {
            let width = padded(weights.config.input_width(0));
            resize(&mut self.inputs, tokens * width, most * width);
        }
        if window.keep {
            // Nothing goes down to rows of a table.
            let read = weights.layers.iter().skip(usize::from(weights.gathers)).map(|layer| layer.inputs);
            let widths = read.chain(weights.layers.iter().map(|layer| layer.outputs));
            let widest = padded(widths.max().unwrap_or(0));
            resize(&mut self.dy, most * widest, most * widest);
            resize(&mut self.dx, most * widest, most * widest);
        }
    }

    /// Its first batch row, when its rows are in order.
    pub(crate) fn first(&self) -> usize {
        self.order.first().map_or(0, |row| *row as usize)
    }

    pub(crate) fn rows(&self) -> usize {
        self.order.len()
    }

    /// Starts the next window from zero, or from where the last one ended if one `ran` since the state was set.
    pub(crate) fn begin(&mut self, fresh: bool, ran: bool) {
        for LayerRun { buffers, .. } in &mut self.layers {
            let sizes = buffers.sizes;
            let [h, c] = [sizes.state, sizes.hidden].map(|width| buffers.window.rows * padded(width));
            if fresh {
                buffers.h[..h].fill(0.0);
                let c = buffers.c.len().min(c);
                buffers.c[..c].fill(0.0);
            } else if ran {
                buffers.carry_over();
            }
        }
    }

    /// Takes this shard's columns of time-major ids [T, B], whose rows all have T steps.
    pub(crate) fn load(&mut self, batch: usize, inputs: &[u32], targets: &[u32]) {
        let (first, rows) = (self.first(), self.rows());
        for t in 0..self.steps {
            let (from, to) = (t * batch + first, t * rows);
            self.ids[to..][..rows].copy_from_slice(&inputs[from..][..rows]);
            if !targets.is_empty() {
                self.targets[to..][..rows].copy_from_slice(&targets[from..][..rows]);
            }
        }
    }

    /// Writes the vectors of its ids, where the first layer reads vectors: embeddings, or units of one-hot input.
    pub(crate) fn look_up(&mut self, weights: &Weights, parameters: &Parameters) {
        if weights.gathers || !weights.config.has_head() {
            return;
        }
        let width = weights.config.input_width(0);
        let matrix = weights.tensors.embedding.as_ref().map(|range| &parameters.values[range.clone()]);
        for (id, to) in self.ids.iter().zip(self.inputs.chunks_exact_mut(padded(width))) {
            match matrix {
                Some(matrix) => to[..width].copy_from_slice(&matrix[*id as usize * width..][..width]),
                None => {
                    to.fill(0.0);
                    to[*id as usize] = 1.0;
                }
            }
        }
    }

    /// All layers, from the state that the buffers start with.
    pub(crate) fn forward(&mut self, weights: &Weights, table: &[f32], dropping: Option<Dropping<'_>>) {
        let Self { layers, ids, inputs, order, batch, .. } = self;
        let rows = Rows { order, batch: *batch };
        for l in 0..layers.len() {
            let _clock = weights.phases.time(Phase::Forward(l));
            let (below, layer) = layers.split_at_mut(l);
            let read = match below.last() {
                Some(below) => Below::Dense(below.outputs()),
                None if weights.gathers => Below::Table { rows: table, ids },
                None => Below::Dense(inputs),
            };
            let at = At { isa: weights.isa, number: l, weights: &weights.layers[l], rows, dropping };
            layer[0].forward(at, read);
        }
    }

    /// What the last layer gives [N, padded(P)].
    pub(crate) fn outputs(&self) -> &[f32] {
        self.layers.last().map(LayerRun::outputs).unwrap_or_default()
    }

    /// Goes on to the goal from what the last layer gave, where logits are kept.
    pub(crate) fn finish(&mut self, weights: &Weights, dropping: Option<Dropping<'_>>, goal: &Goal<'_>) {
        if !matches!(goal, Goal::Outputs) {
            self.head(weights);
        }
        match goal {
            Goal::Outputs | Goal::Logits(_) => {}
            Goal::Losses { top_k } => self.within = self.losses().measure(weights, *top_k),
            Goal::Deltas { slope, .. } => {
                self.losses().descend(weights, *slope);
                self.backward(weights, dropping);
            }
        }
    }

    /// Logits of all tokens, from what the last layer gave.
    pub(crate) fn head(&mut self, weights: &Weights) {
        let mut logits = std::mem::take(&mut self.logits);
        weights.logits(self.outputs(), &mut logits);
        self.logits = logits;
    }

    /// Where the losses of all tokens go, and the logits that they are taken of.
    pub(crate) fn losses(&mut self) -> Losses<'_> {
        let Self { logits, targets, losses, correct, .. } = self;
        Losses { logits, targets, losses, correct }
    }

    /// Deltas of all layers from the logits' gradients, which `Losses::descend` has left.
    pub(crate) fn backward(&mut self, weights: &Weights, dropping: Option<Dropping<'_>>) {
        let width = self.ids.len() * padded(weights.config.output_width());
        weights.below_logits(&self.logits, &mut self.dy[..width]);
        self.layers_backward(weights, dropping);
    }

    /// Deltas of all layers from the gradient of the outputs, in `dy`.
    pub(crate) fn layers_backward(&mut self, weights: &Weights, dropping: Option<Dropping<'_>>) {
        let Self { layers, ids, inputs, order, batch, dy, dx, .. } = self;
        let (rows, tokens) = (Rows { order, batch: *batch }, ids.len());
        for l in (0..layers.len()).rev() {
            let _clock = weights.phases.time(Phase::Backward(l));
            let (below, layer) = layers.split_at_mut(l);
            let read = match below.last() {
                Some(below) => Below::Dense(below.outputs()),
                None => Below::Dense(inputs),
            };
            let packed = &weights.layers[l];
            let wanted = if l > 0 || !weights.gathers { tokens * padded(packed.inputs) } else { 0 };
            let at = At { isa: weights.isa, number: l, weights: packed, rows, dropping };
            layer[0].backward(at, read, &mut dy[..tokens * padded(packed.outputs)], &mut dx[..wanted]);
            std::mem::swap(dy, dx);
        }
    }

    /// The gradient of the outputs, to be filled before `layers_backward`: [N, padded(P)].
    pub(crate) fn d_outputs(&mut self, weights: &Weights) -> &mut [f32] {
        let gradient = &mut self.dy[..self.ids.len() * padded(weights.config.output_width())];
        gradient.fill(0.0);
        gradient
    }

    /// The gradient of what the first layer reads, after a backward pass, unless that is a row of a table: [N, padded(E)].
    pub(crate) fn d_inputs(&self) -> &[f32] {
        &self.dy[..self.inputs.len()]
    }

    /// The gradient on its way down.
    pub(crate) fn dy_mut(&mut self) -> &mut [f32] {
        &mut self.dy
    }

    /// Takes the gradient of the last state of its rows, or zero.
    pub(crate) fn set_d_last(&mut self, gradient: Option<&State>) {
        for (l, run) in self.layers.iter_mut().enumerate() {
            let layer = gradient.map(|gradient| &gradient.layers[l]);
            let (widths, rows) = (run.buffers.widths(), self.order.len());
            for (part, width) in widths.into_iter().enumerate() {
                let to = &mut run.stepped.d_last[part];
                to.clear();
                let Some(layer) = layer else { continue };
                to.resize(rows * padded(width), 0.0);
                spread(if part == 0 { &layer.h } else { &layer.c }, width, &self.order, to);
            }
        }
    }

    /// Writes the gradient of the first state of its rows to their places in `state`.
    pub(crate) fn d_initial(&mut self, weights: &Weights, state: &mut State) {
        for ((run, packed), layer) in self.layers.iter_mut().zip(&weights.layers).zip(&mut state.layers) {
            let widths = run.buffers.widths();
            let parts = run.d_initial(weights.isa, packed.gated());
            for (width, (part, to)) in widths.into_iter().zip(parts.iter().zip([&mut layer.h, &mut layer.c]))
            {
                for (row, from) in self.order.iter().zip(part.chunks(padded(width).max(1))) {
                    to[*row as usize * width..][..width].copy_from_slice(&from[..width]);
                }
            }
        }
    }

    /// What layer `l`, or the head as one more, reads: [N, padded(E)].
    pub(crate) fn below(&self, l: usize) -> &[f32] {
        l.checked_sub(1).map_or(&self.inputs, |below| self.layers[below].outputs())
    }

    /// What layer `l`, or the head as one more, multiplies, from token `token` of this shard on: [.., padded(E)].
    pub(crate) fn dense_input(&self, l: usize, token: usize, width: usize) -> &[f32] {
        let below = self.below(l);
        let values = self.layers.get(l).map_or(below, |layer| layer.multiplied(below));
        &values[token * padded(width)..]
    }
}

//! The rows of one thread: their activations through all layers and steps, forward and backward.

use crate::exec::head::token_part::TokenPart;
use crate::exec::inputs::Inputs;
use crate::exec::layer::{BothDirections, LayerActivations, MirroredTokens, outputs_of};
use crate::exec::masks::MaskSource;
use crate::exec::state::State;
use crate::exec::weights::PackedWeights;
use crate::loss::Loss;
use crate::model::Parameters;
use crate::model::cell::resize;
use crate::parallel::Threads;
use crate::settings::Layer;
use std::sync::atomic::{AtomicU64, Ordering};
use unrolled_kernels::WindowShape;
use unrolled_kernels::pack::padded;
use unrolled_kernels::team::Seat;

/// Which buffers a run of windows needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Keep activations for a backward pass.
    pub(crate) backward: bool,
    /// Allocate masks, because activations may be dropped.
    pub(crate) dropout: bool,
}

impl Needs {
    /// Inference: no backward pass, no dropout.
    pub(crate) const INFERENCE: Self = Self { backward: false, dropout: false };
}

/// Some rows of the batch. [N, ..] stands for their tokens, step by step (see [`WindowShape`]).
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// The batch row of each of its rows: in order, or the longest first.
    pub(crate) order: Vec<u32>,
    /// Number of rows of the whole batch.
    pub(super) batch: usize,
    steps: usize,
    pub(crate) needs: Needs,
    /// One entry for each direction of each layer.
    pub(crate) layers: Vec<LayerActivations>,
    /// The same entries: what the directions of a bidirectional layer share.
    pub(super) both: Vec<BothDirections>,
    /// True if a last layer that is bidirectional gives the last outputs of each direction.
    pub(super) joins_ends: bool,
    /// `[N]`: the token in the place of each token in a reverse direction; unused without one.
    pub(super) mirrored: MirroredTokens,
    /// `[N]`: rows of the input table, or symbols.
    pub(crate) ids: Vec<u32>,
    /// [N, padded(E)]: inputs of the first layer; empty if it reads an input table.
    pub(crate) inputs: Vec<f32>,
    /// `[N]`: class ids to predict.
    pub(crate) targets: Vec<u32>,
    /// [N, O]: values to predict; empty if the targets are class ids.
    pub(crate) target_values: Vec<f32>,
    /// `[N]`: weights of the losses; empty if all tokens weigh 1.
    pub(crate) token_weights: Vec<f32>,
    /// [N, padded(O)]: outputs of the head, then their gradients; empty if they are not kept.
    pub(crate) outputs: Vec<f32>,
    /// [N, padded(width)]: the gradient on its way down, copied from one buffer to the other.
    pub(super) dy: Vec<f32>,
    pub(super) dx: Vec<f32>,
    /// [N, padded(P)]: the gradient of the outputs of one direction of a bidirectional layer.
    pub(super) d_direction: Vec<f32>,
    /// `[N]`
    pub(crate) losses: Vec<f64>,
    /// `[N]`
    pub(crate) correct: Vec<bool>,
    /// Number of targets among the top k.
    pub(crate) within: u64,
}

impl Shard {
    /// A shard without rows.
    pub(crate) fn new(weights: &PackedWeights, needs: Needs) -> Self {
        Self {
            order: Vec::new(),
            batch: 0,
            steps: 0,
            needs,
            layers: weights.layers.iter().map(|layer| LayerActivations::new(layer, needs.backward)).collect(),
            both: weights.layers.iter().map(|layer| BothDirections::new(layer.is_reverse)).collect(),
            joins_ends: false,
            mirrored: MirroredTokens::default(),
            ids: Vec::new(),
            inputs: Vec::new(),
            targets: Vec::new(),
            target_values: Vec::new(),
            token_weights: Vec::new(),
            outputs: Vec::new(),
            dy: Vec::new(),
            dx: Vec::new(),
            d_direction: Vec::new(),
            losses: Vec::new(),
            correct: Vec::new(),
            within: 0,
        }
    }

    /// Makes room for the rows in `order`, out of `batch` rows, over `steps` steps with `active`
    /// rows in each (all rows if empty). `keeps` says if the outputs of the head are kept, `members`
    /// is the size of the team that runs the layers.
    pub(crate) fn resize(
        &mut self,
        weights: &PackedWeights,
        [steps, batch]: [usize; 2],
        active: &[u32],
        (keeps, members): (bool, usize),
    ) {
        (self.steps, self.batch) = (steps, batch);
        let rows = self.order.len();
        let window = WindowShape { steps, rows, hidden: 0, keep: self.needs.backward, active };
        for (activations, layer) in self.layers.iter_mut().zip(&weights.layers) {
            activations.resize(layer, window, self.needs.dropout);
            activations.buffers.seats.resize(members, Seat::default());
        }
        for (both, layer) in self.both.iter_mut().zip(&weights.layers) {
            both.resize(window, [layer.inputs, layer.outputs]);
        }
        if weights.config.is_bidirectional() {
            self.mirrored.set(window);
        }
        let (tokens, most) = (window.tokens(), steps * rows);
        let outputs = if keeps { padded(weights.config.outputs) } else { 0 };
        resize(&mut self.ids, tokens, most);
        resize(&mut self.targets, tokens, most);
        resize(&mut self.losses, tokens, most);
        resize(&mut self.correct, tokens, most);
        resize(&mut self.outputs, tokens * outputs, most * outputs);
        if !weights.gathers {
            let width = padded(weights.config.input_width(0));
            resize(&mut self.inputs, tokens * width, most * width);
        }
        if window.keep {
            // An input table has no gradient per token.
            let read = weights.layers.iter().skip(usize::from(weights.gathers)).map(|layer| layer.inputs);
            let widths = read.chain(weights.config.stack.iter().map(Layer::output_size));
            let widest = padded(widths.max().unwrap_or(0));
            resize(&mut self.dy, most * widest, most * widest);
            resize(&mut self.dx, most * widest, most * widest);
            let directions = weights.layers.iter().filter(|layer| layer.is_reverse);
            let widest = padded(directions.map(|layer| layer.outputs).max().unwrap_or(0));
            resize(&mut self.d_direction, most * widest, most * widest);
        }
    }

    /// The first batch row, for a shard whose rows are in order.
    pub(crate) fn first(&self) -> usize {
        self.order.first().map_or(0, |row| *row as usize)
    }

    pub(crate) fn rows(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Starts the next window from zero (`fresh`), or from the last state if a window `ran` since
    /// the state was set.
    pub(crate) fn begin(&mut self, fresh: bool, ran: bool) {
        for LayerActivations { buffers, .. } in &mut self.layers {
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

    /// Copies this shard's columns of the window's ids and targets [T, B]. All rows have T steps.
    pub(crate) fn load(&mut self, batch: usize, ids: &[u32], targets: &[u32]) {
        let (first, rows) = (self.first(), self.rows());
        for t in 0..self.steps {
            let (from, to) = (t * batch + first, t * rows);
            if !ids.is_empty() {
                self.ids[to..][..rows].copy_from_slice(&ids[from..][..rows]);
            }
            if !targets.is_empty() {
                self.targets[to..][..rows].copy_from_slice(&targets[from..][..rows]);
            }
        }
    }

    /// Copies one step's inputs, one row after another.
    pub(crate) fn load_step(&mut self, inputs: Inputs<'_>) {
        match inputs {
            Inputs::Ids(ids) => self.ids.copy_from_slice(ids),
            Inputs::Vectors(values) => {
                let width = values.len() / self.rows();
                let rows = values.chunks_exact(width).zip(self.inputs.chunks_exact_mut(padded(width)));
                rows.for_each(|(from, to)| to[..width].copy_from_slice(from));
            }
        }
    }

    /// Fills the inputs of a first layer that reads the vectors of symbols: embeddings, or one-hot
    /// vectors.
    pub(crate) fn look_up(&mut self, weights: &PackedWeights, parameters: &Parameters) {
        if weights.gathers || !weights.config.reads_symbols() {
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

    /// Runs the head on all tokens, if the model has one.
    pub(crate) fn head(&mut self, weights: &PackedWeights, threads: &Threads) {
        if !self.outputs.is_empty() {
            self.divide(weights, threads, &|part| weights.head_outputs(part.x, part.outputs));
        }
    }

    /// Runs the head on all tokens and computes their losses.
    pub(crate) fn measure(
        &mut self,
        weights: &PackedWeights,
        threads: &Threads,
        (loss, top_k): (Loss, Option<usize>),
    ) {
        let within = AtomicU64::new(0);
        self.divide(weights, threads, &|mut part| {
            weights.head_outputs(part.x, part.outputs);
            within.fetch_add(part.losses().measure(weights, loss, top_k), Ordering::Relaxed);
        });
        self.within = within.into_inner();
    }

    /// Runs the head on all tokens, computes their losses, and goes backward from them.
    pub(crate) fn descend(
        &mut self,
        weights: &PackedWeights,
        (dropping, threads): (Option<MaskSource<'_>>, &Threads),
        (loss, scale): (Loss, f32),
    ) {
        self.divide(weights, threads, &|mut part| {
            weights.head_outputs(part.x, part.outputs);
            part.losses().descend(weights, loss, scale);
            weights.head_input_gradient(part.outputs, part.d_x);
        });
        self.layers_backward(weights, (dropping, threads));
    }

    /// Goes backward through head and layers, from the gradients of the head's outputs.
    pub(crate) fn backward(
        &mut self,
        weights: &PackedWeights,
        (dropping, threads): (Option<MaskSource<'_>>, &Threads),
    ) {
        self.divide(weights, threads, &|part| weights.head_input_gradient(part.outputs, part.d_x));
        self.layers_backward(weights, (dropping, threads));
    }

    /// Calls `f` with the tokens of each thread.
    fn divide(&mut self, weights: &PackedWeights, threads: &Threads, f: &(impl Fn(TokenPart<'_>) + Sync)) {
        let Self { layers, both, ids, outputs, targets, target_values, token_weights, .. } = self;
        let Self { losses, correct, dy, .. } = self;
        let width = if dy.is_empty() { 0 } else { ids.len() * padded(weights.config.stack_width()) };
        let x = outputs_of(layers, both).unwrap_or_default();
        let (values, d_x) = (&**target_values, &mut dy[..width]);
        TokenPart { x, targets, values, token_weights, outputs, losses, correct, d_x }
            .divide(weights, threads, f);
    }

    /// Zeroes the gradient of the last layer's outputs [N, padded(P)], to be filled before
    /// `layers_backward`.
    pub(crate) fn clear_stack_gradient(&mut self, weights: &PackedWeights) {
        self.dy[..self.ids.len() * padded(weights.config.stack_width())].fill(0.0);
    }

    /// The gradient of the last layer's outputs before `layers_backward` [N, padded(P)].
    pub(crate) fn stack_gradient_mut(&mut self) -> &mut Vec<f32> {
        &mut self.dy
    }

    /// The gradient of the first layer's inputs after a backward pass [N, padded(E)]; empty with an
    /// input table.
    pub(crate) fn d_inputs(&self) -> &[f32] {
        &self.dy[..self.inputs.len()]
    }

    /// Sets the gradient of the last state of its rows; zero if `None`.
    pub(crate) fn set_d_last(&mut self, gradient: Option<&State>) {
        for (l, activations) in self.layers.iter_mut().enumerate() {
            let layer = gradient.map(|gradient| &gradient.layers[l]);
            let (widths, rows) = (activations.buffers.widths(), self.order.len());
            for (part, (width, to)) in widths.into_iter().zip(activations.d_last_mut()).enumerate() {
                to.clear();
                let Some(layer) = layer else { continue };
                to.resize(rows * padded(width), 0.0);
                copy_rows(if part == 0 { &layer.h } else { &layer.c }, width, &self.order, to);
            }
        }
    }

    /// Computes the gradient of the first state of its rows.
    pub(crate) fn compute_d_initial(&mut self, weights: &PackedWeights) {
        for (activations, packed) in self.layers.iter_mut().zip(&weights.layers) {
            activations.compute_d_initial(weights.isa, packed.gated());
        }
    }
}

/// Copies the rows in `order` out of vectors of `width` floats, into padded ones. The padding may
/// hold what is left of a state that was not finite; products of rounded values read it.
pub(super) fn copy_rows(values: &[f32], width: usize, order: &[u32], out: &mut [f32]) {
    for (row, to) in order.iter().zip(out.chunks_mut(padded(width).max(1))).filter(|_| width > 0) {
        to[..width].copy_from_slice(&values[*row as usize * width..][..width]);
        to[width..].fill(0.0);
    }
}

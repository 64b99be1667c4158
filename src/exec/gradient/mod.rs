//! The gradients of all weights, computed from the deltas of the whole window.
//!
//! `in_turn.rs` computes them layer by layer for training on several machines.
//! `token_pairs.rs` gives the deltas and inputs of each token, `matrix.rs` divides the product of a
//! matrix among threads, and `input_table.rs` has the gradient of the input table.

mod in_turn;
mod input_table;
pub(super) mod matrix;
pub(super) mod token_pairs;

pub(crate) use in_turn::{Finished, starts};
pub(crate) use input_table::InputTableGradient;

use super::weights::input_table::InputTable;
use super::weights::tensor_ranges::BufferSplitter;
use super::weights::{GatedWeights, LayerWeights, PackedWeights};
use super::window::activations::WindowActivations;
use crate::model::cell::Recurrent;
use crate::parallel::Threads;
use crate::phases::{Phase, Section};
use matrix::MatrixGradient;
use token_pairs::{DeltaOf, InputOf, TokenPairs};
use unrolled_kernels::pack::{Slots, padded};

/// The inputs of the gradients.
#[derive(Clone, Copy)]
pub(crate) struct GradientPass<'a> {
    pub(crate) window: &'a WindowActivations,
    pub(crate) input_table: &'a InputTable,
    pub(crate) weights: &'a PackedWeights,
    pub(crate) threads: &'a Threads,
}

/// The gradients of one layer's tensors.
struct LayerGradients<'g> {
    input: &'g mut [f32],
    hidden: &'g mut [f32],
    input_bias: &'g mut [f32],
    hidden_bias: &'g mut [f32],
    /// The rest of the buffer. It starts with the tensors that the layer's options add.
    rest: BufferSplitter<'g>,
}

impl<'g> LayerGradients<'g> {
    fn take(weights: &PackedWeights, l: usize, mut buffer: BufferSplitter<'g>) -> Self {
        let ranges = &weights.tensors.layers[l];
        Self {
            input: buffer.take(&ranges.input),
            hidden: buffer.take(&ranges.hidden),
            input_bias: buffer.take(&ranges.input_bias),
            hidden_bias: buffer.take(&ranges.hidden_bias),
            rest: buffer,
        }
    }
}

impl GradientPass<'_> {
    /// Writes the gradients of all parameters into `gradient`, a flat buffer with the layout of the
    /// parameters. Meanwhile one thread runs `beside`.
    pub(crate) fn run(
        &self,
        gradient: &mut [f32],
        table: &mut InputTableGradient,
        beside: impl FnOnce() + Send,
    ) {
        let Self { weights, threads, .. } = *self;
        threads.enter(self.work(), || {
            let _section = weights.phases.section(Section::Gradients, threads.at_work());
            threads.join(|| self.sums(BufferSplitter::new(gradient), table), beside);
            self.finish_first(BufferSplitter::new(gradient), table);
            (1..weights.layers.len()).for_each(|l| self.share_bias_of(l, gradient));
        });
    }

    fn work(&self) -> usize {
        2 * self.weights.work() * self.window.tokens()
    }

    /// Computes the sums over tokens of all layers and of the head.
    fn sums(&self, buffer: BufferSplitter<'_>, table: &mut InputTableGradient) {
        self.first_sums(buffer, table, &|rest| self.layers(1, rest));
    }

    /// Computes the sums over tokens of the first layer; then `next`. The bias gradient of a first
    /// layer with an input table stays in `table`; biases that share a gradient are left to
    /// `finish_first`.
    fn first_sums(
        &self,
        buffer: BufferSplitter<'_>,
        table: &mut InputTableGradient,
        next: &(impl Fn(BufferSplitter<'_>) + Sync),
    ) {
        let Self { weights, threads, window, .. } = *self;
        let Some(gated) = weights.table_layer() else {
            let embedding = || {
                if weights.tensors.embedding.is_some() {
                    table.add_up_inputs(weights, &self.pairs(DeltaOf::Inputs, InputOf::Nothing), threads);
                }
            };
            return threads.join(|| self.layer(0, buffer, next), embedding);
        };
        let LayerGradients { hidden, rest, .. } = LayerGradients::take(weights, 0, buffer);
        let first = || {
            let deltas = self.pairs(DeltaOf::Layer(0), InputOf::Nothing);
            let symbols = self.input_table.symbols.len();
            threads.join(
                || self.hidden(0, gated, &gated.recurrent, (hidden, &mut [])),
                || table.add_up(gated, (weights.isa, symbols), (&deltas, &window.ids), threads),
            );
        };
        threads.join(first, || self.options(0, rest, next));
    }

    /// The gradients of layers from `l` on, and of the head.
    fn layers(&self, l: usize, buffer: BufferSplitter<'_>) {
        match l < self.weights.layers.len() {
            true => self.layer(l, buffer, &|rest| self.layers(l + 1, rest)),
            false => self.head(buffer),
        }
    }

    /// The gradients of layer `l`; then `next`.
    fn layer(&self, l: usize, buffer: BufferSplitter<'_>, next: &(impl Fn(BufferSplitter<'_>) + Sync)) {
        let layer = &self.weights.layers[l];
        let LayerGradients { input, hidden, input_bias, hidden_bias, rest } =
            LayerGradients::take(self.weights, l, buffer);
        let own = || {
            let Some(gated) = layer.gated() else { return };
            self.threads.join(
                || self.hidden(l, gated, &gated.recurrent, (hidden, hidden_bias)),
                || self.input(l, gated, (input, input_bias)),
            );
        };
        self.threads.join(own, || self.options(l, rest, next));
    }

    /// The gradients of the tensors that options of layer `l` add, in the order of the layout; then
    /// `next`.
    fn options(&self, l: usize, mut buffer: BufferSplitter<'_>, next: &(impl Fn(BufferSplitter<'_>) + Sync)) {
        let (layer, ranges) = (&self.weights.layers[l], &self.weights.tensors.layers[l]);
        if let Some(gated) = layer.gated() {
            return self.gated_options(l, gated, buffer, &|rest| self.highway(l, rest, next));
        }
        // A custom cell has summed its own gradients, in the only shard.
        let sums = self.window.shards.first().map_or(&[][..], |shard| shard.layers[l].custom_gradients());
        for (sum, (_, range)) in sums.iter().zip(&ranges.extras) {
            buffer.take(range).copy_from_slice(sum);
        }
        self.highway(l, buffer, next);
    }

    /// The gradients of a layer's projection, peepholes and norm; then `next`.
    fn gated_options(
        &self,
        l: usize,
        gated: &GatedWeights,
        mut buffer: BufferSplitter<'_>,
        next: &(impl Fn(BufferSplitter<'_>) + Sync),
    ) {
        let ranges = &self.weights.tensors.layers[l];
        let projected = buffer.take(&ranges.extra("weight_hr"));
        let sums =
            ["weight_peephole", "norm_weight", "norm_bias"].map(|name| buffer.take(&ranges.extra(name)));
        if projected.is_empty() && sums.iter().all(|sum| sum.is_empty()) {
            return next(buffer);
        }
        let hidden = self.weights.layers[l].layer.hidden;
        let own = || {
            if let Some(plain) = &gated.projection {
                let pairs = self.pairs(DeltaOf::Projected(l), InputOf::Output(l));
                self.matrix(&pairs, &plain.slots, hidden, Phase::Gradient(l)).run(
                    self.weights.isa,
                    (projected, &mut []),
                    self.threads,
                );
            }
            let sums = sums.into_iter().flat_map(|sums| sums.chunks_exact_mut(hidden));
            self.sum_terms(l, 0, sums);
        };
        self.threads.join(own, || next(buffer));
    }

    /// The gradients of peepholes and norm, from stored term `first` on: sums of the terms that the
    /// backward pass left.
    fn sum_terms<'g>(&self, l: usize, first: usize, mut sums: impl Iterator<Item = &'g mut [f32]> + Send) {
        let Some(sum) = sums.next() else { return };
        let LayerWeights { layer, sizes, .. } = &self.weights.layers[l];
        let own = || {
            let slots = Slots::plain(sizes.extras.extended.terms);
            let pairs = self.pairs(DeltaOf::Terms(l), InputOf::Nothing);
            let matrix = self.matrix(&pairs, &slots, 0, Phase::Gradient(l));
            let rows = first..first + layer.hidden;
            MatrixGradient { rows, ..matrix }.run(self.weights.isa, (&mut [], sum), self.threads);
        };
        self.threads.join(own, || self.sum_terms(l, first + padded(layer.hidden), sums));
    }

    /// The gradients of a layer's highway gates; then `next`.
    fn highway(&self, l: usize, mut buffer: BufferSplitter<'_>, next: &(impl Fn(BufferSplitter<'_>) + Sync)) {
        let (layer, ranges) = (&self.weights.layers[l], &self.weights.tensors.layers[l]);
        let Some(plain) = &layer.highway else { return next(buffer) };
        let gradient =
            (buffer.take(&ranges.extra("highway_weight")), buffer.take(&ranges.extra("highway_bias")));
        let own = || {
            let pairs = self.pairs(DeltaOf::Highway(l), InputOf::Unmasked(l));
            let matrix = self.matrix(&pairs, &plain.slots, layer.inputs, Phase::Gradient(l));
            matrix.run(self.weights.isa, gradient, self.threads);
        };
        self.threads.join(own, || next(buffer));
    }

    /// The gradient of `weight_hh` of layer `l`, product by product. An empty `bias` gets no
    /// gradient.
    fn hidden(
        &self,
        l: usize,
        gated: &GatedWeights,
        products: &[Recurrent],
        (weight, bias): (&mut [f32], &mut [f32]),
    ) {
        let Some((product, rest)) = products.split_first() else { return };
        let Self { weights, threads, .. } = *self;
        let (now, weight) = weight.split_at_mut(product.rows.len() * product.depth);
        let (now_bias, bias) = bias.split_at_mut(product.rows.len().min(bias.len()));
        let now_bias = if gated.shares_bias(product) { &mut [] } else { now_bias };
        let pairs = self.pairs(DeltaOf::Layer(l), InputOf::State(l, product.source));
        let matrix = self.matrix(&pairs, &product.slots, product.depth, Phase::Gradient(l));
        let matrix = MatrixGradient { rows: product.rows.clone(), ..matrix };
        threads.join(
            || matrix.run(weights.isa, (now, now_bias), threads),
            || self.hidden(l, gated, rest, (weight, bias)),
        );
    }

    /// The gradient of `weight_ih` of a layer that reads vectors.
    fn input(&self, l: usize, gated: &GatedWeights, gradient: (&mut [f32], &mut [f32])) {
        let pairs = self.pairs(DeltaOf::Layer(l), InputOf::Factors(l));
        let depth = self.weights.layers[l].inputs;
        let matrix = self.matrix(&pairs, &gated.input_slots, depth, Phase::Gradient(l));
        matrix.run(self.weights.isa, gradient, self.threads);
    }

    /// The gradient of the head, if the outputs of the window were kept.
    fn head(&self, mut buffer: BufferSplitter<'_>) {
        let PackedWeights { tensors, head, config, isa, .. } = self.weights;
        if !config.has_head() || !self.window.keeps_outputs {
            return;
        }
        let gradient = (buffer.take(&tensors.head), buffer.take(&tensors.head_bias));
        let pairs = self.pairs(DeltaOf::Head, InputOf::Factors(self.weights.layers.len()));
        let matrix = self.matrix(&pairs, &head.slots, config.stack_width(), Phase::HeadGradient);
        MatrixGradient { rows: 0..config.outputs, ..matrix }.run(*isa, gradient, self.threads);
    }

    /// The gradient of all rows of a matrix with `depth` columns.
    fn matrix<'p>(
        &'p self,
        pairs: &'p TokenPairs<'p>,
        slots: &'p Slots,
        depth: usize,
        phase: Phase,
    ) -> MatrixGradient<'p> {
        let clock = self.weights.phases.of(phase);
        MatrixGradient { pairs, slots, depth, rows: 0..slots.depth(), continues: false, clock }
    }

    fn pairs(&self, delta: DeltaOf, input: InputOf) -> TokenPairs<'_> {
        TokenPairs { window: self.window, weights: self.weights, delta, input }
    }

    /// Computes the gradients of the first layer that follow from the sums: its weights, and shared
    /// biases.
    fn finish_first(&self, mut buffer: BufferSplitter<'_>, table: &mut InputTableGradient) {
        let Self { weights, threads, input_table, .. } = *self;
        let embedding = weights.tensors.embedding.as_ref().map(|range| buffer.take(range));
        let first = LayerGradients::take(weights, 0, buffer);
        match (weights.table_layer(), embedding) {
            (Some(gated), Some(embedding)) => {
                table.take_bias(gated, first.input_bias, first.hidden_bias);
                table.multiply(weights, gated, input_table, (first.input, embedding), threads);
            }
            (Some(gated), None) => {
                table.take_bias(gated, first.input_bias, first.hidden_bias);
                table.take_columns(weights, gated, input_table, first.input, threads);
            }
            (None, embedding) => {
                if let Some(embedding) = embedding {
                    table.take_rows(weights, embedding, threads);
                }
                self.share_bias(0, first.input_bias, first.hidden_bias);
            }
        }
    }

    /// Copies shared gradients of the biases of layer `l` in the whole buffer.
    fn share_bias_of(&self, l: usize, gradient: &mut [f32]) {
        let layer = LayerGradients::take(self.weights, l, BufferSplitter::new(gradient));
        self.share_bias(l, layer.input_bias, layer.hidden_bias);
    }

    /// Copies the gradients of `bias_ih` to the rows of `bias_hh` that share them.
    fn share_bias(&self, l: usize, input: &[f32], hidden: &mut [f32]) {
        let Some(gated) = self.weights.layers[l].gated() else { return };
        for part in gated.recurrent.iter().filter(|part| gated.shares_bias(part)) {
            hidden[part.rows.clone()].copy_from_slice(&input[part.rows.clone()]);
        }
    }
}

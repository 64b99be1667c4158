//! The gradients of all weights, once the deltas of the whole window stand: products divided by output rows.

use super::executor::Executor;
use super::table_gradient::TableGradient;
use super::tensors::Arena;
use super::tokens::{Delta, From, Tokens};
use super::weights::{Gated, Weights};
use crate::model::cell::Recurrent;
use crate::parallel::Threads;
use crate::phases::{Clock, Phase};
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{Slots, padded};
use unrolled_kernels::pairs::Pairs;
use unrolled_kernels::weight_gradient::{ROWS, WeightGradient};

/// Rows of a matrix that one thread takes at a time: few where the matrix is small, so that all threads end at nearly the
/// same time, and more where it is large, for each piece reads all inputs again.
fn share(rows: usize, threads: &Threads) -> usize {
    match threads.at_work() {
        1 => ROWS,
        count => (rows / (8 * count)).clamp(32, ROWS),
    }
}

/// Some rows of a weight gradient, to be divided among threads.
pub(crate) struct Matrix<'a> {
    pub(crate) pairs: &'a dyn Pairs,
    pub(crate) slots: &'a Slots,
    /// Columns.
    pub(crate) depth: usize,
    pub(crate) rows: Range<usize>,
    /// Whether the sums go on from what the gradient holds.
    pub(crate) continues: bool,
    /// Of the phase that this belongs to.
    pub(crate) clock: Clock<'a>,
}

impl Matrix<'_> {
    /// Writes the rows of the gradient, and of the bias's unless that is empty.
    pub(crate) fn run(self, isa: Isa, gradient: (&mut [f32], &mut [f32]), threads: &Threads) {
        let share = share(self.rows.len(), threads);
        self.divide(isa, gradient, share, threads);
    }

    fn divide(self, isa: Isa, (weight, bias): (&mut [f32], &mut [f32]), share: usize, threads: &Threads) {
        let Self { pairs, slots, depth, rows, continues, clock } = self;
        let pieces = rows.len().div_ceil(share);
        if pieces <= 1 {
            let _clock = clock.start();
            return WeightGradient { pairs, slots, depth, rows, continues, weight, bias }.run_on(isa);
        }
        let half = (rows.len() * pieces.div_ceil(2) / pieces).next_multiple_of(16);
        let (first, second) = weight.split_at_mut(half * depth);
        let (first_bias, second_bias) = bias.split_at_mut(half.min(bias.len()));
        let part = |rows| Matrix { pairs, slots, depth, rows, continues, clock };
        threads.join(
            || part(rows.start..rows.start + half).divide(isa, (first, first_bias), share, threads),
            || part(rows.start + half..rows.end).divide(isa, (second, second_bias), share, threads),
        );
    }
}

/// Writes the gradients of all parameters into `gradient`, an arena parallel to theirs.
pub(crate) fn gradients(
    executor: &Executor,
    weights: &Weights,
    table: &mut TableGradient,
    gradient: &mut [f32],
    threads: &Threads,
) {
    let work = 2 * weights.work() * executor.tokens();
    let pass = Pass { executor, weights, threads };
    threads.enter(work, || {
        let _section = weights.phases.section(threads.at_work());
        pass.sums(Arena::new(gradient), table);
        pass.finish(Arena::new(gradient), table);
    });
}

/// What the gradients are taken of.
#[derive(Clone, Copy)]
struct Pass<'a> {
    executor: &'a Executor,
    weights: &'a Weights,
    threads: &'a Threads,
}

/// The gradients of a layer's tensors.
struct Layer<'g> {
    input: &'g mut [f32],
    hidden: &'g mut [f32],
    input_bias: &'g mut [f32],
    hidden_bias: &'g mut [f32],
    /// What is left of the arena, which begins with those that the layer has by its options.
    arena: Arena<'g>,
}

impl<'g> Layer<'g> {
    fn take(weights: &Weights, l: usize, mut arena: Arena<'g>) -> Self {
        let places = &weights.tensors.layers[l];
        Self {
            input: arena.take(&places.input),
            hidden: arena.take(&places.hidden),
            input_bias: arena.take(&places.input_bias),
            hidden_bias: arena.take(&places.hidden_bias),
            arena,
        }
    }
}

impl Pass<'_> {
    /// What is summed over tokens. The biases of a gathered first layer are left in `table`, and those that equal others are
    /// left out.
    fn sums(&self, arena: Arena<'_>, table: &mut TableGradient) {
        let Self { weights, threads, .. } = *self;
        let Some(gated) = weights.table_layer() else {
            let embedding = || {
                if weights.tensors.embedding.is_some() {
                    table.add_up_inputs(weights, &self.tokens(Delta::Inputs, From::Nothing), threads);
                }
            };
            return threads.join(|| self.layers(0, arena), embedding);
        };
        let Layer { hidden, arena, .. } = Layer::take(weights, 0, arena);
        let first = || {
            let deltas = self.tokens(Delta::Layer(0), From::Nothing);
            threads.join(
                || self.hidden(0, gated, &gated.recurrent, (hidden, &mut [])),
                || table.add_up(gated, weights.isa, &deltas, threads),
            );
        };
        threads.join(first, || {
            self.extras(0, arena, &|arena| self.layers(1, arena));
        });
    }

    /// Layers from `l` on, and the head.
    fn layers(&self, l: usize, arena: Arena<'_>) {
        let Some(layer) = self.weights.layers.get(l) else { return self.head(arena) };
        let Layer { input, hidden, input_bias, hidden_bias, arena } = Layer::take(self.weights, l, arena);
        let own = || {
            let Some(gated) = layer.gated() else { return };
            self.threads.join(
                || self.hidden(l, gated, &gated.recurrent, (hidden, hidden_bias)),
                || self.input(l, gated, (input, input_bias)),
            );
        };
        self.threads.join(own, || self.extras(l, arena, &|arena| self.layers(l + 1, arena)));
    }

    /// What layer `l` has by its options, in the order of the layout; then the rest.
    fn extras(&self, l: usize, mut arena: Arena<'_>, rest: &(impl Fn(Arena<'_>) + Sync)) {
        let (layer, places) = (&self.weights.layers[l], &self.weights.tensors.layers[l]);
        match layer.gated() {
            Some(gated) => return self.options(l, gated, arena, &|arena| self.highway(l, arena, rest)),
            // A custom cell has added up its own, on the one shard there is.
            None => {
                let sums =
                    self.executor.shards.first().map_or(&[][..], |shard| &shard.layers[l].custom.gradients);
                for (sum, (_, range)) in sums.iter().zip(&places.extras) {
                    arena.take(range).copy_from_slice(sum);
                }
            }
        }
        self.highway(l, arena, rest);
    }

    /// The projection, peepholes and norm of a layer; then the rest.
    fn options(&self, l: usize, gated: &Gated, mut arena: Arena<'_>, rest: &(impl Fn(Arena<'_>) + Sync)) {
        let places = &self.weights.tensors.layers[l];
        let hidden = self.weights.layers[l].layer.hidden;
        let projected = arena.take(&places.extra("weight_hr"));
        let sums =
            ["weight_peephole", "norm_weight", "norm_bias"].map(|name| arena.take(&places.extra(name)));
        if projected.is_empty() && sums.iter().all(|sum| sum.is_empty()) {
            return rest(arena);
        }
        let own = || {
            if let Some(plain) = &gated.projection {
                let pairs = self.tokens(Delta::Projected(l), From::Output(l));
                let rows = 0..plain.slots.depth();
                let (clock, slots) = (self.weights.phases.of(Phase::Gradient(l)), &plain.slots);
                let matrix = Matrix { pairs: &pairs, slots, depth: hidden, rows, continues: false, clock };
                matrix.run(self.weights.isa, (projected, &mut []), self.threads);
            }
            let _clock = self.weights.phases.time(Phase::Gradient(l));
            let slots = Slots::plain(self.weights.layers[l].sizes.extras.extended.terms);
            let (pairs, mut first) = (self.tokens(Delta::Terms(l), From::Nothing), 0);
            for sum in sums.into_iter().flat_map(|sums| sums.chunks_exact_mut(hidden)) {
                let (pairs, rows) = (&pairs, first..first + hidden);
                let (slots, depth) = (&slots, 0);
                WeightGradient { pairs, slots, depth, rows, continues: false, weight: &mut [], bias: sum }
                    .run_on(self.weights.isa);
                first += padded(hidden);
            }
        };
        self.threads.join(own, || rest(arena));
    }

    /// The gate of a highway layer; then the rest.
    fn highway(&self, l: usize, mut arena: Arena<'_>, rest: &(impl Fn(Arena<'_>) + Sync)) {
        let (layer, places) = (&self.weights.layers[l], &self.weights.tensors.layers[l]);
        let Some(plain) = &layer.highway else { return rest(arena) };
        let gradient =
            (arena.take(&places.extra("highway_weight")), arena.take(&places.extra("highway_bias")));
        let own = || {
            let pairs = self.tokens(Delta::Mix(l), From::Read(l));
            let rows = 0..plain.slots.depth();
            let (clock, slots) = (self.weights.phases.of(Phase::Gradient(l)), &plain.slots);
            let matrix = Matrix { pairs: &pairs, slots, depth: layer.inputs, rows, continues: false, clock };
            matrix.run(self.weights.isa, gradient, self.threads);
        };
        self.threads.join(own, || rest(arena));
    }

    /// `weight_hh` of layer `l`, product by product. No bias is asked for where there is no room for it.
    fn hidden(&self, l: usize, gated: &Gated, parts: &[Recurrent], (weight, bias): (&mut [f32], &mut [f32])) {
        let Some((part, rest)) = parts.split_first() else { return };
        let Self { weights, threads, .. } = *self;
        let (now, weight) = weight.split_at_mut(part.rows.len() * part.depth);
        let (now_bias, bias) = bias.split_at_mut(part.rows.len().min(bias.len()));
        let now_bias = if gated.shares_bias(part) { &mut [] } else { now_bias };
        let pairs = self.tokens(Delta::Layer(l), From::Before(l, part.source));
        let (clock, rows) = (weights.phases.of(Phase::Gradient(l)), part.rows.clone());
        let (slots, depth) = (&part.slots, part.depth);
        let matrix = Matrix { pairs: &pairs, slots, depth, rows, continues: false, clock };
        threads.join(
            || matrix.run(weights.isa, (now, now_bias), threads),
            || self.hidden(l, gated, rest, (weight, bias)),
        );
    }

    /// `weight_ih` of a layer that reads vectors.
    fn input(&self, l: usize, gated: &Gated, gradient: (&mut [f32], &mut [f32])) {
        let (pairs, slots) = (self.tokens(Delta::Layer(l), From::Below(l)), &gated.input_slots);
        let depth = self.weights.layers[l].inputs;
        let (clock, rows) = (self.weights.phases.of(Phase::Gradient(l)), 0..slots.depth());
        let matrix = Matrix { pairs: &pairs, slots, depth, rows, continues: false, clock };
        matrix.run(self.weights.isa, gradient, self.threads);
    }

    fn head(&self, mut arena: Arena<'_>) {
        let Weights { tensors, head, config, isa, .. } = self.weights;
        if !config.has_head() || !self.executor.keeps_logits {
            return;
        }
        let gradient = (arena.take(&tensors.head), arena.take(&tensors.head_bias));
        let pairs = self.tokens(Delta::Head, From::Below(config.stack.len()));
        let (rows, depth) = (0..config.vocabulary, config.output_width());
        let (clock, slots) = (self.weights.phases.of(Phase::HeadGradient), &head.slots);
        let matrix = Matrix { pairs: &pairs, slots, depth, rows, continues: false, clock };
        matrix.run(*isa, gradient, self.threads);
    }

    fn tokens(&self, delta: Delta, input: From) -> Tokens<'_> {
        Tokens { executor: self.executor, weights: self.weights, delta, input }
    }

    /// What follows from the sums: the first layer's weights, and the biases that were left.
    fn finish(&self, mut arena: Arena<'_>, table: &mut TableGradient) {
        let Self { weights, threads, executor } = *self;
        let embedding = weights.tensors.embedding.as_ref().map(|range| arena.take(range));
        let gathered = weights.table_layer();
        let first = Layer::take(weights, 0, arena);
        match (gathered, embedding) {
            (Some(gated), Some(embedding)) => {
                table.take_bias(gated, first.input_bias, first.hidden_bias);
                table.multiply(weights, gated, &executor.table, (first.input, embedding), threads);
            }
            (Some(gated), None) => {
                table.take_bias(gated, first.input_bias, first.hidden_bias);
                table.take_columns(weights, gated, &executor.table, first.input, threads);
            }
            (None, embedding) => {
                if let Some(embedding) = embedding {
                    let _clock = weights.phases.time(Phase::InputGradient);
                    table.take_rows(weights, embedding);
                }
                self.share_bias(0, first.input_bias, first.hidden_bias);
            }
        }
        let mut arena = first.arena;
        for l in 1..weights.layers.len() {
            let layer = Layer::take(weights, l, arena);
            self.share_bias(l, layer.input_bias, layer.hidden_bias);
            arena = layer.arena;
        }
    }

    /// Copies the gradients of `bias_ih` that are those of `bias_hh` too.
    fn share_bias(&self, l: usize, input: &[f32], hidden: &mut [f32]) {
        let Some(gated) = self.weights.layers[l].gated() else { return };
        for part in gated.recurrent.iter().filter(|part| gated.shares_bias(part)) {
            hidden[part.rows.clone()].copy_from_slice(&input[part.rows.clone()]);
        }
    }
}

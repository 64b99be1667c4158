//! The gradients of all weights, once the deltas of the whole window stand: products divided by output rows.

use super::executor::Executor;
use super::table_gradient::TableGradient;
use super::tensors::Arena;
use super::tokens::{Delta, From, Tokens};
use super::weights::Weights;
use crate::model::cell::Recurrent;
use crate::parallel::Threads;
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::gemm::{Pairs, ROWS, WeightGradient};
use unrolled_kernels::pack::Slots;

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
}

impl Matrix<'_> {
    /// Writes the rows of the gradient, and of the bias's unless that is empty.
    pub(crate) fn run(self, isa: Isa, gradient: (&mut [f32], &mut [f32]), threads: &Threads) {
        let share = share(self.rows.len(), threads);
        self.divide(isa, gradient, share, threads);
    }

    fn divide(self, isa: Isa, (weight, bias): (&mut [f32], &mut [f32]), share: usize, threads: &Threads) {
        let Self { pairs, slots, depth, rows } = self;
        let pieces = rows.len().div_ceil(share);
        if pieces <= 1 {
            return WeightGradient { pairs, slots, depth, rows, weight, bias }.run_on(isa);
        }
        let half = (rows.len() * pieces.div_ceil(2) / pieces).next_multiple_of(16);
        let (first, second) = weight.split_at_mut(half * depth);
        let (first_bias, second_bias) = bias.split_at_mut(half.min(bias.len()));
        let part = |rows| Matrix { pairs, slots, depth, rows };
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
}

impl<'g> Layer<'g> {
    fn take(weights: &Weights, l: usize, arena: &mut Arena<'g>) -> Self {
        let places = &weights.tensors.layers[l];
        Self {
            input: arena.take(&places.input),
            hidden: arena.take(&places.hidden),
            input_bias: arena.take(&places.input_bias),
            hidden_bias: arena.take(&places.hidden_bias),
        }
    }
}

impl Pass<'_> {
    /// What is summed over tokens. The biases of the first layer are left in `table`, and those that equal others are left
    /// out.
    fn sums(&self, mut arena: Arena<'_>, table: &mut TableGradient) {
        let Layer { hidden, .. } = Layer::take(self.weights, 0, &mut arena);
        let first = || {
            let deltas = self.tokens(Delta::Layer(0), From::Below(0));
            self.threads.join(
                || self.hidden(0, &self.weights.recurrent, (hidden, &mut [])),
                || table.add_up(self.weights, &deltas, self.threads),
            );
        };
        self.threads.join(first, || self.layers(1, arena));
    }

    /// Layers from `l` on, and the head.
    fn layers(&self, l: usize, mut arena: Arena<'_>) {
        if l == self.weights.config.layers {
            return self.head(arena);
        }
        let Layer { input, hidden, input_bias, hidden_bias } = Layer::take(self.weights, l, &mut arena);
        let layer = || {
            self.threads.join(
                || self.hidden(l, &self.weights.recurrent, (hidden, hidden_bias)),
                || self.input(l, (input, input_bias)),
            );
        };
        self.threads.join(layer, || self.layers(l + 1, arena));
    }

    /// `weight_hh` of layer `l`, product by product. No bias is asked for where there is no room for it.
    fn hidden(&self, l: usize, parts: &[Recurrent], (weight, bias): (&mut [f32], &mut [f32])) {
        let Some((part, rest)) = parts.split_first() else { return };
        let Self { weights, threads, .. } = *self;
        let depth = weights.config.hidden;
        let (now, weight) = weight.split_at_mut(part.rows.len() * depth);
        let (now_bias, bias) = bias.split_at_mut(part.rows.len().min(bias.len()));
        let now_bias = if weights.shares_bias(part) { &mut [] } else { now_bias };
        let pairs = self.tokens(Delta::Layer(l), From::Before(l, part.source));
        let matrix = Matrix { pairs: &pairs, slots: &part.slots, depth, rows: part.rows.clone() };
        threads.join(
            || matrix.run(weights.isa, (now, now_bias), threads),
            || self.hidden(l, rest, (weight, bias)),
        );
    }

    /// `weight_ih` of a layer that reads another one.
    fn input(&self, l: usize, gradient: (&mut [f32], &mut [f32])) {
        let (pairs, slots) = (self.tokens(Delta::Layer(l), From::Below(l)), &self.weights.input_slots);
        let matrix =
            Matrix { pairs: &pairs, slots, depth: self.weights.config.hidden, rows: 0..slots.depth() };
        matrix.run(self.weights.isa, gradient, self.threads);
    }

    fn head(&self, mut arena: Arena<'_>) {
        let Weights { tensors, head, config, isa, .. } = self.weights;
        let gradient = (arena.take(&tensors.head), arena.take(&tensors.head_bias));
        let pairs = self.tokens(Delta::Head, From::Below(config.layers));
        let rows = 0..config.vocabulary;
        Matrix { pairs: &pairs, slots: &head.slots, depth: config.hidden, rows }.run(
            *isa,
            gradient,
            self.threads,
        );
    }

    fn tokens(&self, delta: Delta, input: From) -> Tokens<'_> {
        Tokens { executor: self.executor, hidden: self.weights.config.hidden, delta, input }
    }

    /// What follows from the sums: the first layer's weights, and the biases that were left.
    fn finish(&self, mut arena: Arena<'_>, table: &mut TableGradient) {
        let Self { weights, threads, executor } = *self;
        let embedding = weights.tensors.embedding.as_ref().map(|range| arena.take(range));
        let first = Layer::take(weights, 0, &mut arena);
        table.take_bias(weights, first.input_bias, first.hidden_bias);
        for l in 1..weights.config.layers {
            let Layer { input_bias, hidden_bias, .. } = Layer::take(weights, l, &mut arena);
            for part in weights.recurrent.iter().filter(|part| weights.shares_bias(part)) {
                hidden_bias[part.rows.clone()].copy_from_slice(&input_bias[part.rows.clone()]);
            }
        }
        match embedding {
            Some(embedding) => table.multiply(weights, &executor.table, (first.input, embedding), threads),
            None => table.take_columns(weights, &executor.table, first.input, threads),
        }
    }
}

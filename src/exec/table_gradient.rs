//! The gradient of the input table, and from it those of what the table was made of: one-hot weights or embeddings, and the
//! bias.

use super::gradient::Matrix;
use super::table::Table;
use super::tokens::{Tokens, Vectors};
use super::weights::{Gated, Weights};
use crate::parallel::Threads;
use crate::phases::{Clock, Phase};
use unrolled_kernels::Isa;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::one_hot::{Scatter, TakeColumns};
use unrolled_kernels::pack::padded;

/// Columns of the input table that one thread adds up at a time.
const STRIP: usize = 64;
/// Symbols whose embeddings' gradients one thread writes at a time.
const SYMBOLS: usize = 512;
/// Rows of a matrix, or of the table, that one thread writes at a time.
const ROWS: usize = 64;

/// Buffers for the gradient of the input table, used again from step to step.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableGradient {
    /// For each [`STRIP`] columns, [D, columns].
    strips: Vec<f32>,
    /// `[stored]`: the gradient of the summed bias, as of everything else that a stored row holds.
    bias: Vec<f32>,
    /// [D, stored]: the strips again, for the products with embeddings.
    rows: Vec<f32>,
    /// [D, padded(E)]: gradients of the symbols' embeddings.
    embeddings: Vec<f32>,
}

/// Some strips of the table's gradient.
struct Strips<'a> {
    /// Where the first one's columns begin.
    first: usize,
    /// [D, columns] each.
    table: &'a mut [f32],
    bias: &'a mut [f32],
}

impl TableGradient {
    /// Adds up the deltas of the first layer.
    pub(crate) fn add_up(&mut self, gated: &Gated, isa: Isa, deltas: &Tokens<'_>, threads: &Threads) {
        self.add(isa, deltas, (deltas.executor.table.symbols.len(), gated.input_slots.width()), threads);
    }

    /// Adds up the gradients of the vectors that a first layer without a table reads.
    pub(crate) fn add_up_inputs(&mut self, weights: &Weights, deltas: &Tokens<'_>, threads: &Threads) {
        let width = padded(weights.config.input_width(0));
        self.add(weights.isa, deltas, (weights.config.vocabulary, width), threads);
    }

    fn add(&mut self, isa: Isa, deltas: &Tokens<'_>, (symbols, width): (usize, usize), threads: &Threads) {
        self.strips.resize(symbols * width, 0.0);
        self.bias.resize(width, 0.0);
        let strips = Strips { first: 0, table: &mut self.strips, bias: &mut self.bias };
        scatter(isa, deltas, strips, threads);
    }

    /// Writes what `add_up_inputs` has added up: the gradient of the embedding.
    pub(crate) fn take_rows(&self, weights: &Weights, embedding: &mut [f32]) {
        let (symbols, width) = (weights.config.vocabulary, weights.config.input_width(0));
        let vector = padded(width);
        for (symbol, row) in embedding.chunks_exact_mut(width).enumerate() {
            for (strip, to) in row.chunks_mut(STRIP).enumerate() {
                let columns = STRIP.min(vector - strip * STRIP);
                let from = &self.strips[strip * STRIP * symbols + symbol * columns..];
                to.copy_from_slice(&from[..to.len()]);
            }
        }
    }

    /// Writes the gradients of both bias vectors.
    pub(crate) fn take_bias(&self, gated: &Gated, input: &mut [f32], hidden: &mut [f32]) {
        for (rows, place) in gated.input_slots.groups(0..input.len()) {
            let sums = &self.bias[place..][..rows.len()];
            input[rows].copy_from_slice(sums);
        }
        for part in &gated.recurrent {
            for (rows, place) in part.slots.groups(part.rows.clone()) {
                let sums = &self.bias[place..][..rows.len()];
                hidden[rows].copy_from_slice(sums);
            }
        }
    }

    /// Writes the gradient of one-hot weights.
    pub(crate) fn take_columns(
        &self,
        weights: &Weights,
        gated: &Gated,
        table: &Table,
        weight: &mut [f32],
        threads: &Threads,
    ) {
        let vocabulary = weights.config.vocabulary;
        let columns = TakeColumns {
            table: &self.strips,
            strip: STRIP,
            vocabulary,
            slots: &gated.input_slots,
            symbols: &table.symbols,
        };
        threads.chunks(weight, ROWS * vocabulary, &|i, weight| {
            let _clock = weights.phases.time(Phase::InputGradient);
            columns.run(i * ROWS..i * ROWS + weight.len() / vocabulary, weight);
            if !table.mask.is_empty() {
                weight.chunks_exact_mut(vocabulary).for_each(|row| scale(row, &table.mask));
            }
        });
    }

    /// Writes the gradients of the embeddings and of the weights that multiply them.
    pub(crate) fn multiply(
        &mut self,
        weights: &Weights,
        gated: &Gated,
        table: &Table,
        (weight, embedding): (&mut [f32], &mut [f32]),
        threads: &Threads,
    ) {
        let (count, width) = (table.symbols.len(), weights.config.embedding.unwrap_or(0));
        let clock = weights.phases.of(Phase::InputGradient);
        self.lay_out_rows(gated.input_slots.width(), count, threads, clock);
        let Self { rows, embeddings, .. } = self;
        let stored = gated.input_slots.width();
        let pairs = Vectors { count, deltas: (rows, stored), inputs: (&table.embeddings, width) };
        let all = 0..gated.input_slots.depth();
        let (slots, continues) = (&gated.input_slots, false);
        let matrix = Matrix { pairs: &pairs, slots, depth: width, rows: all, continues, clock };
        threads.join(
            || matrix.run(weights.isa, (weight, &mut []), threads),
            || embedding_gradient((weights, gated), &table.symbols, (rows, embeddings), embedding, threads),
        );
        if !table.mask.is_empty() {
            embedding.chunks_exact_mut(width).for_each(|row| scale(row, &table.mask));
        }
    }

    fn lay_out_rows(&mut self, width: usize, count: usize, threads: &Threads, clock: Clock<'_>) {
        self.rows.resize(self.strips.len(), 0.0);
        threads.chunks(&mut self.rows, ROWS * width, &|i, rows| {
            let _clock = clock.start();
            for (d, row) in rows.chunks_exact_mut(width).enumerate() {
                for (strip, to) in row.chunks_mut(STRIP).enumerate() {
                    let from = &self.strips[strip * STRIP * count..][(i * ROWS + d) * to.len()..];
                    to.copy_from_slice(&from[..to.len()]);
                }
            }
        });
    }
}

fn scale(values: &mut [f32], by: &[f32]) {
    values.iter_mut().zip(by).for_each(|(value, by)| *value *= by);
}

fn scatter(isa: Isa, deltas: &Tokens<'_>, strips: Strips<'_>, threads: &Threads) {
    let Strips { first, table, bias } = strips;
    if bias.len() <= STRIP {
        let _clock = deltas.weights.phases.time(Phase::InputGradient);
        let (ids, columns) = (&deltas.executor.ids[..], first..first + bias.len());
        return Scatter { pairs: deltas, ids, columns, table, sum: bias }.run_on(isa);
    }
    let half = (bias.len() / 2).next_multiple_of(STRIP);
    let symbols = table.len() / bias.len();
    let (before, after) = bias.split_at_mut(half);
    let (table, rest) = table.split_at_mut(symbols * half);
    threads.join(
        || scatter(isa, deltas, Strips { first, table, bias: before }, threads),
        || scatter(isa, deltas, Strips { first: first + half, table: rest, bias: after }, threads),
    );
}

/// `d embedding[symbol] = d table[symbol] W`
fn embedding_gradient(
    (weights, gated): (&Weights, &Gated),
    symbols: &[u32],
    (table, products): (&[f32], &mut Vec<f32>),
    gradient: &mut [f32],
    threads: &Threads,
) {
    let stored = gated.input_slots.width();
    let width = weights.config.embedding.unwrap_or(0);
    products.resize(symbols.len() * padded(width), 0.0);
    threads.chunks(products, ROWS * padded(width), &|i, out| {
        let _clock = weights.phases.time(Phase::InputGradient);
        let product = Affine {
            rows: out.len() / padded(width),
            x: &table[i * ROWS * stored..][..out.len() / padded(width) * stored],
            x_stride: stored,
            pieces: &gated.input_pieces,
            panels: &gated.input_units,
            weights: &gated.input_t,
            start: Start::Zero,
            out,
        };
        product.run_on(weights.isa);
    });
    threads.chunks(gradient, SYMBOLS * width, &|i, gradient| {
        let _clock = weights.phases.time(Phase::InputGradient);
        let first = (i * SYMBOLS) as u32;
        let known = symbols.partition_point(|symbol| *symbol < first);
        let mut products = symbols.iter().zip(products.chunks_exact(padded(width))).skip(known).peekable();
        for (symbol, to) in (first..).zip(gradient.chunks_exact_mut(width)) {
            match products.next_if(|(known, _)| **known == symbol) {
                Some((_, row)) => to.copy_from_slice(&row[..width]),
                None => to.fill(0.0),
            }
        }
    });
}

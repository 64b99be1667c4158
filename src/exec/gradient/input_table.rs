//! The gradient of the input table, and the gradients that follow from it: of one-hot weights or
//! embeddings, and of the bias.

use super::matrix::MatrixGradient;
use super::token_pairs::{RowPairs, TokenPairs};
use crate::exec::weights::input_table::InputTable;
use crate::exec::weights::{GatedWeights, PackedWeights};
use crate::parallel::Threads;
use crate::phases::{Clock, Phase};
use unrolled_kernels::Isa;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::one_hot::{Scatter, TakeColumns};
use unrolled_kernels::pack::padded;

/// Number of columns of the input table that one thread adds up at a time.
const STRIP: usize = 64;
/// Number of symbols whose embedding gradients one thread writes at a time.
const SYMBOLS: usize = 512;
/// Number of rows of a matrix, or of the table, that one thread writes at a time.
const ROWS: usize = 64;

/// Buffers for the gradient of the input table, used again from step to step.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputTableGradient {
    /// One array [D, columns] for each [`STRIP`] columns.
    strips: Vec<f32>,
    /// `[stored]`: the gradient of the summed bias.
    bias: Vec<f32>,
    /// [D, stored]: the strips as rows, for the products with embeddings.
    rows: Vec<f32>,
    /// [D, padded(E)]: gradients of the symbols' embeddings.
    embeddings: Vec<f32>,
}

/// Some strips of the table's gradient.
struct Strips<'a> {
    /// The first column.
    first: usize,
    /// [D, columns] each.
    table: &'a mut [f32],
    bias: &'a mut [f32],
}

impl InputTableGradient {
    /// Adds up the deltas of the first layer.
    pub(crate) fn add_up(
        &mut self,
        gated: &GatedWeights,
        (isa, symbols): (Isa, usize),
        (deltas, ids): (&TokenPairs<'_>, &[u32]),
        threads: &Threads,
    ) {
        self.add(isa, (deltas, ids), (symbols, gated.input_slots.width()), threads);
    }

    /// Adds up the gradients of the embeddings that a first layer without an input table reads.
    pub(crate) fn add_up_inputs(
        &mut self,
        weights: &PackedWeights,
        deltas: &TokenPairs<'_>,
        threads: &Threads,
    ) {
        let width = padded(weights.config.input_width(0));
        self.add(weights.isa, (deltas, &deltas.window.ids), (weights.config.vocabulary, width), threads);
    }

    fn add(
        &mut self,
        isa: Isa,
        deltas: (&TokenPairs<'_>, &[u32]),
        (symbols, width): (usize, usize),
        threads: &Threads,
    ) {
        self.strips.resize(symbols * width, 0.0);
        self.bias.resize(width, 0.0);
        let strips = Strips { first: 0, table: &mut self.strips, bias: &mut self.bias };
        scatter(isa, deltas, strips, threads);
    }

    /// Writes the sums of `add_up_inputs`: the gradient of the embedding.
    pub(crate) fn take_rows(&self, weights: &PackedWeights, embedding: &mut [f32]) {
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
    pub(crate) fn take_bias(&self, gated: &GatedWeights, input: &mut [f32], hidden: &mut [f32]) {
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
        weights: &PackedWeights,
        gated: &GatedWeights,
        table: &InputTable,
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
        weights: &PackedWeights,
        gated: &GatedWeights,
        table: &InputTable,
        (weight, embedding): (&mut [f32], &mut [f32]),
        threads: &Threads,
    ) {
        let (count, width) = (table.symbols.len(), weights.config.embedding.unwrap_or(0));
        let clock = weights.phases.of(Phase::InputGradient);
        self.lay_out_rows(gated.input_slots.width(), count, threads, clock);
        let Self { rows, embeddings, .. } = self;
        let stored = gated.input_slots.width();
        let pairs = RowPairs { count, deltas: (rows, stored), inputs: (&table.embeddings, width) };
        let all = 0..gated.input_slots.depth();
        let (slots, continues) = (&gated.input_slots, false);
        let matrix = MatrixGradient { pairs: &pairs, slots, depth: width, rows: all, continues, clock };
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

/// Adds the delta of each token to the row of its id.
fn scatter(isa: Isa, deltas: (&TokenPairs<'_>, &[u32]), strips: Strips<'_>, threads: &Threads) {
    let Strips { first, table, bias } = strips;
    if bias.len() <= STRIP {
        let (pairs, ids) = deltas;
        let _clock = pairs.weights.phases.time(Phase::InputGradient);
        let columns = first..first + bias.len();
        return Scatter { pairs, ids, columns, table, sum: bias }.run_on(isa);
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

/// Computes `d embedding[symbol] = d table[symbol] W`.
fn embedding_gradient(
    (weights, gated): (&PackedWeights, &GatedWeights),
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

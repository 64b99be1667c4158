//! The gradient of the input table, and the gradients that follow from it: of one-hot weights or
//! embeddings, and of the bias.

use super::matrix::MatrixGradient;
use super::token_pairs::{RowPairs, TokenPairs};
use crate::exec::weights::input_table::{InputTable, scale};
use crate::exec::weights::{GatedWeights, PackedWeights};
use crate::parallel::Threads;
use crate::phases::{Clock, Phase};
use unrolled_kernels::Isa;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::one_hot::{Scatter, TakeColumns};
use unrolled_kernels::pack::padded;

/// The most columns of the input table that one thread adds up at a time.
const STRIP: usize = 64;
/// The fewest and the most symbols whose embedding gradients one thread writes at a time.
const SYMBOLS: [usize; 2] = [16, 512];
/// The fewest and the most rows of a matrix, or of the table, that one thread writes at a time.
const ROWS: [usize; 2] = [16, 64];
/// The same for rows that a product computes. Each time reads all weights.
const PRODUCTS: [usize; 2] = [4, 64];

/// Buffers for the gradient of the input table, used again from step to step.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputTableGradient {
    /// One array [D, columns] for each `strip` columns.
    strips: Vec<f32>,
    /// Number of columns of a strip, a multiple of sixteen.
    strip: usize,
    /// `[stored]`: the gradient of the summed bias.
    bias: Vec<f32>,
    /// [D, stored]: the strips as rows, for the products with embeddings.
    rows: Vec<f32>,
    /// [D, padded(E)]: gradients of the symbols' embeddings.
    embeddings: Vec<f32>,
}

/// Some strips of the table's gradient.
struct Strips<'a> {
    /// Number of columns of a strip.
    strip: usize,
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
        self.strip = strip(width, threads.at_work());
        let Self { strips, strip, bias, .. } = self;
        let strips = Strips { strip: *strip, first: 0, table: strips, bias };
        scatter(isa, deltas, strips, threads);
    }

    /// Writes the sums of `add_up_inputs`: the gradient of the embedding.
    pub(crate) fn take_rows(&self, weights: &PackedWeights, embedding: &mut [f32], threads: &Threads) {
        let (symbols, width) = (weights.config.vocabulary, weights.config.input_width(0));
        let (vector, share) = (padded(width), share(symbols, SYMBOLS, threads));
        threads.chunks(embedding, share * width, &|i, embedding| {
            let _clock = weights.phases.time(Phase::InputGradient);
            for (symbol, row) in (i * share..).zip(embedding.chunks_exact_mut(width)) {
                for (before, to) in (0..).step_by(self.strip).zip(row.chunks_mut(self.strip)) {
                    let columns = self.strip.min(vector - before);
                    let from = &self.strips[before * symbols + symbol * columns..];
                    to.copy_from_slice(&from[..to.len()]);
                }
            }
        });
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
            strip: self.strip,
            vocabulary,
            slots: &gated.input_slots,
            symbols: &table.symbols,
        };
        let share = share(gated.input_slots.depth(), ROWS, threads);
        threads.chunks(weight, share * vocabulary, &|i, weight| {
            let _clock = weights.phases.time(Phase::InputGradient);
            columns.run(i * share..i * share + weight.len() / vocabulary, weight);
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
            || embedding_gradient((weights, gated), table, (rows, embeddings), embedding, threads),
        );
    }

    fn lay_out_rows(&mut self, width: usize, count: usize, threads: &Threads, clock: Clock<'_>) {
        let Self { rows, strips, strip, .. } = self;
        rows.resize(strips.len(), 0.0);
        let share = share(count, ROWS, threads);
        threads.chunks(rows, share * width, &|i, rows| {
            let _clock = clock.start();
            for (d, row) in (i * share..).zip(rows.chunks_exact_mut(width)) {
                for (before, to) in (0..).step_by(*strip).zip(row.chunks_mut(*strip)) {
                    let from = &strips[before * count..][d * to.len()..];
                    to.copy_from_slice(&from[..to.len()]);
                }
            }
        });
    }
}

/// Returns the columns of a strip of rows of `width` floats: a strip for each thread, if they are
/// wide enough.
fn strip(width: usize, threads: usize) -> usize {
    width.div_ceil(threads).next_multiple_of(16).min(STRIP)
}

/// Returns how many of `items` items one thread takes at a time.
fn share(items: usize, [fewest, most]: [usize; 2], threads: &Threads) -> usize {
    threads.share(items, fewest, most)
}

/// Adds the delta of each token to the row of its id.
fn scatter(isa: Isa, deltas: (&TokenPairs<'_>, &[u32]), strips: Strips<'_>, threads: &Threads) {
    let Strips { strip, first, table, bias } = strips;
    if bias.len() <= strip {
        let (pairs, ids) = deltas;
        let _clock = pairs.weights.phases.time(Phase::InputGradient);
        let columns = first..first + bias.len();
        return Scatter { pairs, ids, columns, table, sum: bias }.run_on(isa);
    }
    let half = (bias.len() / 2).next_multiple_of(strip);
    let symbols = table.len() / bias.len();
    let (before, after) = bias.split_at_mut(half);
    let (table, rest) = table.split_at_mut(symbols * half);
    threads.join(
        || scatter(isa, deltas, Strips { strip, first, table, bias: before }, threads),
        || scatter(isa, deltas, Strips { strip, first: first + half, table: rest, bias: after }, threads),
    );
}

/// Computes `d embedding[symbol] = d table[symbol] W`.
fn embedding_gradient(
    (weights, gated): (&PackedWeights, &GatedWeights),
    table: &InputTable,
    (rows, products): (&[f32], &mut Vec<f32>),
    gradient: &mut [f32],
    threads: &Threads,
) {
    let stored = gated.input_slots.width();
    let vector = padded(weights.config.embedding.unwrap_or(0));
    products.resize(table.symbols.len() * vector, 0.0);
    let share = share(table.symbols.len(), PRODUCTS, threads);
    threads.chunks(products, share * vector, &|i, out| {
        let _clock = weights.phases.time(Phase::InputGradient);
        let product = Affine {
            rows: out.len() / vector,
            x: &rows[i * share * stored..][..out.len() / vector * stored],
            x_stride: stored,
            pieces: &gated.input_pieces,
            panels: &gated.input_units,
            weights: &gated.input_t,
            start: Start::Zero,
            out,
        };
        product.run_on(weights.isa);
    });
    spread(weights, table, products, gradient, threads);
}

/// Copies the products of the table's symbols to their rows of the gradient; zeros for the others.
fn spread(
    weights: &PackedWeights,
    table: &InputTable,
    products: &[f32],
    gradient: &mut [f32],
    threads: &Threads,
) {
    let (vocabulary, width) = (weights.config.vocabulary, weights.config.embedding.unwrap_or(0));
    let share = share(vocabulary, SYMBOLS, threads);
    threads.chunks(gradient, share * width, &|i, gradient| {
        let _clock = weights.phases.time(Phase::InputGradient);
        let first = (i * share) as u32;
        let known = table.symbols.partition_point(|symbol| *symbol < first);
        let products = table.symbols.iter().zip(products.chunks_exact(padded(width)));
        let mut products = products.skip(known).peekable();
        for (symbol, to) in (first..).zip(gradient.chunks_exact_mut(width)) {
            match products.next_if(|(known, _)| **known == symbol) {
                Some((_, row)) => to.copy_from_slice(&row[..width]),
                None => to.fill(0.0),
            }
            if !table.mask.is_empty() {
                scale(to, &table.mask);
            }
        }
    });
}

//! The input table: for each symbol, the first layer's bias plus its embedding times `weight_ih`
//! (or, for one-hot input, plus its column of `weight_ih`).

use super::symbol_set::SymbolSet;
use super::{GatedWeights, PackedModel, PackedWeights};
use crate::exec::masks::{Mask, MaskSource, ShardRows, Site};
use crate::model::Parameters;
use crate::parallel::Threads;
use crate::phases::{Phase, Section};
use std::ops::Range;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::one_hot::add_columns;
use unrolled_kernels::pack::padded;

/// The largest vocabulary whose table always has all symbols, even if a window has few of them.
pub(crate) const SMALL_VOCABULARY: usize = 1024;
/// The fewest and the most rows of the table that one thread computes at a time.
const FEWEST: usize = 4;
const MOST: usize = 12;
/// The fewest and the most tokens that one thread looks up at a time.
const FEWEST_TOKENS: usize = 1 << 9;
const MOST_TOKENS: usize = 1 << 12;

/// The input products of a window's symbols.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputTable {
    /// The symbols that have a row, in ascending order: all D = V of them, or the D distinct ones
    /// of the window of a large vocabulary.
    pub(crate) symbols: Vec<u32>,
    /// [D, stored]
    pub(crate) rows: Vec<f32>,
    /// [D, E] and 16 more floats: the masked embeddings of the symbols; empty for one-hot input.
    pub(crate) embeddings: Vec<f32>,
    /// The dropout mask over symbols `[V]` (one-hot) or over the values of embeddings `[E]`; empty
    /// without dropout.
    pub(crate) mask: Vec<f32>,
    /// The symbols of the window of a large vocabulary.
    set: SymbolSet,
    /// The version of the packed weights that it was made from, if it can be used again.
    version: Option<u64>,
}

impl InputTable {
    /// Computes the rows that `inputs` need, with the mask that `dropping` asks for, and writes the
    /// row number of each token to `ids`.
    pub(crate) fn prepare(
        &mut self,
        packed: PackedModel<'_>,
        dropping: Option<MaskSource<'_>>,
        inputs: &[u32],
        ids: &mut [u32],
    ) {
        if self.draw(packed.weights, dropping) {
            self.version = None;
        }
        let (vocabulary, version) = (packed.weights.config.vocabulary, packed.weights.version);
        if vocabulary <= inputs.len() || vocabulary <= SMALL_VOCABULARY {
            ids.copy_from_slice(inputs);
            if self.version != Some(version) {
                self.symbols.clear();
                self.symbols.extend(0..vocabulary as u32);
                self.fill(packed);
                self.version = self.mask.is_empty().then_some(version);
            }
            return;
        }
        let clock = packed.weights.phases.time(Phase::Input);
        let Self { set, symbols, .. } = self;
        set.collect(vocabulary, inputs, symbols);
        drop(clock);
        let share = packed.threads.share(ids.len(), FEWEST_TOKENS, MOST_TOKENS);
        packed.threads.chunks(ids, share, &|i, ids| {
            let _clock = packed.weights.phases.time(Phase::Input);
            ids.iter_mut().zip(&inputs[i * share..]).for_each(|(id, symbol)| *id = set.index(*symbol));
        });
        self.fill(packed);
        self.version = None;
    }

    /// Draws the mask of the window. Returns true if there is one.
    fn draw(&mut self, weights: &PackedWeights, dropping: Option<MaskSource<'_>>) -> bool {
        let layer = &weights.layers[0].layer;
        let share = layer.share(Site::Input, dropping);
        let width = if share.is_some() { weights.config.input_width(0) } else { 0 };
        self.mask.resize(padded(width), 0.0);
        if let Some(share) = share {
            let (site, variational, seed) = (Site::Input, layer.variational, layer.dropout_seed);
            let mask = Mask { layer: 0, site, share, width, variational, seed, dropping };
            let row = ShardRows { order: &[0], batch: 1 };
            mask.fill(1, &|_| 1, (row, Threads::CALLING), &mut self.mask);
        }
        share.is_some()
    }

    fn fill(&mut self, packed: PackedModel<'_>) {
        let PackedModel { weights, threads, .. } = packed;
        let Self { symbols, rows, embeddings, mask, .. } = self;
        let Some(layer) = weights.table_layer() else { return };
        let (width, embedding) = (layer.input_slots.width(), weights.config.embedding.unwrap_or(0));
        rows.resize(symbols.len() * width, 0.0);
        if embedding > 0 {
            let len = symbols.len() * embedding;
            embeddings.resize(len + 16, 0.0);
            embeddings[len..].fill(0.0);
        }
        let part = TablePart { symbols, mask, rows, embeddings };
        threads.enter(symbols.len() * layer.input_slots.depth() * embedding.max(8), || {
            let _section = weights.phases.section(Section::Input, threads.at_work());
            part.divide(packed, layer, threads.share(symbols.len(), FEWEST, MOST));
        });
    }
}

/// Some rows of the table, for one thread.
struct TablePart<'a> {
    /// `[D]`
    symbols: &'a [u32],
    mask: &'a [f32],
    /// [D, stored]
    rows: &'a mut [f32],
    /// [D, E]; empty for one-hot input. The last part has more floats.
    embeddings: &'a mut [f32],
}

impl TablePart<'_> {
    /// Fills the rows, `share` rows at a time.
    fn divide(self, packed: PackedModel<'_>, layer: &GatedWeights, share: usize) {
        let pieces = self.symbols.len().div_ceil(share);
        if pieces <= 1 {
            return self.fill(packed, layer);
        }
        let half = pieces.div_ceil(2) * share;
        let embedding = packed.weights.config.embedding.unwrap_or(0);
        let Self { symbols, mask, rows, embeddings } = self;
        let (symbols, symbols_after) = symbols.split_at(half);
        let (rows, rows_after) = rows.split_at_mut(half * layer.input_slots.width());
        let (embeddings, embeddings_after) = embeddings.split_at_mut(half * embedding);
        let first = TablePart { symbols, mask, rows, embeddings };
        let second =
            TablePart { symbols: symbols_after, mask, rows: rows_after, embeddings: embeddings_after };
        packed.threads.join(|| first.divide(packed, layer, share), || second.divide(packed, layer, share));
    }

    fn fill(self, packed: PackedModel<'_>, layer: &GatedWeights) {
        let PackedModel { weights, parameters, .. } = packed;
        let Self { symbols, mask, rows, embeddings } = self;
        let _clock = weights.phases.time(Phase::Input);
        let (Some(range), Some(embedding)) = (&weights.tensors.embedding, weights.config.embedding) else {
            return match mask {
                [] => weights.look_up(layer, parameters, symbols, rows),
                mask => weights.look_up_masked(layer, parameters, (symbols, mask), rows),
            };
        };
        let matrix = &parameters.values[range.clone()];
        for (symbol, to) in symbols.iter().zip(embeddings.chunks_exact_mut(embedding)) {
            to.copy_from_slice(&matrix[*symbol as usize * embedding..][..embedding]);
            if !mask.is_empty() {
                scale(to, mask);
            }
        }
        weights.multiply_embeddings(layer, embeddings, rows);
    }
}

/// Multiplies values by the factors of a mask.
pub(crate) fn scale(values: &mut [f32], by: &[f32]) {
    values.iter_mut().zip(by).for_each(|(value, by)| *value *= by);
}

impl PackedWeights {
    /// Fills `rows` [D, stored] for consecutive `symbols`.
    pub(crate) fn fill_table(&self, parameters: &Parameters, symbols: Range<u32>, rows: &mut [f32]) {
        let Some(layer) = self.table_layer() else { return };
        match (&self.tensors.embedding, self.config.embedding) {
            (Some(range), Some(width)) => {
                let first = symbols.start as usize * width;
                self.multiply_embeddings(layer, &parameters.values[range.clone()][first..], rows);
            }
            _ => {
                let width = layer.input_slots.width();
                symbols
                    .zip(rows.chunks_exact_mut(width))
                    .for_each(|(id, row)| self.look_up(layer, parameters, &[id], row));
            }
        }
    }

    /// Fills `rows` [D, stored] for one-hot symbols.
    fn look_up(&self, layer: &GatedWeights, parameters: &Parameters, symbols: &[u32], rows: &mut [f32]) {
        let (slots, weight) = (&layer.input_slots, &parameters.values[self.tensors.layers[0].input.clone()]);
        start_with_bias(layer, rows);
        add_columns(weight, self.config.vocabulary, slots, symbols, rows);
    }

    /// Fills `rows` [D, stored] for one-hot symbols under a dropout mask.
    fn look_up_masked(
        &self,
        layer: &GatedWeights,
        parameters: &Parameters,
        (symbols, mask): (&[u32], &[f32]),
        rows: &mut [f32],
    ) {
        let (slots, weight) = (&layer.input_slots, &parameters.values[self.tensors.layers[0].input.clone()]);
        rows.fill(0.0);
        add_columns(weight, self.config.vocabulary, slots, symbols, rows);
        for (symbol, row) in symbols.iter().zip(rows.chunks_exact_mut(layer.bias.len())) {
            let kept = mask[*symbol as usize];
            row.iter_mut().zip(&layer.bias).for_each(|(sum, bias)| *sum = kept * *sum + bias);
        }
    }

    /// Fills `rows` [D, stored] from embeddings `x`: the first D vectors, [D, E].
    fn multiply_embeddings(&self, layer: &GatedWeights, x: &[f32], rows: &mut [f32]) {
        start_with_bias(layer, rows);
        let (embedding, count) = (self.config.embedding.unwrap_or(0), rows.len() / layer.input_slots.width());
        let piece = 0..embedding;
        let product = Affine {
            rows: count,
            x: &x[..count * embedding],
            x_stride: embedding,
            pieces: std::slice::from_ref(&piece),
            panels: &layer.input_panels[0],
            weights: &layer.input[0],
            start: Start::Out,
            out: rows,
        };
        product.run_on(self.isa);
    }
}

fn start_with_bias(layer: &GatedWeights, rows: &mut [f32]) {
    rows.chunks_exact_mut(layer.bias.len()).for_each(|row| row.copy_from_slice(&layer.bias));
}

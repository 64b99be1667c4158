//! Copies between the caller's arrays and the shards: inputs, targets, outputs and gradients, in
//! either order. Each shard reads its own tokens. Threads divide the places of the caller's outputs.

use super::activations::WindowActivations;
use super::ragged::Ragged;
use super::shard::Shard;
use crate::exec::inputs::{Order, OutputSteps};
use crate::exec::layer::LayerActivations;
use crate::exec::weights::PackedWeights;
use crate::loss::Targets;
use crate::parallel::Threads;
use unrolled_kernels::pack::padded;

/// The fewest and the most floats that one thread copies to the caller at a time.
const FEWEST: usize = 1 << 12;
const MOST: usize = 1 << 16;

/// The places of tokens in an array of the caller: of inputs, or of outputs.
#[derive(Clone, Copy)]
struct TokenPlaces<'a> {
    order: Order,
    output_steps: OutputSteps,
    /// T, B
    shape: [usize; 2],
    ragged: &'a Ragged,
}

impl TokenPlaces<'_> {
    /// The places of all inputs, if only some tokens have outputs.
    fn of_inputs(self) -> Self {
        Self { output_steps: OutputSteps::Every, ..self }
    }

    /// The place of a step and a row; `None` if it has none.
    fn index(&self, step: usize, row: usize) -> Option<usize> {
        match self.output_steps {
            OutputSteps::Every if self.is_packed() => self.ragged.number(self.shape[0], step, row),
            OutputSteps::Every => Some(self.order.index(self.shape, step, row)),
            OutputSteps::Last => (self.last(row) == Some(step)).then_some(row),
        }
    }

    /// The step and the row at a place; `None` for a row without steps.
    fn token(&self, index: usize) -> Option<(usize, usize)> {
        match self.output_steps {
            OutputSteps::Every if self.is_packed() => {
                let source = self.ragged.locations[index].source as usize;
                Some((source / self.shape[1], source % self.shape[1]))
            }
            OutputSteps::Every => Some(self.order.token(self.shape, index)),
            OutputSteps::Last => self.last(index).map(|step| (step, index)),
        }
    }

    /// Returns true if the places have no padding, and some row ends before the window does.
    fn is_packed(&self) -> bool {
        self.order == Order::Packed && self.ragged.is_used()
    }

    /// The last step of a row.
    fn last(&self, row: usize) -> Option<usize> {
        self.ragged.length(row).unwrap_or(self.shape[0]).checked_sub(1)
    }
}

impl WindowActivations {
    fn places(&self, order: Order) -> TokenPlaces<'_> {
        let (shape, output_steps) = ([self.steps, self.rows], self.output_steps());
        TokenPlaces { order, output_steps, shape, ragged: &self.ragged }
    }

    /// The index of token `n` of the head in the caller's outputs.
    pub(crate) fn head_index(&self, order: Order, n: usize) -> usize {
        let source = self.source(self.head_token(n));
        let (step, row) = (source / self.rows, source % self.rows);
        self.places(order).index(step, row).unwrap_or_default()
    }

    /// Removes target values and weights, because the targets are class ids that all weigh 1.
    pub(crate) fn clear_values(&mut self) {
        for shard in &mut self.shards {
            shard.target_values.clear();
            shard.token_weights.clear();
        }
    }

    /// Calls `f` with the shards, on all threads, and with the places of outputs.
    fn each_shard(
        &mut self,
        order: Order,
        threads: &Threads,
        f: impl Fn(TokenPlaces<'_>, &mut Shard) + Sync,
    ) {
        let mut shards = std::mem::take(&mut self.shards);
        let places = self.places(order);
        threads.each(&mut shards, &|shard| f(places, shard));
        self.shards = shards;
    }

    /// Copies vectors [T, B, E] to the inputs of the first layer.
    pub(crate) fn load_vectors(&mut self, width: usize, order: Order, values: &[f32], threads: &Threads) {
        self.each_shard(order, threads, |places, shard| {
            let places = places.of_inputs();
            let Shard { inputs, order: rows, layers, .. } = shard;
            let inputs = inputs.chunks_exact_mut(padded(width));
            let read = tokens(rows, layers).map(|(step, row)| places.index(step, row));
            for (from, to) in read.zip(inputs).filter_map(|(from, to)| Some((from?, to))) {
                to[..width].copy_from_slice(&values[from * width..][..width]);
            }
        });
    }

    /// Copies targets and weights to the shards. `outputs` is the width O of the head.
    pub(crate) fn load_targets(
        &mut self,
        outputs: usize,
        order: Order,
        (targets, weights): (Targets<'_>, Option<&[f32]>),
        threads: &Threads,
    ) {
        self.each_shard(order, threads, |places, shard| {
            shard.losses.fill(0.0);
            shard.correct.fill(false);
            let count = shard.tokens();
            let values = if matches!(targets, Targets::Values(_)) { count * outputs } else { 0 };
            shard.target_values.resize(values, 0.0);
            shard.token_weights.resize(if weights.is_some() { count } else { 0 }, 0.0);
            let Shard { order: rows, layers, targets: to, target_values, token_weights, .. } = shard;
            let read = tokens(rows, layers).map(|(step, row)| places.index(step, row)).enumerate();
            for (token, from) in read.filter_map(|(token, from)| Some((token, from?))) {
                match targets {
                    Targets::Ids(ids) => to[token] = ids[from],
                    Targets::Values(values) => target_values[token * outputs..][..outputs]
                        .copy_from_slice(&values[from * outputs..][..outputs]),
                }
                if let Some(weights) = weights {
                    token_weights[token] = weights[from];
                }
            }
        });
    }

    /// Copies the last layer's outputs, `width` floats each, to `out`; zeros beyond the end of a
    /// row.
    pub(crate) fn copy_stack_outputs(&self, width: usize, order: Order, out: &mut [f32], threads: &Threads) {
        self.copy_out(width, self.places(order), Shard::stack_outputs, (out, threads));
    }

    /// Copies the head's outputs that were kept, `width` floats each, to `out`; zeros beyond the
    /// end of a row.
    pub(crate) fn copy_head_outputs(&self, width: usize, order: Order, out: &mut [f32], threads: &Threads) {
        self.copy_out(width, self.places(order), |shard| &shard.outputs, (out, threads));
    }

    /// Copies the gradients of the first layer's inputs to `out` [T, B, E]; zeros beyond the end of
    /// a row.
    pub(crate) fn copy_d_inputs(&self, width: usize, order: Order, out: &mut [f32], threads: &Threads) {
        let places = self.places(order).of_inputs();
        self.copy_out(width, places, Shard::d_inputs, (out, threads));
    }

    /// Copies values of all tokens to their places in `out`; zeros where there is no token.
    fn copy_out(
        &self,
        width: usize,
        places: TokenPlaces<'_>,
        values: impl Fn(&Shard) -> &[f32] + Sync,
        (out, threads): (&mut [f32], &Threads),
    ) {
        let share = threads.share(out.len(), FEWEST, MOST).div_ceil(width.max(1));
        threads.chunks(out, share * width, &|i, out| {
            for (index, to) in (i * share..).zip(out.chunks_exact_mut(width)) {
                match places.token(index).and_then(|(step, row)| self.find(step, row)) {
                    Some((shard, token)) => {
                        let from = &values(&self.shards[shard])[token * padded(width)..];
                        to.copy_from_slice(&from[..width]);
                    }
                    None => to.fill(0.0),
                }
            }
        });
    }

    /// Copies gradients of the last layer's outputs to the shards, zeros where there are none.
    pub(crate) fn load_stack_gradients(
        &mut self,
        weights: &PackedWeights,
        order: Order,
        d_outputs: &[f32],
        threads: &Threads,
    ) {
        let width = weights.config.stack_width();
        self.each_shard(order, threads, |places, shard| {
            shard.clear_stack_gradient(weights);
            load_gradients(shard, (width, d_outputs), places, Shard::stack_gradient_mut);
        });
    }

    /// Copies gradients of the head's outputs to the shards, which keep them for the whole window.
    pub(crate) fn load_head_gradients(
        &mut self,
        width: usize,
        order: Order,
        d_outputs: &[f32],
        threads: &Threads,
    ) {
        self.each_shard(order, threads, |places, shard| {
            load_gradients(shard, (width, d_outputs), places, |shard| &mut shard.outputs);
        });
    }
}

/// Copies the gradients of a shard's tokens, `width` floats each, to the array that `gradient`
/// returns.
fn load_gradients(
    shard: &mut Shard,
    (width, d_outputs): (usize, &[f32]),
    places: TokenPlaces<'_>,
    gradient: impl Fn(&mut Shard) -> &mut Vec<f32>,
) {
    let mut gradients = std::mem::take(gradient(shard));
    let to = gradients.chunks_exact_mut(padded(width));
    for ((step, row), to) in tokens(&shard.order, &shard.layers).zip(to) {
        let Some(from) = places.index(step, row) else { continue };
        to[..width].copy_from_slice(&d_outputs[from * width..][..width]);
        to[width..].fill(0.0);
    }
    *gradient(shard) = gradients;
}

/// The step and the batch row of each token of a shard, in the order of its tokens. `order` lists
/// the shard's rows.
fn tokens<'a>(order: &'a [u32], layers: &'a [LayerActivations]) -> impl Iterator<Item = (usize, usize)> + 'a {
    let window = layers.first().map(|layer| layer.buffers.window());
    window.into_iter().flat_map(move |window| {
        let active = move |t: usize| order[..window.active(t)].iter().map(move |row| (t, *row as usize));
        (0..window.steps).flat_map(active)
    })
}

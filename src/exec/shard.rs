//! Some rows of a batch: their activations through all layers and steps, forward and backward, on one thread.

use super::weights::Weights;
use crate::model::cell::{Buffers, stride};
use crate::random::{MaskPlace, dropout_mask};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;
use unrolled_kernels::softmax::CrossEntropy;
use unrolled_kernels::update::multiply;
use unrolled_kernels::{Dense, Input, Window};

/// The rows `first..first + rows` of the batch.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(crate) first: usize,
    pub(crate) rows: usize,
    steps: usize,
    pub(crate) layers: Vec<Buffers>,
    /// [T, B]: rows of the input table.
    pub(crate) ids: Vec<u32>,
    /// [T, B]
    targets: Vec<u32>,
    /// For each layer: outputs times mask, and the mask [T, B, padded(H)]; empty without dropout.
    dropped: Vec<Vec<f32>>,
    masks: Vec<Vec<f32>>,
    /// [T, B, padded(V)]: logits, then their gradients.
    pub(crate) logits: Vec<f32>,
    /// [T, B, padded(H)]: the gradient on its way down.
    dh: Vec<f32>,
    /// [T, B]
    pub(crate) losses: Vec<f64>,
    pub(crate) correct: Vec<bool>,
}

/// Where the dropout masks of a window come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub(crate) probability: f32,
    pub(crate) seed: u64,
    /// The optimiser step.
    pub(crate) step: u64,
}

impl Shard {
    pub(crate) fn new(
        weights: &Weights,
        (first, rows): (usize, usize),
        steps: usize,
        keep: bool,
        drop: bool,
    ) -> Self {
        let config = &weights.config;
        let window = Window { steps, rows, hidden: config.hidden, keep };
        let (tokens, hidden) = (steps * rows, steps * window.step());
        let masks = vec![vec![0.0; if drop { hidden } else { 0 }]; config.layers];
        Self {
            first,
            rows,
            steps,
            layers: (0..config.layers).map(|_| Buffers::new(&*weights.cell, window)).collect(),
            ids: vec![0; tokens],
            targets: vec![0; tokens],
            dropped: masks.clone(),
            masks,
            logits: vec![0.0; tokens * padded(config.vocabulary)],
            dh: vec![0.0; if keep { hidden } else { 0 }],
            losses: vec![0.0; tokens],
            correct: vec![false; tokens],
        }
    }

    /// Takes this shard's columns of time-major ids [T, B].
    pub(crate) fn load(&mut self, batch: usize, inputs: &[u32], targets: &[u32]) {
        for t in 0..self.steps {
            let (from, to) = (t * batch + self.first, t * self.rows);
            self.ids[to..][..self.rows].copy_from_slice(&inputs[from..][..self.rows]);
            if !targets.is_empty() {
                self.targets[to..][..self.rows].copy_from_slice(&targets[from..][..self.rows]);
            }
        }
    }

    /// All layers and the head, from the state that the buffers start with.
    pub(crate) fn forward(&mut self, weights: &Weights, table: &[f32], dropout: Option<Dropout>) {
        for l in 0..self.layers.len() {
            let (below, layer) = self.layers.split_at_mut(l);
            let input = match below.last() {
                None => Input { start: table, ids: Some(&self.ids), dense: None },
                Some(below) => {
                    let packed = &weights.layers[l];
                    let values = if dropout.is_some() { &self.dropped[l - 1] } else { below.outputs() };
                    let second = packed.input.get(1).map_or(&[][..], |second| &**second);
                    let (stride, width) = (stride(&weights.config), weights.config.hidden);
                    let dense = Dense { values, stride, width, weights: &packed.input[0], second };
                    Input { start: &packed.bias, ids: None, dense: Some(dense) }
                }
            };
            weights.cell.forward(weights.isa, &weights.cell_weights(l), input, &mut layer[0]);
            if let Some(dropout) = dropout {
                self.drop(weights, dropout, l);
            }
        }
        self.head(weights, dropout.is_some());
    }

    /// Draws the masks of layer `l` and applies them to its outputs.
    fn drop(&mut self, weights: &Weights, dropout: Dropout, l: usize) {
        let (stride, keep) = (stride(&weights.config), 1.0 - dropout.probability);
        for (token, mask) in self.masks[l].chunks_exact_mut(stride).enumerate() {
            let (t, row) = (token / self.rows, self.first + token % self.rows);
            let step = dropout.step * self.steps as u64 + t as u64;
            let place = MaskPlace { seed: dropout.seed, layer: l as u32, step, row: row as u32 };
            dropout_mask(place, keep, 1.0 / keep, &mut mask[..weights.config.hidden]);
        }
        multiply(weights.isa, self.layers[l].outputs(), &self.masks[l], &mut self.dropped[l]);
    }

    fn head(&mut self, weights: &Weights, dropped: bool) {
        let hidden = weights.config.hidden;
        let x = if dropped {
            self.dropped.last().map(Vec::as_slice)
        } else {
            self.layers.last().map(Buffers::outputs)
        };
        let piece = 0..hidden;
        let product = Affine {
            rows: self.steps * self.rows,
            x: x.unwrap_or_default(),
            x_stride: stride(&weights.config),
            pieces: std::slice::from_ref(&piece),
            panels: &weights.head.panels,
            weights: &weights.head.weight,
            start: Start::Bias(&weights.head.bias),
            out: &mut self.logits,
        };
        product.run_on(weights.isa);
    }

    /// Losses of all tokens; with `gradient_scale`, logits become their gradients.
    pub(crate) fn losses(&mut self, weights: &Weights, gradient_scale: Option<f32>) {
        let kernel = CrossEntropy {
            vocabulary: weights.config.vocabulary,
            stride: padded(weights.config.vocabulary),
            logits: &mut self.logits,
            targets: &self.targets,
            gradient_scale,
            losses: &mut self.losses,
            correct: &mut self.correct,
        };
        kernel.run_on(weights.isa);
    }

    /// Deltas of all layers from the logits' gradients, which `losses` has left.
    pub(crate) fn backward(&mut self, weights: &Weights, dropped: bool) {
        let (rows, vocabulary) = (self.steps * self.rows, weights.config.vocabulary);
        let piece = 0..vocabulary;
        let product = Affine {
            rows,
            x: &self.logits,
            x_stride: padded(vocabulary),
            pieces: std::slice::from_ref(&piece),
            panels: &weights.units,
            weights: &weights.head.weight_t,
            start: Start::Zero,
            out: &mut self.dh,
        };
        product.run_on(weights.isa);
        for l in (0..self.layers.len()).rev() {
            if dropped {
                self.masks[l].iter().zip(&mut self.dh).for_each(|(mask, dh)| *dh *= mask);
            }
            weights.cell.backward(weights.isa, &weights.cell_weights(l), &self.dh, &mut self.layers[l]);
            if l > 0 {
                let product = Affine {
                    rows,
                    x: &self.layers[l].gates,
                    x_stride: weights.input_slots.width(),
                    pieces: &weights.input_pieces,
                    panels: &weights.layers[l].input_units,
                    weights: &weights.layers[l].input_t,
                    start: Start::Zero,
                    out: &mut self.dh,
                };
                product.run_on(weights.isa);
            }
        }
    }

    /// What layer `l` reads, from token `token` of this shard on: [.., padded(H)].
    pub(crate) fn dense_input(&self, l: usize, token: usize, dropped: bool) -> &[f32] {
        let values = if dropped { &self.dropped[l - 1] } else { self.layers[l - 1].outputs() };
        &values[token * padded(self.layers[l - 1].window.hidden)..]
    }
}

//! Some rows of a batch: their activations through all layers and steps, forward and backward, on one thread.

use super::executor::Purpose;
use super::weights::Weights;
use crate::model::cell::{Buffers, resize, stride};
use crate::random::{MaskPlace, dropout_mask};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;
use unrolled_kernels::softmax::CrossEntropy;
use unrolled_kernels::update::multiply;
use unrolled_kernels::{Dense, Input, Window};

/// Some rows of the batch; [N, ..] stands for their tokens, step by step (see [`Window`]).
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// The batch row of each of its rows: in order, or the longest first.
    pub(crate) order: Vec<u32>,
    steps: usize,
    pub(crate) layers: Vec<Buffers>,
    /// `[N]`: rows of the input table.
    pub(crate) ids: Vec<u32>,
    /// `[N]`
    pub(crate) targets: Vec<u32>,
    /// For each layer: outputs times mask, and the mask [N, padded(H)]; empty without dropout.
    dropped: Vec<Vec<f32>>,
    masks: Vec<Vec<f32>>,
    /// [N, padded(V)]: logits, then their gradients.
    pub(crate) logits: Vec<f32>,
    /// [N, padded(H)]: the gradient on its way down.
    dh: Vec<f32>,
    /// `[N]`
    pub(crate) losses: Vec<f64>,
    pub(crate) correct: Vec<bool>,
}

/// Where the dropout masks of a window come from: they are a function of these numbers, the layer, the step within the
/// window, and the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Share of the activations that are dropped, at least 0 and below 1.
    pub probability: f32,
    /// The run's.
    pub seed: u64,
    /// The number of the optimiser step; each has masks of its own.
    pub step: u64,
}

impl Shard {
    /// Of no rows.
    pub(crate) fn new(weights: &Weights, purpose: Purpose) -> Self {
        let config = &weights.config;
        let window = Window { steps: 0, rows: 0, hidden: config.hidden, keep: purpose.train, active: &[] };
        let masks = vec![Vec::new(); if purpose.dropout { config.layers } else { 0 }];
        Self {
            order: Vec::new(),
            steps: 0,
            layers: (0..config.layers).map(|_| Buffers::new(&*weights.cell, window)).collect(),
            ids: Vec::new(),
            targets: Vec::new(),
            dropped: masks.clone(),
            masks,
            logits: Vec::new(),
            dh: Vec::new(),
            losses: Vec::new(),
            correct: Vec::new(),
        }
    }

    /// Makes room for the rows in `order` over `steps` steps, with `active` of them in each, or all.
    pub(crate) fn resize(&mut self, weights: &Weights, steps: usize, active: &[u32]) {
        self.steps = steps;
        for layer in &mut self.layers {
            let rows = self.order.len();
            layer.resize(&*weights.cell, Window { steps, rows, active, ..layer.window });
        }
        let window = self.layers[0].window();
        let (tokens, most, keep) = (window.tokens(), steps * window.rows, window.keep);
        let (vector, logits) = (stride(&weights.config), padded(weights.config.vocabulary));
        resize(&mut self.ids, tokens, most);
        resize(&mut self.targets, tokens, most);
        resize(&mut self.losses, tokens, most);
        resize(&mut self.correct, tokens, most);
        resize(&mut self.logits, tokens * logits, most * logits);
        for values in self.dropped.iter_mut().chain(&mut self.masks).chain(keep.then_some(&mut self.dh)) {
            resize(values, tokens * vector, most * vector);
        }
    }

    /// Its first batch row, when its rows are in order.
    pub(crate) fn first(&self) -> usize {
        self.order.first().map_or(0, |row| *row as usize)
    }

    pub(crate) fn rows(&self) -> usize {
        self.order.len()
    }

    /// Starts the next window from zero, or from where the last one ended if one `ran` since the state was set.
    pub(crate) fn begin(&mut self, fresh: bool, ran: bool) {
        for layer in &mut self.layers {
            let step = layer.window.step();
            if fresh {
                layer.h[..step].fill(0.0);
                let c = layer.c.len().min(step);
                layer.c[..c].fill(0.0);
            } else if ran {
                layer.carry_over();
            }
        }
    }

    /// Takes this shard's columns of time-major ids [T, B], whose rows all have T steps.
    pub(crate) fn load(&mut self, batch: usize, inputs: &[u32], targets: &[u32]) {
        let (first, rows) = (self.first(), self.rows());
        for t in 0..self.steps {
            let (from, to) = (t * batch + first, t * rows);
            self.ids[to..][..rows].copy_from_slice(&inputs[from..][..rows]);
            if !targets.is_empty() {
                self.targets[to..][..rows].copy_from_slice(&targets[from..][..rows]);
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
        let window = self.layers[l].window();
        let mut masks = self.masks[l].chunks_exact_mut(stride);
        for t in 0..self.steps {
            let step = dropout.step.wrapping_mul(self.steps as u64).wrapping_add(t as u64);
            for (row, mask) in self.order[..window.active(t)].iter().zip(&mut masks) {
                let place = MaskPlace { seed: dropout.seed, layer: l as u32, step, row: *row };
                dropout_mask(place, keep, 1.0 / keep, &mut mask[..weights.config.hidden]);
            }
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
            rows: self.ids.len(),
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
        let (rows, vocabulary) = (self.ids.len(), weights.config.vocabulary);
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

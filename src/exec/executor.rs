//! A window of T steps by B rows over all layers, its rows divided among threads: the body of both modes.

use super::gradient::{TableGradient, gradients};
use super::shard::{Dropout, Shard};
use super::state::{LayerState, State};
use super::weights::Weights;
use crate::model::Parameters;
use crate::parallel::Threads;
use unrolled_kernels::pack::padded;

/// Every buffer of a window, placed once.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    pub(crate) shards: Vec<Shard>,
    pub(crate) table: Table,
    /// [T, B]: rows of the table.
    pub(crate) ids: Vec<u32>,
    /// Floats in a stored row of gates, and of logits.
    pub(crate) stored_width: usize,
    pub(crate) logit_width: usize,
    /// Whether the last forward pass dropped activations.
    pub(crate) dropped: bool,
    /// Whether a window has run since the state was last set.
    ran: bool,
    table_gradient: TableGradient,
}

/// What each symbol brings to the first layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The symbols that have a row, ascending: all of them, or those of the window when they are fewer.
    pub(crate) symbols: Vec<u32>,
    /// [D, stored]
    rows: Vec<f32>,
    /// The packing it was made from, when it has all symbols.
    version: Option<u64>,
}

/// What a window is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose {
    /// Activations are kept for a backward pass.
    pub(crate) train: bool,
    /// Activations may be dropped.
    pub(crate) dropout: bool,
}

impl Executor {
    pub(crate) fn new(
        weights: &Weights,
        steps: usize,
        rows: usize,
        purpose: Purpose,
        threads: &Threads,
    ) -> Self {
        let parts = threads.parts(rows, weights.work() * steps * rows);
        let bounds = |i: usize| rows * i / parts;
        let shard = |i: usize| {
            let share = (bounds(i), bounds(i + 1) - bounds(i));
            Shard::new(weights, share, steps, purpose.train, purpose.dropout)
        };
        Self {
            steps,
            rows,
            shards: (0..parts).map(shard).collect(),
            table: Table::default(),
            ids: vec![0; steps * rows],
            stored_width: weights.input_slots.width(),
            logit_width: padded(weights.config.vocabulary),
            dropped: false,
            ran: false,
            table_gradient: TableGradient::default(),
        }
    }

    /// Starts the next window from zero, or from where the last one ended.
    pub(crate) fn begin(&mut self, fresh: bool) {
        let ran = std::mem::take(&mut self.ran);
        for layer in self.shards.iter_mut().flat_map(|shard| &mut shard.layers) {
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

    /// Runs a window over time-major `inputs` [T, B], leaving logits; `targets` may be empty.
    pub(crate) fn forward(
        &mut self,
        weights: &Weights,
        parameters: &Parameters,
        (inputs, targets): (&[u32], &[u32]),
        dropout: Option<Dropout>,
        threads: &Threads,
    ) {
        self.table.prepare(weights, parameters, inputs, &mut self.ids);
        let (rows, ids, table) = (self.rows, &self.ids, &self.table.rows);
        let work = weights.work() * self.steps * rows;
        threads.each(&mut self.shards, work, |shard| {
            shard.load(rows, ids, targets);
            shard.forward(weights, table, dropout);
        });
        self.dropped = dropout.is_some();
        self.ran = true;
    }

    /// Runs a window of one step that goes on from the last one; all its rows start from row `row` of `table`.
    pub(crate) fn step(&mut self, weights: &Weights, table: &[f32], row: u32) {
        self.begin(false);
        for shard in &mut self.shards {
            shard.ids.fill(row);
            shard.forward(weights, table, None);
        }
        self.ran = true;
    }

    /// Losses of all tokens, left for `tally`. With `gradient_scale` the deltas of all layers are left for `gradients`.
    pub(crate) fn losses(&mut self, weights: &Weights, gradient_scale: Option<f32>, threads: &Threads) {
        let (work, dropped) = (2 * weights.work() * self.steps * self.rows, self.dropped);
        threads.each(&mut self.shards, work, |shard| {
            shard.losses(weights, gradient_scale);
            if gradient_scale.is_some() {
                shard.backward(weights, dropped);
            }
        });
    }

    /// Losses in nats, added to `sum` in the order (step, row), and the number predicted right, added to `correct`: one
    /// chain over all windows of an evaluation, which therefore does not depend on where they end.
    pub(crate) fn tally(&self, (mut sum, mut correct): (f64, u64)) -> (f64, u64) {
        for t in 0..self.steps {
            for shard in &self.shards {
                let tokens = t * shard.rows..(t + 1) * shard.rows;
                shard.losses[tokens.clone()].iter().for_each(|loss| sum += loss);
                correct += shard.correct[tokens].iter().filter(|correct| **correct).count() as u64;
            }
        }
        (sum, correct)
    }

    /// Writes the gradients of all parameters.
    pub(crate) fn gradients(
        &mut self,
        weights: &Weights,
        parameters: &Parameters,
        gradient: &mut [f32],
        threads: &Threads,
    ) {
        let mut table = std::mem::take(&mut self.table_gradient);
        gradients(self, weights, parameters, &mut table, gradient, threads);
        self.table_gradient = table;
    }

    /// Copies the logits to `out` [T, B, V].
    pub(crate) fn logits(&self, vocabulary: usize, out: &mut [f32]) {
        for shard in &self.shards {
            for (token, row) in shard.logits.chunks_exact(self.logit_width).enumerate() {
                let (t, b) = (token / shard.rows, shard.first + token % shard.rows);
                out[(t * self.rows + b) * vocabulary..][..vocabulary].copy_from_slice(&row[..vocabulary]);
            }
        }
    }

    /// The state after the last window.
    pub(crate) fn state(&self, hidden: usize) -> State {
        let layers = self.shards.first().map_or(0, |shard| shard.layers.len());
        let mut state = State { rows: self.rows, layers: Vec::with_capacity(layers) };
        for l in 0..layers {
            let mut layer = LayerState { h: Vec::new(), c: Vec::new() };
            for buffers in self.shards.iter().map(|shard| &shard.layers[l]) {
                let (step, ran) = (buffers.window.step(), usize::from(self.ran));
                let h = &buffers.h[ran * buffers.window.steps * step..][..step];
                let c = if self.ran { buffers.last_c() } else { &buffers.c[..buffers.c.len().min(step)] };
                let rows = |values: &[f32]| -> Vec<f32> {
                    values.chunks_exact(padded(hidden)).flat_map(|row| &row[..hidden]).copied().collect()
                };
                layer.h.extend(rows(h));
                layer.c.extend(rows(c));
            }
            state.layers.push(layer);
        }
        state
    }

    /// Makes `state` the initial state of the next window, which must `begin` without `fresh`.
    pub(crate) fn set_state(&mut self, hidden: usize, state: &State) {
        self.ran = false;
        for shard in &mut self.shards {
            for (buffers, layer) in shard.layers.iter_mut().zip(&state.layers) {
                for row in 0..shard.rows {
                    let (from, to) = ((shard.first + row) * hidden, row * padded(hidden));
                    buffers.h[to..][..hidden].copy_from_slice(&layer.h[from..][..hidden]);
                    if !buffers.c.is_empty() {
                        buffers.c[to..][..hidden].copy_from_slice(&layer.c[from..][..hidden]);
                    }
                }
            }
        }
    }
}

impl Table {
    /// Makes the rows that `inputs` need, and writes each token's row number to `ids`.
    fn prepare(&mut self, weights: &Weights, parameters: &Parameters, inputs: &[u32], ids: &mut [u32]) {
        let vocabulary = weights.config.vocabulary;
        if vocabulary <= inputs.len() || vocabulary <= 1024 {
            ids.copy_from_slice(inputs);
            if self.version != Some(weights.version) {
                self.symbols = (0..vocabulary as u32).collect();
                weights.fill_table(parameters, &self.symbols, &mut self.rows);
                self.version = Some(weights.version);
            }
            return;
        }
        self.symbols.clear();
        self.symbols.extend_from_slice(inputs);
        self.symbols.sort_unstable();
        self.symbols.dedup();
        for (id, symbol) in ids.iter_mut().zip(inputs) {
            *id = self.symbols.partition_point(|known| known < symbol) as u32;
        }
        weights.fill_table(parameters, &self.symbols, &mut self.rows);
        self.version = None;
    }
}

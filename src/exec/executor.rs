//! A window of T steps by B rows over all layers, its rows divided among threads: the body of both modes.

use super::gradient::gradients;
use super::ragged::Ragged;
use super::shard::{Dropout, Shard};
use super::state::State;
use super::table::{Packed, Table};
use super::table_gradient::TableGradient;
use super::weights::Weights;
use crate::model::cell::resize;
use crate::parallel::Threads;
use unrolled_kernels::pack::padded;

/// Every buffer of a window. Buffers grow once and are used again for the windows after.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    purpose: Purpose,
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    pub(crate) shards: Vec<Shard>,
    /// Shards that the window is too small for.
    spare: Vec<Shard>,
    /// Where the tokens lie of a window whose rows end at different steps.
    pub(crate) ragged: Ragged,
    pub(crate) table: Table,
    /// `[N]`: rows of the table, in the order (step, row).
    pub(crate) ids: Vec<u32>,
    /// Floats in a stored row of gates, and of logits.
    pub(crate) stored_width: usize,
    pub(crate) logit_width: usize,
    /// Whether the last forward pass dropped activations.
    pub(crate) dropped: bool,
    /// Whether a window has run since the state was last set.
    ran: bool,
    /// The state while rows are dealt out anew.
    held: State,
    table_gradient: TableGradient,
}

/// T steps of B rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    /// `[B]`: the steps of each row, at most T; without it, all have T.
    pub(crate) lengths: Option<&'a [usize]>,
}

/// A window, and what to do with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass<'a> {
    /// Time-major [T, B]. What lies beyond the end of a row is not read.
    pub(crate) inputs: &'a [u32],
    /// Likewise, or empty when only logits are asked for.
    pub(crate) targets: &'a [u32],
    /// Starts from zero, not from where the last window ended.
    pub(crate) fresh: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) goal: Goal,
}

/// How far a pass goes. Each goes on from the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Logits are left.
    Logits,
    /// Losses are left for `tally`.
    Losses,
    /// The deltas of all layers are left for `gradients`, of the loss times `scale`.
    Deltas { scale: f32 },
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
        let mut executor = Self {
            purpose,
            steps: 0,
            rows: 0,
            shards: Vec::new(),
            spare: Vec::new(),
            ragged: Ragged::default(),
            table: Table::default(),
            ids: Vec::new(),
            stored_width: weights.input_slots.width(),
            logit_width: padded(weights.config.vocabulary),
            dropped: false,
            ran: false,
            held: State { rows: 0, layers: Vec::new() },
            table_gradient: TableGradient::default(),
        };
        executor.reshape(weights, Shape { steps, rows, lengths: None }, threads);
        executor
    }

    /// Takes the shape of the next window. The state goes on when that has as many rows, and otherwise from zero.
    pub(crate) fn reshape(&mut self, weights: &Weights, shape: Shape<'_>, threads: &Threads) {
        let lengths = shape.lengths.filter(|lengths| lengths.iter().any(|length| *length != shape.steps));
        let same = (self.steps, self.rows) == (shape.steps, shape.rows);
        if same && self.ragged.is_of(lengths.unwrap_or_default()) && !self.shards.is_empty() {
            return;
        }
        let hidden = weights.config.hidden;
        let mut held = std::mem::take(&mut self.held);
        let goes_on = self.rows == shape.rows;
        if goes_on {
            self.save(hidden, &mut held);
        }
        (self.steps, self.rows) = (shape.steps, shape.rows);
        self.ragged.set_lengths(lengths.unwrap_or_default());
        self.deal(weights, threads);
        if goes_on {
            self.set_state(hidden, &held);
        } else {
            self.begin(true);
        }
        self.held = held;
    }

    /// Deals the rows out to shards.
    fn deal(&mut self, weights: &Weights, threads: &Threads) {
        let (steps, rows) = (self.steps, self.rows);
        let tokens = if self.is_ragged() { self.ragged.tokens() } else { steps * rows };
        let parts = threads.parts(rows, weights.work() * tokens);
        while self.shards.len() > parts {
            self.spare.extend(self.shards.pop());
        }
        while self.shards.len() < parts {
            self.shards.push(self.spare.pop().unwrap_or_else(|| Shard::new(weights, self.purpose)));
        }
        resize(&mut self.ids, tokens, steps * rows);
        if self.is_ragged() {
            return self.ragged.deal(weights, steps, &mut self.shards);
        }
        let bounds = |i: usize| rows * i / parts;
        for (i, shard) in self.shards.iter_mut().enumerate() {
            shard.order.clear();
            shard.order.extend((bounds(i)..bounds(i + 1)).map(|row| row as u32));
            shard.resize(weights, steps, &[]);
        }
    }

    /// Whether some row ends before the window does.
    pub(crate) fn is_ragged(&self) -> bool {
        !self.ragged.is_of(&[])
    }

    /// Tokens N.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Starts the next window from zero, or from where the last one ended.
    fn begin(&mut self, fresh: bool) {
        let ran = std::mem::take(&mut self.ran);
        self.shards.iter_mut().for_each(|shard| shard.begin(fresh, ran));
    }

    /// Runs a window; no thread waits for another one before its rows are done.
    pub(crate) fn run(&mut self, packed: Packed<'_>, pass: Pass<'_>) {
        let Packed { weights, threads, .. } = packed;
        let Pass { inputs, targets, fresh, dropout, goal } = pass;
        let (ragged, ran) = (self.is_ragged(), std::mem::replace(&mut self.ran, true));
        let inputs = if ragged { self.ragged.gather(inputs) } else { inputs };
        self.table.prepare(packed, inputs, &mut self.ids);
        if ragged {
            self.ragged.load(&mut self.shards, &self.ids, targets);
        }
        let (rows, ids, table, shards) = (self.rows, &self.ids, &self.table.rows, &mut self.shards);
        let run = |shard: &mut Shard| {
            shard.begin(fresh, ran);
            if !ragged {
                shard.load(rows, ids, targets);
            }
            shard.forward(weights, table, dropout);
            match goal {
                Goal::Logits => {}
                Goal::Losses => shard.losses(weights, None),
                Goal::Deltas { scale } => {
                    shard.losses(weights, Some(scale));
                    shard.backward(weights, dropout.is_some());
                }
            }
        };
        threads.enter(weights.work() * ids.len(), || threads.each(shards, &run));
        self.dropped = dropout.is_some();
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

    /// Losses in nats, added to `sum` in the order (step, row), and the number predicted right, added to `correct`: one
    /// chain over all windows of an evaluation, which therefore does not depend on where they end.
    pub(crate) fn tally(&self, (mut sum, mut correct): (f64, u64)) -> (f64, u64) {
        if self.is_ragged() {
            for place in &self.ragged.places {
                let (shard, token) = (&self.shards[place.shard as usize], place.token as usize);
                sum += shard.losses[token];
                correct += u64::from(shard.correct[token]);
            }
            return (sum, correct);
        }
        for t in 0..self.steps {
            for shard in &self.shards {
                let tokens = t * shard.rows()..(t + 1) * shard.rows();
                shard.losses[tokens.clone()].iter().for_each(|loss| sum += loss);
                correct += shard.correct[tokens].iter().filter(|correct| **correct).count() as u64;
            }
        }
        (sum, correct)
    }

    /// Writes the gradients of all parameters.
    pub(crate) fn gradients(&mut self, weights: &Weights, gradient: &mut [f32], threads: &Threads) {
        let mut table = std::mem::take(&mut self.table_gradient);
        gradients(self, weights, &mut table, gradient, threads);
        self.table_gradient = table;
    }

    /// Copies the logits to `out` [T, B, V], zeros beyond the end of a row.
    pub(crate) fn logits(&self, vocabulary: usize, out: &mut [f32]) {
        if self.is_ragged() {
            return self.ragged.logits(&self.shards, (self.logit_width, vocabulary), out);
        }
        for shard in &self.shards {
            for (token, row) in shard.logits.chunks_exact(self.logit_width).enumerate() {
                let (t, b) = (token / shard.rows(), shard.first() + token % shard.rows());
                out[(t * self.rows + b) * vocabulary..][..vocabulary].copy_from_slice(&row[..vocabulary]);
            }
        }
    }

    /// The state of each row after its last step.
    pub(crate) fn state(&self, hidden: usize) -> State {
        let mut state = State::default();
        self.save(hidden, &mut state);
        state
    }

    /// Writes the state to `state`, which takes its shape.
    pub(crate) fn save(&self, hidden: usize, state: &mut State) {
        let layers = self.shards.first().map_or(&[][..], |shard| &shard.layers);
        let cell = layers.first().is_some_and(|buffers| buffers.has_cell());
        state.reshape(layers.len(), self.rows, hidden, cell);
        for shard in &self.shards {
            for (buffers, layer) in shard.layers.iter().zip(&mut state.layers) {
                for (rows, place) in buffers.states(!self.ran) {
                    for row in rows {
                        let to = shard.order[row] as usize * hidden;
                        layer.h[to..][..hidden].copy_from_slice(buffers.h_of(place + row));
                        if cell {
                            let place = if buffers.window.keep { place } else { 0 };
                            layer.c[to..][..hidden].copy_from_slice(buffers.c_of(place + row));
                        }
                    }
                }
            }
        }
    }

    /// Makes `state` the initial state of the next window, which must not be `fresh`.
    pub(crate) fn set_state(&mut self, hidden: usize, state: &State) {
        self.ran = false;
        for shard in &mut self.shards {
            for (buffers, layer) in shard.layers.iter_mut().zip(&state.layers) {
                for (row, from) in shard.order.iter().map(|row| *row as usize * hidden).enumerate() {
                    let to = row * padded(hidden);
                    buffers.h[to..][..hidden].copy_from_slice(&layer.h[from..][..hidden]);
                    if !buffers.c.is_empty() {
                        buffers.c[to..][..hidden].copy_from_slice(&layer.c[from..][..hidden]);
                    }
                }
            }
        }
    }
}

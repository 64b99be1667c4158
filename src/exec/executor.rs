//! A window of T steps by B rows over all layers, its rows divided among threads: the body of both modes.

use super::gradient::gradients;
use super::head::Head;
use super::logits::Slope;
use super::masks::Dropping;
use super::ragged::Ragged;
use super::shard::Shard;
use super::state::State;
use super::table::{Packed, Table};
use super::table_gradient::TableGradient;
use super::weights::Weights;
use crate::model::Parameters;
use crate::model::cell::resize;
use crate::parallel::Threads;
use crate::phases::Phase;
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
    /// Floats in a row of logits.
    pub(crate) logit_width: usize,
    /// Whether shards keep the logits of the whole window; else the head goes by blocks.
    pub(crate) keeps_logits: bool,
    head: Head,
    /// Targets of the last window within the top k, where that was asked for.
    pub(crate) within: u64,
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
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    /// Time-major [T, B]. What lies beyond the end of a row is not read. Empty where vectors are read, which `load` has left.
    pub(crate) inputs: &'a [u32],
    /// Likewise, or empty when only logits are asked for.
    pub(crate) targets: &'a [u32],
    /// Starts from zero, not from where the last window ended.
    pub(crate) fresh: bool,
    pub(crate) dropping: Option<Dropping<'a>>,
    pub(crate) goal: Goal<'a>,
}

/// How far a pass goes.
#[derive(Debug)]
pub(crate) enum Goal<'a> {
    /// What the last layer gives is left.
    Outputs,
    /// Logits are written [T, B, V], zeros beyond the end of a row.
    Logits(&'a mut [f32]),
    /// Losses are left for `tally`, and the targets within the top k are counted.
    Losses { top_k: Option<usize> },
    /// Losses are left, and the deltas of all layers for `gradients`. Where logits are not kept, the head's part of
    /// `gradient`, an arena parallel to the parameters, is written.
    Deltas { slope: Slope, gradient: &'a mut [f32] },
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
            logit_width: padded(weights.config.vocabulary),
            keeps_logits: true,
            head: Head::default(),
            within: 0,
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
        let mut held = std::mem::take(&mut self.held);
        let goes_on = self.rows == shape.rows;
        if goes_on {
            self.save(&mut held);
        }
        (self.steps, self.rows) = (shape.steps, shape.rows);
        self.ragged.set_lengths(lengths.unwrap_or_default());
        self.deal(weights, threads);
        if goes_on {
            self.set_state(&held);
        } else {
            self.begin(true);
        }
        self.held = held;
    }

    /// Deals the rows out to shards.
    fn deal(&mut self, weights: &Weights, threads: &Threads) {
        let (steps, rows) = (self.steps, self.rows);
        let tokens = if self.is_ragged() { self.ragged.tokens() } else { steps * rows };
        let parts = if weights.divides { threads.parts(rows, weights.work() * tokens) } else { 1 };
        while self.shards.len() > parts {
            self.spare.extend(self.shards.pop());
        }
        while self.shards.len() < parts {
            self.shards.push(self.spare.pop().unwrap_or_else(|| Shard::new(weights, self.purpose)));
        }
        resize(&mut self.ids, tokens, steps * rows);
        self.keeps_logits = weights.blocks.keep(weights.config.vocabulary, steps * rows);
        if self.is_ragged() {
            return self.ragged.deal(weights, steps, &mut self.shards);
        }
        let bounds = |i: usize| rows * i / parts;
        for (i, shard) in self.shards.iter_mut().enumerate() {
            shard.order.clear();
            shard.order.extend((bounds(i)..bounds(i + 1)).map(|row| row as u32));
            shard.resize(weights, rows, steps, &[]);
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

    /// Runs a window. Where logits are kept, no thread waits for another one before its rows are done.
    pub(crate) fn run(&mut self, packed: Packed<'_>, pass: Pass<'_>) {
        let Packed { weights, parameters, threads } = packed;
        let Pass { inputs, targets, fresh, dropping, mut goal } = pass;
        let (ragged, ran) = (self.is_ragged(), std::mem::replace(&mut self.ran, true));
        if weights.config.has_head() {
            let inputs = if ragged { self.ragged.gather(inputs) } else { inputs };
            if weights.gathers {
                self.table.prepare(packed, dropping, inputs, &mut self.ids);
            } else {
                self.ids.copy_from_slice(inputs);
            }
        }
        if ragged {
            self.ragged.load(&mut self.shards, &self.ids, targets);
        }
        let mut head = std::mem::take(&mut self.head);
        let work = weights.work() * self.ids.len();
        threads.enter(work, || {
            let (rows, ids, table, keeps) = (self.rows, &self.ids, &self.table.rows, self.keeps_logits);
            let _section = weights.phases.section(threads.at_work());
            threads.each(&mut self.shards, &|shard| {
                let clock = weights.phases.time(Phase::Input);
                shard.begin(fresh, ran);
                if !ragged {
                    shard.load(rows, ids, targets);
                }
                shard.look_up(weights, parameters);
                drop(clock);
                shard.forward(weights, table, dropping);
                if keeps {
                    shard.finish(weights, dropping, &goal);
                }
            });
            if keeps {
                return;
            }
            self.within = head.run(self, packed, &mut goal);
            if matches!(goal, Goal::Deltas { .. }) {
                threads.each(&mut self.shards, &|shard| shard.layers_backward(weights, dropping));
            }
        });
        self.head = head;
        if self.keeps_logits {
            self.within = self.shards.iter().map(|shard| shard.within).sum();
            if let Goal::Logits(out) = goal {
                self.logits(weights.config.vocabulary, out);
            }
        }
    }

    /// Runs a window of one step that goes on from the last one; all its rows start from row `row` of `table`, or from symbol
    /// `row` where vectors are read.
    pub(crate) fn step(&mut self, packed: (&Weights, &Parameters), table: &[f32], row: u32) {
        let (weights, parameters) = packed;
        self.begin(false);
        for shard in &mut self.shards {
            shard.ids.fill(row);
            shard.look_up(weights, parameters);
            shard.forward(weights, table, None);
            shard.head(weights);
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

    /// The shard of token `m`, and its number there.
    pub(crate) fn place(&self, m: usize) -> (usize, usize) {
        if self.is_ragged() {
            let place = self.ragged.places[m];
            return (place.shard as usize, place.token as usize);
        }
        if self.shards.len() == 1 {
            return (0, m);
        }
        let (t, row) = (m / self.rows, m % self.rows);
        let number = self.shards.iter().rposition(|shard| shard.first() <= row).unwrap_or(0);
        let shard = &self.shards[number];
        (number, t * shard.rows() + row - shard.first())
    }

    /// The number of token `m` among all [T, B]; T B for the one behind the last.
    pub(crate) fn source(&self, m: usize) -> usize {
        if !self.is_ragged() {
            return m;
        }
        self.ragged.places.get(m).map_or(self.steps * self.rows, |place| place.source as usize)
    }

    /// Copies logits that were kept to `out` [T, B, V], zeros beyond the end of a row.
    fn logits(&self, vocabulary: usize, out: &mut [f32]) {
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
    pub(crate) fn state(&self) -> State {
        let mut state = State::default();
        self.save(&mut state);
        state
    }

    /// Writes the state to `state`, which takes its shape.
    pub(crate) fn save(&self, state: &mut State) {
        let layers = self.shards.first().map_or(&[][..], |shard| &shard.layers);
        state.reshape(self.rows, layers.iter().map(|run| run.buffers.widths()));
        for shard in &self.shards {
            for (run, layer) in shard.layers.iter().zip(&mut state.layers) {
                let buffers = &run.buffers;
                let [h, c] = buffers.widths();
                for (rows, place) in buffers.states(!self.ran) {
                    for row in rows {
                        let to = shard.order[row] as usize;
                        layer.h[to * h..][..h].copy_from_slice(buffers.h_of(place + row));
                        if c > 0 {
                            let place = if buffers.window.keep { place } else { 0 };
                            layer.c[to * c..][..c].copy_from_slice(buffers.c_of(place + row));
                        }
                    }
                }
            }
        }
    }

    /// Makes the initial state of the last window that of the next one too. Only where activations are kept.
    pub(crate) fn go_back(&mut self) {
        self.ran = false;
    }

    /// Makes `state` the initial state of the next window, which must not be `fresh`.
    pub(crate) fn set_state(&mut self, state: &State) {
        self.ran = false;
        for shard in &mut self.shards {
            for (run, layer) in shard.layers.iter_mut().zip(&state.layers) {
                let [h, c] = run.buffers.widths();
                spread(&layer.h, h, &shard.order, &mut run.buffers.h);
                spread(&layer.c, c, &shard.order, &mut run.buffers.c);
            }
        }
    }
}

/// Takes the rows in `order` out of vectors of `width` floats, padded.
pub(super) fn spread(values: &[f32], width: usize, order: &[u32], out: &mut [f32]) {
    for (row, to) in order.iter().zip(out.chunks_mut(padded(width).max(1))).filter(|_| width > 0) {
        to[..width].copy_from_slice(&values[*row as usize * width..][..width]);
    }
}

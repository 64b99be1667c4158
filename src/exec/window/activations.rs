//! The activations of a window in all shards, and the mapping between tokens of the caller and of
//! the shards.

use super::division::Division;
use super::ragged::Ragged;
use super::shard::{Needs, Shard, copy_rows};
use crate::exec::inputs::OutputSteps;
use crate::exec::state::State;
use crate::exec::weights::PackedWeights;
use crate::model::cell::resize;
use crate::parallel::Threads;
use std::ops::Range;
use unrolled_kernels::pack::padded;

/// The shape of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent<'a> {
    /// Number of steps T.
    pub(crate) steps: usize,
    /// Number of rows B.
    pub(crate) rows: usize,
    /// `[B]`: the steps of each row, at most T; `None`: all rows have T.
    pub(crate) lengths: Option<&'a [usize]>,
    /// The steps that the head runs on.
    pub(crate) output_steps: OutputSteps,
}

impl Extent<'_> {
    /// T steps of B rows.
    pub(crate) fn full(steps: usize, rows: usize) -> Self {
        Self { steps, rows, lengths: None, output_steps: OutputSteps::Every }
    }
}

/// All buffers of a window. They grow once and are used again for the windows after.
#[derive(Clone, Debug)]
pub(crate) struct WindowActivations {
    needs: Needs,
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    pub(crate) division: Division,
    pub(crate) shards: Vec<Shard>,
    /// Shards that the current window is too small for.
    spare: Vec<Shard>,
    /// The places of tokens, if rows end at different steps.
    pub(crate) ragged: Ragged,
    /// `[N]`: rows of the input table, or symbols, in the order (step, row).
    pub(crate) ids: Vec<u32>,
    /// Floats in a row of the head's outputs.
    pub(crate) output_width: usize,
    /// True if shards keep the outputs of the head for the whole window. If false, the head runs by
    /// blocks of tokens.
    pub(crate) keeps_outputs: bool,
    /// True for single steps: one shard has all rows, and the outputs of the head are kept for any
    /// number of rows.
    runs_steps: bool,
    output_steps: OutputSteps,
    /// Indices of the tokens that the head runs on, in the order (step, row); empty for all tokens.
    selected: Vec<u32>,
    /// True if a window has run since the state was last set.
    ran: bool,
    /// The state while rows are dealt to shards again.
    held: State,
}

impl WindowActivations {
    /// Buffers without a window; `reshape` gives them one.
    pub(crate) fn new(weights: &PackedWeights, needs: Needs) -> Self {
        Self {
            needs,
            steps: 0,
            rows: 0,
            division: Division::NONE,
            shards: Vec::new(),
            spare: Vec::new(),
            ragged: Ragged::default(),
            ids: Vec::new(),
            output_width: padded(weights.config.outputs),
            keeps_outputs: true,
            runs_steps: false,
            output_steps: OutputSteps::Every,
            selected: Vec::new(),
            ran: false,
            held: State { rows: 0, layers: Vec::new() },
        }
    }

    /// Runs single steps from the next window on.
    pub(crate) fn run_steps(&mut self) {
        self.runs_steps = true;
    }

    /// Takes the shape of the next window. The state carries over if the number of rows stays; else
    /// it is zero. With a bidirectional layer, the state after a window does not carry over.
    pub(crate) fn reshape(&mut self, weights: &PackedWeights, extent: Extent<'_>, threads: &Threads) {
        let Extent { steps, rows, lengths, output_steps } = extent;
        let lengths = lengths.filter(|lengths| lengths.iter().any(|length| *length != steps));
        let same = (self.steps, self.rows, self.output_steps) == (steps, rows, output_steps);
        if same && self.ragged.has_lengths(lengths.unwrap_or_default()) && !self.shards.is_empty() {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        let carries = self.rows == rows && !(self.ran && weights.config.is_bidirectional());
        if carries {
            self.save(&mut held, threads);
        }
        (self.steps, self.rows, self.output_steps) = (steps, rows, output_steps);
        self.ragged.set_lengths(lengths.unwrap_or_default());
        self.deal(weights, threads);
        if carries {
            self.set_state(&held, threads);
        } else {
            self.begin(true);
        }
        self.held = held;
    }

    /// Deals the rows to shards.
    fn deal(&mut self, weights: &PackedWeights, threads: &Threads) {
        let (steps, rows) = (self.steps, self.rows);
        let tokens = if self.is_ragged() { self.ragged.tokens() } else { steps * rows };
        let most_shards = if self.runs_steps { 1 } else { rows };
        self.division = Division::of(weights, threads, [steps, rows], (tokens, most_shards));
        let Division { shards: count, members } = self.division;
        while self.shards.len() > count {
            self.spare.extend(self.shards.pop());
        }
        while self.shards.len() < count {
            self.shards.push(self.spare.pop().unwrap_or_else(|| Shard::new(weights, self.needs)));
        }
        resize(&mut self.ids, tokens, steps * rows);
        let every = self.output_steps == OutputSteps::Every;
        let keeps = self.runs_steps || weights.blocks.keep(weights.config.outputs, steps * rows);
        self.keeps_outputs = every && keeps;
        if self.is_ragged() {
            self.ragged.deal(weights, steps, &mut self.shards, (self.keeps_outputs, members));
        } else {
            for (i, shard) in self.shards.iter_mut().enumerate() {
                shard.order.clear();
                shard.order.extend(share(rows, count, i).map(|row| row as u32));
                shard.resize(weights, [steps, rows], &[], (self.keeps_outputs, members));
            }
        }
        self.shards.iter_mut().for_each(|shard| shard.joins_ends = !every);
        self.select();
    }

    /// Returns the threads that compute a shard: all if they divide its units, else the calling one.
    pub(crate) fn crew<'t>(&self, threads: &'t Threads) -> &'t Threads {
        if self.division.members > 1 { threads } else { Threads::CALLING }
    }

    /// Lists the tokens that the head runs on, if they are not all tokens.
    fn select(&mut self) {
        let mut selected = std::mem::take(&mut self.selected);
        selected.clear();
        if self.output_steps == OutputSteps::Last {
            let first = if self.is_ragged() { 0 } else { self.steps.saturating_sub(1) * self.rows };
            let tokens = first..self.tokens();
            let is_last = |m: &usize| {
                let source = self.source(*m);
                self.is_last(source / self.rows, source % self.rows)
            };
            selected.extend(tokens.filter(is_last).map(|m| m as u32));
        }
        self.selected = selected;
    }

    /// Returns true if a step is the last one of a row.
    fn is_last(&self, step: usize, row: usize) -> bool {
        step + 1 == self.ragged.length(row).unwrap_or(self.steps)
    }

    /// The steps that the head runs on.
    pub(crate) fn output_steps(&self) -> OutputSteps {
        self.output_steps
    }

    /// Returns true if some row ends before the window does.
    pub(crate) fn is_ragged(&self) -> bool {
        self.ragged.is_used()
    }

    /// Number of tokens N.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Number of tokens that the head runs on.
    pub(crate) fn head_tokens(&self) -> usize {
        match self.output_steps {
            OutputSteps::Every => self.tokens(),
            OutputSteps::Last => self.selected.len(),
        }
    }

    /// Index among all tokens of token `n` of the head.
    pub(super) fn head_token(&self, n: usize) -> usize {
        match self.output_steps {
            OutputSteps::Every => n,
            OutputSteps::Last => self.selected[n] as usize,
        }
    }

    /// The shard of token `n` of the head, and its index there.
    pub(crate) fn locate_head(&self, n: usize) -> (usize, usize) {
        self.locate(self.head_token(n))
    }

    /// Starts the next window from zero (`fresh`), or from the last state.
    pub(crate) fn begin(&mut self, fresh: bool) {
        let ran = std::mem::take(&mut self.ran);
        self.shards.iter_mut().for_each(|shard| shard.begin(fresh, ran));
    }

    /// Notes that a window runs. Returns true if one had already run since the state was set.
    pub(crate) fn note_run(&mut self) -> bool {
        std::mem::replace(&mut self.ran, true)
    }

    /// Adds the losses in nats to `sum`, in the order (step, row), and the number of right
    /// predictions to `correct`. It is one chain over all windows of an evaluation, so it does not
    /// depend on where windows end.
    pub(crate) fn tally(&self, (mut sum, correct): (f64, u64)) -> (f64, u64) {
        let right = self.each_loss(|loss| sum += loss);
        (sum, correct + right)
    }

    /// Calls `read` with the losses in nats, in the order (step, row). Returns the number of right
    /// predictions.
    pub(crate) fn each_loss(&self, mut read: impl FnMut(f64)) -> u64 {
        let mut correct = 0;
        if self.is_ragged() {
            for location in &self.ragged.locations {
                let (shard, token) = (&self.shards[location.shard as usize], location.token as usize);
                read(shard.losses[token]);
                correct += u64::from(shard.correct[token]);
            }
            return correct;
        }
        for t in 0..self.steps {
            for shard in &self.shards {
                let tokens = t * shard.rows()..(t + 1) * shard.rows();
                shard.losses[tokens.clone()].iter().for_each(|loss| read(*loss));
                correct += shard.correct[tokens].iter().filter(|correct| **correct).count() as u64;
            }
        }
        correct
    }

    /// The shard of token `m`, and its index there.
    pub(crate) fn locate(&self, m: usize) -> (usize, usize) {
        if self.is_ragged() {
            let location = self.ragged.locations[m];
            return (location.shard as usize, location.token as usize);
        }
        if self.shards.len() == 1 {
            return (0, m);
        }
        self.locate_even(m / self.rows, m % self.rows)
    }

    /// The shard of the token of a step and a row, and its index there, if all rows have T steps.
    fn locate_even(&self, step: usize, row: usize) -> (usize, usize) {
        let index = share_of(self.rows, self.shards.len(), row);
        let shard = &self.shards[index];
        (index, step * shard.rows() + row - shard.first())
    }

    /// The shard of the token of a step and a row, and its index there; `None` beyond the end of
    /// the row.
    pub(crate) fn find(&self, step: usize, row: usize) -> Option<(usize, usize)> {
        match self.is_ragged() {
            true => self.ragged.find(self.steps, step, row),
            false => Some(self.locate_even(step, row)),
        }
    }

    /// The index of token `m` among all [T, B], padding included; T B for the token behind the
    /// last.
    pub(crate) fn source(&self, m: usize) -> usize {
        if !self.is_ragged() {
            return m;
        }
        self.ragged.locations.get(m).map_or(self.steps * self.rows, |location| location.source as usize)
    }

    /// The state of each row after its last step.
    pub(crate) fn state(&self) -> State {
        let mut state = State::default();
        self.save(&mut state, Threads::CALLING);
        state
    }

    /// Writes the state to `state`, and gives it its shape.
    pub(crate) fn save(&self, state: &mut State, threads: &Threads) {
        self.reshape_state(state);
        state.write_rows(threads, &|l, part, row, to| {
            let (shard, index) = self.locate_row(row);
            let buffers = &self.shards[shard].layers[l].buffers;
            let length = if self.ran { self.ragged.length(row).unwrap_or(self.steps) } else { 0 };
            let place = match length.checked_sub(1).and_then(|last| self.find(last, row)) {
                Some((_, token)) => buffers.window.rows + token,
                None => index,
            };
            to.copy_from_slice(match part {
                0 => buffers.h_of(place),
                _ => buffers.c_of(if buffers.window.keep { place } else { index }),
            });
        });
    }

    /// Gives `state` the shape of the window's state.
    fn reshape_state(&self, state: &mut State) {
        let layers = self.shards.first().map_or(&[][..], |shard| &shard.layers);
        state.reshape(self.rows, layers.iter().map(|layer| layer.buffers.widths()));
    }

    /// The shard of a batch row, and its index there.
    fn locate_row(&self, row: usize) -> (usize, usize) {
        match self.is_ragged() {
            true => self.ragged.locate_row(row),
            false => self.locate_even(0, row),
        }
    }

    /// Makes the initial state of the last window that of the next one too. Needs kept activations.
    pub(crate) fn go_back(&mut self) {
        self.ran = false;
    }

    /// Makes `state` the initial state of the next window, which must not be `fresh`.
    pub(crate) fn set_state(&mut self, state: &State, threads: &Threads) {
        self.ran = false;
        threads.each(&mut self.shards, &|shard| {
            for (activations, layer) in shard.layers.iter_mut().zip(&state.layers) {
                let [h, c] = activations.buffers.widths();
                copy_rows(&layer.h, h, &shard.order, &mut activations.buffers.h);
                copy_rows(&layer.c, c, &shard.order, &mut activations.buffers.c);
            }
        });
    }

    /// Sets the gradient of the last state of all rows; zero if `None`.
    pub(crate) fn set_d_last(&mut self, gradient: Option<&State>, threads: &Threads) {
        threads.each(&mut self.shards, &|shard| shard.set_d_last(gradient));
    }

    /// Writes the gradient of the first state after a backward pass.
    pub(crate) fn d_initial(&mut self, weights: &PackedWeights, state: &mut State, threads: &Threads) {
        threads.each(&mut self.shards, &|shard| shard.compute_d_initial(weights));
        self.reshape_state(state);
        state.write_rows(threads, &|l, part, row, to| {
            let (shard, index) = self.locate_row(row);
            let values = &self.shards[shard].layers[l].d_initial()[part];
            to.copy_from_slice(&values[index * padded(to.len())..][..to.len()]);
        });
    }
}

/// The rows of a shard, if all rows have T steps.
fn share(rows: usize, shards: usize, index: usize) -> Range<usize> {
    rows * index / shards..rows * (index + 1) / shards
}

/// The shard that has a row, if all rows have T steps.
fn share_of(rows: usize, shards: usize, row: usize) -> usize {
    if shards == 1 { 0 } else { ((row + 1) * shards - 1) / rows }
}

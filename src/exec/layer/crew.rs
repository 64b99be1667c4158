//! The threads that compute one layer together: a team for the steps of the cell, and chunks for
//! the arithmetic around it. If each shard has a thread of its own, that thread computes everything.

use super::activations::LayerContext;
use crate::model::cell::{Crew, Together};
use crate::phases::Running;
use std::time::Duration;
use unrolled_kernels::masks::multiply;

/// Pieces of rows have a multiple of this many, so that tiles of three, four, six and eight rows are
/// full.
const PIECE_ROWS: usize = 24;
/// The fewest floats that are worth a thread.
const FEWEST: usize = 1 << 12;
/// Multiplications of one thread in a nanosecond, at most.
const SPEED: usize = 32;
/// The shortest time that a leader waits for other threads: a sleeping thread wakes up in it.
const LEAST_PATIENCE: Duration = Duration::from_micros(50);
/// The longest time that it waits.
const MOST_PATIENCE: Duration = Duration::from_millis(1);
/// The same if the environment forces a division: in tests all threads come, on any machine.
const PATIENCE_IF_FORCED: Duration = Duration::from_millis(100);

impl<'a> LayerContext<'a> {
    /// Returns true if one thread computes the layer.
    fn is_alone(&self) -> bool {
        self.threads.at_work() == 1
    }

    /// Starts the clock, if one thread computes the layer.
    pub(super) fn clock_alone(&self) -> Option<Running<'a>> {
        self.is_alone().then(|| self.clock.start())
    }

    /// Starts the clock for a piece of the work of several threads.
    fn clock_of_piece(&self) -> Option<Running<'a>> {
        (!self.is_alone()).then(|| self.clock.start())
    }

    /// Returns the threads that compute a window of `tokens` tokens: a team of up to `seats` members,
    /// or the calling thread.
    pub(super) fn crew(&self, seats: usize, tokens: usize) -> Crew<'a> {
        let together = || {
            let patience = self.patience(seats, tokens);
            Together { threads: self.threads, clock: self.clock, patience }
        };
        Crew { isa: self.isa, together: (seats > 1 && !self.is_alone()).then(together) }
    }

    /// Returns how long a leader waits: about as long as the pass itself takes.
    fn patience(&self, seats: usize, tokens: usize) -> Duration {
        if self.threads.divide().is_some() {
            return PATIENCE_IF_FORCED;
        }
        let nanoseconds = self.weights.work(false) * tokens / (SPEED * seats);
        Duration::from_nanos(nanoseconds as u64).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// Calls `f` with the first row and the values of pieces of `values`, rows of `width` floats
    /// each.
    pub(super) fn rows(&self, values: &mut [f32], width: usize, f: &(impl Fn(usize, &mut [f32]) + Sync)) {
        let rows = values.len() / width.max(1);
        let fewest = FEWEST.div_ceil(width.max(1));
        let share = rows.div_ceil(self.threads.at_work()).next_multiple_of(PIECE_ROWS).max(fewest);
        self.threads.chunks(values, share * width.max(1), &|i, values| {
            let _clock = self.clock_of_piece();
            f(i * share, values);
        });
    }

    /// Calls `f` with the number and the values of each token of `values`, `width` floats each.
    pub(super) fn tokens(&self, values: &mut [f32], width: usize, f: &(impl Fn(usize, &mut [f32]) + Sync)) {
        self.rows(values, width, &|first, values| {
            (first..).zip(values.chunks_exact_mut(width)).for_each(|(token, values)| f(token, values));
        });
    }

    /// Computes `out = a * b`.
    pub(super) fn multiply(&self, a: &[f32], b: &[f32], out: &mut [f32]) {
        self.rows(out, 1, &|first, out| {
            let [a, b] = [a, b].map(|values| &values[first..][..out.len()]);
            multiply(self.isa, a, b, out);
        });
    }

    /// Computes `values = values * by`.
    pub(super) fn scale(&self, values: &mut [f32], by: &[f32]) {
        self.rows(values, 1, &|first, values| {
            values.iter_mut().zip(&by[first..]).for_each(|(value, by)| *value *= by);
        });
    }

    /// Computes `values = values + more`.
    pub(super) fn add(&self, values: &mut [f32], more: &[f32]) {
        self.rows(values, 1, &|first, values| {
            values.iter_mut().zip(&more[first..]).for_each(|(value, more)| *value += more);
        });
    }
}

//! The states that the windows of a step carry to the next step.
//!
//! One window per step keeps its state in the buffers of the engine. Of several windows per step,
//! each has streams of its own, so its state is saved after it has run.

use crate::exec::{Executor, LayerState, State};
use crate::parallel::Threads;
use crate::{RunSettings, Windows};
use std::ops::Range;

/// The states of the windows of a step that this process runs.
#[derive(Clone, Debug)]
pub(super) struct CarriedStates {
    /// True if there are several windows, and they carry their state on.
    is_used: bool,
    /// The initial states of the next step; empty before the first step.
    current: Vec<State>,
    /// The states after the windows of a step that is not complete.
    next: Vec<State>,
}

impl CarriedStates {
    pub(super) fn new(run: &RunSettings) -> Self {
        let is_used = run.accumulate > 1 && run.windows == Windows::Stream;
        Self { is_used, current: Vec::new(), next: Vec::new() }
    }

    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Sets the initial state of own window `index`.
    pub(super) fn load(&self, index: usize, executor: &mut Executor, threads: &Threads) {
        if let Some(state) = self.current.get(index).filter(|_| self.is_used) {
            executor.window.set_state(state, threads);
        }
    }

    /// Saves the state after own window `index`.
    pub(super) fn save(&mut self, index: usize, executor: &Executor, threads: &Threads) {
        if self.is_used {
            let most = self.next.len().max(index + 1);
            self.next.resize_with(most, State::default);
            executor.window.save(&mut self.next[index], threads);
        }
    }

    /// Ends a step: the next step starts from the saved states.
    pub(super) fn advance(&mut self) {
        std::mem::swap(&mut self.current, &mut self.next);
    }

    /// Returns the states one below the other; `None` before the first step.
    pub(super) fn joined(&self) -> Option<State> {
        let first = self.current.first()?;
        let mut whole = State { rows: 0, layers: vec![LayerState::default(); first.layers.len()] };
        for state in &self.current {
            whole.rows += state.rows;
            for (to, from) in whole.layers.iter_mut().zip(&state.layers) {
                to.h.extend_from_slice(&from.h);
                to.c.extend_from_slice(&from.c);
            }
        }
        Some(whole)
    }

    /// Takes over the rows of `windows` of a state whose windows have `rows` rows each.
    pub(super) fn start_from(&mut self, state: &State, rows: usize, windows: Range<usize>) {
        self.current = windows.map(|window| rows_of(state, window * rows..(window + 1) * rows)).collect();
    }

    /// Forgets the states of all windows but a range of them.
    pub(super) fn keep(&mut self, windows: Range<usize>) {
        self.current.truncate(windows.end);
        self.current.drain(..windows.start.min(self.current.len()));
        self.next.clear();
    }
}

/// Returns a range of the rows of a state.
fn rows_of(state: &State, rows: Range<usize>) -> State {
    let part = |values: &[f32]| {
        let width = values.len() / state.rows.max(1);
        values[rows.start * width..rows.end * width].to_vec()
    };
    let layers = state.layers.iter().map(|layer| LayerState { h: part(&layer.h), c: part(&layer.c) });
    State { rows: rows.len(), layers: layers.collect() }
}

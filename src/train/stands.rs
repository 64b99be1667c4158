//! Where a run stands: its checkpoint, and the way back out of a step that is given up.

use super::Training;
use crate::checkpoint::{Checkpoint, Snapshot};
use crate::exec::{Extent, State};
use crate::{Result, Windows};
use std::{borrow::Cow, path::Path};

impl Training {
    /// A copy of everything to continue from here. After a step that failed it may hold numbers that are not finite, which
    /// [`Checkpoint::save`] refuses. [`Training::save`] writes the same without the copy.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            settings: self.settings.clone(),
            vocabulary: self.vocabulary().clone(),
            parameters: self.engine.model().parameters().clone(),
            moments: self.moments(),
            state: self.carried(),
            progress: self.progress.clone(),
        }
    }

    /// Writes a checkpoint of the run as it stands to a temporary file beside `path`, syncs it and renames it into place.
    /// Parameters and moments are written from where they lie: no memory is taken for copies of them.
    ///
    /// # Errors
    /// As for [`Checkpoint::save`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let moments = &self.optimizer.moments;
        let snapshot = Snapshot {
            settings: &self.settings,
            vocabulary: self.vocabulary(),
            parameters: self.engine.model().parameters(),
            moments: moments.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect(),
            state: self.carried().map(Cow::Owned),
            progress: &self.progress,
        };
        snapshot.save(path)
    }

    /// The state that the next window starts from, where windows follow each other.
    fn carried(&self) -> Option<State> {
        let window = &self.executor.window;
        (self.settings.run.windows == Windows::Stream && window.rows > 0).then(|| window.state())
    }

    /// Sets the state that the next window starts from.
    pub(super) fn start_from(&mut self, state: &State) {
        let Self { engine, executor, settings, .. } = self;
        let extent = Extent::full(settings.run.steps, settings.run.batch);
        executor.reshape(engine.weights(), extent, engine.pool());
        executor.window.set_state(state);
    }

    /// Keeps the state that a step begins with, where the buffers will not hold it until the step's end: they hold that of the
    /// last window alone.
    pub(super) fn remember_state(&mut self) {
        if self.settings.run.accumulate > 1 {
            let mut before = std::mem::take(&mut self.before);
            self.executor.window.save(&mut before);
            self.before = before;
        }
    }

    /// Goes back to the state before a step of which `done` windows were run.
    pub(super) fn restore_state(&mut self, done: u64) {
        if done == 0 {
            return;
        }
        if self.settings.run.accumulate == 1 {
            return self.executor.window.go_back();
        }
        let before = std::mem::take(&mut self.before);
        self.executor.window.set_state(&before);
        self.before = before;
    }

    /// The optimiser's moments, zero in the gaps between tensors as a file has them.
    fn moments(&self) -> Vec<(String, Vec<f32>)> {
        let entries = self.engine.model().parameters().layout.entries();
        let without_gaps = |values: &Vec<f32>| {
            let mut copy = vec![0.0; values.len()];
            entries.iter().for_each(|e| copy[e.range.clone()].copy_from_slice(&values[e.range.clone()]));
            copy
        };
        self.optimizer.moments.iter().map(|(name, values)| (name.clone(), without_gaps(values))).collect()
    }
}

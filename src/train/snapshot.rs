//! The state of a run: its checkpoint, and the state that windows carry on.

use super::Training;
use crate::checkpoint::{Checkpoint, Snapshot};
use crate::exec::{Extent, State};
use crate::{Result, Windows};
use std::{borrow::Cow, path::Path};

impl Training {
    /// Returns a copy of the complete state of the run. After a failed step it may contain
    /// non-finite numbers, for which [`Checkpoint::save`] returns an error. [`Training::save`]
    /// writes the same without a copy.
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

    /// Writes a checkpoint of the run to a temporary file next to `path`, syncs it and renames it.
    /// Parameters and moments are written without copies in memory.
    ///
    /// # Errors
    /// As for [`Checkpoint::save`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let moments = &self.optimizer.moments;
        let snapshot = Snapshot {
            settings: &self.settings,
            vocabulary: self.vocabulary(),
            parameters: self.engine.model().parameters(),
            moments: moments.iter().map(|(name, values)| (*name, values.as_slice())).collect(),
            state: self.carried().map(Cow::Owned),
            progress: &self.progress,
        };
        snapshot.save(path)
    }

    /// Returns the initial state of the next window, if windows carry their state on.
    fn carried(&self) -> Option<State> {
        let window = &self.executor.window;
        (self.settings.run.windows == Windows::Stream && window.rows > 0).then(|| window.state())
    }

    /// Sets the initial state of the next window.
    pub(super) fn start_from(&mut self, state: &State) {
        let Self { engine, executor, settings, .. } = self;
        let extent = Extent::full(settings.run.steps, settings.run.batch);
        executor.reshape(engine.weights(), extent, engine.pool());
        executor.window.set_state(state, engine.pool());
    }

    /// Returns the optimizer's moments, with zeros in the gaps between tensors as in a file.
    fn moments(&self) -> Vec<(String, Vec<f32>)> {
        let entries = self.engine.model().parameters().layout.entries();
        let without_gaps = |values: &Vec<f32>| {
            let mut copy = vec![0.0; values.len()];
            entries.iter().for_each(|e| copy[e.range.clone()].copy_from_slice(&values[e.range.clone()]));
            copy
        };
        self.optimizer.moments.iter().map(|(name, values)| (name.to_string(), without_gaps(values))).collect()
    }
}

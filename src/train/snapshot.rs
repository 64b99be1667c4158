//! The state of a run: its checkpoint, and the state that windows carry on.

use super::Training;
use super::divide::{Collected, Command};
use crate::checkpoint::{Checkpoint, Snapshot};
use crate::exec::{Extent, State};
use crate::{Result, Windows};
use std::{borrow::Cow, path::Path};

impl Training {
    /// Returns a copy of the complete state of the run. After a failed step it may contain
    /// non-finite numbers, for which [`Checkpoint::save`] returns an error. [`Training::save`]
    /// writes the same without a copy.
    pub fn checkpoint(&self) -> Checkpoint {
        let collected = self.collected();
        let moments = collected.as_ref().map_or(&self.optimizer.moments, |all| &all.moments);
        Checkpoint {
            settings: self.settings.clone(),
            vocabulary: self.vocabulary().clone(),
            parameters: self.engine.model().parameters().clone(),
            moments: self.without_gaps(moments),
            state: self.carried(collected.as_ref()),
            progress: self.progress.clone(),
            quantized: false,
        }
    }

    /// Returns the moments and states of a divided run.
    fn collected(&self) -> Option<Collected> {
        self.command(Command::Collect);
        self.collect()
    }

    /// Writes a checkpoint of the run to a temporary file next to `path`, syncs it and renames it.
    /// Parameters and moments are written without copies in memory.
    ///
    /// # Errors
    /// As for [`Checkpoint::save`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let collected = self.collected();
        let moments = collected.as_ref().map_or(&self.optimizer.moments, |all| &all.moments);
        let snapshot = Snapshot {
            settings: &self.settings,
            vocabulary: self.vocabulary(),
            parameters: self.engine.model().parameters(),
            moments: moments.iter().map(|(name, values)| (*name, values.as_slice())).collect(),
            state: self.carried(collected.as_ref()).map(Cow::Owned),
            progress: &self.progress,
            quantized: false,
        };
        snapshot.save(path)
    }

    /// Returns the initial state of the next window, if windows carry their state on.
    fn carried(&self, collected: Option<&Collected>) -> Option<State> {
        if let Some(collected) = collected {
            return collected.state.clone();
        }
        if self.carried.is_used() {
            return self.carried.joined();
        }
        let window = &self.executor.window;
        (self.settings.run.windows == Windows::Stream && window.rows > 0).then(|| window.state())
    }

    /// Sets the initial state of the next window.
    pub(super) fn start_from(&mut self, state: &State) {
        let Self { engine, executor, settings, carried, .. } = self;
        if carried.is_used() {
            return carried.start_from(state, settings.run.batch, 0..settings.run.accumulate);
        }
        let extent = Extent::full(settings.run.steps, settings.run.batch);
        executor.reshape(engine.weights(), extent, engine.pool());
        executor.window.set_state(state, engine.pool());
    }

    /// Returns moments with zeros in the gaps between tensors, as in a file.
    fn without_gaps(&self, moments: &[(&str, Vec<f32>)]) -> Vec<(String, Vec<f32>)> {
        let entries = self.engine.model().parameters().layout.entries();
        let without_gaps = |values: &Vec<f32>| {
            let mut copy = vec![0.0; values.len()];
            entries.iter().for_each(|e| copy[e.range.clone()].copy_from_slice(&values[e.range.clone()]));
            copy
        };
        moments.iter().map(|(name, values)| (name.to_string(), without_gaps(values))).collect()
    }
}

//! Restores the carried state after a step that failed or was interrupted.

use super::Training;

impl Training {
    /// Saves the state at the start of a step of several windows. The buffers contain only the
    /// initial state of the last window.
    pub(super) fn remember_state(&mut self) {
        if self.settings.run.accumulate > 1 {
            let mut before = std::mem::take(&mut self.before);
            self.executor.window.save(&mut before, self.engine.pool());
            self.before = before;
        }
    }

    /// Restores the state before a step of which `done` windows were run.
    pub(super) fn restore_state(&mut self, done: u64) {
        if done == 0 {
            return;
        }
        if self.settings.run.accumulate == 1 {
            return self.executor.window.go_back();
        }
        let before = std::mem::take(&mut self.before);
        self.executor.window.set_state(&before, self.engine.pool());
        self.before = before;
    }
}

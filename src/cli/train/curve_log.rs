//! The training curve of a run, finer than its evaluations: `steps.jsonl`, `status.json` and, with
//! `--tensorboard`, an event file. These files are for display; training does not depend on them.

use super::{
    super::{
        failure::Failure,
        run_folder::{CurvePoint, LinesWriter, RunFolder, RunState, RunStatus, STEPS, SampleRecord, now},
        run_options::RunOptions,
    },
    event_file::{EventFile, EventSource},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use unrolled::train::Training;

/// Least number of points each time the run doubles its length, unless `--log-every` is given: the
/// curve of a run that has just started is as fine as that of a finished one.
const POINTS: u64 = 512;
/// Time between two versions of `status.json`.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// The points of the training curve so far, and their files.
pub struct CurveLog {
    every: Option<u64>,
    steps: Vec<CurvePoint>,
    lines: LinesWriter,
    events: Option<EventFile>,
    status_at: Instant,
}

/// Returns the steps between points: a power of two, so that the points before are those of a
/// coarser curve.
fn interval_at(step: u64) -> u64 {
    1 << (step / POINTS).max(1).ilog2()
}

impl CurveLog {
    /// Creates the log of a run that starts.
    pub fn new(folder: &RunFolder, run: &RunOptions) -> Self {
        Self {
            every: run.log_every,
            steps: Vec::new(),
            lines: LinesWriter::named(STEPS),
            events: run.tensorboard.then(|| EventFile::new(folder.path())),
            status_at: Instant::now(),
        }
    }

    /// Loads the points of a run that resumes from step `step`.
    pub fn resume(&mut self, folder: &RunFolder, step: u64) {
        self.steps = folder.read_lines(STEPS);
        self.steps.retain(|known| known.logged.step <= step);
    }

    /// Returns the points so far.
    pub fn steps(&self) -> &[CurvePoint] {
        &self.steps
    }

    /// Adds a point after a step if one is due or the run is done. Returns whether it added one.
    pub fn log(&mut self, training: &mut Training) -> bool {
        let step = training.progress().step;
        let every = self.every.unwrap_or_else(|| interval_at(step));
        if !step.is_multiple_of(every) && !training.is_done() {
            return false;
        }
        let Some(logged) = training.log() else { return false };
        self.steps.push(CurvePoint { logged, time: now() });
        true
    }

    /// Writes the points that the files lack.
    pub fn write(
        &mut self,
        folder: &RunFolder,
        training: &Training,
        samples: &[SampleRecord],
    ) -> Result<(), Failure> {
        folder.with_visible_path(self.write_in(folder.held(), training, samples))
    }

    fn write_in(
        &mut self,
        folder: &Path,
        training: &Training,
        samples: &[SampleRecord],
    ) -> Result<(), Failure> {
        let line = |at: usize| serde_json::to_string(&self.steps[at]).expect("numbers only");
        self.lines.write(folder, self.steps.len(), line)?;
        if let Some(events) = &mut self.events {
            let history = &training.progress().history;
            events.write(
                folder,
                &EventSource { steps: &self.steps, history, samples, settings: training.settings() },
            )?;
        }
        Ok(())
    }

    /// Writes `status.json` if the last version is old enough.
    pub fn write_status_if_due(&mut self, folder: &RunFolder, training: &Training, at: Instant) {
        if at >= self.status_at {
            self.status_at = at + STATUS_PAUSE;
            self.write_status(folder, training, RunState::Training);
        }
    }

    /// Writes `status.json` now, but only to the folder that this run holds. Failures are ignored:
    /// only `unrolled watch` reads the file.
    pub fn write_status(&self, folder: &RunFolder, training: &Training, state: RunState) {
        if !folder.is_held() {
            return;
        }
        let status = RunStatus::new(state, training.progress(), training.chars_per_step(), &self.steps);
        let _ = folder.write_status(&status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrolled::{ModelSettings, RunSettings, Settings, corpus::Corpus};

    #[test]
    fn the_interval_of_points_grows_with_the_run() {
        for (step, every) in [(0, 1), (1, 1), (1023, 1), (1024, 2), (2048, 4), (1_000_000, 1024)] {
            assert_eq!(interval_at(step), every, "{step}");
        }
        let points = (1..=1_000_000).filter(|step| u64::is_multiple_of(*step, interval_at(*step))).count();
        assert!(points < 7000, "{points}");
    }

    #[test]
    fn the_status_does_not_go_to_another_run_of_the_same_name() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let here = home.path().join("here");
        let folder = RunFolder::create(Some(&here), "").expect("a folder");
        let settings = Settings {
            model: ModelSettings { hidden: 3, ..ModelSettings::default() },
            run: RunSettings { batch: 2, steps: 4, max_steps: Some(9), ..RunSettings::default() },
            ..Settings::default()
        };
        let corpus = Corpus::embedded(settings.data.unit).expect("a text");
        let training = Training::new(corpus, settings, Some(1)).expect("a run");
        let curve = CurveLog::new(&folder, &RunOptions::default());
        curve.write_status(&folder, &training, RunState::Stopped);
        assert!(folder.status().is_some());
        std::fs::rename(&here, home.path().join("there")).expect("moved");
        let other = RunFolder::create(Some(&here), "").expect("another run");
        curve.write_status(&folder, &training, RunState::Stopped);
        assert_eq!(other.status(), None);
    }
}

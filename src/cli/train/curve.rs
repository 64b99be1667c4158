//! The training curve of a run, finer than its evaluations: `steps.jsonl`, `status.json`, and with `--tensorboard` an event
//! file. Whoever watches reads these; nothing that is trained depends on them.

use super::{
    super::{
        failure::Failure,
        run_folder::{Lines, RunFolder, STEPS, Sample, State, Status, Step, now},
        run_options::RunOptions,
    },
    events::{Events, Told},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use unrolled::train::Training;

/// Points each time that a run doubles, at least, where `--log-every` does not say how many: a curve is as fine for a run
/// that has just begun as for one that ends.
const POINTS: u64 = 512;
/// Between two versions of `status.json`.
const BEAT: Duration = Duration::from_secs(1);

/// The points so far, and the files they go to.
pub struct Curve {
    every: Option<u64>,
    steps: Vec<Step>,
    lines: Lines,
    events: Option<Events>,
    beat_at: Instant,
}

/// A power of two, so that the points before are those of a coarser curve.
fn interval_at(step: u64) -> u64 {
    1 << (step / POINTS).max(1).ilog2()
}

impl Curve {
    /// Of a run that begins.
    pub fn new(folder: &RunFolder, run: &RunOptions) -> Self {
        Self {
            every: run.log_every,
            steps: Vec::new(),
            lines: folder.steps(),
            events: run.tensorboard.then(|| Events::new(folder.path())),
            beat_at: Instant::now(),
        }
    }

    /// Takes over the points of a run that goes on from step `step`.
    pub fn resume(&mut self, folder: &RunFolder, step: u64) {
        self.steps = folder.read_lines(STEPS);
        self.steps.retain(|known| known.logged.step <= step);
    }

    /// The points so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// After a step: a point when one is due, and the last one of a run that is done. Says whether there is one.
    pub fn log(&mut self, training: &mut Training) -> bool {
        let step = training.progress().step;
        let every = self.every.unwrap_or_else(|| interval_at(step));
        if !step.is_multiple_of(every) && !training.is_done() {
            return false;
        }
        let Some(logged) = training.log() else { return false };
        self.steps.push(Step { logged, time: now() });
        true
    }

    /// Brings the files to what is known.
    pub fn write(
        &mut self,
        folder: &RunFolder,
        training: &Training,
        samples: &[Sample],
    ) -> Result<(), Failure> {
        folder.named(self.write_in(folder.held(), training, samples))
    }

    fn write_in(&mut self, folder: &Path, training: &Training, samples: &[Sample]) -> Result<(), Failure> {
        let line = |at: usize| serde_json::to_string(&self.steps[at]).expect("numbers only");
        self.lines.write(folder, self.steps.len(), line)?;
        if let Some(events) = &mut self.events {
            let history = &training.progress().history;
            events.write(
                folder,
                &Told { steps: &self.steps, history, samples, settings: training.settings() },
            )?;
        }
        Ok(())
    }

    /// `status.json`, when it is time.
    pub fn beat(&mut self, folder: &RunFolder, training: &Training, at: Instant) {
        if at >= self.beat_at {
            self.beat_at = at + BEAT;
            self.write_status(folder, training, State::Training);
        }
    }

    /// `status.json`, now, in the run's own folder alone. Those who watch miss one that cannot be written; nobody else does.
    pub fn write_status(&self, folder: &RunFolder, training: &Training, state: State) {
        if !folder.is_held() {
            return;
        }
        let status = Status::new(state, training.progress(), training.chars_per_step(), &self.steps);
        let _ = folder.write_status(&status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrolled::{ModelSettings, RunSettings, Settings, corpus::Corpus};

    #[test]
    fn points_are_as_far_apart_as_a_run_is_long() {
        for (step, every) in [(0, 1), (1, 1), (1023, 1), (1024, 2), (2048, 4), (1_000_000, 1024)] {
            assert_eq!(interval_at(step), every, "{step}");
        }
        let points = (1..=1_000_000).filter(|step| u64::is_multiple_of(*step, interval_at(*step))).count();
        assert!(points < 7000, "{points}");
    }

    #[test]
    fn how_a_run_ended_is_not_told_of_the_one_in_its_place() {
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
        let curve = Curve::new(&folder, &RunOptions::default());
        curve.write_status(&folder, &training, State::Stopped);
        assert!(folder.status().is_some());
        std::fs::rename(&here, home.path().join("there")).expect("moved");
        let other = RunFolder::create(Some(&here), "").expect("another run");
        curve.write_status(&folder, &training, State::Stopped);
        assert_eq!(other.status(), None);
    }
}

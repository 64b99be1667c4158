//! Writes the files of a run during training. If the disk is full, read-only or gone, the run goes
//! on in memory, and the files are written as soon as that works again.

use super::{
    super::{
        failure::Failure,
        number_format::symbols,
        output::{note, warn},
        run_curves::RunCurves,
        run_folder::{BEST, LinesWriter, METRICS, RunFolder, RunState, SAMPLES, SampleRecord, as_line},
        run_option_values::CheckpointInterval,
        run_options::RunOptions,
        svg_chart,
        text_writer::opening,
    },
    curve_log::CurveLog,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use unrolled::{
    Error, RunSettings,
    checkpoint::Checkpoint,
    corpus::CheckTimer,
    exec::Engine,
    sample::{Generator, Sampling},
    train::{Record, Training},
};

/// Time between two attempts to write after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Number of attempts at the end of a run, and the time between them.
const LAST_ATTEMPTS: u32 = 5;
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The best checkpoint while it is not on disk.
enum UnsavedBest {
    /// It is on disk, or there is none.
    Written,
    /// The best checkpoint is the current state of the run.
    Now,
    /// A copy. It takes as much memory as the parameters and moments, so it is made only if the
    /// best checkpoint cannot be written and the run goes on.
    Copied(Box<Checkpoint>),
}

/// Writes the files of a run.
pub struct RunWriter {
    folder: RunFolder,
    every: CheckpointInterval,
    keep: usize,
    sample_length: u32,
    /// The text of `config.toml`, to write it again if the folder is deleted.
    config: String,
    metrics: LinesWriter,
    sample_lines: LinesWriter,
    samples: Vec<SampleRecord>,
    curve: CurveLog,
    /// The step of the checkpoint on disk, and the time of writing.
    saved: Option<u64>,
    saved_at: Instant,
    best: UnsavedBest,
    /// Time of the next attempt after a write has failed.
    again_at: Option<Instant>,
    text_check: CheckTimer,
}

impl RunWriter {
    /// Creates a writer for a folder that holds its `config.toml`.
    pub fn new(folder: RunFolder, run: RunOptions, config: String) -> Self {
        Self {
            every: run.checkpoint_every.unwrap_or_default(),
            keep: run.keep.unwrap_or(2) as usize,
            sample_length: run.sample_length.unwrap_or(200),
            config,
            metrics: LinesWriter::named(METRICS),
            sample_lines: LinesWriter::named(SAMPLES),
            samples: Vec::new(),
            curve: CurveLog::new(&folder, &run),
            saved: None,
            saved_at: Instant::now(),
            best: UnsavedBest::Written,
            again_at: None,
            text_check: CheckTimer::new(),
            folder,
        }
    }

    /// Returns the folder of the run.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Removes from the files everything after the checkpoint that the run resumes from.
    pub fn resume(&mut self, training: &Training) -> Result<(), Failure> {
        let step = training.progress().step;
        self.samples = self.folder.read_lines(SAMPLES);
        self.samples.retain(|sample| sample.step <= step);
        self.curve.resume(&self.folder, step);
        self.write_lines(training)?;
        self.folder.forget_after(step);
        // The last checkpoint may be damaged, or of a later step than the intact one.
        self.saved = self.on_disk().filter(|found| *found == step);
        match self.saved {
            Some(_) => Ok(()),
            None => self.checkpoint(training),
        }
    }

    /// Returns the step of the last checkpoint on disk if it is intact.
    fn on_disk(&self) -> Option<u64> {
        Checkpoint::verify(&self.folder.last()).ok().map(|progress| progress.step)
    }

    /// Returns the step from which the run would resume if the process ended now.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    /// Adds a point to the training curve if one is due. Called after each step, also if its
    /// evaluation was interrupted. If the point cannot be written now, it is written with the next
    /// checkpoint.
    pub fn log(&mut self, training: &mut Training) {
        if self.curve.log(training) && self.again_at.is_none() && self.folder.is_held() {
            let _ = self.curve.write(&self.folder, training, &self.samples);
        }
    }

    /// Writes a checkpoint if one is due, and checks a corpus of many files. Called after each
    /// step.
    ///
    /// # Errors
    /// A file of the corpus has changed: the steps since the last checkpoint may have read the
    /// change.
    pub fn step(&mut self, training: &Training) -> Result<(), Failure> {
        let now = Instant::now();
        self.curve.write_status_if_due(&self.folder, training, now);
        if self.text_check.is_due() {
            self.check_corpus(training)?;
        }
        let due = match (self.again_at, self.every) {
            (Some(again_at), _) => now >= again_at,
            (None, CheckpointInterval::Time(time)) => now.duration_since(self.saved_at) >= time,
            (None, CheckpointInterval::Steps(steps)) => {
                training.progress().step >= self.saved.unwrap_or(0).saturating_add(steps)
            }
        };
        if due && self.saved != Some(training.progress().step) {
            self.check_corpus(training)?;
            self.attempt(training)?;
        }
        Ok(())
    }

    /// Writes all files after an evaluation.
    ///
    /// # Errors
    /// As for [`RunWriter::step`].
    pub fn evaluation(&mut self, training: &Training, record: &Record) -> Result<(), Failure> {
        self.check_corpus(training)?;
        if self.sample_length > 0 {
            self.samples.push(self.sample(training)?);
        }
        if is_best(record, &training.progress().history) {
            self.best = UnsavedBest::Now;
        }
        if self.again_at.is_none_or(|again_at| Instant::now() >= again_at) {
            self.attempt(training)?;
        }
        if matches!(self.best, UnsavedBest::Now) {
            self.best = UnsavedBest::Copied(Box::new(training.checkpoint()));
        }
        Ok(())
    }

    /// Checks that the files of the corpus are unchanged, on all ranks of a job. A checkpoint must
    /// not contain steps that read a changed corpus.
    ///
    /// # Errors
    /// A file of the corpus has changed.
    pub fn check_corpus(&mut self, training: &Training) -> Result<(), Failure> {
        Ok(self.text_check.run(|| training.check_text())?)
    }

    /// Writes all files. After a failure, prints why and when the next attempt is.
    fn attempt(&mut self, training: &Training) -> Result<(), Failure> {
        let mut written = self.write(training);
        if written.is_err() && !self.folder.path().is_dir() {
            // It was deleted during the write.
            written = self.write(training);
        }
        match (written, self.again_at) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                self.again_at = None;
                note(&format!("writing works again; saved step {}", training.progress().step));
            }
            (Err(Failure::Library(error @ Error::Io { .. })), before) => {
                self.again_at = Some(Instant::now() + RETRY_PAUSE);
                if before.is_none() {
                    warn(&format!(
                        "{error}; training goes on and writing is retried every {} s; on disk is step {}",
                        RETRY_PAUSE.as_secs(),
                        self.saved.unwrap_or(0)
                    ));
                }
            }
            (Err(other), _) => return Err(other),
        }
        Ok(())
    }

    /// Writes the last checkpoint of a run that ends.
    ///
    /// # Errors
    /// The error of the last attempt; the files are then as they were last written.
    pub fn close(&mut self, training: &Training) -> Result<(), Failure> {
        self.write_last(training)?;
        let state = if training.is_done() { RunState::Done } else { RunState::Stopped };
        self.curve.write_status(&self.folder, training, state);
        Ok(())
    }

    fn write_last(&mut self, training: &Training) -> Result<(), Failure> {
        if self.saved == Some(training.progress().step)
            && self.again_at.is_none()
            && self.folder.last().exists()
        {
            return Ok(());
        }
        for attempt in 1.. {
            match self.write(training) {
                Err(Failure::Library(error @ Error::Io { .. })) if attempt < LAST_ATTEMPTS => {
                    warn(&format!("{error}; retrying in {} s", LAST_PAUSE.as_secs()));
                    thread::sleep(LAST_PAUSE);
                }
                Err(Failure::Library(error @ Error::Io { .. })) => {
                    return Err(Failure::NotSaved {
                        error: Box::new(error),
                        step: training.progress().step,
                        saved: self.saved.unwrap_or(0),
                    });
                }
                other => return other,
            }
        }
        Ok(())
    }

    /// Writes all files. The metrics come before the checkpoint, because resuming cuts them back to
    /// it.
    fn write(&mut self, training: &Training) -> Result<(), Failure> {
        if self.folder.restore()? {
            warn(&format!("{} was deleted; creating it again", self.folder.path().display()));
            self.folder.write_config(&self.config)?;
            self.folder.write_manifest(training.corpus())?;
            self.saved = None;
        }
        self.write_lines(training)?;
        self.checkpoint(training)?;
        self.write_plot(training)
    }

    /// Redraws `loss.svg`.
    pub fn write_plot(&self, training: &Training) -> Result<(), Failure> {
        let name = self.folder.path().display().to_string();
        let (unit, history) = (symbols(training.settings().data.unit), &training.progress().history);
        let curves = RunCurves { name: &name, unit, steps: self.curve.steps(), history };
        match svg_chart::draw(&curves.loss()) {
            Some(svg) => self.folder.write_plot(&svg),
            None => Ok(()),
        }
    }

    fn write_lines(&mut self, training: &Training) -> Result<(), Failure> {
        let (history, samples) = (&training.progress().history, &self.samples);
        let folder = self.folder.held();
        self.folder
            .with_visible_path(self.metrics.write(folder, history.len(), |at| as_line(&history[at])))?;
        let sample = |at: usize| serde_json::to_string(&samples[at]).expect("a number and a text");
        self.folder.with_visible_path(self.sample_lines.write(folder, samples.len(), sample))?;
        self.curve.write(&self.folder, training, samples)
    }

    /// Writes the checkpoints, the best one first: after a crash between the two writes, the
    /// resumed run reaches the same best again.
    pub fn checkpoint(&mut self, training: &Training) -> Result<(), Failure> {
        match &self.best {
            UnsavedBest::Written => {}
            UnsavedBest::Now => self.folder.write(BEST, |path| training.save(path))?,
            UnsavedBest::Copied(best) => self.folder.write(BEST, |path| best.save(path))?,
        }
        self.best = UnsavedBest::Written;
        self.folder.write_last(training, self.saved, self.keep)?;
        (self.saved, self.saved_at) = (Some(training.progress().step), Instant::now());
        Ok(())
    }

    /// Draws a sample from the current model.
    fn sample(&self, training: &Training) -> Result<SampleRecord, Failure> {
        let (model, vocabulary) = (training.model(), training.vocabulary());
        let RunSettings { seed, precision, .. } = training.settings().run;
        let sampling = Sampling { temperature: 0.8, top_k: None, top_p: None, seed };
        let engine = Engine::with_precision(model.clone(), precision, Some(training.threads()))?;
        let mut generator = Generator::of(&engine, vocabulary, sampling, 0)?;
        generator.prompt(opening(training.settings(), vocabulary))?;
        let ids: Vec<u32> = (0..self.sample_length).map(|_| generator.next_id()).collect();
        Ok(SampleRecord { step: training.progress().step, text: vocabulary.decode(&ids) })
    }
}

/// Returns whether `record` has a lower validation loss than all records before it.
fn is_best(record: &Record, history: &[Record]) -> bool {
    let Some(loss) = record.val_loss else { return false };
    history
        .iter()
        .filter(|other| other.step < record.step)
        .all(|other| other.val_loss.is_none_or(|old| loss < old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, val_loss: Option<f64>) -> Record {
        Record {
            step,
            chars: step,
            seconds: 0.0,
            train_loss: 1.0,
            val_loss,
            val_accuracy: None,
            learning_rate: 0.1,
            chars_per_second: 1.0,
        }
    }

    #[test]
    fn the_best_evaluation_is_lower_than_all_before() {
        let history = [record(1, Some(2.0)), record(2, Some(1.5)), record(3, Some(1.6))];
        let best: Vec<_> = history.iter().map(|record| is_best(record, &history)).collect();
        assert_eq!(best, [true, true, false]);
        assert!(!is_best(&record(4, None), &history));
        assert!(!is_best(&record(4, Some(f64::NAN)), &history));
    }
}

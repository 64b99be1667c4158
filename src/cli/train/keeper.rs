//! What is kept of a run on disk, and when. A disk that is full, read-only or gone is no reason to lose what was computed:
//! the run goes on in memory and its files are written as soon as they can be.

use super::{
    super::{
        failure::Failure,
        figures::symbols,
        output::note,
        run_folder::{BEST, Lines, RunFolder, SAMPLES, Sample, State, as_line},
        run_options::{Every, RunOptions},
        sample::opening,
    },
    curve::Curve,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use unrolled::{
    Error,
    checkpoint::Checkpoint,
    sample::{Generator, Sampling},
    train::{Record, Training},
};

/// Between two attempts to write what could not be written.
const PAUSE: Duration = Duration::from_secs(30);
/// At the end of a run there is no more time to be had: so many attempts, this far apart.
const LAST_ATTEMPTS: u32 = 5;
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// So many files are looked at before every step; more of them now and then, for a hundredth of the time.
const FEW_FILES: usize = 8;
const LOOK: Duration = Duration::from_secs(2);
const LOOK_SHARE: u32 = 100;

/// The best checkpoint, as long as it is not on disk.
enum Best {
    /// It is on disk, or there is none.
    Written,
    /// The run as it stands.
    Now,
    /// A copy, which is made only where it cannot be written and the run goes on: it takes as much memory as parameters and
    /// moments.
    Copied(Box<Checkpoint>),
}

/// Writes a run's files.
pub struct Keeper {
    folder: RunFolder,
    every: Every,
    keep: usize,
    sample_length: u32,
    /// The text of `config.toml`, in case it has to be written again.
    config: String,
    metrics: Lines,
    sample_lines: Lines,
    samples: Vec<Sample>,
    curve: Curve,
    /// The step of the checkpoint on disk, and when it was written.
    saved: Option<u64>,
    saved_at: Instant,
    best: Best,
    /// When to try again, where writing fails.
    again_at: Option<Instant>,
    look_at: Instant,
}

impl Keeper {
    /// For a folder that holds its `config.toml`.
    pub fn new(folder: RunFolder, run: RunOptions, config: String) -> Self {
        Self {
            every: run.checkpoint_every.unwrap_or_default(),
            keep: run.keep.unwrap_or(2) as usize,
            sample_length: run.sample_length.unwrap_or(200),
            config,
            metrics: folder.metrics(),
            sample_lines: folder.samples(),
            samples: Vec::new(),
            curve: Curve::new(&folder, &run),
            saved: None,
            saved_at: Instant::now(),
            best: Best::Written,
            again_at: None,
            look_at: Instant::now() + LOOK,
            folder,
        }
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The checkpoint of a run that begins, or that goes on with other settings.
    pub fn first(&mut self, training: &Training) -> Result<(), Failure> {
        self.checkpoint(training)
    }

    /// Cuts the files of a run back to the checkpoint that it goes on from.
    pub fn resume(&mut self, training: &Training) -> Result<(), Failure> {
        let step = training.progress().step;
        self.samples = self.folder.read_lines(SAMPLES);
        self.samples.retain(|sample| sample.step <= step);
        self.curve.resume(&self.folder, step);
        self.write_lines(training)?;
        self.folder.forget_after(step);
        // What was written last may be damaged, or of a later step than the checkpoint that was intact.
        self.saved = self.on_disk().filter(|found| *found == step);
        match self.saved {
            Some(_) => Ok(()),
            None => self.checkpoint(training),
        }
    }

    /// The step of the last checkpoint on disk, if it is intact.
    fn on_disk(&self) -> Option<u64> {
        Checkpoint::verify(&self.folder.last()).ok().map(|progress| progress.step)
    }

    /// The step that would be gone on from if the process ended now.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    /// Whether there is time to look at the files of the text before every step.
    pub fn has_few_files(&self, training: &Training) -> bool {
        training.corpus().documents().len() <= FEW_FILES
    }

    /// After each step, also one whose evaluation was interrupted: a point of the training curve when one is due. One that
    /// cannot be written is written with the next checkpoint, or told there.
    pub fn log(&mut self, training: &mut Training) {
        if self.curve.log(training) && self.again_at.is_none() && self.folder.is_held() {
            let _ = self.curve.write(&self.folder, training, &self.samples);
        }
    }

    /// After each step: a checkpoint when one is due, and a look at many files.
    ///
    /// # Errors
    /// A file of the text that is no longer what it was: the steps since the last checkpoint may have read it changed.
    pub fn step(&mut self, training: &Training) -> Result<(), Failure> {
        let now = Instant::now();
        self.curve.beat(&self.folder, training, now);
        if now >= self.look_at {
            self.look(training)?;
        }
        let due = match (self.again_at, self.every) {
            (Some(again_at), _) => now >= again_at,
            (None, Every::Time(time)) => now.duration_since(self.saved_at) >= time,
            (None, Every::Steps(steps)) => {
                training.progress().step >= self.saved.unwrap_or(0).saturating_add(steps)
            }
        };
        if due && self.saved != Some(training.progress().step) {
            self.look(training)?;
            self.attempt(training)?;
        }
        Ok(())
    }

    /// After an evaluation: all files.
    ///
    /// # Errors
    /// As for [`Keeper::step`].
    pub fn evaluation(&mut self, training: &Training, record: &Record) -> Result<(), Failure> {
        self.look(training)?;
        if self.sample_length > 0 {
            self.samples.push(self.sample(training)?);
        }
        if is_best(record, &training.progress().history) {
            self.best = Best::Now;
        }
        if self.again_at.is_none_or(|again_at| Instant::now() >= again_at) {
            self.attempt(training)?;
        }
        if matches!(self.best, Best::Now) {
            self.best = Best::Copied(Box::new(training.checkpoint()));
        }
        Ok(())
    }

    /// What is on disk must not hold what was read from a text that changed.
    ///
    /// # Errors
    /// A file of the text that is no longer what it was.
    pub fn look(&mut self, training: &Training) -> Result<(), Failure> {
        let begun = Instant::now();
        training.corpus().unchanged()?;
        self.look_at = Instant::now() + LOOK.max(begun.elapsed() * LOOK_SHARE);
        Ok(())
    }

    /// Writes all files, or says why not and when it will be tried again.
    fn attempt(&mut self, training: &Training) -> Result<(), Failure> {
        let mut written = self.write(training);
        if written.is_err() && !self.folder.path().is_dir() {
            // It was deleted just now, under the write.
            written = self.write(training);
        }
        match (written, self.again_at) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                self.again_at = None;
                note(&format!("the files are written again, at step {}", training.progress().step));
            }
            (Err(Failure::Library(error @ Error::Io { .. })), before) => {
                self.again_at = Some(Instant::now() + PAUSE);
                if before.is_none() {
                    note(&format!(
                        "warning: {error}; the run goes on and tries again every {} s; on disk is step {}",
                        PAUSE.as_secs(),
                        self.saved.unwrap_or(0)
                    ));
                }
            }
            (Err(other), _) => return Err(other),
        }
        Ok(())
    }

    /// The last checkpoint of a run that ends, here and now.
    ///
    /// # Errors
    /// What the disk says after some attempts; the files are then as they were last written.
    pub fn close(&mut self, training: &Training) -> Result<(), Failure> {
        self.write_last(training)?;
        let state = if training.is_done() { State::Done } else { State::Stopped };
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
                    note(&format!("warning: {error}; trying again in {} s", LAST_PAUSE.as_secs()));
                    thread::sleep(LAST_PAUSE);
                }
                Err(Failure::Library(error @ Error::Io { .. })) => {
                    return Err(Failure::NotKept {
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

    /// All files; the metrics before the checkpoint, since resuming cuts them back to it.
    fn write(&mut self, training: &Training) -> Result<(), Failure> {
        if self.folder.restore()? {
            note(&format!("warning: {} was deleted; it is made again", self.folder.path().display()));
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
        self.folder.write_plot(
            symbols(training.settings().data.unit),
            self.curve.steps(),
            &training.progress().history,
        )
    }

    fn write_lines(&mut self, training: &Training) -> Result<(), Failure> {
        let (history, samples) = (&training.progress().history, &self.samples);
        let folder = self.folder.held();
        self.folder.named(self.metrics.write(folder, history.len(), |at| as_line(&history[at])))?;
        let sample = |at: usize| serde_json::to_string(&samples[at]).expect("a number and a text");
        self.folder.named(self.sample_lines.write(folder, samples.len(), sample))?;
        self.curve.write(&self.folder, training, samples)
    }

    /// The best one first: a crash between the two is mended by resuming, which comes to the same best again.
    fn checkpoint(&mut self, training: &Training) -> Result<(), Failure> {
        match &self.best {
            Best::Written => {}
            Best::Now => self.folder.write(BEST, |path| training.save(path))?,
            Best::Copied(best) => self.folder.write(BEST, |path| best.save(path))?,
        }
        self.best = Best::Written;
        self.folder.write_last(training, self.saved, self.keep)?;
        (self.saved, self.saved_at) = (Some(training.progress().step), Instant::now());
        Ok(())
    }

    /// A text from the model as it stands.
    fn sample(&self, training: &Training) -> Result<Sample, Failure> {
        let (model, vocabulary) = (training.model(), training.vocabulary());
        let seed = training.settings().run.seed;
        let sampling = Sampling { temperature: 0.8, top_k: None, top_p: None, seed };
        let mut generator = Generator::new(model.clone(), vocabulary, sampling, 0)?;
        generator.prompt(opening(training.settings(), vocabulary))?;
        let ids: Vec<u32> = (0..self.sample_length).map(|_| generator.next_id()).collect();
        Ok(Sample { step: training.progress().step, text: vocabulary.decode(&ids) })
    }
}

/// Whether no evaluation before has a lower loss.
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
    fn the_best_is_lower_than_all_before() {
        let history = [record(1, Some(2.0)), record(2, Some(1.5)), record(3, Some(1.6))];
        let best: Vec<_> = history.iter().map(|record| is_best(record, &history)).collect();
        assert_eq!(best, [true, true, false]);
        assert!(!is_best(&record(4, None), &history));
        assert!(!is_best(&record(4, Some(f64::NAN)), &history));
    }
}

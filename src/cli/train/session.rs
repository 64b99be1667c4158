//! The training loop: steps, evaluations, checkpoints and signals.

use super::{
    super::{
        job::Job,
        output::{self, message, quoted},
        progress::ProgressDisplay,
        signals::{self, Reactions, Signals},
    },
    Failure, RunWriter,
};
use std::io;
use unrolled::{Error, train::Training};

mod announce;
mod outcome;

/// A run with everything that its loop needs.
pub struct Session {
    pub training: Training,
    pub writer: RunWriter,
    pub job: Job,
    pub resumed: bool,
    /// True if the corpus is the one inside this program.
    pub is_built_in: bool,
    pub json: bool,
    pub stop_after: Option<u64>,
    pub threads: Option<usize>,
}

/// The reason why the loop ended.
enum RunEnd {
    Done,
    Paused,
    Signal(i32),
    /// A signal to another rank of the job.
    SignalElsewhere,
}

/// An error that ends the run, by whether the current state may be saved.
enum StepFailure {
    /// The state is valid: nothing of the step was done, or all of it.
    Valid(Failure),
    /// The state is invalid and must not be saved.
    Invalid(Failure),
}

/// Starts to listen to the signals that ask a run to end.
pub fn listen() -> Result<Signals, Failure> {
    let waiting = |signal| {
        message(&format!(
            "{}: finishing the current window, then writing a checkpoint; a second signal ends the run at once, without a checkpoint",
            signals::name(signal)
        ));
    };
    let listened = Signals::listen(Reactions { waiting, leaving: || () });
    Ok(listened.map_err(|source| Error::Io { action: "listen to", path: "signals".into(), source })?)
}

impl Session {
    /// Trains until the run is done, reaches the pause, or receives a signal.
    pub fn drive(mut self, signals: &Signals) -> Result<(), Failure> {
        if self.training.is_done() {
            return self.already_done();
        }
        self.announce();
        self.training.interrupt_by(signals.flag());
        let unit = self.training.settings().data.unit;
        let (progress, chars_per_step) = (self.training.progress(), self.training.chars_per_step());
        let mut display = ProgressDisplay::new(progress, chars_per_step, unit);
        let threads = self.training.own_threads();
        let end = threads.run(|| {
            loop {
                if let Some(end) = self.end(signals) {
                    break self.check_corpus().map(|()| end);
                }
                match self.step(signals, &mut display) {
                    Ok(None) => {}
                    Ok(Some(end)) => break self.check_corpus().map(|()| end),
                    Err(failure) => break Err(failure),
                }
            }
        });
        drop(display);
        match end {
            Ok(end) => {
                self.writer.close(&self.training)?;
                self.finish_as(end)
            }
            Err(StepFailure::Valid(error)) => {
                self.writer.close(&self.training)?;
                match (&error, signals.caught()) {
                    // A closing terminal sends a signal, and writing to it fails.
                    (Failure::Output(_), Some(number)) => self.interrupted(number),
                    _ => Err(self.explain(error)),
                }
            }
            Err(StepFailure::Invalid(failure)) => Err(self.explain(failure)),
        }
    }

    /// Runs a step. Returns the end of the run if another rank has received a signal.
    fn step(
        &mut self,
        signals: &Signals,
        display: &mut ProgressDisplay,
    ) -> Result<Option<RunEnd>, StepFailure> {
        if self.training.corpus().has_few_files() {
            // The other ranks check theirs within the step.
            let unchanged = self.training.corpus().check_unchanged();
            unchanged.map_err(|error| self.text_failure()(error.into()))?;
        }
        let stepped = self.training.step();
        self.writer.log(&mut self.training);
        let report = match stepped {
            Ok(report) => report,
            // A signal to this rank; the loop handles it next.
            Err(Error::Interrupted) if signals.caught().is_some() => return Ok(None),
            Err(Error::Interrupted) => return Ok(Some(RunEnd::SignalElsewhere)),
            // The others check a corpus of few files in every step.
            Err(error @ Error::OtherRank { .. }) if self.training.corpus().has_few_files() => {
                return Err(StepFailure::Valid(error.into()));
            }
            Err(error @ Error::TextChanged { .. }) => {
                return Err(StepFailure::Valid(error.into()));
            }
            Err(error) => return Err(StepFailure::Invalid(error.into())),
        };
        display.step(&report, self.training.progress());
        if let Some(record) = &report.record {
            self.writer.evaluation(&self.training, record).map_err(StepFailure::Invalid)?;
            display.evaluation(record);
            if self.json {
                output::json(record).map_err(StepFailure::Valid)?;
            }
        }
        self.writer.step(&self.training).map_err(StepFailure::Invalid)?;
        Ok(None)
    }

    /// Checks that the corpus is unchanged, on all ranks.
    fn check_corpus(&mut self) -> Result<(), StepFailure> {
        let stop = self.text_failure();
        self.writer.check_corpus(&self.training).map_err(stop)
    }

    /// Returns what a change of the corpus says about the state. If the corpus has few files, it is
    /// checked before every step, and a step with one window has read it before that: no step has
    /// read the change. Otherwise the steps since the last check may have read it.
    fn text_failure(&self) -> fn(Failure) -> StepFailure {
        let every_window =
            self.training.corpus().has_few_files() && self.training.settings().run.accumulate == 1;
        if every_window { StepFailure::Valid } else { StepFailure::Invalid }
    }

    fn finish_as(&mut self, end: RunEnd) -> Result<(), Failure> {
        match end {
            RunEnd::Done => self.finish(),
            RunEnd::Paused => self.paused(),
            RunEnd::Signal(number) => self.interrupted(number),
            RunEnd::SignalElsewhere => {
                self.training.end_followers();
                self.interrupted(self.job.signal_of_another().unwrap_or(signals::TERMINATION))
            }
        }
    }

    fn end(&self, signals: &Signals) -> Option<RunEnd> {
        if self.training.is_done() {
            return Some(RunEnd::Done);
        }
        if let Some(number) = signals.caught() {
            return Some(RunEnd::Signal(number));
        }
        let step = self.training.progress().step;
        self.stop_after.is_some_and(|stop| step >= stop).then_some(RunEnd::Paused)
    }

    /// Adds to an error at which step the run is on disk and how to continue.
    fn explain(&self, failure: Failure) -> Failure {
        let saved = |flags: &str| {
            let step = self.writer.saved().unwrap_or(0);
            format!("the run is saved at step {step}; to continue: {}", self.resume_command(flags))
        };
        match failure {
            Failure::Output(error) => Failure::Output(io::Error::other(format!("{error}; {}", saved("")))),
            Failure::Library(error @ (Error::TextChanged { .. } | Error::OtherRank { .. })) => {
                Failure::Stopped { error: Box::new(error), saved: saved("") }
            }
            Failure::Library(error @ (Error::NotFinite { .. } | Error::Diverged { .. })) => {
                let lower = self.training.settings().schedule.learning_rate / 2.0;
                let mut saved = saved(&format!(" --extend --learning-rate {lower:?}"));
                if self.writer.folder().best().exists() {
                    let folder = quoted(&self.writer.folder().path().display().to_string());
                    saved += &format!("; or start a new run from its best weights: --init-from {folder}");
                }
                Failure::Stopped { error: Box::new(error), saved }
            }
            other => other,
        }
    }
}

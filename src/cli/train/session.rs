//! A run under way: the loop around `Training::step`, and what is kept and said at each turn.

use super::{
    super::{
        output::{self, quoted},
        progress::ProgressDisplay,
        signals::{self, Reactions, Signals},
    },
    Failure, RunWriter, note,
};
use std::io;
use unrolled::{Error, train::Training};

mod announce;
mod outcome;

/// Everything that a run under way needs.
pub struct Session {
    pub training: Training,
    pub keeper: RunWriter,
    pub resumed: bool,
    pub json: bool,
    pub stop_after: Option<u64>,
    pub threads: Option<usize>,
}

/// Why the loop ended.
enum RunEnd {
    Done,
    Paused,
    Signal(i32),
}

/// Why a step ended the run.
enum StepFailure {
    /// Nothing of it was done, or all: what stands can be kept.
    Before(Failure),
    /// Something of it was done that is not to be kept.
    After(Failure),
}

/// Listens to the signals that ask a run to end.
pub fn listen() -> Result<Signals, Failure> {
    let waiting = |signal| {
        note(&format!(
            "{}: finishing the current window, then writing a checkpoint; another one ends the run at once, without a checkpoint",
            signals::name(signal)
        ));
    };
    let listened = Signals::listen(Reactions { waiting, leaving: || () });
    Ok(listened.map_err(|source| Error::Io { action: "listen to", path: "signals".into(), source })?)
}

impl Session {
    /// Trains to the end of the run, to the pause, or to a signal.
    pub fn drive(mut self, signals: &Signals) -> Result<(), Failure> {
        if self.training.is_done() {
            return self.already_done();
        }
        self.announce();
        self.training.interrupt_by(signals.flag());
        let mut display = ProgressDisplay::new(self.training.progress(), self.training.chars_per_step());
        let end = loop {
            if let Some(end) = self.end(signals) {
                break self.look().map(|()| end);
            }
            if let Err(failure) = self.step(&mut display) {
                break Err(failure);
            }
        };
        drop(display);
        match end {
            Ok(end) => {
                self.keeper.close(&self.training)?;
                self.finish_as(end)
            }
            Err(StepFailure::Before(error)) => {
                self.keeper.close(&self.training)?;
                match (&error, signals.caught()) {
                    // A terminal that closes sends a signal and takes no more output.
                    (Failure::Output(_), Some(number)) => self.interrupted(number),
                    _ => Err(self.explain(error)),
                }
            }
            Err(StepFailure::After(failure)) => Err(self.explain(failure)),
        }
    }

    fn step(&mut self, display: &mut ProgressDisplay) -> Result<(), StepFailure> {
        if self.keeper.has_few_files(&self.training) {
            self.look()?;
        }
        let stepped = self.training.step();
        self.keeper.log(&mut self.training);
        let report = match stepped {
            Ok(report) => report,
            // A signal, which the loop sees next.
            Err(Error::Interrupted) => return Ok(()),
            Err(error @ Error::TextChanged { .. }) => return Err(StepFailure::Before(error.into())),
            Err(error) => return Err(StepFailure::After(error.into())),
        };
        display.step(&report, self.training.progress());
        if let Some(record) = &report.record {
            self.keeper.evaluation(&self.training, record).map_err(StepFailure::After)?;
            display.evaluation(record);
            if self.json {
                output::json(record).map_err(StepFailure::Before)?;
            }
        }
        self.keeper.step(&self.training).map_err(StepFailure::After)
    }

    /// Looks at the text. A few files are looked at before every step, and a step's only window is read before that:
    /// nothing that was done has read the change. Otherwise, the steps since the last look may have.
    fn look(&mut self) -> Result<(), StepFailure> {
        let every_window =
            self.keeper.has_few_files(&self.training) && self.training.settings().accumulate == 1;
        let stop = if every_window { StepFailure::Before } else { StepFailure::After };
        self.keeper.look(&self.training).map_err(stop)
    }

    fn finish_as(&self, end: RunEnd) -> Result<(), Failure> {
        match end {
            RunEnd::Done => self.finish(),
            RunEnd::Paused => self.paused(),
            RunEnd::Signal(number) => self.interrupted(number),
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

    /// A reader that goes away, or a text that does, ends the run, which is worth a line: an exit code of 0 would say
    /// that it is done.
    fn explain(&self, failure: Failure) -> Failure {
        let stands = |flags: &str| {
            let step = self.keeper.saved().unwrap_or(0);
            format!("the run stands at step {step}, to continue: {}", self.resume_command(flags))
        };
        match failure {
            Failure::Output(error) => Failure::Output(io::Error::other(format!("{error}; {}", stands("")))),
            Failure::Library(error @ Error::TextChanged { .. }) => {
                Failure::Stopped { error: Box::new(error), stands: stands("") }
            }
            Failure::Library(error @ (Error::NotFinite { .. } | Error::Diverged { .. })) => {
                let lower = self.training.settings().learning_rate / 2.0;
                let mut stands = stands(&format!(" --extend --learning-rate {lower:?}"));
                if self.keeper.folder().best().exists() {
                    let folder = quoted(&self.keeper.folder().path().display().to_string());
                    stands += &format!("; or start a new run from its best weights: --init-from {folder}");
                }
                Failure::Stopped { error: Box::new(error), stands }
            }
            other => other,
        }
    }
}

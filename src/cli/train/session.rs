//! A run under way: the loop around `Training::step`, and what is kept and said at each turn.

use super::{
    super::{
        output::{self, quoted},
        progress::Display,
        signals::{self, Reactions, Signals},
    },
    Failure, Keeper, note,
};
use std::io;
use unrolled::{Error, train::Training};

mod announce;
mod outcome;

/// Everything that a run under way needs.
pub struct Session {
    pub training: Training,
    pub keeper: Keeper,
    pub resumed: bool,
    pub json: bool,
    pub stop_after: Option<u64>,
    pub threads: Option<usize>,
}

/// Why the loop ended.
enum End {
    Done,
    Paused,
    Signal(i32),
}

/// Why a step ended the run.
enum Stop {
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
        let mut display = Display::new(self.training.progress(), self.training.chars_per_step());
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
            Err(Stop::Before(error)) => {
                self.keeper.close(&self.training)?;
                match (&error, signals.caught()) {
                    // A terminal that closes sends a signal and takes no more output.
                    (Failure::Output(_), Some(number)) => self.interrupted(number),
                    _ => Err(self.explain(error)),
                }
            }
            Err(Stop::After(failure)) => Err(self.explain(failure)),
        }
    }

    fn step(&mut self, display: &mut Display) -> Result<(), Stop> {
        if self.keeper.has_few_files(&self.training) {
            self.look()?;
        }
        let stepped = self.training.step();
        self.keeper.log(&mut self.training);
        let report = match stepped {
            Ok(report) => report,
            // A signal, which the loop sees next.
            Err(Error::Interrupted) => return Ok(()),
            Err(error @ Error::TextChanged { .. }) => return Err(Stop::Before(error.into())),
            Err(error) => return Err(Stop::After(error.into())),
        };
        display.step(&report, self.training.progress());
        if let Some(record) = &report.record {
            self.keeper.evaluation(&self.training, record).map_err(Stop::After)?;
            display.evaluation(record);
            if self.json {
                output::json(record).map_err(Stop::Before)?;
            }
        }
        self.keeper.step(&self.training).map_err(Stop::After)
    }

    /// Looks at the text. A few files are looked at before every step, and a step's only window is read before that:
    /// nothing that was done has read the change. Otherwise, the steps since the last look may have.
    fn look(&mut self) -> Result<(), Stop> {
        let every_window =
            self.keeper.has_few_files(&self.training) && self.training.settings().run.accumulate == 1;
        let stop = if every_window { Stop::Before } else { Stop::After };
        self.keeper.look(&self.training).map_err(stop)
    }

    fn finish_as(&self, end: End) -> Result<(), Failure> {
        match end {
            End::Done => self.finish(),
            End::Paused => self.paused(),
            End::Signal(number) => self.interrupted(number),
        }
    }

    fn end(&self, signals: &Signals) -> Option<End> {
        if self.training.is_done() {
            return Some(End::Done);
        }
        if let Some(number) = signals.caught() {
            return Some(End::Signal(number));
        }
        let step = self.training.progress().step;
        self.stop_after.is_some_and(|stop| step >= stop).then_some(End::Paused)
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
                let lower = self.training.settings().schedule.learning_rate / 2.0;
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

//! What can go wrong on the command line, and the exit code of each.

use std::{io, path::PathBuf};

/// A reason to stop. Usage exits 2, a signal 128 and its number, everything else 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The library refused.
    #[error(transparent)]
    Library(#[from] unrolled::Error),
    /// Flags that parse, but make no sense together or with the run at hand.
    #[error("{0}")]
    Usage(String),
    /// A configuration file that cannot be used.
    #[error("{}: {problem}", file.display())]
    Config {
        /// The configuration file.
        file: PathBuf,
        /// The key, what was found and what was expected.
        problem: String,
    },
    /// The output folder belongs to another run.
    #[error("{} already holds a run ({found}): {remedy}", folder.display())]
    Occupied {
        /// The folder named by `--out`.
        folder: PathBuf,
        /// The file that gives the run away.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Another process writes the output folder.
    #[error("{} is in use by {}: wait until that run ends, stop it, or choose another --out", folder.display(),
        if holder.is_empty() { "another process" } else { holder })]
    Busy {
        /// The folder named by `--out`.
        folder: PathBuf,
        /// "process 123", or nothing when that is not told.
        holder: String,
    },
    /// A run or a checkpoint was expected and is not there.
    #[error("{}: {problem}", path.display())]
    NoRun {
        /// Where it was looked for.
        path: PathBuf,
        /// What is missing, and what to do.
        problem: String,
    },
    /// The text is not the one the run was trained on.
    #[error(
        "{text} is not the text that {} was trained on ({}checksum {found:08x}, expected {expected:08x}): {remedy}",
        run.display(),
        difference.as_ref().map_or_else(String::new, |difference| format!("{difference}; "))
    )]
    OtherText {
        /// The text's name.
        text: String,
        /// The run's folder.
        run: PathBuf,
        /// The first file that differs, where there are several.
        difference: Option<String>,
        /// Checksum of this text.
        found: u32,
        /// Checksum in the checkpoint.
        expected: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// A text that cannot be read, for a reason that depends on the command.
    #[error("{text}: {problem}")]
    Text {
        /// Its file, or what a person would call it.
        text: String,
        /// The message: the cause, and what to do about it.
        problem: String,
    },
    /// The run ended for a reason of its own, and can be continued.
    #[error("{error}; {stands}")]
    Stopped {
        /// What ended it.
        error: Box<unrolled::Error>,
        /// Where it stands, and how to continue.
        stands: String,
    },
    /// The last files of a run cannot be written.
    #[error(
        "{error}: make room or mend the folder; on disk is step {saved}, and the steps from there to {step} are lost"
    )]
    NotKept {
        /// What the disk says.
        error: Box<unrolled::Error>,
        /// The step reached.
        step: u64,
        /// The step on disk.
        saved: u64,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A signal asked for the end; everything has been said already.
    #[error("signal {0}")]
    Signal(i32),
}

impl Failure {
    /// The line to print, unless there is nobody to read it or it has been said.
    pub fn message(&self) -> Option<String> {
        let said = matches!(self, Self::Signal(_)) || self.is_closed_pipe();
        (!said).then(|| self.to_string().replace(['\n', '\r'], " "))
    }

    /// The process's exit code. A reader that has seen enough (`| head`) is no error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config { .. } => 2,
            Self::Library(unrolled::Error::Setting { .. } | unrolled::Error::OtherModel { .. }) => 2,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
            _ if self.is_closed_pipe() => 0,
            _ => 1,
        }
    }

    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

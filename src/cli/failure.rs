//! The errors of the command line and their exit codes.

use std::{io, path::PathBuf};

/// An error that ends the command. Wrong usage exits with 2, a signal with 128 plus its number, and
/// everything else with 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An error of the library.
    #[error(transparent)]
    Library(#[from] unrolled::Error),
    /// Flags that are valid but do not fit together, or do not fit the run.
    #[error("{0}")]
    Usage(String),
    /// An invalid configuration file.
    #[error("{}: {problem}", file.display())]
    Config {
        /// The configuration file.
        file: PathBuf,
        /// The key, what was found and what was expected.
        problem: String,
    },
    /// The output folder holds another run.
    #[error("{} already holds a run ({found}): {remedy}", folder.display())]
    Occupied {
        /// The folder of `--out`.
        folder: PathBuf,
        /// A file of that run.
        found: &'static str,
        /// Advice to the user.
        remedy: &'static str,
    },
    /// Another process writes the output folder.
    #[error("{} is in use by {}: wait until that run ends, stop it, or choose another --out", folder.display(),
        if holder.is_empty() { "another process" } else { holder })]
    Busy {
        /// The folder of `--out`.
        folder: PathBuf,
        /// "process 123", or empty if it is unknown.
        holder: String,
    },
    /// A run or a checkpoint is missing.
    #[error("{}: {problem}", path.display())]
    NoRun {
        /// The path that was searched.
        path: PathBuf,
        /// The missing file or folder, and what to do.
        problem: String,
    },
    /// The corpus is not the one that the run was trained on.
    #[error(
        "{text} is not the corpus that {} was trained on ({}checksum {found:08x}, expected {expected:08x}): {remedy}",
        run.display(),
        difference.as_ref().map_or_else(String::new, |difference| format!("{difference}; "))
    )]
    OtherText {
        /// The name of the corpus.
        text: String,
        /// The folder of the run.
        run: PathBuf,
        /// The first file that differs, if the corpus has several.
        difference: Option<String>,
        /// Checksum of this corpus.
        found: u32,
        /// Checksum in the checkpoint.
        expected: u32,
        /// Advice to the user.
        remedy: &'static str,
    },
    /// A corpus that cannot be read, with advice that depends on the command.
    #[error("{text}: {problem}")]
    Text {
        /// Its file, or a name such as "standard input".
        text: String,
        /// The cause and what to do.
        problem: String,
    },
    /// The run has stopped with an error and can be continued.
    #[error("{error}; {saved}")]
    Stopped {
        /// The error.
        error: Box<unrolled::Error>,
        /// The saved step and how to continue.
        saved: String,
    },
    /// The last files of a run cannot be written.
    #[error(
        "{error}; free space or repair the folder; step {saved} is on disk, and the steps from there to {step} are lost"
    )]
    NotSaved {
        /// The error of the write.
        error: Box<unrolled::Error>,
        /// The step that the run has reached.
        step: u64,
        /// The step on disk.
        saved: u64,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// An error of another process of the job, on rank 0.
    #[error("rank {rank}: {message}")]
    OnRank {
        /// The process.
        rank: usize,
        /// Its message.
        message: String,
        /// Its exit code.
        code: u8,
    },
    /// An error that rank 0 prints, on the other ranks. The number is the exit code.
    #[error("exit code {0} of another rank")]
    Elsewhere(u8),
    /// A signal has ended the command; the message was printed before.
    #[error("signal {0}")]
    Signal(i32),
}

impl Failure {
    /// Returns the line to print; `None` if it was printed before, or if standard output is closed.
    pub fn message(&self) -> Option<String> {
        let printed = matches!(self, Self::Signal(_) | Self::Elsewhere(_)) || self.is_closed_pipe();
        (!printed).then(|| self.to_string().replace(['\n', '\r'], " "))
    }

    /// Returns the exit code of the process. A closed pipe (`| head`) is no error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config { .. } => 2,
            Self::Library(unrolled::Error::Setting { .. } | unrolled::Error::OtherModel { .. }) => 2,
            Self::OnRank { code, .. } | Self::Elsewhere(code) => *code,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
            _ if self.is_closed_pipe() => 0,
            _ => 1,
        }
    }

    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

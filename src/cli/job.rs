//! The processes that run this command together. Rank 0 leads: it reads the folder of the run,
//! prints and writes files. The other ranks do the same work without a word.
//!
//! 1. All ranks call the same functions in the same order. A function whose name does not say
//!    otherwise waits for all ranks.
//! 2. Between two of these calls a rank may fail alone, because a file is missing on its machine.
//!    [`Job::agree`] follows: if one rank has failed, all get an error, and rank 0 prints that
//!    rank's message.
//! 3. At the end, [`Job::end`] brings all ranks the exit code of rank 0, after rank 0 has printed:
//!    launchers end a job when its first process ends with an error.
//!
//! A process that is alone has none of this.

mod codes;
mod messages;
mod start;

pub use start::Started;

use super::failure::Failure;
use messages::broadcast;
use std::{path::Path, sync::Arc};
use unrolled::{
    checkpoint::Checkpoint,
    train::{Ranks, Training},
};

/// The processes of a job, or one that is alone.
#[derive(Clone, Debug)]
pub struct Job {
    ranks: Option<Arc<dyn Ranks>>,
}

impl Job {
    /// The job of these ranks, if there are any.
    pub fn of(ranks: Option<Arc<dyn Ranks>>) -> Self {
        Self { ranks }
    }

    /// Returns the number of processes.
    pub fn count(&self) -> usize {
        self.ranks.as_ref().map_or(1, |ranks| ranks.count())
    }

    /// Returns whether this process leads. Waits for nothing.
    pub fn leads(&self) -> bool {
        self.ranks.as_ref().is_none_or(|ranks| ranks.rank() == 0)
    }

    /// Returns the result of this rank if all ranks have succeeded. Otherwise rank 0 gets the error
    /// of the first rank that has failed.
    pub fn agree<T>(&self, own: Result<T, Failure>) -> Result<T, Failure> {
        let Some(ranks) = self.ranks.as_deref() else { return own };
        let report = match &own {
            Ok(_) => Vec::new(),
            Err(failure) => codes::report(failure),
        };
        let reports = ranks.gather_messages(&report);
        match reports.iter().position(|report| !report.is_empty()) {
            None => own,
            Some(first) if first == 0 && ranks.rank() == 0 => own,
            Some(first) => Err(codes::failure(first, &reports[first], self.leads())),
        }
    }

    /// Checks that all ranks have the same `value` of something with this name.
    pub fn check_same(&self, name: &str, value: &str) -> Result<(), Failure> {
        let Some(ranks) = self.ranks.as_deref() else { return Ok(()) };
        let values = ranks.gather_messages(value.as_bytes());
        let other = values.iter().position(|other| *other != values[0]);
        self.agree(other.map_or(Ok(()), |rank| {
            let [found, expected] = [rank, 0].map(|rank| String::from_utf8_lossy(&values[rank]));
            Err(Failure::Usage(format!(
                "rank {rank} has {name} {found}, expected {expected} as on rank 0; give all ranks the same command"
            )))
        }))
    }

    /// Runs `f` on rank 0. If that fails, all ranks get an error.
    pub fn lead<T>(&self, f: impl FnOnce() -> Result<T, Failure>) -> Result<Option<T>, Failure> {
        self.agree(if self.leads() { f().map(Some) } else { Ok(None) })
    }

    /// Reads bytes on rank 0 and sends them to all ranks.
    pub fn share(&self, read: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Failure> {
        let bytes = self.lead(read)?.unwrap_or_default();
        Ok(match self.ranks.as_deref() {
            Some(ranks) => broadcast(ranks, bytes),
            None => bytes,
        })
    }

    /// Loads a checkpoint on rank 0 and sends it to all ranks, which may not have its file. `path`
    /// is its name in messages.
    pub fn share_checkpoint(
        &self,
        path: &Path,
        load: impl FnOnce() -> Result<Option<Checkpoint>, Failure>,
    ) -> Result<Option<Checkpoint>, Failure> {
        let loaded = self.lead(load)?.flatten();
        let Some(ranks) = self.ranks.as_deref() else { return Ok(loaded) };
        let bytes = self.share(|| Ok(loaded.as_ref().map_or(Ok(Vec::new()), Checkpoint::to_bytes)?))?;
        self.agree(match () {
            () if ranks.rank() == 0 => Ok(loaded),
            () if bytes.is_empty() => Ok(None),
            () => Checkpoint::from_bytes(&bytes, path).map(Some).map_err(Failure::from),
        })
    }

    /// Divides a run among the ranks.
    pub fn divide(&self, training: Training) -> Result<Training, Failure> {
        match &self.ranks {
            Some(ranks) => self.agree(training.divide(Arc::clone(ranks)).map_err(Failure::from)),
            None => Ok(training),
        }
    }
}

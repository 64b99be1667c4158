//! How often the files of a corpus are checked for changes during training.

use super::Corpus;
use std::time::{Duration, Instant};

/// A corpus of at most this many files is checked in every step.
const FEW_FILES: usize = 8;
/// Least time between two checks of a larger corpus, and the factor by which it exceeds the time of
/// a check.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_FACTOR: u32 = 100;

/// The time of the next check of a corpus of many files.
#[derive(Debug)]
pub struct CheckTimer {
    next: Instant,
}

impl CheckTimer {
    /// Starts the time until the first check.
    #[expect(clippy::new_without_default, reason = "it starts a clock")]
    pub fn new() -> Self {
        Self { next: Instant::now() + PAUSE }
    }

    /// Returns whether it is time for a check.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Runs a check. If it succeeds, the time until the next one starts.
    ///
    /// # Errors
    /// The error of the check.
    pub fn run<E>(&mut self, check: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let begun = Instant::now();
        check()?;
        self.next = Instant::now() + PAUSE.max(begun.elapsed() * PAUSE_FACTOR);
        Ok(())
    }
}

impl Corpus {
    /// Returns whether the corpus has so few files that a check in every step costs next to nothing.
    pub fn has_few_files(&self) -> bool {
        self.files().len() <= FEW_FILES
    }
}

//! When a rank checks that the files of its corpus are unchanged. Rank 0 does not: its caller does,
//! as in a run of one process.

use crate::Result;
use crate::corpus::Corpus;
use std::time::{Duration, Instant};

/// A corpus of at most this many files is checked in every step.
const FEW_FILES: usize = 8;
/// Least time between two checks of a larger corpus, and the factor by which it exceeds the time of
/// a check.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_FACTOR: u32 = 100;

/// The time of the next check of a corpus of many files.
#[derive(Debug)]
pub(super) struct TextChecks {
    next: Instant,
}

impl TextChecks {
    pub(super) fn new() -> Self {
        Self { next: Instant::now() + PAUSE }
    }

    /// Checks the files after the windows of a step were read, so that a step that has read a change
    /// fails.
    pub(super) fn check(&mut self, corpus: &Corpus) -> Result<()> {
        let begun = Instant::now();
        if corpus.files().len() > FEW_FILES && begun < self.next {
            return Ok(());
        }
        corpus.check_unchanged()?;
        self.next = Instant::now() + PAUSE.max(begun.elapsed() * PAUSE_FACTOR);
        Ok(())
    }
}

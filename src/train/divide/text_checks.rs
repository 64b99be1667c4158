//! When a rank checks that the files of its corpus are unchanged. In a step rank 0 does not: its
//! caller does, as in a run of one process.

use super::super::Training;
use super::agree::{Outcome, agree};
use super::follow::Command;
use crate::Result;
use crate::corpus::{CheckTimer, Corpus};

/// Checks the text after the windows of a step were read, so that a step that has read a change
/// fails. A corpus of many files is checked from time to time.
pub(super) fn check_in_step(timer: &mut CheckTimer, corpus: &Corpus) -> Result<()> {
    match corpus.has_few_files() || timer.is_due() {
        true => timer.run(|| corpus.check_unchanged()),
        false => Ok(()),
    }
}

impl Training {
    /// Checks that the files of the corpus are unchanged, in a divided run those of all ranks. A
    /// checkpoint that is written after this contains no step that has read a change.
    ///
    /// # Errors
    /// [`Error::TextChanged`](crate::Error::TextChanged) if a file has changed, and
    /// [`Error::OtherRank`](crate::Error::OtherRank) if only another rank finds a change.
    pub fn check_text(&self) -> Result<()> {
        match &self.divided {
            Some(divided) if divided.ended => self.corpus.check_unchanged(),
            _ => {
                self.command(Command::CheckText);
                self.check_text_with_others()
            }
        }
    }

    /// This process's part of [`Training::check_text`].
    pub(super) fn check_text_with_others(&self) -> Result<()> {
        let own = self.corpus.check_unchanged();
        let Some(divided) = &self.divided else { return own };
        let ranks = divided.ranks();
        let mut outcomes = vec![0; ranks.count()];
        let failed = Outcome::of(&own);
        ranks.all_gather(&[failed as u8], &vec![1; ranks.count()], &mut outcomes);
        let outcomes: Vec<_> = outcomes.into_iter().map(|code| Outcome::of_code(f64::from(code))).collect();
        agree(ranks, &outcomes, own)
    }
}

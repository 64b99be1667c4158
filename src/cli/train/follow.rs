//! The ranks of a job that do not lead.

use super::{super::signals::Signals, Failure};
use unrolled::train::Training;

/// Takes part in a run until rank 0 ends it. A signal to this process ends it too: rank 0 then
/// writes a checkpoint.
pub fn follow(mut training: Training, signals: &Signals) -> Result<(), Failure> {
    training.interrupt_by(signals.flag());
    training.follow();
    match signals.caught() {
        Some(number) => Err(Failure::Signal(number)),
        None => Ok(()),
    }
}

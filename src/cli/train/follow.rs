//! The ranks of a job that do not lead.

use super::{
    super::{job, signals::Signals},
    Failure,
};
use unrolled::train::Training;

/// Takes part in a run until rank 0 ends it. A signal to this process ends it too: rank 0 then
/// writes a checkpoint. After an error the others could only wait for this rank, so the job ends.
pub fn follow(mut training: Training, signals: &Signals) -> Result<(), Failure> {
    training.interrupt_by(signals.flag());
    if let Err(error) = training.follow() {
        job::abandon(&error.into());
    }
    match signals.caught() {
        Some(number) => Err(Failure::Signal(number)),
        None => Ok(()),
    }
}

//! The processes that train one model together.

use std::fmt::Debug;

/// The processes of a job, each with a number: its rank. They have no common memory, and send each
/// other messages by the functions of this trait. [`Training::divide`](super::Training::divide)
/// divides a run among them.
///
/// All ranks call the same functions in the same order. A function returns when the calling rank
/// has what it needs; it may wait for the others. At most one thread of a process is inside of a
/// call at a time, but it is not always the same thread. If a rank is lost, the job must end: there
/// is no error to return.
pub trait Ranks: Debug + Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn count(&self) -> usize;

    /// Copies `bytes` of rank 0 into `bytes` of all other ranks. All have the same length.
    fn broadcast(&self, bytes: &mut [u8]);

    /// Copies `own` of all ranks into `all` of all ranks, in the order of ranks. `counts[r]` is the
    /// length of `own` of rank r.
    fn all_gather(&self, own: &[u8], counts: &[usize], all: &mut [u8]);

    /// Sends a part of `own` to each rank: `counts[r]` bytes to rank r, in the order of ranks.
    /// `all` receives the parts of all ranks for this one, in the order of ranks: `received[r]`
    /// bytes from rank r.
    fn all_to_all(&self, own: &[u8], counts: &[usize], all: &mut [u8], received: &[usize]);
}

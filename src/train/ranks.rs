//! The processes that train one model together.

use std::fmt::Debug;
use std::ops::Range;

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

    /// Returns `own` of all ranks, in the order of ranks. Only the sender has to know the length.
    fn gather_messages(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0u64; self.count()];
        let counts = vec![size_of::<u64>(); self.count()];
        self.all_gather(&(own.len() as u64).to_ne_bytes(), &counts, bytemuck::cast_slice_mut(&mut lengths));
        let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
        let mut all = vec![0; lengths.iter().sum()];
        self.all_gather(own, &lengths, &mut all);
        parts(&lengths).map(|part| all[part].to_vec()).collect()
    }
}

/// Returns the ranges of parts of these lengths that follow each other.
pub(crate) fn parts<'a>(lengths: impl IntoIterator<Item = &'a usize>) -> impl Iterator<Item = Range<usize>> {
    lengths.into_iter().scan(0, |end, length| {
        let start = *end;
        *end += length;
        Some(start..*end)
    })
}

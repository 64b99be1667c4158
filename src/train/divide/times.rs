//! How long a divided run exchanges messages, and how long it waits for them.

use std::time::{Duration, Instant};

/// The time that a rank of a divided run has spent on messages, over all steps so far
/// ([`Training::exchange_times`](super::super::Training::exchange_times)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeTimes {
    /// Number of steps.
    pub steps: u64,
    /// The exchange of gradients, without the time between two buckets. It includes the time in which
    /// other ranks were not ready.
    pub gradients: Duration,
    /// The part of `gradients` in which this rank had nothing left to compute. The rest was hidden
    /// by computation.
    pub waited: Duration,
    /// The exchange of losses, and of the parts of the norm.
    pub losses: Duration,
    /// The gathering of the updated parameters.
    pub parameters: Duration,
}

/// Runs `f` and adds its time to `sum`.
pub(super) fn timed<R>(sum: &mut Duration, f: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = f();
    *sum += start.elapsed();
    result
}

//! Waiting for messages without keeping a core busy: other threads of this machine compute
//! meanwhile, maybe on the same core. The waiting functions of MPI libraries poll without a pause.

use mpi::request::{Request, Scope};
use std::{
    hint, thread,
    time::{Duration, Instant},
};

/// Time of polling without a pause. A message between two processes of a machine takes about a
/// microsecond.
const BUSY: Duration = Duration::from_micros(5);
/// Time after which each poll is followed by a sleep: longer than a short message takes over TCP.
/// Until then the core is there for others, but not at rest.
const AWAKE: Duration = Duration::from_micros(300);
/// The length of a sleep. The system adds about 50 microseconds.
const SLEEP: Duration = Duration::from_micros(20);

/// Waits until an operation has finished.
pub fn complete<'a, D: ?Sized, S: Scope<'a>>(request: Request<'a, D, S>) {
    let started = Instant::now();
    let mut pending = request;
    while let Err(unfinished) = pending.test() {
        pending = unfinished;
        pause(started.elapsed());
    }
}

/// Pauses after a poll, the longer the operation has taken.
fn pause(waited: Duration) {
    match waited {
        _ if waited < BUSY => hint::spin_loop(),
        _ if waited < AWAKE => thread::yield_now(),
        _ => thread::sleep(SLEEP),
    }
}

//! Ranks that are threads of one process, for tests.
//!
//! The module that includes this file has the trait `Ranks` in scope: the integration tests from
//! the library, the unit tests of the library from their crate.

use super::Ranks;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A rank waits this long for the others before it panics.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `run` on one thread per rank, and returns the results in the order of ranks. If a rank
/// panics, the ranks that wait for it panic too, and then so does this function, as the first one
/// did.
///
/// Each rank must have threads of its own, so a run of a rank has one thread. The runs of a process
/// share the threads of a pool, and one that waits for another rank there would keep the thread
/// that this rank waits for.
pub fn run_ranks<R: Send>(count: usize, run: impl Fn(Arc<LocalRanks>) -> R + Sync) -> Vec<R> {
    let ranks = local_ranks(count);
    let meeting = Arc::clone(&ranks[0].meeting);
    let run = &run;
    let results: Vec<Result<R, Box<dyn Any + Send>>> = thread::scope(|scope| {
        let start = |ranks: Arc<LocalRanks>| {
            scope.spawn(move || {
                let (own, meeting) = (ranks.own, Arc::clone(&ranks.meeting));
                let result = catch_unwind(AssertUnwindSafe(|| run(ranks)));
                meeting.end(own, result.is_err());
                result
            })
        };
        let threads: Vec<_> = ranks.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught")).collect()
    });
    let first = meeting.lock().failed;
    let mut values = Vec::new();
    for (rank, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => values.push(value),
            Err(panic) if first == Some(rank) => resume_unwind(panic),
            Err(_) => {}
        }
    }
    values
}

/// Returns `count` ranks, one for each thread of a test. [`run_ranks`] also handles ranks that end
/// early.
pub fn local_ranks(count: usize) -> Vec<Arc<LocalRanks>> {
    assert!(count > 0, "a job has at least one rank");
    let table = Table {
        calls: (0..count).map(|_| None).collect(),
        left: vec![false; count],
        ended: vec![false; count],
        failed: None,
        mismatch: None,
    };
    let meeting = Arc::new(Meeting { table: Mutex::new(table), changed: Condvar::new() });
    let rank = |own| {
        let (meeting, calling, sent) = (Arc::clone(&meeting), AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(LocalRanks { own, count, meeting, calling, sent })
    };
    (0..count).map(rank).collect()
}

/// One of several ranks of a process.
#[derive(Debug)]
pub struct LocalRanks {
    own: usize,
    count: usize,
    meeting: Arc<Meeting>,
    /// True while a thread is inside of a call.
    calling: AtomicBool,
    sent: AtomicU64,
}

impl LocalRanks {
    /// Returns the number of bytes that this rank has sent to other ranks by `all_gather` and
    /// `all_to_all`.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Takes part in a call, and gives `read` the calls of all ranks.
    fn call(&self, call: Call, read: impl FnOnce(&[Arc<Call>])) {
        let (own, name) = (self.own, call.name);
        let busy = self.calling.swap(true, Ordering::Acquire);
        assert!(!busy, "rank {own}: two threads are inside of a call at a time; the second calls {name}");
        read(&self.meeting.meet(own, call));
        self.meeting.leave(own);
        self.calling.store(false, Ordering::Release);
    }
}

impl Ranks for LocalRanks {
    fn rank(&self) -> usize {
        self.own
    }

    fn count(&self) -> usize {
        self.count
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        let own = if self.own == 0 { bytes.to_vec() } else { Vec::new() };
        let call = Call { name: "broadcast", counts: vec![bytes.len()], received: Vec::new(), bytes: own };
        self.call(call, |calls| bytes.copy_from_slice(&calls[0].bytes));
    }

    fn all_gather(&self, own: &[u8], counts: &[usize], all: &mut [u8]) {
        self.check_counts("all_gather", "counts", counts, all.len());
        let (rank, found) = (self.own, own.len());
        assert_eq!(found, counts[rank], "rank {rank}: all_gather: bytes of its own, and as counted");
        self.sent.fetch_add((own.len() * (self.count - 1)) as u64, Ordering::Relaxed);
        let call =
            Call { name: "all_gather", counts: counts.to_vec(), received: Vec::new(), bytes: own.to_vec() };
        self.call(call, |calls| {
            let mut rest = all;
            for call in calls {
                rest = put(rest, &call.bytes);
            }
        });
    }

    fn all_to_all(&self, own: &[u8], counts: &[usize], all: &mut [u8], received: &[usize]) {
        self.check_counts("all_to_all", "counts", counts, own.len());
        self.check_counts("all_to_all", "received", received, all.len());
        self.sent.fetch_add((own.len() - counts[self.own]) as u64, Ordering::Relaxed);
        let call = Call {
            name: "all_to_all",
            counts: counts.to_vec(),
            received: received.to_vec(),
            bytes: own.to_vec(),
        };
        self.call(call, |calls| {
            let mut rest = all;
            for call in calls {
                let before: usize = call.counts[..self.own].iter().sum();
                rest = put(rest, &call.bytes[before..][..call.counts[self.own]]);
            }
        });
    }
}

impl LocalRanks {
    /// Checks that there is a count for each rank, and that they add up to `bytes`.
    fn check_counts(&self, function: &str, name: &str, counts: &[usize], bytes: usize) {
        let (rank, ranks) = (self.own, self.count);
        assert_eq!(counts.len(), ranks, "rank {rank}: {function}: length of {name}, and the ranks");
        let sum: usize = counts.iter().sum();
        assert_eq!(sum, bytes, "rank {rank}: {function}: sum of {name}, and the bytes");
    }
}

/// Writes `bytes` to the start of `to`, and returns what follows.
fn put<'a>(to: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (part, rest) = to.split_at_mut(bytes.len());
    part.copy_from_slice(bytes);
    rest
}

/// What a rank brings to a call.
#[derive(Debug)]
struct Call {
    name: &'static str,
    counts: Vec<usize>,
    received: Vec<usize>,
    bytes: Vec<u8>,
}

/// Where all ranks meet for a call.
#[derive(Debug)]
struct Meeting {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Debug)]
struct Table {
    /// The calls of the ranks that are in the current call of all.
    calls: Vec<Option<Arc<Call>>>,
    /// True for ranks that have read the calls of all.
    left: Vec<bool>,
    /// True for ranks that make no further calls.
    ended: Vec<bool>,
    /// The first rank that panicked.
    failed: Option<usize>,
    /// How calls differ that must be alike.
    mismatch: Option<String>,
}

impl Meeting {
    /// Returns the table, also after a panic of a rank that held the lock.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a rank makes no further calls.
    fn end(&self, rank: usize, panicked: bool) {
        let mut table = self.lock();
        table.ended[rank] = true;
        if panicked {
            table.failed.get_or_insert(rank);
        }
        self.changed.notify_all();
    }

    /// Waits for the calls of all ranks, and returns them.
    fn meet(&self, own: usize, call: Call) -> Vec<Arc<Call>> {
        let name = call.name;
        let cleared = |table: &Table| table.calls[own].is_none();
        let mut table = self.wait((own, name), self.lock(), cleared);
        table.calls[own] = Some(Arc::new(call));
        if table.calls.iter().all(Option::is_some) {
            let calls: Vec<_> = table.calls.iter().flatten().cloned().collect();
            table.mismatch = difference(&calls);
        }
        self.changed.notify_all();
        let complete = |table: &Table| table.calls.iter().all(Option::is_some);
        let table = self.wait((own, name), table, complete);
        table.calls.iter().flatten().cloned().collect()
    }

    /// Leaves a call. The last rank that leaves makes room for the next call.
    fn leave(&self, own: usize) {
        let mut table = self.lock();
        table.left[own] = true;
        if table.left.iter().all(|left| *left) {
            table.left.fill(false);
            table.calls.fill_with(|| None);
            self.changed.notify_all();
        }
    }

    /// Waits until `ready`. Panics if the calls of ranks differ, or if a rank that is waited for
    /// has ended.
    fn wait<'a>(
        &'a self,
        (own, name): (usize, &str),
        mut table: MutexGuard<'a, Table>,
        ready: impl Fn(&Table) -> bool,
    ) -> MutexGuard<'a, Table> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(mismatch) = &table.mismatch {
                panic!("rank {own}: {mismatch}");
            }
            if ready(&table) {
                return table;
            }
            let missing: Vec<usize> = table.missing().collect();
            if let Some(ended) = missing.iter().find(|rank| table.ended[**rank]) {
                panic!("rank {own} is in {name}, but rank {ended} has ended");
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "rank {own} is in {name}, and has waited too long for ranks {missing:?}"
            );
            table = self.changed.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Table {
    /// Returns the ranks that others wait for: those that have not left the last call if it is
    /// complete, else those that have not made it.
    fn missing(&self) -> impl Iterator<Item = usize> {
        let complete = self.calls.iter().all(Option::is_some);
        let missing =
            move |rank: &usize| if complete { !self.left[*rank] } else { self.calls[*rank].is_none() };
        (0..self.calls.len()).filter(missing)
    }
}

/// Says how the calls of all ranks differ where they must be alike, if they do.
fn difference(calls: &[Arc<Call>]) -> Option<String> {
    let first = &calls[0];
    let mut others = calls.iter().enumerate();
    others.find_map(|(rank, call)| {
        let (name, counts) = (call.name, &call.counts);
        if name != first.name {
            Some(format!("rank 0 is in {}, rank {rank} in {name}", first.name))
        } else if name == "all_to_all" {
            calls.iter().enumerate().find_map(|sender| difference_of_parts(sender, (rank, call)))
        } else if *counts != first.counts {
            Some(format!("{name}: rank 0 counts {:?}, rank {rank} {counts:?}", first.counts))
        } else {
            None
        }
    })
}

/// Says how the part that a rank sends differs from what the other rank expects, if it does.
fn difference_of_parts((from, sender): (usize, &Arc<Call>), (to, call): (usize, &Call)) -> Option<String> {
    // A sender in another function has other counts. The comparison of the names finds it.
    if sender.name != call.name || sender.counts[to] == call.received[from] {
        return None;
    }
    let (sent, expected) = (sender.counts[to], call.received[from]);
    Some(format!("all_to_all: rank {from} sends {sent} bytes to rank {to}, which expects {expected}"))
}

//! The processes of an MPI job (feature `mpi`): [`Ranks`] for
//! [`Training::divide`](crate::train::Training::divide).
//!
//! The MPI library of the system (Open MPI, MPICH and others) carries the data. Building needs its
//! headers and libclang: on Debian and Ubuntu the packages `libopenmpi-dev` and `libclang-dev`. A
//! launcher starts the processes: `mpirun -n 4 PROGRAM`.
//!
//! ```no_run
//! use unrolled::corpus::Corpus;
//! use unrolled::mpi::World;
//! use unrolled::train::Training;
//! use unrolled::{RunSettings, Settings, Unit};
//!
//! # fn main() -> unrolled::Result<()> {
//! let world = World::start()?;
//! let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(900), Unit::Char)?;
//! let run = RunSettings { accumulate: 8, ..RunSettings::default() };
//! let settings = Settings { run, ..Settings::default() };
//! let mut training = Training::new(corpus, settings, None)?.divide(world.ranks())?;
//! if world.rank() > 0 {
//!     training.follow();
//!     return Ok(());
//! }
//! while !training.is_done() {
//!     training.step()?;
//! }
//! training.save("model.safetensors".as_ref())
//! # }
//! ```
//!
//! If a process is killed, or calls [`World::abort`], MPI ends all processes of the job.

mod waiting;

use crate::train::{Ranks, parts};
use crate::{Error, Result};
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, library_version};
use mpi::point_to_point::{Destination, Source};
use mpi::request::{LocalScope, Request, scope};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{CommunicatorCollectives, Root};
use mpi::{Count, Rank, Threading};
use std::{fmt, marker::PhantomData, sync::Arc, thread};
use waiting::complete;

/// The most bytes of one message. MPI counts them as `i32`; longer messages are cut into pieces.
const LONGEST: usize = 1 << 30;
/// Exit code of a job in which a process has panicked, as for a Rust program.
const PANICKED: i32 = 101;

/// The MPI job of this process. It ends when the value is dropped, on the thread that started it.
///
/// If the thread panics, dropping the value ends all processes of the job, because the others would
/// wait for this one.
pub struct World {
    /// Ends MPI when it is dropped.
    _universe: Universe,
    ranks: Arc<WorldRanks>,
    /// Not `Send`: MPI ends on the thread that started it.
    thread: PhantomData<*const ()>,
}

impl World {
    /// Starts MPI. Only once in a process.
    ///
    /// # Errors
    /// [`Error::Mpi`] if MPI was started before in this process, or if the MPI library cannot be
    /// called from more than one thread.
    pub fn start() -> Result<Self> {
        Self::with_longest_message(LONGEST)
    }

    /// Starts MPI, and cuts messages of more than `bytes` bytes into pieces. Only tests need it.
    ///
    /// # Errors
    /// As for [`World::start`].
    #[doc(hidden)]
    pub fn with_longest_message(bytes: usize) -> Result<Self> {
        if mpi::is_initialized() {
            return Err(Error::Mpi("this process has started it before; start it once".to_owned()));
        }
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let Some((universe, threading)) = started else {
            return Err(Error::Mpi("another thread has started it; start it once".to_owned()));
        };
        if threading < Threading::Serialized {
            return Err(Error::Mpi(format!(
                "found a library for calls of one thread ({threading:?}), expected MPI_THREAD_SERIALIZED; use an MPI library \
                 that was built with threads"
            )));
        }
        let (own, count) = (universe.world().rank() as usize, universe.world().size() as usize);
        let ranks = Arc::new(WorldRanks { own, count, longest: bytes });
        Ok(Self { _universe: universe, ranks, thread: PhantomData })
    }

    /// Returns the number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.ranks.own
    }

    /// Returns the number of processes.
    pub fn count(&self) -> usize {
        self.ranks.count
    }

    /// Returns all processes, for [`Training::divide`](crate::train::Training::divide). They cannot
    /// be used after this value is dropped.
    pub fn ranks(&self) -> Arc<dyn Ranks> {
        self.ranks.clone()
    }

    /// Returns the name and version of the MPI library.
    pub fn library() -> String {
        let text = library_version().unwrap_or_default();
        // Open MPI adds its build to the version, and MPICH its configuration on further lines.
        let line = text.lines().next().unwrap_or("").split(',').next().unwrap_or("");
        line.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('\0').to_owned()
    }

    /// Ends all processes of the job at once, with this exit code.
    pub fn abort(code: i32) -> ! {
        world().abort(code)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            Self::abort(PANICKED);
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("World").field("rank", &self.rank()).field("count", &self.count()).finish()
    }
}

/// All processes of the job.
#[derive(Debug)]
struct WorldRanks {
    own: usize,
    count: usize,
    /// The most bytes of one message.
    longest: usize,
}

/// Returns the communicator of all processes. It cannot be stored, because it is not `Send`.
fn world() -> SimpleCommunicator {
    assert!(mpi::is_initialized() && !mpi::is_finalized(), "MPI has ended: keep the World longer");
    SimpleCommunicator::world()
}

impl Ranks for WorldRanks {
    fn rank(&self) -> usize {
        self.own
    }

    fn count(&self) -> usize {
        self.count
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        self.broadcast_from(0, bytes);
    }

    fn all_gather(&self, own: &[u8], counts: &[usize], all: &mut [u8]) {
        if all.is_empty() {
            return;
        }
        if all.len() > self.longest {
            return self.all_broadcast(own, counts, all);
        }
        let (counts, starts) = (as_counts(counts), starts(counts));
        let (own, mut all) = (addressed(own), PartitionMut::new(all, counts, starts));
        scope(|scope| complete(world().immediate_all_gather_varcount_into(scope, own, &mut all)));
    }

    fn all_to_all(&self, own: &[u8], counts: &[usize], all: &mut [u8], received: &[usize]) {
        let most = self.longest / self.count;
        if counts.iter().chain(received).all(|count| *count <= most) {
            return exchange(own, counts, all, received);
        }
        let [first_counts, first_received] = [counts, received].map(|counts| shortened(counts, most));
        let mut first_own = Vec::with_capacity(first_counts.iter().sum());
        let mut first_all = vec![0; first_received.iter().sum()];
        parts(counts).zip(&first_counts).for_each(|(part, len)| first_own.extend(&own[part][..*len]));
        exchange(&first_own, &first_counts, &mut first_all, &first_received);
        for (part, first) in parts(received).zip(parts(&first_received)) {
            all[part][..first.len()].copy_from_slice(&first_all[first]);
        }
        self.exchange_rests(Rests { own, counts, all, received, most });
    }
}

/// The parts of an exchange of all ranks with all, beyond `most` bytes of each part.
struct Rests<'a> {
    own: &'a [u8],
    counts: &'a [usize],
    all: &'a mut [u8],
    received: &'a [usize],
    most: usize,
}

impl WorldRanks {
    /// Copies `bytes` of one rank into `bytes` of all others.
    fn broadcast_from(&self, root: usize, bytes: &mut [u8]) {
        let world = world();
        let root = world.process_at_rank(root as Rank);
        for piece in bytes.chunks_mut(self.longest) {
            scope(|scope| complete(root.immediate_broadcast_into(scope, piece)));
        }
    }

    /// Gathers by one broadcast after the other.
    fn all_broadcast(&self, own: &[u8], counts: &[usize], all: &mut [u8]) {
        for (root, part) in parts(counts).enumerate() {
            let part = &mut all[part];
            if root == self.own {
                part.copy_from_slice(own);
            }
            self.broadcast_from(root, part);
        }
    }

    /// Exchanges the rests, in messages between two ranks: only these two know the length.
    fn exchange_rests(&self, rests: Rests<'_>) {
        let Rests { own, counts, all, received, most } = rests;
        let mut lengths = received.iter();
        let mut left = all;
        scope(|scope| {
            let world = world();
            let mut pending: Vec<Request<'_, [u8], &LocalScope<'_>>> = Vec::new();
            for from in 0..self.count {
                let part;
                (part, left) = left.split_at_mut(*lengths.next().expect("a length for each rank"));
                let source = world.process_at_rank(from as Rank);
                let rest = part.get_mut(most..).unwrap_or_default();
                pending.extend(
                    rest.chunks_mut(self.longest).map(|piece| source.immediate_receive_into(scope, piece)),
                );
            }
            for (to, part) in parts(counts).enumerate() {
                let destination = world.process_at_rank(to as Rank);
                let rest = own[part].get(most..).unwrap_or_default();
                pending
                    .extend(rest.chunks(self.longest).map(|piece| destination.immediate_send(scope, piece)));
            }
            pending.into_iter().for_each(complete);
        });
    }
}

/// Sends a part of `own` to each rank, as in [`Ranks::all_to_all`].
fn exchange(own: &[u8], counts: &[usize], all: &mut [u8], received: &[usize]) {
    let mut place = [0];
    let all = if all.is_empty() { &mut place[..0] } else { all };
    let own = Partition::new(addressed(own), as_counts(counts), starts(counts));
    let mut all = PartitionMut::new(all, as_counts(received), starts(received));
    scope(|scope| complete(world().immediate_all_to_all_varcount_into(scope, &own, &mut all)));
}

/// Returns the same bytes. No bytes get the address of a byte: an empty slice may have address 1,
/// which Open MPI takes for `MPI_IN_PLACE`.
fn addressed(bytes: &[u8]) -> &[u8] {
    static PLACE: [u8; 1] = [0];
    if bytes.is_empty() { &PLACE[..0] } else { bytes }
}

fn shortened(counts: &[usize], most: usize) -> Vec<usize> {
    counts.iter().map(|count| (*count).min(most)).collect()
}

fn as_counts(counts: &[usize]) -> Vec<Count> {
    counts.iter().map(|count| Count::try_from(*count).expect("a short message")).collect()
}

fn starts(counts: &[usize]) -> Vec<Count> {
    parts(counts).map(|part| Count::try_from(part.start).expect("a short message")).collect()
}

//! Divides work among threads, through rayon. Work is halved until a piece is worth a
//! thread, without a list of pieces, so dividing it allocates nothing.
//!
//! `pool.rs` has the threads, which all models of a process share. `trials.rs` finds out whether all
//! threads or one is faster, and `workers.rs` keeps the choice for the time of a call.
//!
//! All work inside `enter` runs with denormal numbers as zeros (see
//! [`unrolled_kernels::denormals`]): on the threads of a pool always, and on the calling thread
//! until `enter` returns. Kernels do so by themselves; this is for all other loops.

mod divide;
mod pool;
mod trials;
mod workers;

pub(crate) use divide::Divide;

use crate::{Error, Result};
use pool::{Pool, locked};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use trials::Trials;
use unrolled_kernels::denormals::flush;
use unrolled_kernels::team::AnyTeam;
use workers::Workers;

/// Number of multiplications up to which a loop is not worth waking a thread.
const SMALL: usize = 400_000;
/// How often a thread looks for a signal before it lets others run: some microseconds.
const SPINS: u32 = 200;
/// Largest number of threads. A larger one is a typing error, or gains nothing.
pub(crate) const MOST: usize = 1024;
/// The fewest and the most values that one thread copies at a time.
const FEWEST_VALUES: usize = 1 << 12;
const MOST_VALUES: usize = 1 << 16;
/// Number of pieces of divided work for each thread. With more than one, a thread that starts late
/// does not keep the others waiting.
const PIECES: usize = 4;

/// Returns the number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the index of the calling thread in its pool; 0 outside of a pool.
pub(crate) fn thread_index() -> usize {
    rayon::current_thread_index().unwrap_or(0)
}

/// Returns whether to start more threads than there are cores. They cost time, but run in more
/// different orders, which tests need.
fn oversubscribes() -> bool {
    std::env::var_os("UNROLLED_OVERSUBSCRIBE").is_some_and(|value| value == "1")
}

/// The threads that share work. Results do not depend on their number.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    pool: Option<Arc<Pool>>,
    count: usize,
    divide: Option<Divide>,
    /// `None` if all threads work whether they are faster or not.
    trials: Option<Arc<Mutex<Trials>>>,
}

/// Waits a moment: first on the processor, because the others are nearly there; then it lets other
/// threads run, because the others may need this core.
fn idle(round: u32) {
    if round < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

impl Threads {
    /// Divides work into `count` parts, or as many as there are cores. It starts at most one thread
    /// per core, except in tests that ask for more.
    pub(crate) fn new(count: Option<usize>) -> Result<Self> {
        let count = Self::resolve(count)?;
        let threads = Self::start(count, if oversubscribes() { count } else { count.min(cores()) })?;
        let (divide, started) = (Divide::forced()?, threads.started());
        let adapts = started > 1 && divide.is_none() && !oversubscribes();
        let trials = adapts.then(|| Arc::new(Mutex::new(Trials::new(started))));
        Ok(Self { divide, trials, ..threads })
    }

    /// The calling thread alone.
    pub(crate) const CALLING: &Self = &Self { pool: None, count: 1, divide: None, trials: None };

    fn start(count: usize, started: usize) -> Result<Self> {
        let pool = (count > 1).then(|| Pool::of(started)).transpose().map_err(|error| {
            Error::setting(
                "threads",
                count,
                format!("the system cannot start so many threads ({error}); give a lower number"),
            )
        })?;
        Ok(Self { pool, count, divide: None, trials: None })
    }

    /// Checks `count`; `None` stands for the number of cores.
    pub(crate) fn resolve(count: Option<usize>) -> Result<usize> {
        let count = count.unwrap_or(cores().min(MOST));
        if count == 0 || count > MOST {
            let expected = "give a number from 1 to 1024";
            return Err(Error::setting("threads", count, expected));
        }
        Ok(count)
    }

    /// The number of threads.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The number of threads that were started; 1 if the calling thread does all work.
    pub(crate) fn started(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.size())
    }

    /// The division of windows that the environment forces.
    pub(crate) fn divide(&self) -> Option<Divide> {
        self.divide
    }

    /// Returns the number of threads that share the work of the caller: all of them inside `enter`,
    /// otherwise one.
    pub(crate) fn at_work(&self) -> usize {
        match &self.pool {
            Some(pool) if pool.is_at_work() && !Workers::is_one() => pool.size(),
            _ => 1,
        }
    }

    /// Returns how many of `items` items one thread takes at a time: few if many threads share the
    /// work of the caller, but at least `least`, and at most `most`.
    pub(crate) fn share(&self, items: usize, least: usize, most: usize) -> usize {
        items.div_ceil(PIECES * self.at_work()).max(least).min(most).max(1)
    }

    /// Runs `f` on one of the threads if `work`, in multiplications, is worth waking them. `join`
    /// and `each` inside `f` then use all threads without waking them again. Otherwise `f` runs on
    /// the calling thread.
    pub(crate) fn enter<R: Send>(&self, work: usize, f: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) if work > SMALL && !pool.is_at_work() && !Workers::is_one() => pool.run(f),
            _ => flush(f),
        }
    }

    /// As `enter`, for the whole work of a call of the engine: if one thread was faster than all in
    /// the last calls, the calling thread does the work. `work` also stands for the kind of work.
    /// Inside of another call it changes nothing.
    pub(crate) fn adapt<R: Send>(&self, work: usize, f: impl FnOnce() -> R + Send) -> R {
        match &self.trials {
            Some(trials) if self.pay(work) && !Workers::are_chosen() => {
                let alone = locked(trials).alone();
                let start = Instant::now();
                let result = match alone {
                    true => Workers::One.run(|| self.enter(work, f)),
                    false => self.enter(work, || Workers::All.run(f)),
                };
                locked(trials).note(work, start.elapsed());
                result
            }
            _ => self.enter(work, f),
        }
    }

    /// Runs both functions, at the same time inside `enter`.
    pub(crate) fn join(&self, a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
        if self.at_work() > 1 {
            rayon::join(a, b);
        } else {
            a();
            b();
        }
    }

    /// Calls `f` on every item, in parallel as in `join`.
    pub(crate) fn each<T: Send>(&self, items: &mut [T], f: &(impl Fn(&mut T) + Sync)) {
        match items {
            [] => {}
            [item] => f(item),
            items => {
                let (first, second) = items.split_at_mut(items.len().div_ceil(2));
                self.join(|| self.each(first, f), || self.each(second, f));
            }
        }
    }

    /// Calls `f` with the index and the values of every chunk of `size` values, in parallel as in
    /// `join`.
    pub(crate) fn chunks<T: Send>(
        &self,
        values: &mut [T],
        size: usize,
        f: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        self.chunks_from(0, values, size, f);
    }

    fn chunks_from<T: Send>(
        &self,
        number: usize,
        values: &mut [T],
        size: usize,
        f: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        if values.is_empty() {
            return;
        }
        let count = values.len().div_ceil(size);
        if count == 1 {
            return f(number, values);
        }
        let half = count.div_ceil(2);
        let (first, second) = values.split_at_mut(half * size);
        self.join(
            || self.chunks_from(number, first, size, f),
            || self.chunks_from(number + half, second, size, f),
        );
    }

    /// Computes a pass by a team of up to `seats` threads: those that come before the leader's
    /// `patience` ends.
    pub(crate) fn gather(&self, team: &dyn AnyTeam, seats: usize, patience: Duration) {
        let start = Instant::now();
        let closes = |_| start.elapsed() >= patience;
        self.join(|| _ = team.lead(&closes, &idle), || self.recruit(team, seats - 1));
    }

    fn recruit(&self, team: &dyn AnyTeam, seats: usize) {
        match seats {
            0 => {}
            1 => team.attend(&idle),
            seats => {
                self.join(|| self.recruit(team, seats / 2), || self.recruit(team, seats.div_ceil(2)));
            }
        }
    }

    /// Returns true if `work`, in multiplications, is worth waking threads.
    pub(crate) fn pay(&self, work: usize) -> bool {
        work > SMALL && self.count > 1
    }

    /// Calls `f` with the index and the values of each row of `width` values, in parallel as in
    /// `join`.
    pub(crate) fn rows<T: Send>(
        &self,
        values: &mut [T],
        width: usize,
        f: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        if width == 0 {
            return;
        }
        let share = self.share(values.len(), FEWEST_VALUES, MOST_VALUES).div_ceil(width);
        self.chunks(values, share * width, &|i, values| {
            (i * share..).zip(values.chunks_exact_mut(width)).for_each(|(row, values)| f(row, values));
        });
    }
}

#[cfg(test)]
mod tests;

//! The only code that knows rayon: a pool of a stated size, and work that is halved until a piece is worth a thread. Nothing
//! here makes a list of what is to be done, so that dividing work allocates nothing.

use crate::{Error, Result};
use std::sync::Arc;

/// Below this many multiplications a loop is not worth waking a thread for.
const SMALL: usize = 400_000;
/// More are a typing error, or gain nothing on a machine that has them.
const MOST: usize = 1024;

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether as many threads are started as were asked for. More than there are cores only take turns, which costs time; but
/// they meet in orders that fewer never do, which is what tests want.
fn oversubscribes() -> bool {
    std::env::var_os("UNROLLED_OVERSUBSCRIBE").is_some_and(|value| value == "1")
}

/// Threads to divide work among. Results do not depend on their number.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    pool: Option<Arc<rayon::ThreadPool>>,
    count: usize,
}

impl Threads {
    /// Work divided by `count`, or by the number of cores; on no more threads than there are cores, unless tests want them.
    pub(crate) fn new(count: Option<usize>) -> Result<Self> {
        let count = Self::resolve(count)?;
        Self::start(count, if oversubscribes() { count } else { count.min(cores()) })
    }

    fn start(count: usize, started: usize) -> Result<Self> {
        let build = || rayon::ThreadPoolBuilder::new().num_threads(started).build().map(Arc::new);
        let pool = (count > 1).then(build).transpose().map_err(|error| Error::Setting {
            name: "threads",
            found: count.to_string(),
            expected: format!("a number that the system can start ({error})"),
        })?;
        Ok(Self { pool, count })
    }

    /// How many threads `count` asks for.
    pub(crate) fn resolve(count: Option<usize>) -> Result<usize> {
        let count = count.unwrap_or(cores().min(MOST));
        if count == 0 || count > MOST {
            let expected = "a number of threads from 1 to 1024".into();
            return Err(Error::Setting { name: "threads", found: count.to_string(), expected });
        }
        Ok(count)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many threads divide what is called here: all of them where `enter` has brought them to work, else one.
    pub(crate) fn at_work(&self) -> usize {
        match &self.pool {
            Some(pool) if pool.current_thread_index().is_some() => pool.current_num_threads(),
            _ => 1,
        }
    }

    /// Runs `f` on one of the threads when `work`, in multiplications, is worth waking them for: what it divides (`join`,
    /// `each`) then goes to all of them without waking them again. Elsewhere `f` runs on the calling thread alone.
    pub(crate) fn enter<R: Send>(&self, work: usize, f: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) if work > SMALL => pool.install(f),
            _ => f(),
        }
    }

    /// Both, at the same time where `enter` has brought more than one thread to work.
    pub(crate) fn join(&self, a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
        if self.at_work() > 1 {
            rayon::join(a, b);
        } else {
            a();
            b();
        }
    }

    /// Calls `f` on every item, as `join` does.
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

    /// Calls `f` with the number and the values of every `size` values, as `join` does.
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

    /// Into how many parts to divide `rows` rows that together take `work` multiplications.
    pub(crate) fn parts(&self, rows: usize, work: usize) -> usize {
        if work > SMALL { self.count.min(rows).max(1) } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// What waits for sixteen threads at once ends only where there are as many.
    #[test]
    fn sixteen_threads_work_at_the_same_time_on_any_machine() {
        let (threads, all) = (Threads::start(16, 16).unwrap(), Barrier::new(16));
        threads.enter(SMALL + 1, || threads.each(&mut [(); 16], &|()| _ = all.wait()));
    }
}

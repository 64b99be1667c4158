//! The only code that knows rayon: a pool of a stated size, and loops that stay on the calling thread when small.

use crate::{Error, Result};
use rayon::prelude::*;

/// Below this many multiplications a loop is not worth waking a thread for.
const SMALL: usize = 400_000;
/// More are a typing error, or gain nothing on a machine that has them.
const MOST: usize = 1024;

/// Threads to divide work among. Results do not depend on their number.
#[derive(Debug)]
pub(crate) struct Threads {
    pool: Option<rayon::ThreadPool>,
    count: usize,
}

impl Threads {
    /// `count` threads, or one for each core.
    pub(crate) fn new(count: Option<usize>) -> Result<Self> {
        let count = Self::resolve(count)?;
        let build = || rayon::ThreadPoolBuilder::new().num_threads(count).build();
        let pool = (count > 1).then(build).transpose().map_err(|error| Error::Setting {
            name: "threads",
            found: count.to_string(),
            expected: format!("a number that the system can start ({error})"),
        })?;
        Ok(Self { pool, count })
    }

    /// How many threads `count` asks for.
    pub(crate) fn resolve(count: Option<usize>) -> Result<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = count.unwrap_or(cores.min(MOST));
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

    /// Calls `f` on every item. `work` estimates the multiplications of all together.
    pub(crate) fn each<T: Send>(&self, items: &mut [T], work: usize, f: impl Fn(&mut T) + Sync + Send) {
        match &self.pool {
            Some(pool) if items.len() > 1 && work > SMALL => {
                pool.install(|| items.par_iter_mut().with_max_len(1).for_each(f));
            }
            _ => items.iter_mut().for_each(f),
        }
    }

    /// Into how many parts to divide `rows` rows that together take `work` multiplications.
    pub(crate) fn parts(&self, rows: usize, work: usize) -> usize {
        if work > SMALL { self.count.min(rows).max(1) } else { 1 }
    }
}

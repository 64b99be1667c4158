//! Pools of threads, one for each number of threads.
//!
//! All models of a process share the pool of their number of threads. A pool ends with its last
//! user, and the next user starts a new one. Several threads of the caller may run models on one
//! pool at the same time. At most as many windows enter as the pool has threads, and the others
//! wait: a pool thread that waits for a part of one window works on another window meanwhile, on
//! top of its stack. A forked process has none of its parent's threads: models that it inherited
//! run on the calling thread, new ones on a new pool.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use unrolled_kernels::denormals::flush;

/// Threads that models share.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) threads: rayon::ThreadPool,
    /// The process that started them. A fork has the memory of its parent, but not its threads.
    pub(super) process: u32,
    /// Number of windows that may still enter.
    pub(super) free: Mutex<usize>,
    left: Condvar,
}

/// Starts a thread of a pool, which takes denormal numbers for zero as long as it runs.
fn spawn(thread: rayon::ThreadBuilder) -> std::io::Result<()> {
    std::thread::Builder::new().spawn(|| flush(|| thread.run()))?;
    Ok(())
}

/// The pools of this process with a user.
pub(super) static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

impl Pool {
    /// Returns the pool of `count` threads.
    pub(super) fn of(count: usize) -> Result<Arc<Self>, rayon::ThreadPoolBuildError> {
        let mut pools = locked(&POOLS);
        pools.retain(|pool| pool.strong_count() > 0);
        let fits = |pool: &Arc<Self>| pool.size() == count && pool.process == std::process::id();
        if let Some(pool) = pools.iter().filter_map(Weak::upgrade).find(fits) {
            return Ok(pool);
        }
        let pool = Arc::new(Self::start(count)?);
        pools.push(Arc::downgrade(&pool));
        Ok(pool)
    }

    pub(super) fn start(count: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).spawn_handler(spawn).build()?;
        Ok(Self { threads, process: std::process::id(), free: Mutex::new(count), left: Condvar::new() })
    }

    pub(super) fn size(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Returns whether the calling thread belongs to this pool.
    pub(super) fn is_at_work(&self) -> bool {
        self.threads.current_thread_index().is_some()
    }

    /// Runs `f` on one of the threads. In a forked process it runs on the calling thread, with the
    /// same result.
    pub(super) fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        if self.process != std::process::id() {
            return flush(f);
        }
        // A pool thread must not wait to enter: the windows in the pool may wait for this thread.
        let _entered = rayon::current_thread_index().is_none().then(|| EnteredWindow::of(self));
        self.threads.install(f)
    }
}

/// A window that has entered a pool. It leaves when dropped, also by a panic.
struct EnteredWindow<'p>(&'p Pool);

impl<'p> EnteredWindow<'p> {
    fn of(pool: &'p Pool) -> Self {
        let free = pool.left.wait_while(locked(&pool.free), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Self(pool)
    }
}

impl Drop for EnteredWindow<'_> {
    fn drop(&mut self) {
        *locked(&self.0.free) += 1;
        self.0.left.notify_one();
    }
}

/// Locks a mutex, poisoned or not: no panic leaves these counts and lists half written.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

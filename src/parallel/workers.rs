//! Who does the work of a call of the engine: all threads or one.

use std::cell::Cell;

thread_local! {
    /// Who does the work of the [`Threads::adapt`](super::Threads::adapt) that this thread is in.
    static WORKERS: Cell<Option<Workers>> = const { Cell::new(None) };
}

/// Those who do the work of a call of the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Workers {
    All,
    One,
}

impl Workers {
    /// Runs `f` with these workers. They end with `f`, also by a panic.
    pub(super) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        struct Before(Option<Workers>);
        impl Drop for Before {
            fn drop(&mut self) {
                WORKERS.set(self.0);
            }
        }
        let _before = Before(WORKERS.replace(Some(self)));
        f()
    }

    /// Returns whether the calling thread is in a call.
    pub(super) fn are_chosen() -> bool {
        WORKERS.get().is_some()
    }

    /// Returns whether the calling thread does all work.
    pub(super) fn is_one() -> bool {
        WORKERS.get() == Some(Self::One)
    }
}

//! Signals that ask a command to end. The training loop checks for them between two windows.
//!
//! 1. The first signal of any kind asks the command to end: a run then writes a checkpoint.
//! 2. A second SIGINT, SIGTERM or SIGQUIT ends the process at once, but only a second or more after
//!    the first of these. Programs such as `timeout` signal a process and then its whole group
//!    within a millisecond: that is one request.
//! 3. The other signals are notices (the terminal was closed, a batch system warns, the time is
//!    used up). The system may repeat them or send them beside the signals above: a repeated notice
//!    never ends the process.
//! 4. A signal that was ignored when the process started stays ignored, as `nohup` and `&` in a
//!    script require.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

/// The first signal received.
pub struct Signals(Arc<Noticed>);

#[derive(Default)]
struct Noticed {
    /// 0 for none.
    number: AtomicI32,
    flag: Arc<AtomicBool>,
}

/// Reactions of a command to signals.
#[derive(Clone, Copy)]
pub struct Reactions {
    /// Called if the command has not ended a second after this signal.
    pub waiting: fn(i32),
    /// Called before the process ends at once.
    pub leaving: fn(),
}

impl Signals {
    /// Starts to listen.
    pub fn listen(reactions: Reactions) -> io::Result<Self> {
        let noticed = Arc::new(Noticed::default());
        system::listen(Arc::clone(&noticed), reactions)?;
        Ok(Self(noticed))
    }

    /// Returns a flag that is set when a signal arrives.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.flag)
    }

    /// Returns the first signal received.
    pub fn caught(&self) -> Option<i32> {
        Some(self.0.number.load(Ordering::SeqCst)).filter(|number| *number != 0)
    }
}

impl Noticed {
    /// Stores the number before it sets the flag, so that a reader of the flag finds the number.
    fn note(&self, signal: i32) {
        let _ = self.number.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        self.flag.store(true, Ordering::SeqCst);
    }
}

pub use system::{keep_writing, name};

/// The number of SIGTERM.
pub const TERMINATION: i32 = signal_hook::consts::SIGTERM;

#[cfg(unix)]
mod system {
    use super::{Noticed, Reactions};
    use signal_hook::{
        consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ},
        flag,
        iterator::Signals,
        low_level,
    };
    use std::{io, sync::Arc, thread, time::Duration};

    /// Signals whose repetition ends the process at once.
    const REQUESTS: [i32; 3] = [SIGINT, SIGTERM, SIGQUIT];
    /// Signals whose repetition has no effect.
    const NOTICES: [i32; 5] = [SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM];
    /// Requests within this time count as one.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Returns the name of a signal, such as "SIGTERM".
    pub fn name(signal: i32) -> &'static str {
        low_level::signal_name(signal).unwrap_or("a signal")
    }

    /// Ignores SIGXFSZ: a file that grows beyond `ulimit -f` is then a write error and does not end
    /// the process.
    pub fn keep_writing() {
        if !Ignored::now().has(SIGXFSZ) {
            // If this fails, the signal keeps its effect.
            let _ = flag::register(SIGXFSZ, Arc::default());
        }
    }

    pub(super) fn listen(noticed: Arc<Noticed>, reactions: Reactions) -> io::Result<()> {
        let ignored = Ignored::now();
        let heard = REQUESTS.into_iter().chain(NOTICES).filter(|signal| !ignored.has(*signal));
        let signals = Signals::new(heard)?;
        let thread = thread::Builder::new().name("signals".to_owned()).stack_size(1 << 17);
        thread.spawn(move || watch(signals, &noticed, reactions)).map(|_| ())
    }

    fn watch(mut signals: Signals, noticed: &Noticed, reactions: Reactions) {
        let request = signals.forever().inspect(|signal| noticed.note(*signal)).find(is_request);
        thread::sleep(PATIENCE);
        // Signals received meanwhile belong to the same request, however late this thread wakes up.
        signals.pending().for_each(drop);
        // On another thread: writing to a stopped terminal blocks, and the next signal must not
        // wait for it. If no thread can be started, nothing is printed.
        if let Some(signal) = request {
            let _ = thread::Builder::new().spawn(move || (reactions.waiting)(signal));
        }
        if let Some(again) = signals.forever().find(is_request) {
            (reactions.leaving)();
            low_level::exit(128 + again);
        }
    }

    fn is_request(signal: &i32) -> bool {
        REQUESTS.contains(signal)
    }

    /// The mask of the signals that this process ignores, if known.
    struct Ignored(Option<u64>);

    impl Ignored {
        fn now() -> Self {
            Self(std::fs::read_to_string("/proc/self/status").ok().and_then(|status| mask_in(&status)))
        }

        /// Returns whether a signal is ignored. If the mask is unknown, messages that go to a
        /// terminal mean that there is no `nohup`.
        fn has(&self, signal: i32) -> bool {
            match self.0 {
                Some(mask) => mask >> (signal - 1) & 1 == 1,
                None => signal == SIGHUP && !io::IsTerminal::is_terminal(&io::stderr()),
            }
        }
    }

    /// Parses the mask; bit n is signal n + 1.
    fn mask_in(status: &str) -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_status_tells_the_ignored_signals() {
            let mask = mask_in("Name:\tunrolled\nSigBlk:\tffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n");
            let ignored = Ignored(mask);
            assert!(ignored.has(SIGHUP) && !ignored.has(SIGINT) && !ignored.has(SIGTERM));
            assert_eq!((mask_in("SigIgn:\tmany\n"), mask_in("")), (None, None));
            assert!(!Ignored(None).has(SIGTERM));
        }

        #[test]
        fn signals_have_their_names() {
            assert_eq!((name(SIGXCPU), name(SIGHUP), name(-1)), ("SIGXCPU", "SIGHUP", "a signal"));
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::{Noticed, Reactions};
    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        flag, low_level,
    };
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
        time::Duration,
    };

    const POLL: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(1);

    pub fn name(signal: i32) -> &'static str {
        if signal == SIGINT { "SIGINT" } else { "SIGTERM" }
    }

    pub fn keep_writing() {}

    pub(super) fn listen(noticed: Arc<Noticed>, reactions: Reactions) -> io::Result<()> {
        let seen = [SIGINT, SIGTERM].map(|signal| (signal, Arc::<AtomicBool>::default()));
        for (signal, come) in &seen {
            flag::register(*signal, Arc::clone(come))?;
        }
        let next = move || loop {
            match seen.iter().find(|(_, come)| come.swap(false, Ordering::SeqCst)) {
                Some((signal, _)) => return *signal,
                None => thread::sleep(POLL),
            }
        };
        let watch = move || {
            let first = next();
            noticed.note(first);
            thread::sleep(PATIENCE);
            (reactions.waiting)(first);
            let again = next();
            (reactions.leaving)();
            low_level::exit(128 + again);
        };
        thread::Builder::new().name("signals".to_owned()).spawn(watch).map(|_| ())
    }
}

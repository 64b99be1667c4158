//! SIGINT and SIGTERM as a question that the training loop asks between two steps.

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Remembers the first signal. The second ends the process at once.
pub struct Signals {
    number: Arc<AtomicUsize>,
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// Starts listening.
    pub fn listen() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let number = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // Actions run in this order: the shutdown sees the flag only once an earlier signal has set it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register_usize(signal, Arc::clone(&number), signal as usize)?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self { number, asked })
    }

    /// Set once a signal has arrived.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// The signal that has arrived, if one has.
    pub fn caught(&self) -> Option<i32> {
        match self.number.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }
}

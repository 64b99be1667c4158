//! How ranks tell each other that they have failed, and with which exit code they end.

use super::{Failure, Job};

/// The messages of rank 0 to ranks that have nothing more to do.
const ASK: u8 = 0;
const END: u8 = 1;
/// Exit codes above are a signal.
const SIGNALS: u8 = 128;

/// Returns the exit code and the message of a failure.
pub fn report(failure: &Failure) -> Vec<u8> {
    let message = failure.message().unwrap_or_default();
    [&[failure.exit_code()], message.as_bytes()].concat()
}

/// Returns the failure that a report of another rank is for this one.
pub fn failure(rank: usize, report: &[u8], leads: bool) -> Failure {
    let (code, message) = (report[0], String::from_utf8_lossy(&report[1..]).into_owned());
    match leads {
        true => Failure::OnRank { rank, message, code },
        false => Failure::Elsewhere(code),
    }
}

impl Job {
    /// Ends the job with the exit code of rank 0, which it returns on all ranks. `code` is that of
    /// this rank.
    pub fn end(&self, code: u8) -> u8 {
        let Some(ranks) = self.ranks.as_deref() else { return code };
        loop {
            let mut message = [END, code];
            ranks.broadcast(&mut message);
            match message {
                [ASK, _] => drop(ranks.gather_messages(&[code])),
                [_, code] => return code,
            }
        }
    }

    /// Returns the signal that another rank has received, on rank 0. All other ranks have to be in
    /// [`Job::end`].
    pub fn signal_of_another(&self) -> Option<i32> {
        let ranks = self.ranks.as_deref()?;
        ranks.broadcast(&mut [ASK, 0]);
        let mut codes = ranks.gather_messages(&[0]).into_iter().map(|code| code[0]);
        codes.find(|code| *code > SIGNALS).map(|code| i32::from(code - SIGNALS))
    }
}

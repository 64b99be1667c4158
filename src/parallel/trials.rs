//! Whether all threads or one of them do the work of [`Threads::adapt`](super::Threads::adapt).
//!
//! Threads of a window wait for the slowest. If other programs keep a core busy, one thread can be
//! faster than all. So from time to time the other choice is tried for some calls, and kept if it
//! is faster. A trial is short and rare: together they take at most about a hundredth of the time.
//! Results do not depend on the choice.

use std::time::Duration;

/// The shortest time over which calls are averaged. Systems give busy threads turns of some
/// milliseconds.
const PERIOD: Duration = Duration::from_millis(100);
/// The weight of a period in the mean of all periods so far.
const NEWEST: f64 = 0.25;
/// The shortest time of a trial, if it is not much slower.
const TRIAL: Duration = Duration::from_millis(60);
/// Calls of a trial before it can end. The first is not counted: it wakes threads and fills caches.
const CALLS: u32 = 3;
/// A choice must take less than this share of the time of the other to replace it.
const GAIN: f64 = 0.95;
/// A trial ends early if a call takes this many times as long as before.
const LOSS: f64 = 1.3;
/// The time before the first trial, and after a change.
const FIRST: Duration = Duration::from_millis(300);
/// How many times longer the time until the next trial is after one that was a little slower. After
/// one that was much slower, it is the longest at once.
const BACK_OFF: u32 = 4;
/// In the end, the time between two trials is this many times that of a trial.
const RARE: u32 = 100;
/// The time before any trial is at least this many times what its first calls may cost.
const WORTH: u32 = 8;
/// Calls of other work until it is what is measured.
const OTHERS: u32 = 64;

/// The choice between all threads and one, and what it is based on.
#[derive(Debug)]
pub(super) struct Trials {
    /// Number of threads.
    threads: u32,
    /// The work of the calls that are measured. Calls of other work use the same choice.
    work: usize,
    /// Number of calls of other work since the last of the measured.
    others: u32,
    /// The choice: true for one thread.
    alone: bool,
    /// True while the other choice is tried.
    trying: bool,
    /// Number of calls of this period or trial, and the time of all but the first.
    calls: u32,
    spent: Duration,
    /// Mean time of a call in the last periods.
    mean: Option<Duration>,
    /// Time since the last trial, and until the next.
    since: Duration,
    wait: Duration,
}

impl Trials {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            work: 0,
            others: 0,
            alone: false,
            trying: false,
            calls: 0,
            spent: Duration::ZERO,
            mean: None,
            since: Duration::ZERO,
            wait: FIRST,
        }
    }

    /// Returns whether one thread does the next call.
    pub(super) fn alone(&self) -> bool {
        self.alone != self.trying
    }

    /// Takes note of the time of a call.
    pub(super) fn note(&mut self, work: usize, time: Duration) {
        if work != self.work {
            return self.note_other(work);
        }
        self.others = 0;
        self.since += time;
        self.calls += 1;
        if self.calls > 1 {
            self.spent += time;
        }
        match self.mean {
            _ if self.calls < CALLS => {}
            Some(mean) if self.trying => self.end_trial(mean),
            _ if self.spent >= PERIOD => self.end_period(),
            _ => {}
        }
    }

    fn note_other(&mut self, work: usize) {
        self.others += 1;
        if self.others >= OTHERS {
            let Self { threads, alone, .. } = *self;
            *self = Self { threads, alone, work, ..Self::new(1) };
        }
    }

    fn mean_of_calls(&self) -> Duration {
        self.spent / (self.calls - 1)
    }

    /// Ends the trial if it shows which choice is faster.
    fn end_trial(&mut self, before: Duration) {
        let mean = self.mean_of_calls();
        let is_slow = mean > before.mul_f64(LOSS);
        if !is_slow && self.spent < TRIAL {
            return;
        }
        if mean < before.mul_f64(GAIN) {
            self.alone = !self.alone;
            self.mean = Some(mean);
            self.wait = FIRST;
        } else {
            let rarest = self.rarest(before);
            self.wait = if is_slow { rarest } else { self.wait.saturating_mul(BACK_OFF).min(rarest) };
        }
        self.trying = false;
        self.since = Duration::ZERO;
        self.begin();
    }

    /// Returns the longest time between two trials.
    fn rarest(&self, mean: Duration) -> Duration {
        TRIAL.max(self.most_lost(mean)).saturating_mul(RARE)
    }

    /// Returns the most time that the first calls of a trial may take longer, if one takes `mean`
    /// now. All threads may be a little slower than one, and one as often slower as there are
    /// others.
    fn most_lost(&self, mean: Duration) -> Duration {
        let slower = if self.alone { 1 } else { self.threads - 1 };
        mean.saturating_mul(CALLS).saturating_mul(slower)
    }

    /// Ends a period, and starts a trial if its time has come. If calls have become slower, it comes
    /// soon.
    fn end_period(&mut self) {
        let now = self.mean_of_calls();
        let before = self.mean.unwrap_or(now);
        if now > before.mul_f64(LOSS) {
            self.wait = FIRST;
        }
        let mean = before.mul_f64(1.0 - NEWEST) + now.mul_f64(NEWEST);
        self.mean = Some(mean);
        self.trying = self.since >= self.wait.max(self.most_lost(mean).saturating_mul(WORTH));
        self.begin();
    }

    fn begin(&mut self) {
        (self.calls, self.spent) = (0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes calls of one work for `seconds`. Returns the number of calls. `times` are the times of a
    /// call by all threads and by one.
    fn run(trials: &mut Trials, seconds: f64, times: impl Fn(usize) -> [f64; 2]) -> usize {
        let (mut calls, mut spent) = (0, 0.0);
        while spent < seconds {
            let time = times(calls)[usize::from(trials.alone())];
            trials.note(7, Duration::from_secs_f64(time));
            (calls, spent) = (calls + 1, spent + time);
        }
        calls
    }

    #[test]
    fn trials_cost_a_hundredth_of_the_time_if_all_threads_are_faster() {
        for (threads, all) in [(2, 0.0001), (2, 0.001), (2, 0.1), (16, 0.0001), (16, 0.001), (16, 0.1)] {
            let one = 0.9 * f64::from(threads) * all;
            let calls = run(&mut Trials::new(threads as usize), 600.0, |_| [all, one]);
            assert!(calls as f64 > 0.985 * 600.0 / all, "{threads} threads, {all} s: {calls} calls");
        }
    }

    /// All threads are faster at first. Then one is, because another program takes a core for some
    /// milliseconds at a time. In the end all are again.
    #[test]
    fn the_faster_choice_follows_the_load_of_the_machine() {
        let mut trials = Trials::new(2);
        let quiet = |_| [0.001, 0.0019];
        let busy = |call: usize| [if call % 8 < 4 { 0.001 } else { 0.004 }, 0.0019];
        run(&mut trials, 20.0, quiet);
        assert!(!trials.alone);
        let calls = run(&mut trials, 20.0, busy);
        assert!(trials.alone && calls as f64 > 0.95 * 20.0 / 0.0019, "{calls} calls");
        let calls = run(&mut trials, 40.0, quiet);
        assert!(!trials.alone && calls as f64 > 0.85 * 40.0 / 0.001, "{calls} calls");
    }

    #[test]
    fn calls_of_other_work_change_nothing_until_they_are_all_there_is() {
        let mut trials = Trials::new(2);
        run(&mut trials, 20.0, |_| [0.002, 0.001]);
        assert!(trials.alone && trials.work == 7);
        (1..OTHERS).for_each(|_| trials.note(8, Duration::from_secs(9)));
        assert_eq!((trials.alone(), trials.work), (true, 7));
        trials.note(8, Duration::from_secs(9));
        assert_eq!((trials.alone(), trials.work, trials.mean), (true, 8, None));
    }
}

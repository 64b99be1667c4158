//! The best time of many short repeats.

use crate::{Mode, Result};
use std::time::Instant;

/// Approximate seconds of a repeat, which has one call at least.
const REPEAT_SECONDS: f64 = 0.01;
/// Number of builds; the setup time is the best of them. Fewer if the time runs out.
const BUILDS: usize = 5;

/// An operation that is built once and called many times.
pub(super) trait Repeated: Sized {
    /// Calls it once.
    fn call(&mut self) -> Result<()>;

    /// Calls it `count` times.
    fn calls(&mut self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.call())
    }
}

/// The times of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timed {
    /// Seconds of the build, and the excess of the first call over the best.
    pub(super) setup: f64,
    /// Seconds per call.
    pub(super) step: f64,
}

/// Builds and measures one run for each mode, each for about `seconds`, with alternating repeats.
pub(super) fn take_turns<R: Repeated>(
    seconds: f64,
    modes: &[Mode],
    build: impl Fn(Mode) -> Result<(f64, R)>,
) -> Result<Vec<Timed>> {
    let mut all = Vec::with_capacity(modes.len());
    for mode in modes {
        all.push(TimedRun::new(seconds, || build(*mode))?);
    }
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds * modes.len() as f64 {
        for run in &mut all {
            run.repeat()?;
        }
    }
    Ok(all.into_iter().map(|run| run.timed()).collect())
}

/// A run with its best times so far.
struct TimedRun<R> {
    run: R,
    calls: usize,
    building: f64,
    first: f64,
    best: f64,
}

impl<R: Repeated> TimedRun<R> {
    /// Builds it a few times, and keeps the last.
    fn new(seconds: f64, build: impl Fn() -> Result<(f64, R)>) -> Result<Self> {
        let (start, mut building, mut first) = (Instant::now(), f64::INFINITY, f64::INFINITY);
        let mut builds = 0;
        let mut run = loop {
            let (took, mut run) = build()?;
            building = took.min(building);
            first = time(1, || run.call())?.min(first);
            builds += 1;
            if builds == BUILDS || start.elapsed().as_secs_f64() > seconds {
                break run;
            }
        };
        let best = time(1, || run.call())?;
        Ok(Self { run, calls: calls_per_repeat(best), building, first, best })
    }

    fn repeat(&mut self) -> Result<()> {
        let start = Instant::now();
        self.run.calls(self.calls)?;
        self.best = per_call(start, self.calls).min(self.best);
        Ok(())
    }

    fn timed(&self) -> Timed {
        Timed { setup: self.building + (self.first - self.best).max(0.0), step: self.best }
    }
}

/// Returns the seconds per call of each of `calls`: the best of alternating repeats of about
/// `seconds` each in all.
pub(super) fn seconds_of_each<const N: usize>(seconds: f64, mut calls: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut once = |i: usize, count: usize| {
        let start = Instant::now();
        (0..count).for_each(|_| calls[i]());
        per_call(start, count)
    };
    let mut best: [f64; N] = std::array::from_fn(|i| once(i, 1).min(once(i, 1)));
    let counts = best.map(calls_per_repeat);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds * N as f64 {
        best = std::array::from_fn(|i| once(i, counts[i]).min(best[i]));
    }
    best
}

fn calls_per_repeat(seconds: f64) -> usize {
    (REPEAT_SECONDS / seconds).clamp(1.0, 1e6).round() as usize
}

/// Returns the seconds per call of `calls` calls.
fn time(calls: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    Ok(per_call(start, calls))
}

/// Returns the seconds per call of `calls` calls since `start`. The resolution of the clock is a
/// nanosecond.
fn per_call(start: Instant, calls: usize) -> f64 {
    start.elapsed().as_secs_f64().max(1e-9) / calls as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Sleeper(u32);

    impl Repeated for Sleeper {
        fn call(&mut self) -> Result<()> {
            std::thread::sleep(Duration::from_millis(if self.0 == 0 { 60 } else { 1 }));
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn a_slow_first_call_counts_as_setup() {
        let timed = take_turns(0.05, &[Mode::Static, Mode::Dynamic], |_| Ok((2.0, Sleeper(0)))).unwrap();
        assert_eq!(timed.len(), 2);
        for Timed { setup, step } in timed {
            assert!(step >= 0.001, "{step}");
            assert!(setup > 2.01, "{setup}");
        }
    }

    #[test]
    fn calls_alternate() {
        let (mut quick, mut slow) = (0, 0);
        let mut sleep = || {
            slow += 1;
            std::thread::sleep(Duration::from_millis(2));
        };
        let best = seconds_of_each(0.01, [&mut || quick += 1, &mut sleep]);
        assert!(best[0] < best[1] && best[1] >= 0.002, "{best:?}");
        assert!(quick > slow && slow > 2, "{quick} and {slow} calls");
    }
}

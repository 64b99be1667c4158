//! Best of many short repeats.

use crate::{Mode, Result};
use std::time::Instant;

/// A repeat lasts about so long, or one call.
const REPEAT_SECONDS: f64 = 0.01;
/// Builds that a setup time is the best of, unless the time runs out.
const BUILDS: usize = 5;

/// Something that is built, and then called many times.
pub(super) trait Run: Sized {
    /// Calls it once.
    fn call(&mut self) -> Result<()>;
}

/// The times of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timed {
    /// Seconds of building, and of what the first call takes longer than the best.
    pub(super) setup: f64,
    /// Seconds of a call.
    pub(super) step: f64,
}

/// Builds and times one run for each mode, each for about `seconds`, their repeats in turn.
pub(super) fn take_turns<R: Run>(
    seconds: f64,
    modes: &[Mode],
    build: impl Fn(Mode) -> Result<(f64, R)>,
) -> Result<Vec<Timed>> {
    let mut all = Vec::with_capacity(modes.len());
    for mode in modes {
        all.push(Turn::new(seconds, || build(*mode))?);
    }
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds * modes.len() as f64 {
        for turn in &mut all {
            turn.repeat()?;
        }
    }
    Ok(all.into_iter().map(|turn| turn.timed()).collect())
}

/// One run with its best times so far.
struct Turn<R> {
    run: R,
    calls: usize,
    building: f64,
    first: f64,
    best: f64,
}

impl<R: Run> Turn<R> {
    /// Builds a few times; the last one stays.
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
        self.best = time(self.calls, || self.run.call())?.min(self.best);
        Ok(())
    }

    fn timed(&self) -> Timed {
        Timed { setup: self.building + (self.first - self.best).max(0.0), step: self.best }
    }
}

/// Seconds per call, best of repeats taken for about `seconds`.
pub(super) fn seconds_per_call(seconds: f64, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    call()?;
    let start = Instant::now();
    let mut best = time(1, &mut call)?;
    let calls = calls_per_repeat(best);
    while start.elapsed().as_secs_f64() < seconds {
        best = time(calls, &mut call)?.min(best);
    }
    Ok(best)
}

fn calls_per_repeat(seconds: f64) -> usize {
    (REPEAT_SECONDS / seconds).clamp(1.0, 1e6).round() as usize
}

/// Seconds per call of `calls` calls; the clock is no finer than a nanosecond.
fn time(calls: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64().max(1e-9) / calls as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Sleeper(u32);

    impl Run for Sleeper {
        fn call(&mut self) -> Result<()> {
            std::thread::sleep(Duration::from_millis(if self.0 == 0 { 60 } else { 1 }));
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn a_slow_start_counts_as_setup() {
        let timed = take_turns(0.05, &[Mode::Static, Mode::Dynamic], |_| Ok((2.0, Sleeper(0)))).unwrap();
        assert_eq!(timed.len(), 2);
        for Timed { setup, step } in timed {
            assert!(step >= 0.001, "{step}");
            assert!(setup > 2.01, "{setup}");
        }
    }
}

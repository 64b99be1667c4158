//! Runs a benchmark: prepares and checks it once, measures it with criterion, and prints the best
//! time and its share of the multiply-add peak, which the same run measures.

use criterion::{BenchmarkGroup, Criterion, SamplingMode, measurement::WallTime};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use unrolled::bench::{Machine, peak_gflops};

/// Approximate time of a repeat, which has one call at least.
const REPEAT_SECONDS: f64 = 5e-4;

/// Few and short samples.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .nresamples(1000)
        .without_plots()
        .configure_from_args()
}

/// Returns whether only results are checked (`cargo bench -- --test`).
pub fn only_tests() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// The best peak so far, for each number of threads.
#[derive(Default)]
pub struct Peaks(BTreeMap<usize, f64>);

impl Peaks {
    /// Measures again, because the machine may have been busy before.
    fn gflops(&mut self, threads: usize) -> f64 {
        let now = peak_gflops(Some(threads)).expect("the threads can be had");
        let best = self.0.entry(threads).or_insert(0.0);
        *best = now.max(*best);
        *best
    }
}

/// The work of one call.
#[derive(Clone, Copy)]
pub struct Work {
    /// Floating-point operations; 0 if they do not determine the time.
    pub operations: f64,
    /// Number of threads that it may use.
    pub threads: usize,
}

impl Work {
    /// Work on one thread.
    pub fn of(operations: f64) -> Self {
        Self { operations, threads: 1 }
    }
}

/// A group of benchmarks.
pub struct Group<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    peaks: &'a mut Peaks,
    /// Its name, until the machine is printed before its first benchmark.
    name: Option<String>,
}

impl<'a> Group<'a> {
    /// Starts a group.
    pub fn new(criterion: &'a mut Criterion, peaks: &'a mut Peaks, name: &str) -> Self {
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat);
        Self { group, peaks, name: Some(name.to_owned()) }
    }

    /// Measures `run`. First it calls `prepare`, which checks the result, unless the benchmark is
    /// filtered out. Returns the best seconds per call; `None` if nothing was measured.
    pub fn time<T>(
        &mut self,
        id: &str,
        work: Work,
        prepare: impl FnOnce() -> T,
        mut run: impl FnMut(&mut T),
    ) -> Option<f64> {
        self.time_calls(id, work, prepare, |prepared, calls| {
            let start = Instant::now();
            (0..calls).for_each(|_| run(prepared));
            start.elapsed()
        })
    }

    /// The same for a `run` that makes a number of calls and returns the time that counts. It takes
    /// the best of short repeats, so that one of them runs without other load on the machine.
    pub fn time_calls<T>(
        &mut self,
        id: &str,
        work: Work,
        prepare: impl FnOnce() -> T,
        mut run: impl FnMut(&mut T, u64) -> Duration,
    ) -> Option<f64> {
        let (mut prepare, mut prepared) = (Some(prepare), None);
        let mut best = f64::INFINITY;
        self.group.bench_function(id, |bencher| {
            if let Some(name) = self.name.take() {
                println!("\n{name}: {}", Machine::here().expect("an instruction set"));
            }
            if let Some(prepare) = prepare.take() {
                prepared = Some(prepare());
            }
            let prepared = prepared.as_mut().expect("prepared just now");
            bencher.iter_custom(|calls| {
                let (mut total, mut left) = (Duration::ZERO, calls);
                while left > 0 {
                    let repeat = ((REPEAT_SECONDS / best) as u64).clamp(1, left);
                    let took = run(prepared, repeat);
                    best = best.min(took.as_secs_f64() / repeat as f64);
                    (total, left) = (total + took, left - repeat);
                }
                total
            });
        });
        let timed = best.is_finite() && !only_tests();
        timed.then(|| {
            self.tell(id, work, best);
            best
        })
    }

    /// Prints the GFLOP/s of work that takes `seconds`, and their share of the peak.
    pub fn tell(&mut self, id: &str, work: Work, seconds: f64) {
        if work.operations > 0.0 {
            let (done, peak) = (work.operations / seconds / 1e9, self.peaks.gflops(work.threads));
            println!("    {id}: {done:.1} GFLOP/s, {:.0}% of the peak of {peak:.1}", 100.0 * done / peak);
        }
    }
}

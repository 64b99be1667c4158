//! The machine, and its peak speeds.

use super::timing::seconds_of_each;
use crate::aligned::Aligned;
use crate::exec;
use crate::parallel::{Threads, cores};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;
use unrolled_kernels::peak::{self, Way};
use unrolled_kernels::{Isa, processor};

/// Number of rounds. The best counts, because one of them has the processor for itself.
const ROUNDS: usize = 60;
/// Iterations of multiply-adds in a round: half a millisecond.
const MULTIPLY_ADDS: u64 = 150_000;
/// Seconds of one measurement of reading.
const READING_SECONDS: f64 = 0.2;

/// The machine of a measurement. Compare only figures of the same machine.
///
/// ```
/// let machine = unrolled::bench::Machine::here()?;
/// println!("{machine}"); // AMD EPYC 9B14 (32 KB L1, 1 MB L2, 32 MB L3), 8 cores, avx512
/// # Ok::<(), unrolled::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's model name.
    pub processor: String,
    /// Bytes of a core's L1 data cache.
    pub first_cache_bytes: usize,
    /// Bytes of a core's L2 cache.
    pub second_cache_bytes: usize,
    /// Bytes of the L3 cache, which cores share; 0 if there is none or it is unknown.
    pub third_cache_bytes: usize,
    /// Number of cores that this process may use.
    pub cores: usize,
    /// The SIMD backend.
    pub isa: &'static str,
}

impl Machine {
    /// Describes this machine.
    ///
    /// # Errors
    /// [`Error::Isa`] if the SIMD backend that `UNROLLED_ISA` names is unknown or not available.
    pub fn here() -> Result<Self> {
        let processor::Caches { first, second, third } = processor::caches();
        Ok(Self {
            processor: processor::model(),
            first_cache_bytes: first,
            second_cache_bytes: second,
            third_cache_bytes: third,
            cores: cores(),
            isa: exec::isa()?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, first_cache_bytes, second_cache_bytes, third_cache_bytes, cores, isa } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        write!(f, "{processor} ({} L1, {} L2", size(*first_cache_bytes), size(*second_cache_bytes))?;
        if *third_cache_bytes > 0 {
            write!(f, ", {} L3", size(*third_cache_bytes))?;
        }
        write!(f, "), {cores} core{plural}, {isa}")
    }
}

/// Formats the size of a cache: "48 KB", "1 MB", "1.25 MB".
fn size(bytes: usize) -> String {
    let kilobytes = bytes as f64 / 1024.0;
    if kilobytes < 1024.0 { format!("{kilobytes} KB") } else { format!("{} MB", kilobytes / 1024.0) }
}

/// Measures the multiply-add peak in GFLOP/s of `threads` threads at once (all cores if `None`). At
/// most one thread per core is started. Returns the best of many short rounds.
///
/// # Errors
/// [`Error::Setting`] if the number of threads is out of range, and [`Error::Isa`].
pub fn peak_gflops(threads: Option<usize>) -> Result<f64> {
    let isa = exec::detect()?;
    let count = Threads::resolve(threads)?.min(cores());
    let barrier = Barrier::new(count);
    let each: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..count).map(|_| scope.spawn(|| rounds(isa, &barrier))).collect();
        started.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let total = |round: usize| each.iter().filter_map(|rates| rates.get(round)).sum::<f64>();
    let best = (0..ROUNDS).map(total).fold(0.0, f64::max);
    let mean = peak::multiply_add(isa, 1000).mean;
    match mean == 2.0 {
        true => Ok(best / 1e9),
        false => Err(Error::wrong_answer("mean of some chains of multiply-adds", mean, 2)),
    }
}

/// Returns the operations per second of each round. All threads start a round together.
fn rounds(isa: Isa, barrier: &Barrier) -> Vec<f64> {
    let round = |_| {
        barrier.wait();
        let start = Instant::now();
        let done = peak::multiply_add(isa, MULTIPLY_ADDS);
        done.operations as f64 / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).collect()
}

/// Measures the speed in GB/s at which one thread repeatedly reads a buffer of about `bytes` bytes,
/// which is the speed of the smallest cache that holds it. Returns the fastest of several ways to
/// read.
///
/// # Errors
/// [`Error::Isa`].
pub fn read_gigabytes_per_second(bytes: usize) -> Result<f64> {
    let buffer = ReadBuffer::new(bytes)?;
    let bytes = size_of_val(&*buffer.values) as f64;
    let [_, seconds] = buffer.compare_with(READING_SECONDS, || ());
    Ok(bytes / seconds / 1e9)
}

/// A buffer that is aligned like packed weights: on cache lines, and on huge pages if it is large.
pub(super) struct ReadBuffer {
    isa: Isa,
    values: Aligned,
}

impl ReadBuffer {
    /// Allocates about `bytes` bytes, in whole cache lines.
    pub(super) fn new(bytes: usize) -> Result<Self> {
        let (isa, mut values) = (exec::detect()?, Aligned::default());
        values.resize(bytes.div_ceil(size_of::<f32>()).max(1).next_multiple_of(16));
        values.fill(1.0);
        Ok(Self { isa, values })
    }

    fn read(&self, way: Way) {
        black_box(peak::read(self.isa, black_box(&self.values), way));
    }

    /// Returns the seconds of a `call`, and of reading the whole buffer once in the fastest way.
    /// They alternate, for about `seconds` each in all.
    pub(super) fn compare_with(&self, seconds: f64, mut call: impl FnMut()) -> [f64; 2] {
        let mut back = false;
        let mut both_ways = || {
            self.read(if back { Way::Backward } else { Way::Forward });
            back = !back;
        };
        let ways = [Way::Forward, Way::Halves, Way::Quarters];
        let [mut forward, mut halves, mut quarters] = ways.map(|way| move || self.read(way));
        let calls: [&mut dyn FnMut(); 5] =
            [&mut call, &mut forward, &mut both_ways, &mut halves, &mut quarters];
        let [call, read @ ..] = seconds_of_each(2.0 * seconds / calls.len() as f64, calls);
        [call, read.into_iter().fold(f64::INFINITY, f64::min)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_positive() {
        for threads in [Some(1), Some(2), None] {
            let peak = peak_gflops(threads).unwrap();
            assert!(peak > 0.0 && peak.is_finite(), "{peak} GFLOP/s");
        }
        for bytes in [0, 10, 100_000] {
            let speed = read_gigabytes_per_second(bytes).unwrap();
            assert!(speed > 0.0 && speed.is_finite(), "{speed} GB/s of {bytes} bytes");
        }
    }

    #[test]
    fn a_machine_is_described_in_one_line() {
        let mut machine = Machine {
            processor: "AMD EPYC".into(),
            first_cache_bytes: 48 << 10,
            second_cache_bytes: 5 << 18,
            third_cache_bytes: 32 << 20,
            cores: 2,
            isa: "avx512",
        };
        assert_eq!(machine.to_string(), "AMD EPYC (48 KB L1, 1.25 MB L2, 32 MB L3), 2 cores, avx512");
        machine.third_cache_bytes = 0;
        machine.cores = 1;
        assert_eq!(machine.to_string(), "AMD EPYC (48 KB L1, 1.25 MB L2), 1 core, avx512");
        let here = Machine::here().unwrap();
        assert!(here.cores > 0 && !here.processor.is_empty() && here.isa == exec::isa().unwrap(), "{here}");
    }

    #[test]
    fn zero_threads_are_an_error() {
        let message = peak_gflops(Some(0)).unwrap_err().to_string();
        assert_eq!(message, "threads = 0 is invalid: give a number from 1 to 1024");
    }
}

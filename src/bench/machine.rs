//! What the machine can do at most.

use super::timing::seconds_per_call;
use crate::exec;
use crate::parallel::Threads;
use crate::{Error, Result};
use std::sync::Barrier;
use std::time::Instant;
use unrolled_kernels::{Isa, peak};

/// Rounds of which the best counts: one of them will have the processor for itself.
const ROUNDS: usize = 60;
/// Rounds of multiply-adds at a time: half a millisecond.
const MULTIPLY_ADDS: u64 = 150_000;
/// Time for one measurement of reading.
const READING_SECONDS: f64 = 0.05;

/// The multiply-add peak in thousands of millions of operations per second, with `threads` threads (all cores when `None`)
/// at once; more than there are cores add nothing, and are not started. The best of many short rounds.
///
/// # Errors
/// When the number of threads is out of range or the forced instruction set cannot be had.
pub fn peak_gflops(threads: Option<usize>) -> Result<f64> {
    let isa = exec::detect()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = Threads::resolve(threads)?.min(cores);
    let barrier = Barrier::new(count);
    let each: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..count).map(|_| scope.spawn(|| rounds(isa, &barrier))).collect();
        started.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let total = |round: usize| each.iter().filter_map(|rates| rates.get(round)).sum::<f64>();
    let best = (0..ROUNDS).map(total).fold(0.0, f64::max);
    let right = peak::multiply_add(isa, 1000).mean == 2.0;
    let wrong = || Error::WrongAnswer {
        what: "mean of some chains of multiply-adds".into(),
        found: peak::multiply_add(isa, 1000).mean.to_string(),
        expected: "2".into(),
    };
    if right { Ok(best / 1e9) } else { Err(wrong()) }
}

/// Operations per second of each round, begun together with the other threads'.
fn rounds(isa: Isa, barrier: &Barrier) -> Vec<f64> {
    let round = |_| {
        barrier.wait();
        let start = Instant::now();
        let done = peak::multiply_add(isa, MULTIPLY_ADDS);
        done.operations as f64 / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).collect()
}

/// The speed at which one thread reads a buffer of about `bytes` bytes again and again, in thousands of millions of bytes
/// per second: that of the nearest cache which holds it.
///
/// # Errors
/// When the forced instruction set cannot be had.
pub fn read_gigabytes_per_second(bytes: usize) -> Result<f64> {
    let isa = exec::detect()?;
    let values = vec![1.0f32; bytes.div_ceil(size_of::<f32>()).max(1)];
    let read = seconds_per_call(READING_SECONDS, || {
        std::hint::black_box(peak::read(isa, std::hint::black_box(&values)));
        Ok(())
    })?;
    Ok((values.len() * size_of::<f32>()) as f64 / read / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_some_speed() {
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
    fn no_threads_are_refused() {
        let message = peak_gflops(Some(0)).unwrap_err().to_string();
        assert_eq!(message, "threads = 0 cannot work: a number of threads from 1 to 1024");
    }
}

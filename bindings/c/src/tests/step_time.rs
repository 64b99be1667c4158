//! The time of a step beyond Rust's.

use super::*;
use std::hint::black_box;
use std::time::Instant;
use unrolled::ModelSettings;
use unrolled::exec::Stream;

/// Calls in one measurement, and measurements; the best one counts.
const CALLS: u32 = 20_000;
const ROUNDS: u32 = 60;
/// The most nanoseconds that a step may cost beyond Rust's.
const MOST: f64 = 30.0;

/// Returns the nanoseconds of one call.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..CALLS).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

/// `cargo test --release --package unrolled-c -- --ignored --nocapture step_time`
#[test]
#[ignore = "it measures: run it alone, in a release build"]
fn a_step_costs_little_more_than_in_rust() {
    let step = black_box(unrolled_stream_step as unsafe extern "C" fn(_, _, _) -> _);
    for (hidden, outputs) in [(8, 1), (32, 1), (64, 8)] {
        let model =
            Model::of_vectors(&ModelSettings::lstm(hidden).on_vectors(1, outputs), 1).expect("a model");
        let stream = Loaded::new(&model, 1).stream(1);
        let mut rust = Stream::new(model).expect("a stream");
        let (x, mut y) = (0.25f32, [0.0f32; 8]);
        let mut best = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            best[0] = best[0].min(time(|| _ = black_box(rust.step(black_box(&x)).expect("a step"))));
            // SAFETY: a handle, and arrays of the right sizes.
            best[1] =
                best[1].min(time(|| ok(unsafe { step(stream.0, black_box(&raw const x), y.as_mut_ptr()) })));
        }
        let more = best[1] - best[0];
        println!(
            "LSTM {hidden}, {outputs} outputs: Rust {:.1} ns, C {:.1} ns, {more:.1} ns more",
            best[0], best[1]
        );
        assert!(more < MOST, "{more} ns");
    }
}

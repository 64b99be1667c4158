//! Measures the speed of a configuration on this machine: training, forward pass and single step on
//! random symbols, compared with the peak of the processor.
//!
//! A [`Bench`] checks results before it measures them. It repeats everything many times for a short
//! time and reports the best: other load on the machine can only make a repeat slower. Modes that
//! are compared run alternately.
//!
//! ```
//! use unrolled::bench::Bench;
//! use unrolled::{Mode, ModelSettings, RunSettings, Settings};
//!
//! let run = RunSettings { batch: 4, steps: 8, ..RunSettings::default() };
//! let settings = Settings { model: ModelSettings::lstm(16), run, ..Settings::default() };
//! let bench = Bench { settings, vocabulary: 20, threads: Some(1), seconds: 0.01 };
//! let figures = bench.compare(&[Mode::Static, Mode::Dynamic])?;
//! assert!(figures[0].train_gflops < figures[0].peak_gflops);
//! let pays = figures[0].training().ahead_from(&figures[1].training()); // None: never
//! # let _ = pays;
//! # Ok::<(), unrolled::Error>(())
//! ```

mod arithmetic;
mod checks;
mod cost;
mod figures;
mod first_step;
mod machine;
mod phases;
mod runs;
mod text;
mod timing;

pub use arithmetic::Arithmetic;
pub use cost::Cost;
pub use figures::{Bench, Figures};
pub use machine::{Machine, peak_gflops, read_gigabytes_per_second};
pub use phases::{PhaseTime, StepPhases};
pub use text::synthetic;

#[cfg(test)]
mod tests;

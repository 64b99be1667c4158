//! The threads of a run, for loops of many steps.

use super::Training;
use crate::parallel::Threads;

/// The threads of a [`Training`].
#[derive(Clone, Debug)]
pub struct TrainingThreads(Threads);

impl TrainingThreads {
    /// Runs `f` on one of the threads. A step of the run in `f` starts at once on all of them;
    /// outside of `f` it wakes one of them, and the caller waits for it, which takes tens of
    /// microseconds per step.
    ///
    /// Models share threads: another model of this process that has as many of them may have to
    /// wait until `f` returns. So use this for a process that trains one model.
    ///
    /// ```
    /// use unrolled::corpus::Corpus;
    /// use unrolled::train::Training;
    /// use unrolled::{Settings, Unit};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// # let settings = Settings {
    /// #     model: unrolled::ModelSettings { hidden: 8, ..Default::default() },
    /// #     run: unrolled::RunSettings { batch: 2, steps: 4, max_steps: Some(3), ..Default::default() },
    /// #     ..Settings::default()
    /// # };
    /// # let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(9), Unit::Char)?;
    /// let mut training = Training::new(corpus, settings, None)?;
    /// training.own_threads().run(|| -> unrolled::Result<()> {
    ///     while !training.is_done() {
    ///         training.step()?;
    ///     }
    ///     Ok(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.0.enter(usize::MAX, f)
    }
}

impl Training {
    /// Returns the threads of the run.
    pub fn own_threads(&self) -> TrainingThreads {
        TrainingThreads(self.engine.pool().clone())
    }
}

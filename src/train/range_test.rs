//! The learning-rate range test: finds an initial learning rate with a few steps at rising rates.

use super::Training;
use crate::{Error, Result, RunSettings, Settings, checkpoint::Checkpoint, corpus::Corpus, error::require};

/// Length of the running mean of the losses, as a share of the trials.
const REACH: f64 = 0.05;
/// The test ends when the loss is this factor above the lowest loss.
const DIVERGED: f64 = 4.0;

/// A learning-rate range test: one step at each of `trials` learning rates, which rise by a
/// constant factor from `from` to `to` ([Smith 2017](https://arxiv.org/abs/1506.01186), in the
/// exponential form of fastai's `lr_find`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeTest {
    /// Lowest learning rate.
    pub from: f64,
    /// Highest learning rate.
    pub to: f64,
    /// Number of steps.
    pub trials: u32,
}

impl Default for RangeTest {
    fn default() -> Self {
        Self { from: 1e-5, to: 1.0, trials: 200 }
    }
}

/// One step of the test.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Trial {
    /// Learning rate.
    pub rate: f64,
    /// Loss before the step, in nats per symbol.
    pub loss: f64,
    /// Running mean of the loss over a twentieth of the trials, with bias correction.
    pub smoothed: f64,
}

impl RangeTest {
    /// Runs the test on a new model. It ends early if the loss is four times the lowest loss, or
    /// not finite.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid range or fewer than 10 trials; as for [`Training::new`].
    pub fn run(&self, corpus: Corpus, settings: &Settings, threads: Option<usize>) -> Result<Vec<Trial>> {
        self.run_from(None, corpus, settings, threads)
    }

    /// Runs the test on a new model, or on the weights of a checkpoint as [`Training::fine_tune`]
    /// does.
    ///
    /// # Errors
    /// As for [`RangeTest::run`] and [`Training::fine_tune`].
    pub fn run_from(
        &self,
        checkpoint: Option<&Checkpoint>,
        corpus: Corpus,
        settings: &Settings,
        threads: Option<usize>,
    ) -> Result<Vec<Trial>> {
        self.check()?;
        let training = self.training(checkpoint, corpus, settings, threads)?;
        self.run_trials(training)
    }

    /// Starts a run that is long enough for the test, without evaluations.
    fn training(
        &self,
        checkpoint: Option<&Checkpoint>,
        corpus: Corpus,
        settings: &Settings,
        threads: Option<usize>,
    ) -> Result<Training> {
        let steps = u64::from(self.trials) + 1;
        let run = RunSettings {
            max_steps: Some(steps),
            max_chars: None,
            epochs: 1e9,
            eval_every: Some(steps),
            patience: None,
            ..settings.run.clone()
        };
        let settings = Settings { run, ..settings.clone() };
        match checkpoint {
            None => Training::new(corpus, settings, threads),
            Some(checkpoint) => Training::fine_tune(corpus, checkpoint, settings, threads),
        }
    }

    fn run_trials(&self, mut training: Training) -> Result<Vec<Trial>> {
        let mut trials: Vec<Trial> = Vec::new();
        let memory = (1.0 - 1.0 / (REACH * f64::from(self.trials))).max(0.0);
        let (mut mean, mut share, mut lowest) = (0.0, 0.0, f64::INFINITY);
        for number in 0..self.trials {
            let rate = self.rate(number);
            let loss = match training.step_at(rate) {
                Ok(report) => report.loss,
                Err(Error::NotFinite { .. }) => break,
                Err(error) => return Err(error),
            };
            mean = memory * mean + (1.0 - memory) * loss;
            share = memory * share + (1.0 - memory);
            let smoothed = mean / share;
            trials.push(Trial { rate, loss, smoothed });
            lowest = smoothed.min(lowest);
            if smoothed > DIVERGED * lowest {
                break;
            }
        }
        Ok(trials)
    }

    fn rate(&self, number: u32) -> f64 {
        let done = f64::from(number) / f64::from(self.trials - 1);
        self.from * libm::pow(self.to / self.from, done)
    }

    fn check(&self) -> Result<()> {
        let (from, to) = (self.from, self.to);
        require(from > 0.0 && from.is_finite(), "from", from, "give a finite number above 0")?;
        require(to > from && to.is_finite(), "to", to, "give a finite number above the lowest rate")?;
        require(
            self.trials >= 10,
            "trials",
            self.trials,
            "give at least 10: the loss is smoothed over several trials",
        )
    }
}

/// Returns the learning rate at which the smoothed loss falls fastest with the logarithm of the
/// rate, measured over a tenth of the trials; `None` if the loss never falls.
pub fn steepest(trials: &[Trial]) -> Option<f64> {
    let length = (trials.len() / 10).max(1);
    let slopes = trials.windows(length + 1).map(|window| {
        let (first, last) = (window[0], window[length]);
        let slope = (last.smoothed - first.smoothed) / libm::log(last.rate / first.rate);
        (slope, window[length / 2].rate)
    });
    let best = slopes.filter(|(slope, _)| *slope < 0.0).min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, rate)| rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelSettings, Unit};

    fn corpus() -> Corpus {
        Corpus::from_text("the cat sat on the mat. ".repeat(60), Unit::Char).unwrap()
    }

    fn settings() -> Settings {
        Settings {
            model: ModelSettings { hidden: 16, ..ModelSettings::default() },
            run: RunSettings { batch: 4, steps: 12, ..RunSettings::default() },
            ..Settings::default()
        }
    }

    #[test]
    fn the_steepest_rate_lies_between_too_low_and_too_high() {
        let test = RangeTest { from: 1e-6, to: 10.0, trials: 120 };
        let trials = test.run(corpus(), &settings(), Some(1)).unwrap();
        assert!((trials[0].rate - 1e-6).abs() < 1e-18 && trials[0].loss == trials[0].smoothed);
        let rate = steepest(&trials).unwrap();
        assert!((1e-4..0.3).contains(&rate), "{rate}");
    }

    #[test]
    fn the_steepest_rate_is_found() {
        let trial = |n: i32| {
            let smoothed = if n < 50 { 3.0 } else { 3.0 - 0.1 * f64::from((n - 50).min(10)) };
            Trial { rate: libm::pow(10.0, f64::from(n) / 20.0 - 5.0), loss: smoothed, smoothed }
        };
        let trials: Vec<_> = (0..100).map(trial).collect();
        let rate = steepest(&trials).unwrap();
        assert!((trials[50].rate..=trials[60].rate).contains(&rate), "{rate}");
        assert_eq!(steepest(&trials[..40]), None);
        assert_eq!(steepest(&[]), None);
    }

    #[test]
    fn an_invalid_range_is_an_error() {
        let message = |from, to, trials| {
            RangeTest { from, to, trials }.run(corpus(), &settings(), Some(1)).unwrap_err().to_string()
        };
        assert!(message(0.0, 1.0, 100).starts_with("from = 0 is invalid"));
        assert!(message(f64::NAN, 1.0, 100).starts_with("from = NaN is invalid"));
        assert!(message(0.1, 0.1, 100).starts_with("to = 0.1 is invalid"));
        assert!(message(0.1, 1.0, 9).starts_with("trials = 9 is invalid"));
    }
}

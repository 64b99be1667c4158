//! How often a run evaluates, and on how many symbols, so that evaluations take about a tenth of
//! the training time.
//!
//! The plan counts symbols and reads no clock: a resumed run, another machine and another number
//! of threads have the same plan.

use super::evaluate::EVALUATION_STREAMS;
use crate::Settings;

/// Number of evaluations of a run where they cost little.
const USUAL_COUNT: u64 = 10;
/// Number of evaluations of a run where the usual number would cost too much.
const LEAST_COUNT: u64 = 2;
/// Number of symbols whose mean loss is exact to a few thousandths of a nat. An evaluation reads
/// at least this many before a run has more of them.
const PRECISE: u64 = 250_000;
/// A training step costs about as much as three forward passes, and an evaluation is one. So a
/// tenth of the training time reads 3 symbols for 10 that are trained on.
const FORWARD_PASSES_PER_STEP: u64 = 3;
const TRAINING_SHARE: u64 = 10;

/// The evaluations of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EvaluationPlan {
    /// Optimizer steps between evaluations.
    pub(super) every: u64,
    /// Number of symbols that each evaluation reads; the whole validation split when absent.
    pub(super) symbols: Option<u64>,
}

/// The numbers that the plan depends on besides the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunSize {
    /// Optimizer steps of the whole run.
    pub(super) total_steps: u64,
    /// Symbols per optimizer step.
    pub(super) chars_per_step: u64,
    /// Symbols of the validation split.
    pub(super) validation: u64,
}

impl RunSize {
    /// Returns the number of symbols that all evaluations together may read.
    fn budget(self) -> u64 {
        self.total_steps.saturating_mul(self.chars_per_step) / TRAINING_SHARE * FORWARD_PASSES_PER_STEP
    }
}

impl EvaluationPlan {
    /// Plans the evaluations of a run. `eval-every` and `eval-symbols` win where they are set: with
    /// `eval-every` alone each evaluation reads the whole split, with `eval-symbols` alone there
    /// are as many evaluations as the budget allows.
    pub(super) fn new(settings: &Settings, size: RunSize) -> Self {
        let count = |symbols: u64, least| (size.budget() / symbols.max(1)).clamp(least, USUAL_COUNT);
        match (settings.run.eval_every, settings.run.eval_symbols) {
            (Some(every), symbols) => Self { every, symbols },
            (None, Some(symbols)) => {
                Self { every: size.interval(count(symbols.min(size.validation), 1)), symbols: Some(symbols) }
            }
            (None, None) => {
                // Patience counts evaluations, so it needs the usual number of them.
                let least = if settings.run.patience.is_some() { USUAL_COUNT } else { LEAST_COUNT };
                let count = count(size.validation.min(PRECISE), least).min(size.total_steps.max(1));
                let window = (EVALUATION_STREAMS * settings.run.steps) as u64;
                Self { every: size.interval(count), symbols: size.affordable(count, window) }
            }
        }
    }
}

impl RunSize {
    /// Returns the steps between `count` evaluations.
    fn interval(self, count: u64) -> u64 {
        self.total_steps.div_ceil(count).max(1)
    }

    /// Returns the number of symbols that each of `count` evaluations may read, in whole windows of
    /// `window` symbols and one more, the last target; `None` for the whole split.
    fn affordable(self, count: u64, window: u64) -> Option<u64> {
        let share = self.budget() / count;
        let symbols = (share / window).max(1) * window + 1;
        (share < self.validation && symbols < self.validation).then_some(symbols)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunSettings;

    /// A run with the default window of 32 rows x 64 steps on a text of which a tenth is held out.
    fn size(total_steps: u64, text: u64) -> RunSize {
        RunSize { total_steps, chars_per_step: 2048, validation: text / 10 }
    }

    /// Returns the number of evaluations and the symbols of each.
    fn planned(settings: &Settings, size: RunSize) -> (u64, Option<u64>) {
        let plan = EvaluationPlan::new(settings, size);
        (size.total_steps.div_ceil(plan.every), plan.symbols)
    }

    #[test]
    fn evaluations_take_at_most_a_tenth_of_the_training_time() {
        let settings = Settings::default();
        for text in [50_000, 1_115_394, 20_000_000, 1_000_000_000] {
            for total_steps in [20, 200, 490, 1000, 9000, 4_000_000] {
                let size = size(total_steps, text);
                let (count, symbols) = planned(&settings, size);
                let read = count * symbols.unwrap_or(size.validation);
                let trained = total_steps * size.chars_per_step;
                assert!(read as f64 <= 0.301 * trained as f64, "{text} {total_steps}: {count} x {symbols:?}");
            }
        }
    }

    #[test]
    fn short_runs_read_less_and_long_runs_evaluate_ten_times() {
        let plan = |total_steps, text| planned(&Settings::default(), size(total_steps, text));
        assert_eq!(plan(20, 1_115_394), (2, Some(6 * 1024 + 1)));
        assert_eq!(plan(490, 1_115_394), (2, None), "an epoch of tiny shakespeare reads the whole split");
        assert_eq!(plan(4_900, 1_115_394), (10, None));
        assert_eq!(plan(440_000, 1_000_000_000), (10, Some(26_400 * 1024 + 1)));
        assert_eq!(plan(1, 1_115_394), (1, Some(1025)), "at least one window");
        assert_eq!(plan(20, 0), (10, None), "nothing to read costs nothing");
    }

    #[test]
    fn explicit_settings_win() {
        let short = size(20, 1_115_394);
        let every = Settings {
            run: RunSettings { eval_every: Some(4), ..RunSettings::default() },
            ..Settings::default()
        };
        assert_eq!(planned(&every, short), (5, None));
        let symbols = Settings {
            run: RunSettings { eval_symbols: Some(5000), ..RunSettings::default() },
            ..Settings::default()
        };
        assert_eq!(planned(&symbols, short), (2, Some(5000)));
        let many = Settings {
            run: RunSettings { eval_symbols: Some(50_000), ..RunSettings::default() },
            ..Settings::default()
        };
        assert_eq!(planned(&many, short), (1, Some(50_000)));
        let both = Settings {
            run: RunSettings { eval_every: Some(4), eval_symbols: Some(50_000), ..RunSettings::default() },
            ..Settings::default()
        };
        assert_eq!(planned(&both, short), (5, Some(50_000)));
    }

    #[test]
    fn patience_keeps_the_usual_number_of_evaluations() {
        let settings = Settings {
            run: RunSettings { patience: Some(3), ..RunSettings::default() },
            ..Settings::default()
        };
        assert_eq!(planned(&settings, size(490, 1_115_394)), (10, Some(29 * 1024 + 1)));
    }
}

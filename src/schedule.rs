//! The learning rate over a run: a pure function of the step, so a resumed run continues it
//! exactly.
//!
//! Cosines and powers come from `libm`, which gives the same bits on every platform.

use crate::{Schedule, ScheduleSettings};
use std::f64::consts::PI;

/// Returns the learning rate of optimizer step `step`, counted from 0, in a run of `total_steps`
/// steps with `steps_per_epoch` steps per epoch.
///
/// - `constant`: `learning-rate`.
/// - `cosine`: half a cosine from `learning-rate` to `cosine-floor` times it
///   ([SGDR](https://arxiv.org/abs/1608.03983) without restarts), multiplied by a linear rise over
///   the first `warmup-steps` steps. If `total_steps` is at most `warmup-steps`, the rise takes the
///   first tenth of the run.
/// - `epoch-decay`: `learning-rate` with one factor `epoch-decay` at the end of epoch
///   `epoch-decay-after`, and another one every `epoch-decay-every` epochs.
pub fn learning_rate(settings: &ScheduleSettings, step: u64, total_steps: u64, steps_per_epoch: u64) -> f64 {
    let factor = match settings.kind {
        Schedule::Constant => 1.0,
        Schedule::Cosine => warmup(settings, step, total_steps) * cosine(settings, step, total_steps),
        Schedule::EpochDecay => {
            libm::pow(settings.epoch_decay, decays(settings, step, steps_per_epoch) as f64)
        }
    };
    settings.learning_rate * factor
}

fn warmup(settings: &ScheduleSettings, step: u64, total_steps: u64) -> f64 {
    let warmup = settings.warmup_steps;
    let steps = if warmup < total_steps { warmup } else { total_steps / 10 };
    if step < steps { (step + 1) as f64 / steps as f64 } else { 1.0 }
}

fn cosine(settings: &ScheduleSettings, step: u64, total_steps: u64) -> f64 {
    let done = step as f64 / total_steps.max(1) as f64;
    let share = settings.cosine_floor;
    share + (1.0 - share) * 0.5 * (1.0 + libm::cos(PI * done))
}

/// Returns the number of factors applied so far.
fn decays(settings: &ScheduleSettings, step: u64, steps_per_epoch: u64) -> u64 {
    let epoch = step / steps_per_epoch.max(1);
    match epoch.checked_sub(settings.epoch_decay_after) {
        Some(since) => since / settings.epoch_decay_every.max(1) + 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(schedule: Schedule) -> ScheduleSettings {
        ScheduleSettings { kind: schedule, learning_rate: 0.002, ..ScheduleSettings::default() }
    }

    #[test]
    fn a_constant_learning_rate_does_not_change() {
        let settings = settings(Schedule::Constant);
        assert_eq!(learning_rate(&settings, 0, 100, 10), 0.002);
        assert_eq!(learning_rate(&settings, 99, 100, 10), 0.002);
    }

    #[test]
    fn a_cosine_rises_linearly_and_falls_to_its_floor() {
        let settings =
            ScheduleSettings { warmup_steps: 50, cosine_floor: 0.05, ..settings(Schedule::Cosine) };
        let rate = |step| learning_rate(&settings, step, 1000, 10);
        assert_eq!(rate(0), 0.002 / 50.0);
        assert!((rate(24) - 0.001 * cosine(&settings, 24, 1000)).abs() < 1e-15);
        assert!((rate(500) - 0.002 * 0.525).abs() < 1e-15);
        assert!((rate(1000) - 0.002 * 0.05).abs() < 1e-15);
        assert!((50..999).all(|step| rate(step + 1) < rate(step)));
    }

    #[test]
    fn a_run_shorter_than_its_warmup_rises_over_a_tenth_of_the_steps() {
        let settings = ScheduleSettings { warmup_steps: 50, ..settings(Schedule::Cosine) };
        assert_eq!(learning_rate(&settings, 0, 50, 10), 0.002 / 5.0);
        assert_eq!(warmup(&settings, 4, 50), 1.0);
        assert_eq!(learning_rate(&settings, 0, 1, 10), 0.002, "one step has no warm-up");
        assert_eq!(warmup(&ScheduleSettings { warmup_steps: 0, ..settings }, 0, 100), 1.0);
    }

    #[test]
    fn char_rnn_decays_after_each_epoch_from_the_tenth_on() {
        let settings = settings(Schedule::EpochDecay);
        let rate = |epoch: u64| learning_rate(&settings, epoch * 7, 1000, 7);
        assert_eq!(rate(9), 0.002);
        assert_eq!(learning_rate(&settings, 69, 1000, 7), 0.002);
        assert!((rate(10) - 0.002 * 0.97).abs() < 1e-18);
        assert!((rate(12) - 0.002 * 0.97f64.powi(3)).abs() < 1e-17);
    }

    #[test]
    fn the_learning_rate_is_halved_every_five_epochs() {
        let settings = ScheduleSettings {
            epoch_decay: 0.5,
            epoch_decay_after: 5,
            epoch_decay_every: 5,
            ..settings(Schedule::EpochDecay)
        };
        let rates = [0, 4, 5, 9, 10, 14, 15].map(|epoch| learning_rate(&settings, epoch * 3, 100, 3));
        assert_eq!(rates, [0.002, 0.002, 0.001, 0.001, 0.0005, 0.0005, 0.00025]);
    }

    #[test]
    fn empty_runs_and_epochs_do_not_divide_by_zero() {
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::EpochDecay] {
            assert!(learning_rate(&settings(schedule), 0, 0, 0).is_finite());
        }
    }
}

//! The flags that a resumed run may change, and lengths that it has reached already.

use super::{Failure, TrainCommand};
use std::path::Path;
use unrolled::{Settings, train::Training};

/// Returns the error for a flag that a resumed run cannot change, or only with `--extend`.
pub fn refuse_change(key: &str, stored: &str, settings: &Settings, out: &Path) -> Failure {
    let run = out.display();
    Failure::Usage(match key {
        "unknown" => format!(
            "--unknown contradicts the run in {run}, which has unknown = {stored}: leave the flag out; it may change only \
             together with the corpus (--accept-changed-text)"
        ),
        _ if Training::may_change(key, settings, true) => format!(
            "--{key} changes the run in {run}, which has {key} = {stored}: add --extend to change it from this step on, or leave \
             --{key} out"
        ),
        _ => format!(
            "--{key} contradicts the run in {run}, which has {key} = {stored}: leave the flag out, \
             or start a new run with another --out"
        ),
    })
}

impl TrainCommand {
    /// Returns an error for a change that has no effect because the run is at its end: a length
    /// that it has reached already, or a learning rate that no step would use.
    pub(super) fn check_length(&self, training: &Training) -> Result<(), Failure> {
        let Some(ended) = training.ended_by() else { return Ok(()) };
        let Some(key) = self.change_without_effect(training) else { return Ok(()) };
        let step = training.progress().step;
        let end =
            training.bounds().into_iter().find(|(bound, _)| *bound == ended).map_or(step, |(_, end)| end);
        let name = ended.name();
        Err(Failure::Usage(match name == key {
            true => format!(
                "--{key} ends the run at step {end}, and it is at step {step} already; give a larger number"
            ),
            false => {
                format!(
                    "--{key} has no effect: {name} ends the run at step {step}, where it is now; change --{name} as well"
                )
            }
        }))
    }

    /// Returns the flag that changed the run at its last step and needs further steps; a length
    /// first.
    fn change_without_effect(&self, training: &Training) -> Option<String> {
        let (flags, progress) = (self.settings.table(), training.progress());
        let mut changed = progress.changes.iter().filter(|change| change.step == progress.step);
        let length = ["max-steps", "max-chars", "epochs"].into_iter().find(|key| flags.contains_key(*key));
        match length {
            Some(key) => changed.next().map(|_| key.to_owned()),
            None => changed.map(|change| change.key.clone()).find(|key| {
                flags.contains_key(key) && !Training::may_change(key, training.settings(), false)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_flag_says_whether_extend_allows_it() {
        let message = |key| refuse_change(key, "256", &Settings::default(), Path::new("runs/1")).to_string();
        let hidden = message("hidden");
        assert!(
            hidden.starts_with("--hidden contradicts the run in runs/1, which has hidden = 256"),
            "{hidden}"
        );
        for key in ["epochs", "learning-rate", "schedule", "clip"] {
            let text = message(key);
            assert!(text.contains(&format!("has {key} = 256: add --extend")), "{text}");
        }
        assert!(message("unknown").contains("--accept-changed-text"));
    }

    #[test]
    fn only_settings_that_change_no_step_need_no_extend() {
        let settings = Settings::default();
        for key in ["mode", "eval-every", "eval-symbols", "patience"] {
            assert!(Training::may_change(key, &settings, false), "{key}");
        }
        for key in ["epochs", "learning-rate", "schedule", "precision"] {
            assert!(!Training::may_change(key, &settings, false), "{key}");
            assert!(Training::may_change(key, &settings, true), "{key}");
        }
        for key in ["hidden", "batch", "seed", "optimizer", "unit", "dropout"] {
            assert!(!Training::may_change(key, &settings, true), "{key}");
        }
    }
}

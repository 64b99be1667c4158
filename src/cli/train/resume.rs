//! What a resumed run may change, and how it goes on after its end.

use super::{Failure, Train};
use std::path::Path;
use unrolled::{Settings, train::Training};

/// The message for a flag that a resumed run may not change, or only with `--extend`.
pub fn refuse_change(key: &str, stored: &str, settings: &Settings, out: &Path) -> Failure {
    let run = out.display();
    Failure::Usage(match key {
        "unknown" => format!(
            "--unknown contradicts the run in {run}, which has unknown = {stored}: leave the flag out; only a changed text \
             (--accept-changed-text) may be read in another way"
        ),
        _ if Training::may_change(key, settings, true) => format!(
            "--{key} changes the run in {run}, which has {key} = {stored}: pass --extend as well to change it from this step on, \
             or leave --{key} out"
        ),
        _ => format!(
            "--{key} contradicts the run in {run}, which has {key} = {stored}: leave the flag out, \
             or start a new run with another --out"
        ),
    })
}

impl Train {
    /// Refuses a change after which the run is at its end all the same: a length that it has already, or a rate that no step
    /// would have.
    pub(super) fn check_length(&self, training: &Training) -> Result<(), Failure> {
        let Some(ended) = training.ended_by() else { return Ok(()) };
        let Some(key) = self.changed_in_vain(training) else { return Ok(()) };
        let step = training.progress().step;
        let end =
            training.bounds().into_iter().find(|(bound, _)| *bound == ended).map_or(step, |(_, end)| end);
        let name = ended.name();
        Err(Failure::Usage(match name == key {
            true => format!(
                "--{key}: the run is at step {step} already, and this ends it at step {end}: give a larger number"
            ),
            false => {
                format!("--{key}: the run is at step {step}, where {name} ends it: change --{name} as well")
            }
        }))
    }

    /// The flag that changed the run at its last step and needs further ones; a length before all others.
    fn changed_in_vain(&self, training: &Training) -> Option<String> {
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
    fn a_flag_is_refused_by_its_kind() {
        let told = |key| refuse_change(key, "256", &Settings::default(), Path::new("runs/1")).to_string();
        let hidden = told("hidden");
        assert!(
            hidden.starts_with("--hidden contradicts the run in runs/1, which has hidden = 256"),
            "{hidden}"
        );
        for key in ["epochs", "learning-rate", "schedule", "clip"] {
            let text = told(key);
            assert!(text.contains(&format!("has {key} = 256: pass --extend as well")), "{text}");
        }
        assert!(told("unknown").contains("--accept-changed-text"));
    }

    #[test]
    fn what_changes_no_step_is_free_and_the_rest_needs_extend() {
        let settings = Settings::default();
        for key in ["mode", "eval-every", "eval-symbols", "patience"] {
            assert!(Training::may_change(key, &settings, false), "{key}");
        }
        for key in ["epochs", "learning-rate", "schedule"] {
            assert!(!Training::may_change(key, &settings, false), "{key}");
            assert!(Training::may_change(key, &settings, true), "{key}");
        }
        for key in ["hidden", "batch", "seed", "optimizer", "unit", "dropout"] {
            assert!(!Training::may_change(key, &settings, true), "{key}");
        }
    }
}

//! Resumes a run from its checkpoint, with the same settings, or extends it with other settings.

use super::{Change, Training};
use crate::checkpoint::Checkpoint;
use crate::corpus::Corpus;
use crate::exec::State;
use crate::model::{Model, ModelConfig, TensorEntry};
use crate::optim::{UpdateRule, moments_of};
use crate::{Error, Result, RunSettings, Schedule, SettingDifference, Settings, Windows};

/// Settings that a resumed run may change: they affect evaluations and the end of the run, but not
/// the result of a step. `unknown` only matters for a changed text, which the caller has to accept.
const FREE: [&str; 5] = ["mode", "eval-every", "eval-symbols", "patience", "unknown"];
/// Additional settings that an extended run may change.
const EXTENDED: [&str; 14] = [
    "learning-rate",
    "schedule",
    "cosine-floor",
    "warmup-steps",
    "epoch-decay",
    "epoch-decay-after",
    "epoch-decay-every",
    "epochs",
    "max-steps",
    "max-chars",
    "clip",
    "clip-mode",
    "weight-decay",
    "precision",
];
/// Settings that the plan of the evaluations depends on.
const EVALUATIONS: [&str; 2] = ["eval-every", "eval-symbols"];
/// Settings of the length of a run.
const LENGTH: [&str; 3] = ["epochs", "max-steps", "max-chars"];

impl Training {
    /// Returns true if a run with the settings `stored` may be resumed with another value of `key`;
    /// with `extend`, if it may be extended ([`Training::extend`]) with it.
    pub fn may_change(key: &str, stored: &Settings, extend: bool) -> bool {
        let prolongs = stored.schedule.kind == Schedule::Constant && LENGTH.contains(&key);
        FREE.contains(&key) || prolongs || (extend && EXTENDED.contains(&key))
    }

    /// Continues a run on the same corpus, with the vocabulary of the checkpoint. Only `mode`,
    /// `eval-every`, `eval-symbols`, `patience` and, with a constant schedule, the length of the
    /// run may differ from the settings of the checkpoint. Changes are recorded in
    /// [`Progress::changes`](super::Progress::changes).
    ///
    /// # Errors
    /// As for [`Training::new`]; [`Error::Resume`] if the corpus or the settings do not match the
    /// run.
    pub fn resume(
        corpus: Corpus,
        checkpoint: Checkpoint,
        settings: Settings,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::continue_run(corpus, checkpoint, settings, threads, false)
    }

    /// Continues a run as [`Training::resume`] does, but the learning rate, the schedule, the
    /// length, the clipping, the weight decay and the precision may differ too. From the step of the
    /// checkpoint on, each step has the learning rate of a run that started with the new settings:
    /// the schedule spans the new length from step 0. Later interruptions do not change the result.
    ///
    /// # Errors
    /// As for [`Training::resume`].
    pub fn extend(
        corpus: Corpus,
        checkpoint: Checkpoint,
        settings: Settings,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::continue_run(corpus, checkpoint, settings, threads, true)
    }

    fn continue_run(
        corpus: Corpus,
        checkpoint: Checkpoint,
        settings: Settings,
        threads: Option<usize>,
        extend: bool,
    ) -> Result<Self> {
        let corpus = same_corpus(corpus, &checkpoint)?;
        let changed = settings.differences(&checkpoint.settings);
        check_changes(&changed, &settings, &checkpoint.settings, extend)?;
        check_training_state(&checkpoint)?;
        let config = ModelConfig::new(&checkpoint.settings.model, checkpoint.vocabulary.len())?;
        let model = Model::with_parameters(config, checkpoint.parameters)?;
        let optimizer =
            restored_optimizer(&settings, model.parameters().layout.entries(), checkpoint.moments)?;
        let mut training = Self::assemble(corpus, settings, model, optimizer, threads)?;
        training.progress = checkpoint.progress;
        training.apply(changed);
        if let Some(state) = &checkpoint.state {
            check_streams(state, &training.settings.run)?;
            state.check(training.model().config(), training.settings.run.streams())?;
            training.start_from(state);
        }
        Ok(training)
    }

    /// Applies changed settings, and records them.
    fn apply(&mut self, changed: Vec<SettingDifference>) {
        let changed: Vec<_> = changed.into_iter().filter(|change| change.key != "mode").collect();
        if changed.iter().any(|change| LENGTH.contains(&change.key.as_str())) {
            self.progress.total_steps = self.total_steps();
        }
        if changed.iter().any(|change| EVALUATIONS.contains(&change.key.as_str())) {
            self.plan_evaluations();
        }
        let step = self.progress.step;
        let change =
            |SettingDifference { key, found, expected }| Change { step, key, from: expected, to: found };
        self.progress.changes.extend(changed.into_iter().map(change));
    }
}

/// Returns the corpus with the vocabulary of the checkpoint. Another corpus is an error.
fn same_corpus(corpus: Corpus, checkpoint: &Checkpoint) -> Result<Corpus> {
    let (found, expected) = (corpus.fingerprint(), checkpoint.progress.corpus_fingerprint);
    if found != expected {
        let reason = format!(
            "{} is not the text that it was trained on (checksum {found:08x}, expected {expected:08x}); restore that text",
            corpus.name()
        );
        return Err(Error::resume(reason));
    }
    corpus.with_vocabulary(&checkpoint.vocabulary)
}

fn check_changes(
    changed: &[SettingDifference],
    settings: &Settings,
    stored: &Settings,
    extend: bool,
) -> Result<()> {
    if let Some(change) = changed.iter().find(|change| !Training::may_change(&change.key, stored, extend)) {
        let SettingDifference { key, found, expected } = change;
        let reason = match EXTENDED.contains(&key.as_str()) {
            true => {
                format!("{key} is {found}, and the run has {expected}; only an extended run may change it")
            }
            false => {
                format!("{key} is {found}, and the run has {expected}; it cannot change, so give {expected}")
            }
        };
        return Err(Error::resume(reason));
    }
    // Files contain only the names of custom cells, which may differ.
    match settings.model.stack == stored.model.stack {
        true => Ok(()),
        false => Err(Error::resume("a custom cell differs from the one of the run")),
    }
}

/// Checks that the checkpoint has the moments and the state for the next step.
fn check_training_state(checkpoint: &Checkpoint) -> Result<()> {
    if checkpoint.quantized {
        return Err(Error::resume(
            "its checkpoint is quantized, so it cannot be trained; use a checkpoint of the run itself",
        ));
    }
    let settings = &checkpoint.settings;
    let carries = settings.run.windows == Windows::Stream && checkpoint.progress.step > 0;
    let missing = match () {
        () if checkpoint.moments.is_empty() && !moments_of(&settings.optimizer).is_empty() => {
            "optimizer state"
        }
        () if carries && checkpoint.state.is_none() => "carried state",
        () => return Ok(()),
    };
    Err(Error::resume(format!(
        "its checkpoint has no {missing}, as after an export or a partial import; use a checkpoint of the run itself, or \
         start a new run from its weights with --init-from"
    )))
}

/// Returns an error for a state of a version in which the windows of a step shared their streams.
fn check_streams(state: &State, run: &RunSettings) -> Result<()> {
    match state.rows == run.batch && run.accumulate > 1 {
        true => Err(Error::resume(
            "its windows shared their streams, as in earlier versions; start a new run from its weights with --init-from",
        )),
        false => Ok(()),
    }
}

/// Returns the optimizer with the moments of a checkpoint. The gaps between tensors get the initial
/// values: an accumulator of zero would give 0 / 0.
fn restored_optimizer(
    settings: &Settings,
    entries: &[TensorEntry],
    mut stored: Vec<(String, Vec<f32>)>,
) -> Result<UpdateRule> {
    let len = entries.last().map_or(0, |entry| entry.range.end.next_multiple_of(16));
    UpdateRule::with_moments(&settings.optimizer, |name, start| {
        let found = stored.iter().position(|(known, values)| known == name && values.len() == len);
        let Some(found) = found else {
            return Err(Error::resume(format!(
                "its optimizer state lacks the moment {name}; start a new run from its weights with --init-from"
            )));
        };
        let mut values = stored.swap_remove(found).1;
        let mut gap = 0;
        for range in entries.iter().map(|entry| entry.range.clone()) {
            values[gap..range.start].fill(start);
            gap = range.end;
        }
        values[gap..].fill(start);
        Ok(values)
    })
}

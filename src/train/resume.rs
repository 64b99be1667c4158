//! How a run goes on: what must be as it was, what may change, and what is taken over from the checkpoint.

use super::{Change, Training};
use crate::checkpoint::Checkpoint;
use crate::corpus::Corpus;
use crate::model::{Entry, Model, ModelConfig};
use crate::optim::{UpdateRule, moments_of};
use crate::{Difference, Error, Result, Schedule, Settings, Windows};

/// Settings that a resumed run may change: they decide what is measured and when patience ends, but no step's result.
/// `unknown` matters only where the text has changed, which the caller has to accept.
const FREE: [&str; 5] = ["mode", "eval-every", "eval-symbols", "patience", "unknown"];
/// And those that an extended run may change.
const EXTENDED: [&str; 13] = [
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
];
/// The settings that the plan of the evaluations depends on.
const EVALUATIONS: [&str; 2] = ["eval-every", "eval-symbols"];
/// The length of a run.
const LENGTH: [&str; 3] = ["epochs", "max-steps", "max-chars"];

impl Training {
    /// Whether a run with these stored settings may be resumed with another value of `key`; `extend` as for
    /// [`Training::extend`].
    pub fn may_change(key: &str, stored: &Settings, extend: bool) -> bool {
        let prolongs = stored.schedule.kind == Schedule::Constant && LENGTH.contains(&key);
        FREE.contains(&key) || prolongs || (extend && EXTENDED.contains(&key))
    }

    /// Continues a run on the same text, which takes over the checkpoint's vocabulary. The settings are the run's own, but for
    /// `mode`, `eval-every`, `eval-symbols` and `patience`, and with a constant schedule the run's length. What changes is
    /// recorded in [`Progress::changes`](super::Progress::changes).
    ///
    /// # Errors
    /// As for [`Training::new`], and [`Error::Resume`] when the text or the settings are not the run's.
    pub fn resume(
        corpus: Corpus,
        checkpoint: Checkpoint,
        settings: Settings,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::go_on(corpus, checkpoint, settings, threads, false)
    }

    /// [`Training::resume`] with another learning rate, schedule, length, clip or weight decay as well. From the checkpoint's
    /// step on, a step has the learning rate that it would have in a run that had begun with the new settings: the schedule spans
    /// the new length from step 0. The result is exact from there on, however often the run is interrupted.
    ///
    /// # Errors
    /// As for [`Training::resume`].
    pub fn extend(
        corpus: Corpus,
        checkpoint: Checkpoint,
        settings: Settings,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::go_on(corpus, checkpoint, settings, threads, true)
    }

    fn go_on(
        corpus: Corpus,
        checkpoint: Checkpoint,
        settings: Settings,
        threads: Option<usize>,
        extend: bool,
    ) -> Result<Self> {
        let corpus = same_text(corpus, &checkpoint)?;
        let changed = settings.differences(&checkpoint.settings);
        check_changes(&changed, &settings, &checkpoint.settings, extend)?;
        check_training_state(&checkpoint)?;
        let config = ModelConfig::new(&checkpoint.settings.model, checkpoint.vocabulary.len())?;
        let model = Model::with_parameters(config, checkpoint.parameters)?;
        let optimizer = restore(&settings, model.parameters().layout.entries(), checkpoint.moments)?;
        let mut training = Self::assemble(corpus, settings, model, optimizer, threads)?;
        training.progress = checkpoint.progress;
        training.apply(changed);
        if let Some(state) = &checkpoint.state {
            state.check(training.model().config(), training.settings.run.batch)?;
            training.start_from(state);
        }
        Ok(training)
    }

    /// Takes changed settings into account, and records them.
    fn apply(&mut self, changed: Vec<Difference>) {
        let changed: Vec<_> = changed.into_iter().filter(|change| change.key != "mode").collect();
        if changed.iter().any(|change| LENGTH.contains(&change.key.as_str())) {
            self.progress.total_steps = self.total_steps();
        }
        if changed.iter().any(|change| EVALUATIONS.contains(&change.key.as_str())) {
            self.plan_evaluations();
        }
        let step = self.progress.step;
        let change = |Difference { key, found, expected }| Change { step, key, from: expected, to: found };
        self.progress.changes.extend(changed.into_iter().map(change));
    }
}

/// The text with the checkpoint's vocabulary, if it is the text of the checkpoint's run.
fn same_text(corpus: Corpus, checkpoint: &Checkpoint) -> Result<Corpus> {
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

fn check_changes(changed: &[Difference], settings: &Settings, stored: &Settings, extend: bool) -> Result<()> {
    if let Some(change) = changed.iter().find(|change| !Training::may_change(&change.key, stored, extend)) {
        let Difference { key, found, expected } = change;
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
    // Cells of a program's own have names in files, and may differ under one name.
    match settings.model.stack == stored.model.stack {
        true => Ok(()),
        false => Err(Error::resume("a custom cell differs from the run's")),
    }
}

/// Checks that the checkpoint has all that its next step needs beside the parameters.
fn check_training_state(checkpoint: &Checkpoint) -> Result<()> {
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

/// The optimiser with the moments of a checkpoint. The gaps between tensors get their starting values: an accumulator of zero
/// there would make their parameters 0 / 0.
fn restore(
    settings: &Settings,
    entries: &[Entry],
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

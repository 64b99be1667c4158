//! What a checkpoint must agree with before its run goes on.

use crate::checkpoint::Checkpoint;
use crate::corpus::Corpus;
use crate::model::Entry;
use crate::optim::UpdateRule;
use crate::{Error, Result, Schedule, Settings};

/// The settings that decide how long a run is.
pub(super) fn horizon_of(settings: &Settings) -> (f64, Option<u64>, Option<u64>) {
    (settings.epochs, settings.max_steps, settings.max_chars)
}

/// Whether a run may go on with this text and these settings.
pub(super) fn check_resumable(corpus: &Corpus, checkpoint: &Checkpoint, settings: &Settings) -> Result<()> {
    let refuse = |reason: String| Err(Error::Resume { reason });
    let stored = &checkpoint.settings;
    if corpus.fingerprint() != checkpoint.progress.corpus_fingerprint
        || corpus.vocabulary() != &checkpoint.vocabulary
    {
        let name = corpus.name();
        return refuse(format!(
            "{name} is not the text that it was trained on (its checksum differs); restore that text"
        ));
    }
    if horizon_of(settings) != horizon_of(stored) && stored.schedule != Schedule::Constant {
        let schedule = stored.schedule.name();
        return refuse(format!(
            "its {schedule} schedule spans the horizon that the first run fixed; only a constant schedule can be prolonged"
        ));
    }
    let mut same = settings.clone();
    (same.epochs, same.max_steps, same.max_chars) = horizon_of(stored);
    same.mode = stored.mode;
    if same != *stored {
        return refuse(
            "its settings are fixed by the first run; only mode, threads and the horizon may change".into(),
        );
    }
    Ok(())
}

/// Takes over the moments of a checkpoint. The gaps between tensors keep their starting values: an accumulator of zero
/// there would make their parameters 0 / 0.
pub(super) fn restore(
    optimizer: &mut UpdateRule,
    entries: &[Entry],
    stored: Vec<(String, Vec<f32>)>,
) -> Result<()> {
    for (name, values) in &mut optimizer.moments {
        match stored.iter().find(|(known, _)| known == name) {
            Some((_, found)) if found.len() == values.len() => {
                for range in entries.iter().map(|entry| entry.range.clone()) {
                    values[range.clone()].copy_from_slice(&found[range]);
                }
            }
            _ => {
                return Err(Error::Resume {
                    reason: format!(
                        "its optimiser state lacks the moment {name}; begin a new run from its weights with --init-from"
                    ),
                });
            }
        }
    }
    Ok(())
}

//! The rest of a checkpoint beside its weights: the optimiser's moments, the carried state, and the run's progress.

use super::{Checkpoint, Origin, Source};
use crate::{
    Error, Result, Settings, Windows,
    exec::{LayerState, State},
    model::{Layout, ModelConfig},
    optim::moments_of,
    train::Progress,
};

type Moments = Vec<(String, Vec<f32>)>;

/// The parts that are kept, and the names of the tensors that are not.
pub(super) struct Beside {
    pub(super) moments: Moments,
    pub(super) state: Option<State>,
    pub(super) progress: Progress,
    pub(super) dropped: Vec<String>,
}

pub(super) fn read(
    source: Source<'_>,
    settings: &Settings,
    config: &ModelConfig,
    origin: &Origin,
    like: Option<&Checkpoint>,
    notes: &mut Vec<String>,
) -> Beside {
    let mut beside =
        Beside { moments: Vec::new(), state: None, progress: fresh(origin), dropped: Vec::new() };
    let (moments, state) =
        (moments(source, settings, &config.layout()), state(source, config, settings.run.batch));
    // Moments of another step than the progress would be taken for those of its step.
    let same = |moments: &Moments| like.is_some_and(|like| like.moments == *moments && !moments.is_empty());
    let known = origin.own_progress || moments.as_ref().is_ok_and(same);
    match moments {
        Ok(moments) if known => {
            beside.progress = origin.progress.clone();
            beside.moments = moments;
            match state {
                Ok(state) => {
                    let goes_on = settings.run.windows == Windows::Stream && beside.progress.step > 0;
                    if state.is_none() && goes_on {
                        notes.push("the file has no carried state: the run cannot be resumed".to_owned());
                    }
                    beside.state = state;
                }
                Err(error) => {
                    notes.push(format!(
                        "the carried state is dropped ({}): the run cannot be resumed",
                        short(&error)
                    ));
                    drop_all(source, "state.", &mut beside.dropped);
                }
            }
        }
        refused => {
            let why = match refused {
                Err(error) => format!("not whole ({})", short(&error)),
                Ok(_) => "of an unknown step".to_owned(),
            };
            let before = beside.dropped.len();
            ["optimizer.", "state."].iter().for_each(|start| drop_all(source, start, &mut beside.dropped));
            if beside.dropped.len() > before {
                notes.push(format!("the optimiser's state is dropped: it is {why}"));
            }
            notes.push(
                "the checkpoint starts at step 0: sample, eval and train --init-from take it, --resume does not".to_owned(),
            );
        }
    }
    beside
}

/// Which tensor does not fit, without the file, which is known.
fn short(error: &Error) -> String {
    match error {
        Error::TensorFile { tensor, found, expected, .. } => {
            format!("{tensor}: found {found}, expected {expected}")
        }
        other => other.to_string(),
    }
}

/// The progress of a run that has these weights from the start.
fn fresh(origin: &Origin) -> Progress {
    let Progress { total_steps, eval_every, corpus_fingerprint, .. } = origin.progress;
    Progress { total_steps, eval_every, corpus_fingerprint, ..Progress::default() }
}

/// All moments that the optimiser has; an error when a tensor of theirs is missing or does not fit, or there is another.
fn moments(source: Source<'_>, settings: &Settings, layout: &Layout) -> Result<Moments> {
    let mut moments = Vec::new();
    for (moment, _) in moments_of(&settings.optimizer) {
        let mut values = vec![0.0; layout.len()];
        for entry in layout.entries() {
            let read = source.floats(&format!("optimizer.{moment}.{}", entry.name), &entry.shape)?;
            values[entry.range.clone()].copy_from_slice(&read);
        }
        moments.push((moment.to_owned(), values));
    }
    Ok(moments)
}

/// The state, if there is one.
fn state(source: Source<'_>, config: &ModelConfig, rows: usize) -> Result<Option<State>> {
    if !source.file.tensors().iter().any(|tensor| tensor.name.starts_with("state.")) {
        return Ok(None);
    }
    let mut layers = Vec::new();
    for layer in 0..config.stack.len() {
        let [h, c] = config.state_size(layer);
        let h = source.floats(&format!("state.h_l{layer}"), &[rows, h])?;
        let c = if c > 0 { source.floats(&format!("state.c_l{layer}"), &[rows, c])? } else { Vec::new() };
        layers.push(LayerState { h, c });
    }
    Ok(Some(State { layers, rows }))
}

/// Leaves out all tensors whose names begin with `start`.
fn drop_all(source: Source<'_>, start: &str, dropped: &mut Vec<String>) {
    let is_meant = |name: &&String| name.starts_with(start) && !source.ignored.contains(name);
    let names = source.file.tensors().iter().map(|tensor| &tensor.name).filter(is_meant);
    dropped.extend(names.cloned());
    // There may be none, which is as well.
    let _ = source.file.ignore(&format!("{start}*"));
}

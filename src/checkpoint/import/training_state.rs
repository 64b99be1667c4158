//! Reads the training state: the optimizer's moments, the carried state, and the position of the
//! run.

use super::{super::contents::Checkpoint, origin::ImportOrigin, selected_tensors::SelectedTensors};
use crate::{
    Error, Result, Settings, Windows,
    exec::{LayerState, State},
    model::{ModelConfig, ParameterLayout},
    optim::moments_of,
    progress::Progress,
};

type Moments = Vec<(String, Vec<f32>)>;

/// The training state of an imported checkpoint.
pub(super) struct TrainingState {
    pub(super) moments: Moments,
    pub(super) state: Option<State>,
    pub(super) progress: Progress,
    /// Names of the tensors that are dropped.
    pub(super) dropped: Vec<String>,
}

/// Reads moments and state if they are complete and their step is known. Otherwise it drops them
/// with a note.
pub(super) fn read(
    selected: SelectedTensors<'_>,
    settings: &Settings,
    config: &ModelConfig,
    origin: &ImportOrigin,
    like: Option<&Checkpoint>,
    notes: &mut Vec<String>,
) -> TrainingState {
    let (moments, state) =
        (moments(selected, settings, &config.layout()), state(selected, config, settings.run.streams()));
    // Moments of another step than the progress would be used as if they were of its step.
    let same = |moments: &Moments| like.is_some_and(|like| like.moments == *moments && !moments.is_empty());
    let known = origin.own_progress || moments.as_ref().is_ok_and(same);
    match moments {
        Ok(moments) if known => complete(selected, settings, origin, (moments, state), notes),
        Ok(_) => dropped(selected, origin, "its step is unknown", notes),
        Err(error) => dropped(selected, origin, &format!("it is incomplete ({})", short(&error)), notes),
    }
}

/// The training state with all moments.
fn complete(
    selected: SelectedTensors<'_>,
    settings: &Settings,
    origin: &ImportOrigin,
    (moments, state): (Moments, Result<Option<State>>),
    notes: &mut Vec<String>,
) -> TrainingState {
    let (progress, mut dropped) = (origin.progress.clone(), Vec::new());
    let needs_state = settings.run.windows == Windows::Stream && progress.step > 0;
    let state = match state {
        Ok(state) => {
            if state.is_none() && needs_state {
                notes.push("the file has no carried state: the run cannot be resumed".to_owned());
            }
            state
        }
        Err(error) => {
            let why = short(&error);
            notes.push(format!("the carried state is dropped ({why}): the run cannot be resumed"));
            drop_all(selected, "state.", &mut dropped);
            None
        }
    };
    TrainingState { moments, state, progress, dropped }
}

/// A checkpoint at step 0, without training state.
fn dropped(
    selected: SelectedTensors<'_>,
    origin: &ImportOrigin,
    why: &str,
    notes: &mut Vec<String>,
) -> TrainingState {
    let mut dropped = Vec::new();
    ["optimizer.", "state."].iter().for_each(|start| drop_all(selected, start, &mut dropped));
    if !dropped.is_empty() {
        notes.push(format!("the optimizer's state is dropped: {why}"));
    }
    notes.push(
        "the checkpoint starts at step 0: sample, eval and train --init-from take it, --resume does not"
            .to_owned(),
    );
    TrainingState { moments: Vec::new(), state: None, progress: fresh(origin), dropped }
}

/// Describes the tensor that does not fit, without the file's name.
fn short(error: &Error) -> String {
    match error {
        Error::TensorFile { tensor, found, expected, .. } => {
            format!("{tensor}: found {found}, expected {expected}")
        }
        other => other.to_string(),
    }
}

/// The position of a run that starts with these weights.
fn fresh(origin: &ImportOrigin) -> Progress {
    let Progress { total_steps, eval_every, eval_symbols, corpus_fingerprint, .. } = origin.progress;
    Progress { total_steps, eval_every, eval_symbols, corpus_fingerprint, ..Progress::default() }
}

/// Reads all moments that the optimizer has.
fn moments(selected: SelectedTensors<'_>, settings: &Settings, layout: &ParameterLayout) -> Result<Moments> {
    let mut moments = Vec::new();
    for (moment, _) in moments_of(&settings.optimizer) {
        let mut values = vec![0.0; layout.len()];
        for entry in layout.entries() {
            let read = selected.floats(&format!("optimizer.{moment}.{}", entry.name), &entry.shape)?;
            values[entry.range.clone()].copy_from_slice(&read);
        }
        moments.push((moment.to_owned(), values));
    }
    Ok(moments)
}

/// Reads the carried state, if the file has one.
fn state(selected: SelectedTensors<'_>, config: &ModelConfig, rows: usize) -> Result<Option<State>> {
    if !selected.file.names().any(|name| name.starts_with("state.")) {
        return Ok(None);
    }
    let mut layers = Vec::new();
    for direction in config.directions() {
        let [h, c] = config.state_size(direction.layer);
        let h = selected.floats(&format!("state.h_{direction}"), &[rows, h])?;
        let name = format!("state.c_{direction}");
        let c = if c > 0 { selected.floats(&name, &[rows, c])? } else { Vec::new() };
        layers.push(LayerState { h, c });
    }
    Ok(Some(State { layers, rows }))
}

/// Drops all tensors whose names start with `start`.
fn drop_all(selected: SelectedTensors<'_>, start: &str, dropped: &mut Vec<String>) {
    let is_meant = |name: &&String| name.starts_with(start) && !selected.ignored.contains(name);
    let names = selected.file.tensors().iter().map(|tensor| &tensor.name).filter(is_meant);
    dropped.extend(names.cloned());
    // It is no error if there are none.
    let _ = selected.file.ignore(&format!("{start}*"));
}

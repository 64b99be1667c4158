//! A checkpoint by reference, and the checks before it is written.

use super::contents::Checkpoint;
use crate::{
    CheckpointError, Error, Result, Settings,
    corpus::Vocabulary,
    exec::State,
    model::{self, ModelConfig, Parameters},
    progress::Progress,
};
use std::borrow::Cow;

/// The content of a [`Checkpoint`], borrowed from its owner.
pub(crate) struct Snapshot<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) parameters: &'a Parameters,
    /// Buffers with the layout of the parameters; the gaps between tensors are not written.
    pub(crate) moments: Vec<(&'a str, &'a [f32])>,
    pub(crate) state: Option<Cow<'a, State>>,
    pub(crate) progress: &'a Progress,
    /// True if the weight matrices are written as 8-bit integers.
    pub(crate) quantized: bool,
}

impl<'a> Snapshot<'a> {
    /// Borrows a whole checkpoint.
    pub(super) fn of(checkpoint: &'a Checkpoint) -> Self {
        let moments = checkpoint.moments.iter().map(|(name, values)| (name.as_str(), values.as_slice()));
        let state = checkpoint.state.as_ref().map(Cow::Borrowed);
        Self { moments: moments.collect(), state, ..Self::of_model(checkpoint) }
    }

    /// Borrows a checkpoint without its training state.
    pub(super) fn of_model(checkpoint: &'a Checkpoint) -> Self {
        Self {
            settings: &checkpoint.settings,
            vocabulary: &checkpoint.vocabulary,
            parameters: &checkpoint.parameters,
            moments: Vec::new(),
            state: None,
            progress: &checkpoint.progress,
            quantized: checkpoint.quantized,
        }
    }

    /// Checks that the file could be loaded again, and returns the configuration of its model.
    pub(super) fn check(&self) -> Result<ModelConfig> {
        self.settings.validate()?;
        let config = ModelConfig::of(&self.settings.model, self.vocabulary.len())?;
        model::check_parameters(&config, self.parameters)?;
        if self.quantized && !(self.moments.is_empty() && self.state.is_none()) {
            return Err(unfit("it is quantized, so it cannot have training state".to_owned()));
        }
        if self.quantized {
            config.check_quantizes()?;
        }
        (0..self.moments.len()).try_for_each(|index| self.check_moment(index))?;
        let rows = self.settings.run.streams();
        let state = self.state.as_ref().map_or(Ok(()), |state| state.check(&config, rows));
        state.map_err(|error| unfit(error.to_string()))?;
        let json = serde_json::to_string(self.progress).ok();
        let progress: Option<Progress> = json.and_then(|json| serde_json::from_str(&json).ok());
        match progress.as_ref() == Some(self.progress) {
            true => Ok(config),
            false => Err(unfit("its progress has a non-finite value".to_owned())),
        }
    }

    fn check_moment(&self, index: usize) -> Result<()> {
        let (name, values) = self.moments[index];
        let is_repeated = self.moments[..index].iter().any(|(other, _)| *other == name);
        if name.is_empty() || name.contains('.') || is_repeated {
            return Err(unfit(format!(
                "the moment name {name:?} is empty, contains a dot or is repeated; give each moment a name of its own"
            )));
        }
        let (found, expected) = (values.len(), self.parameters.values.len());
        match found == expected {
            true => Ok(()),
            false => Err(unfit(format!("moment {name} has length {found}, expected {expected}"))),
        }
    }
}

/// The error for a checkpoint that could not be loaded again.
pub(super) fn unfit(reason: String) -> Error {
    Error::Checkpoint(CheckpointError::Unfit { reason })
}

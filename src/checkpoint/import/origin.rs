//! Finds the settings, vocabulary and progress of an imported file: its own, or those of another
//! checkpoint.

use super::{
    super::{contents::Checkpoint, metadata, tensor_file::TensorFile},
    failure::failed,
};
use crate::{Result, Settings, corpus::Vocabulary, model::CustomCell, progress::Progress};

/// The metadata of an imported checkpoint.
pub(super) struct ImportOrigin {
    pub(super) settings: Settings,
    pub(super) vocabulary: Vocabulary,
    pub(super) progress: Progress,
    /// True if the settings are the file's own.
    pub(super) own_settings: bool,
    /// True if the progress is the file's own.
    pub(super) own_progress: bool,
}

impl ImportOrigin {
    /// Takes the file's own metadata, and that of `like` for what is missing.
    pub(super) fn find(file: &TensorFile, like: Option<&Checkpoint>, cells: &[CustomCell]) -> Result<Self> {
        let own = metadata::stored_parts(file.path(), file.metadata(), cells)?;
        let lacks = |what: &str| {
            let reason = format!("its metadata has no {what}; name the run that it came from: --like RUN");
            failed(file.path(), reason)
        };
        let (own_settings, own_progress) = (own.settings.is_some(), own.progress.is_some());
        let settings = own.settings.or_else(|| like.map(|like| like.settings.clone()));
        let vocabulary = own.vocabulary.or_else(|| like.map(|like| like.vocabulary.clone()));
        let progress = own.progress.or_else(|| like.map(|like| like.progress.clone())).unwrap_or_default();
        let mut settings = settings.ok_or_else(|| lacks("configuration and vocabulary"))?;
        let vocabulary = vocabulary.ok_or_else(|| lacks("vocabulary"))?;
        // As in a checkpoint that is loaded.
        settings.data.unit = vocabulary.unit();
        let origin = Self { settings, vocabulary, progress, own_settings, own_progress };
        match like.is_some_and(|like| origin.differs_from(like)) {
            true => {
                let reason = "its own metadata has other layers or symbols than the run given by --like; leave --like out";
                Err(failed(file.path(), reason))
            }
            false => Ok(origin),
        }
    }

    /// Returns whether the file's own settings contradict another checkpoint.
    fn differs_from(&self, like: &Checkpoint) -> bool {
        let stacks = [&like.settings, &self.settings].map(|settings| settings.model.stack());
        self.own_settings && (stacks[0] != stacks[1] || like.vocabulary != self.vocabulary)
    }
}

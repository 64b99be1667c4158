//! Writes checkpoints.

use super::{
    contents::Checkpoint, encode::EncodedCheckpoint, replace_file::replace_file, snapshot::Snapshot,
};
use crate::Result;
use std::path::Path;

impl Checkpoint {
    /// Writes a file: first a temporary one beside `path`, which is synced and renamed.
    ///
    /// # Errors
    /// [`CheckpointError::Unfit`](crate::CheckpointError::Unfit),
    /// [`Error::Setting`](crate::Error::Setting) or [`Error::Tensor`](crate::Error::Tensor) if the
    /// checkpoint could not be loaded again, [`Error::Diverged`](crate::Error::Diverged) for a
    /// non-finite value, and [`Error::Io`](crate::Error::Io). On an error the old file stays as it
    /// was.
    pub fn save(&self, path: &Path) -> Result<()> {
        Snapshot::of(self).save(path)
    }

    /// Writes the model without training state: no optimizer moments and no carried state, which
    /// makes the file of a run with Adam a third as large. Everything that reads checkpoints reads
    /// this file, but a run cannot be resumed from it.
    ///
    /// # Errors
    /// As for [`Checkpoint::save`].
    pub fn save_model(&self, path: &Path) -> Result<()> {
        Snapshot::of_model(self).save(path)
    }

    /// Returns the bytes that [`Checkpoint::save`] writes.
    ///
    /// # Errors
    /// As for [`Checkpoint::save`], except [`Error::Io`](crate::Error::Io).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        EncodedCheckpoint::new(&Snapshot::of(self))?.write(&mut bytes).expect("a vector takes every byte");
        Ok(bytes)
    }
}

impl Snapshot<'_> {
    /// Writes a file as [`Checkpoint::save`] does.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let encoded = EncodedCheckpoint::new(self)?;
        replace_file(path, |out| encoded.write(out))
    }
}

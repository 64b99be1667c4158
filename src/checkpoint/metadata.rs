//! The strings in a file's metadata: configuration, vocabulary, progress.

use super::format::{FORMAT, VERSION, one_line};
use crate::{
    CheckpointError, Error, Result, Settings, corpus::Vocabulary, model::CustomCell, progress::Progress,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, path::Path};

/// The metadata of a file.
pub(super) struct MetadataStrings<'a> {
    path: &'a Path,
    strings: BTreeMap<&'a str, &'a str>,
}

impl<'a> MetadataStrings<'a> {
    /// Takes the keys and values of a map.
    pub(super) fn new(path: &'a Path, map: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        Self { path, strings: map.map(|(key, value)| (key.as_str(), value.as_str())).collect() }
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a str> {
        self.strings.get(key).copied()
    }

    pub(super) fn get(&self, key: &'static str) -> Result<&'a str> {
        self.find(key).ok_or_else(|| invalid_content(self.path, key, "it is missing"))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, key: &'static str) -> Result<T> {
        serde_json::from_str(self.get(key)?).map_err(|error| invalid_content(self.path, key, error))
    }

    /// Returns the difference from a file that `unrolled train` wrote.
    pub(super) fn difference(&self) -> &'static str {
        match self.find("format") {
            Some(FORMAT) => "its parts are in another order",
            _ => "its metadata lacks format = unrolled",
        }
    }

    pub(super) fn check_format(&self) -> Result<()> {
        if self.find("format") != Some(FORMAT) {
            return Err(not_checkpoint(
                self.path,
                "a safetensors file, but its metadata lacks format = unrolled",
            ));
        }
        match self.find("version") {
            Some(VERSION) => Ok(()),
            found => Err(Error::Checkpoint(CheckpointError::Version {
                path: self.path.to_owned(),
                found: one_line(found.unwrap_or("none")),
                expected: VERSION,
            })),
        }
    }
}

/// The parts of a checkpoint's metadata in a file that another program wrote.
#[derive(Default)]
pub(super) struct StoredParts {
    pub(super) settings: Option<Settings>,
    pub(super) vocabulary: Option<Vocabulary>,
    pub(super) progress: Option<Progress>,
}

/// Reads the metadata of a file that another program may have rewritten. Checksums are not
/// compared.
pub(super) fn stored_parts(
    path: &Path,
    map: &BTreeMap<String, String>,
    cells: &[CustomCell],
) -> Result<StoredParts> {
    if map.get("format").is_none_or(|format| format != FORMAT) {
        return Ok(StoredParts::default());
    }
    let strings = MetadataStrings::new(path, map.iter());
    strings.check_format()?;
    let has = |key: &str| strings.find(key).is_some();
    let mut settings: Option<Settings> = has("config").then(|| strings.json("config")).transpose()?;
    settings.iter_mut().for_each(|settings| settings.model.resolve(cells));
    settings
        .as_ref()
        .map_or(Ok(()), Settings::validate)
        .map_err(|error| invalid_content(path, "config", error))?;
    let vocabulary = strings.find("vocabulary").map(Vocabulary::from_json).transpose();
    let vocabulary = vocabulary.map_err(|error| invalid_content(path, "vocabulary", error))?;
    let progress = has("progress").then(|| strings.json("progress")).transpose()?;
    Ok(StoredParts { settings, vocabulary, progress })
}

/// The error for a file that is not a checkpoint.
pub(super) fn not_checkpoint(path: &Path, reason: impl ToString) -> Error {
    Error::Checkpoint(CheckpointError::NotCheckpoint {
        path: path.to_owned(),
        reason: one_line(&reason.to_string()),
    })
}

/// The error for an invalid part of the metadata.
pub(super) fn invalid_content(path: &Path, part: &'static str, reason: impl ToString) -> Error {
    Error::Checkpoint(CheckpointError::Content {
        path: path.to_owned(),
        part,
        reason: one_line(&reason.to_string()),
    })
}

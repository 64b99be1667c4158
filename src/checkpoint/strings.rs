//! The strings beside the tensors of a file, in which a checkpoint has all that is no tensor.

use super::{FORMAT, VERSION};
use crate::{Error, Result, Settings, corpus::Vocabulary, model::CustomCell, train::Progress};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, path::Path};

/// The strings beside the tensors.
pub(super) struct Strings<'a> {
    pub(super) path: &'a Path,
    map: BTreeMap<&'a str, &'a str>,
}

impl<'a> Strings<'a> {
    pub(super) fn new(path: &'a Path, entries: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        Self { path, map: entries.map(|(key, value)| (key.as_str(), value.as_str())).collect() }
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a str> {
        self.map.get(key).copied()
    }

    pub(super) fn get(&self, key: &'static str) -> Result<&'a str> {
        self.find(key).ok_or_else(|| unusable(self.path, key, "it is missing"))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, key: &'static str) -> Result<T> {
        serde_json::from_str(self.get(key)?).map_err(|error| unusable(self.path, key, error))
    }

    /// In what a file differs that another program wrote.
    pub(super) fn difference(&self) -> &'static str {
        match self.find("format") {
            Some(FORMAT) => "its parts are in another order",
            _ => "its metadata lacks format = unrolled",
        }
    }

    pub(super) fn check_format(&self) -> Result<()> {
        if self.find("format") != Some(FORMAT) {
            return Err(foreign(self.path, "a safetensors file, but its metadata lacks format = unrolled"));
        }
        match self.find("version") {
            Some(VERSION) => Ok(()),
            found => Err(Error::CheckpointVersion {
                path: self.path.to_owned(),
                found: one_line(found.unwrap_or("none")),
                expected: VERSION,
            }),
        }
    }
}

/// The parts of a checkpoint's metadata that a file of another program has kept.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) settings: Option<Settings>,
    pub(super) vocabulary: Option<Vocabulary>,
    pub(super) progress: Option<Progress>,
}

/// Reads the metadata of a file that another program may have rewritten: without checksums.
pub(super) fn metadata(path: &Path, map: &BTreeMap<String, String>, cells: &[CustomCell]) -> Result<Kept> {
    if map.get("format").is_none_or(|format| format != FORMAT) {
        return Ok(Kept::default());
    }
    let strings = Strings::new(path, map.iter());
    strings.check_format()?;
    let has = |key: &str| strings.find(key).is_some();
    let mut settings: Option<Settings> = has("config").then(|| strings.json("config")).transpose()?;
    settings.iter_mut().for_each(|settings| settings.model.resolve(cells));
    settings.as_ref().map_or(Ok(()), Settings::validate).map_err(|error| unusable(path, "config", error))?;
    let vocabulary = strings.find("vocabulary").map(Vocabulary::from_json).transpose();
    let vocabulary = vocabulary.map_err(|error| unusable(path, "vocabulary", error))?;
    let progress = has("progress").then(|| strings.json("progress")).transpose()?;
    Ok(Kept { settings, vocabulary, progress })
}

pub(super) fn foreign(path: &Path, reason: impl ToString) -> Error {
    Error::NotCheckpoint { path: path.to_owned(), reason: one_line(&reason.to_string()) }
}

pub(super) fn unusable(path: &Path, part: &'static str, reason: impl ToString) -> Error {
    Error::CheckpointContent { path: path.to_owned(), part, reason: one_line(&reason.to_string()) }
}

/// What a file says is printed on one line, whatever it says.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

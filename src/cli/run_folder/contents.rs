//! Reading and writing the files of a run folder.

use super::{
    CONFIG, CorpusManifest, FILES, MANIFEST, PLOT, RunFolder, RunStatus, STATUS,
    atomic_file::{replace, replace_unsynced},
};
use crate::cli::failure::Failure;
use serde::de::DeserializeOwned;
use std::{fs, path::Path};
use unrolled::{Error, corpus::Corpus, train::Record};

/// A file of a run folder and its size.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileSize {
    /// The name in the folder.
    pub name: String,
    /// The size in bytes.
    pub bytes: u64,
}

impl RunFolder {
    /// Writes one of the files with `write`, which receives the path.
    pub fn write<E: Into<Failure>>(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), Failure> {
        self.with_visible_path(write(&self.held().join(name)).map_err(Into::into))
    }

    /// Replaces the path of the held folder with the folder's name in an error message.
    pub fn with_visible_path(&self, written: Result<(), Failure>) -> Result<(), Failure> {
        written.map_err(|failure| match failure {
            Failure::Library(Error::Io { action, path, source }) => {
                let file = path.strip_prefix(self.held()).map(|file| self.path.join(file)).unwrap_or(path);
                Error::Io { action, path: file, source }.into()
            }
            other => other,
        })
    }

    /// Reads the complete, valid lines of one of the files.
    pub fn read_lines<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let text = fs::read_to_string(self.file(name)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Replaces `status.json` without a sync: it may be lost when the machine goes down.
    pub fn write_status(&self, status: &RunStatus) -> Result<(), Failure> {
        let text = serde_json::to_string(status).expect("numbers and names");
        self.write(STATUS, |path| replace_unsynced(path, (text + "\n").as_bytes()))
    }

    /// Reads `status.json`; `None` if it is missing or unreadable.
    pub fn status(&self) -> Option<RunStatus> {
        serde_json::from_str(&fs::read_to_string(self.file(STATUS)).ok()?).ok()
    }

    /// Reads the text of `config.toml`; `None` if it is missing or unreadable.
    pub fn read_config(&self) -> Option<String> {
        fs::read_to_string(self.config()).ok()
    }

    /// Replaces `config.toml`.
    pub fn write_config(&self, text: &str) -> Result<(), Failure> {
        self.write(CONFIG, |path| replace(path, text.as_bytes()))
    }

    /// Replaces `manifest.json`, the list of the corpus's files.
    pub fn write_manifest(&self, corpus: &Corpus) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&CorpusManifest::of(corpus)).expect("texts and numbers");
        self.write(MANIFEST, |path| replace(path, (text + "\n").as_bytes()))
    }

    /// Copies `manifest.json` from another run, if that has one.
    pub fn copy_manifest(&self, from: &Self) -> Result<(), Failure> {
        match fs::read(from.file(MANIFEST)) {
            Ok(text) => self.write(MANIFEST, |path| replace(path, &text)),
            Err(_) => Ok(()),
        }
    }

    /// Reads `manifest.json`; `None` if it is missing or unreadable.
    pub fn manifest(&self) -> Option<CorpusManifest> {
        serde_json::from_str(&fs::read_to_string(self.file(MANIFEST)).ok()?).ok()
    }

    /// Describes the first file in which `corpus` differs from the corpus of the run.
    pub fn difference(&self, corpus: &Corpus) -> Option<String> {
        self.manifest()?.difference(corpus)
    }

    /// Replaces `loss.svg`.
    pub fn write_plot(&self, svg: &str) -> Result<(), Failure> {
        self.write(PLOT, |path| replace(path, svg.as_bytes()))
    }

    /// Lists all files of the folder but hidden ones: first those that every run has, then the
    /// others by name.
    pub fn file_sizes(&self) -> Vec<FileSize> {
        let place = |name: &str| FILES.iter().position(|known| *known == name).unwrap_or(FILES.len());
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.filter_map(|entry| file_size(&entry.path())).collect();
        files.retain(|file| !file.name.starts_with('.'));
        files.sort_by(|a, b| (place(&a.name), &a.name).cmp(&(place(&b.name), &b.name)));
        files
    }
}

/// Returns the name and size of a file; `None` for anything else.
pub fn file_size(path: &Path) -> Option<FileSize> {
    let metadata = path.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(FileSize { name: path.file_name()?.to_string_lossy().into_owned(), bytes: metadata.len() })
}

/// Returns an evaluation as a line of JSON.
pub fn as_line(record: &Record) -> String {
    serde_json::to_string(record).expect("a record is numbers only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_the_known_ones_first() {
        let home = tempfile::tempdir().expect("a temporary folder");
        for name in ["zebra", "checkpoint-5.safetensors", "loss.svg", "config.toml", ".lock"] {
            fs::write(home.path().join(name), "four").expect("written");
        }
        fs::create_dir(home.path().join("folder")).expect("a folder");
        let files = RunFolder::at(home.path()).file_sizes();
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["config.toml", "loss.svg", "checkpoint-5.safetensors", "zebra"]);
        assert!(files.iter().all(|file| file.bytes == 4));
    }
}

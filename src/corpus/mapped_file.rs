//! Mapped files, and the check that they have not changed.

use super::map::Mapping;
use crate::{Error, Result};
use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file that is read in place.
#[derive(Debug)]
pub(super) struct MappedFile {
    map: Mapping,
    path: PathBuf,
    stamp: FileStamp,
}

/// Identity, length and time of the last change of a file: they show that it is no longer the
/// mapped one.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    length: u64,
    modified: Option<SystemTime>,
    identity: (u64, u64),
}

impl MappedFile {
    /// Maps a file, opened at `path`. `metadata` was read from it.
    pub fn new(file: &File, path: &Path, metadata: &Metadata) -> io::Result<Self> {
        Ok(Self { map: Mapping::new(file)?, path: path.into(), stamp: FileStamp::new(metadata) })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Returns an error if the file is no longer the one that was mapped.
    pub fn check_unchanged(&self) -> Result<()> {
        self.check_truncation()?;
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.changed("deleted")),
            Ok(metadata) => {
                let change = self.stamp.change(&FileStamp::new(&metadata));
                change.map_or(Ok(()), |change| Err(self.changed(change)))
            }
            // A folder that cannot be searched for a while says nothing about the file.
            Err(_) => Ok(()),
        }
    }

    /// Returns an error if bytes were read that the file no longer has.
    pub fn check_truncation(&self) -> Result<()> {
        if self.map.is_truncated() { Err(self.changed("cut short")) } else { Ok(()) }
    }

    fn changed(&self, change: &'static str) -> Error {
        Error::TextChanged { path: self.path.clone(), change }
    }
}

impl FileStamp {
    fn new(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let identity = (0, 0);
        Self { length: metadata.len(), modified: metadata.modified().ok(), identity }
    }

    /// Returns what happened to a file that has the stamp `now`.
    fn change(&self, now: &Self) -> Option<&'static str> {
        if self == now {
            None
        } else if self.identity != now.identity {
            Some("replaced")
        } else if now.length < self.length {
            Some("cut short")
        } else if now.length > self.length {
            Some("written to")
        } else {
            Some("changed")
        }
    }
}

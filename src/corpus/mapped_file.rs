//! Files that are opened for a corpus, and the check that a mapped file has not changed.

use super::{map::Mapping, source::CorpusSource};
use crate::{Error, Result};
use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
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

/// What is at a path.
pub(super) enum Opened {
    /// A file.
    File(CorpusSource),
    /// Data that can be read only once, such as a pipe. With its name.
    Stream(String, File),
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

impl Opened {
    /// Opens a path: a file, mapped or read into memory, or a stream. A file that cannot be mapped
    /// is a stream too.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::NotText`] for a device, which has no end.
    pub fn new(path: &Path, mapped: bool) -> Result<Self> {
        let failed = |source| unreadable(path, source);
        let metadata = fs::metadata(path).map_err(failed)?;
        if let Some(found) = device(&metadata) {
            return Err(Error::NotText { path: path.into(), found });
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(failed)?;
        // Files that are created while they are read, such as those below /proc, have length 0.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(Self::Stream(name, file));
        }
        if !mapped {
            return Ok(Self::File(CorpusSource::held(&name, read(file, path)?)));
        }
        let stamp = FileStamp::new(&file.metadata().map_err(failed)?);
        Ok(match Mapping::new(&file) {
            Ok(map) => Self::File(CorpusSource::mapped(name, MappedFile { map, path: path.into(), stamp })),
            Err(_) => Self::Stream(name, file),
        })
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

/// Returns the kind of a file that has no end.
fn device(metadata: &Metadata) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    #[cfg(not(unix))]
    let _ = metadata;
    None
}

/// Reads all bytes of a file.
fn read(mut file: File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
    Ok(bytes)
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "read", path: path.into(), source }
}

//! Files and streams that are opened for a corpus.

use super::{mapped_file::MappedFile, source::CorpusSource};
use crate::{Error, Result, device::device};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

/// An opened path.
pub(super) enum Opened {
    /// A file.
    File(CorpusSource),
    /// Data that can be read only once, such as a pipe. With its name.
    Stream(String, File),
}

impl Opened {
    /// Opens a path: a file, mapped or read into memory, or a stream. A file that cannot be mapped
    /// is a stream too.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::NotText`] for a device, which has no end.
    pub fn new(path: &Path, mapped: bool) -> Result<Self> {
        let failed = |source| Error::unreadable(path, source);
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
        let metadata = file.metadata().map_err(failed)?;
        Ok(match MappedFile::new(&file, path, &metadata) {
            Ok(mapped) => Self::File(CorpusSource::mapped(name, mapped)),
            Err(_) => Self::Stream(name, file),
        })
    }
}

/// Reads all bytes of a file.
fn read(mut file: File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| Error::unreadable(path, source))?;
    Ok(bytes)
}

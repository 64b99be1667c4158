//! Where the bytes come from: mapped files, or memory.

use super::map::map;
use crate::{Error, Result};
use memmap2::Mmap;
use std::{
    borrow::Cow,
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A NUL among so many first bytes marks a file as binary.
const SNIFFED: usize = 8 << 10;
/// Linux gives a process about 65 000 maps, and allocations need some too: files beyond this number are read.
const MAPS: usize = 16 << 10;

/// A stretch of text that is decoded by itself: a file, or a text in memory.
#[derive(Debug)]
pub(super) struct Source {
    /// The path, or what a person would call it.
    pub name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped { map: Mmap, path: PathBuf, stamp: Stamp },
    Held(Cow<'static, [u8]>),
}

/// Length and time of the last change: what shows that a file was written to.
type Stamp = (u64, Option<SystemTime>);

impl Source {
    /// A text in memory.
    pub fn held(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { name: name.into(), bytes: Bytes::Held(bytes.into()) }
    }

    /// A file: mapped, or read where a map is not possible (a pipe, for instance).
    fn open(path: PathBuf, mapped: bool) -> io::Result<Self> {
        let name = path.display().to_string();
        let metadata = fs::metadata(&path)?;
        if mapped && metadata.is_file() && metadata.len() > 0 {
            let file = fs::File::open(&path)?;
            let stamp = stamp(&file.metadata()?);
            if let Ok(map) = map(&file) {
                return Ok(Self { name, bytes: Bytes::Mapped { map, path, stamp } });
            }
        }
        let bytes = fs::read(&path)?;
        Ok(Self { name, bytes: Bytes::Held(bytes.into()) })
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped { map, .. } => map,
            Bytes::Held(bytes) => bytes,
        }
    }

    /// An error when the file was written to since it was mapped.
    pub fn unchanged(&self) -> Result<()> {
        match &self.bytes {
            Bytes::Mapped { path, stamp: old, .. } => match fs::metadata(path) {
                Ok(new) if stamp(&new) != *old => Err(Error::TextChanged { path: path.clone() }),
                // A file that was deleted or replaced lives on in its map.
                _ => Ok(()),
            },
            Bytes::Held(_) => Ok(()),
        }
    }

    fn is_text(&self) -> bool {
        let bytes = self.bytes();
        !bytes.is_empty() && !bytes[..bytes.len().min(SNIFFED)].contains(&0)
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.len(), metadata.modified().ok())
}

/// The files named, and the text files below the folders named, in that order.
pub(super) fn open(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if fs::metadata(path).map_err(|source| unreadable(path, source))?.is_dir() {
            open_folder(path, &mut sources)?;
        } else {
            sources.push(open_file(path.clone(), sources.len())?);
        }
    }
    Ok(sources)
}

/// Text files below a folder, sorted by path.
fn open_folder(folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let before = sources.len();
    let mut paths = Vec::new();
    walk(folder, &mut paths)?;
    paths.sort();
    for path in paths {
        let source = open_file(path, sources.len())?;
        sources.extend(source.is_text().then_some(source));
    }
    if sources.len() == before {
        return Err(Error::NoText { path: folder.into() });
    }
    Ok(())
}

fn open_file(path: PathBuf, opened: usize) -> Result<Source> {
    Source::open(path.clone(), opened < MAPS).map_err(|source| unreadable(&path, source))
}

/// All files below a folder that are not hidden. Links to files are followed, links to folders are not: they could
/// lead in circles. The folders of runs are left out: a text that held its own run's files would change as it trains.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |source| unreadable(folder, source);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if hidden(&entry) {
            continue;
        }
        let path = entry.path();
        if entry.file_type().map_err(fail)?.is_dir() {
            if !is_run(&path) {
                walk(&path, files)?;
            }
        } else if fs::metadata(&path).is_ok_and(|target| target.is_file()) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether a folder holds a training run.
fn is_run(folder: &Path) -> bool {
    folder.join("config.toml").is_file() && folder.join("checkpoint.safetensors").is_file()
}

fn hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "read", path: path.into(), source }
}

/// What a person would call the files opened at these paths.
pub(super) fn name(paths: &[PathBuf], files: usize) -> String {
    let count = if files == 1 { "1 file".into() } else { format!("{files} files") };
    match paths {
        [] => "the list of files".into(),
        [path] if path.is_dir() => format!("{count} below {}", path.display()),
        [path] => path.display().to_string(),
        _ => count,
    }
}

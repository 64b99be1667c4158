//! Where the bytes come from: mapped files, or memory.

use super::map::{self, Mapping};
use crate::{Error, Result, model::memory_total};
use std::{
    borrow::Cow,
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A stretch of text that is decoded by itself: a file, or a text in memory.
#[derive(Debug)]
pub(super) struct Source {
    /// The path, or what a person would call it.
    pub name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped { map: Mapping, path: PathBuf, stamp: Stamp },
    Held(Cow<'static, [u8]>),
}

/// Which file it is, its length, and the time of the last change: what shows that a file is no longer the one mapped.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    identity: (u64, u64),
}

impl Source {
    /// A text in memory.
    pub fn held(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { name: name.into(), bytes: Bytes::Held(bytes.into()) }
    }

    /// A file: mapped, or read where a map is not possible (a pipe, for instance).
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::NotText`] for a device, which has no end.
    pub fn open(path: &Path, mapped: bool) -> Result<Self> {
        let failed = |source| unreadable(path, source);
        let metadata = fs::metadata(path).map_err(failed)?;
        if let Some(found) = device(&metadata) {
            return Err(Error::NotText { path: path.into(), found });
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(failed)?;
        if mapped && metadata.is_file() && metadata.len() > 0 {
            let stamp = Stamp::of(&file.metadata().map_err(failed)?);
            if let Ok(map) = Mapping::new(&file) {
                return Ok(Self { name, bytes: Bytes::Mapped { map, path: path.into(), stamp } });
            }
        }
        Ok(Self { name, bytes: Bytes::Held(read(file, path)?.into()) })
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped { map, .. } => map,
            Bytes::Held(bytes) => bytes,
        }
    }

    pub fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped { .. })
    }

    /// An error when the file is no longer what was mapped.
    pub fn unchanged(&self) -> Result<()> {
        let Bytes::Mapped { path, stamp, .. } = &self.bytes else { return Ok(()) };
        self.whole()?;
        let change = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("deleted"),
            Ok(metadata) => stamp.change(&Stamp::of(&metadata)),
            // A folder that cannot be searched for a while says nothing about the file.
            Err(_) => None,
        };
        match change {
            Some(change) => Err(Error::TextChanged { path: path.clone(), change }),
            None => Ok(()),
        }
    }

    /// An error when bytes were read that the file no longer has.
    pub fn whole(&self) -> Result<()> {
        match &self.bytes {
            Bytes::Mapped { map, path, .. } if map.is_lost() => {
                Err(Error::TextChanged { path: path.clone(), change: "cut short" })
            }
            _ => Ok(()),
        }
    }
}

/// Whether [`Source::whole`] is worth asking.
pub(super) fn any_lost() -> bool {
    map::any_lost()
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let identity = (0, 0);
        Self { length: metadata.len(), modified: metadata.modified().ok(), identity }
    }

    /// What was done to the file that now has another stamp.
    fn change(&self, now: &Self) -> Option<&'static str> {
        match self {
            same if same == now => None,
            other if other.identity != now.identity => Some("replaced"),
            longer if now.length < longer.length => Some("cut short"),
            shorter if now.length > shorter.length => Some("written to"),
            _ => Some("changed"),
        }
    }
}

/// What a file is that gives bytes without end.
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

/// All bytes of what cannot be mapped, up to half of the machine's memory.
fn read(file: File, path: &Path) -> Result<Vec<u8>> {
    let most = memory_total().map_or(u64::MAX - 1, |total| (total / 2.0) as u64);
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
    match bytes.len() as u64 > most {
        true => Err(Error::NotText {
            path: path.into(),
            found: "a stream longer than half of the memory: write it to a file, which is",
        }),
        false => Ok(bytes),
    }
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "read", path: path.into(), source }
}

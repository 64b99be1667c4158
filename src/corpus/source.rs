//! Where the bytes come from: mapped files, or memory.

use super::{
    map::{self, Mapping},
    spool::Kept,
};
use crate::{Error, Result};
use std::{
    borrow::Cow,
    fs::{self, File, Metadata},
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// A stretch of text that is decoded by itself: a file, or a text in memory.
#[derive(Debug)]
pub(super) struct Source {
    /// The path, or what a person would call it.
    pub name: String,
    /// Bytes of a byte-order mark, which are no part of the text.
    pub mark: usize,
    pub origin: Origin,
    bytes: Bytes,
}

/// What the bytes were before they became UTF-8 text.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// How they were compressed.
    pub compression: Option<&'static str>,
    /// What they were decoded from.
    pub encoding: Option<String>,
}

/// What is at a path.
pub(super) enum Opened {
    /// A file.
    File(Source),
    /// What has no place that can be read twice: a pipe, for instance. With its name.
    Stream(String, File),
}

#[derive(Debug)]
enum Bytes {
    Mapped {
        map: Mapping,
        path: PathBuf,
        stamp: Stamp,
    },
    Held(Cow<'static, [u8]>),
    /// A part of the temporary file; no map before everything is written.
    Spooled {
        map: Option<Arc<Mapping>>,
        range: Range<usize>,
    },
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
        Self::of(name.into(), Bytes::Held(bytes.into()))
    }

    /// A text that was decompressed, decoded or read from a stream.
    pub fn kept(name: &str, kept: Kept, origin: Origin) -> Self {
        let bytes = match kept {
            Kept::Memory(bytes) => Bytes::Held(bytes.into()),
            Kept::File(range) => Bytes::Spooled { map: None, range },
        };
        Self { origin, ..Self::of(name.into(), bytes) }
    }

    fn of(name: String, bytes: Bytes) -> Self {
        Self { name, mark: 0, origin: Origin::default(), bytes }
    }

    /// The same without a byte-order mark of so many bytes.
    pub fn without_mark(self, mark: usize) -> Self {
        Self { mark, ..self }
    }

    /// Gives the map of the temporary file to a text that lies there.
    pub fn settle(&mut self, file: &Arc<Mapping>) {
        if let Bytes::Spooled { map, .. } = &mut self.bytes {
            *map = Some(file.clone());
        }
    }

    /// The text, without its byte-order mark.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let bytes = match &self.bytes {
            Bytes::Mapped { map, .. } => map,
            Bytes::Held(bytes) => &**bytes,
            Bytes::Spooled { map: Some(map), range } => &map[range.clone()],
            Bytes::Spooled { map: None, .. } => &[],
        };
        &bytes[self.mark..]
    }

    /// Bytes that it takes in memory.
    pub fn memory(&self) -> usize {
        if let Bytes::Held(_) = &self.bytes { self.bytes().len() } else { 0 }
    }

    /// Whether it is read in place from a file of the user's.
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

impl Opened {
    /// A file, mapped or read into memory; or a stream, also where a map is not possible.
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
        // The length of a file that is made while it is read, as those below /proc are, is 0.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(Self::Stream(name, file));
        }
        if !mapped {
            return Ok(Self::File(Source::of(name, Bytes::Held(read(file, path)?.into()))));
        }
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        Ok(match Mapping::new(&file) {
            Ok(map) => Self::File(Source::of(name, Bytes::Mapped { map, path: path.into(), stamp })),
            Err(_) => Self::Stream(name, file),
        })
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

/// All bytes of a file that is not to be mapped.
fn read(mut file: File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
    Ok(bytes)
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "read", path: path.into(), source }
}

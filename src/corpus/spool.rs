//! Storage for text that is not read in place: decompressed, decoded, or from a pipe.
//!
//! Texts stay in memory up to a limit. A text that exceeds what is left of it goes to a temporary
//! file, which has no name and is mapped when everything is written.

use super::map::Mapping;
use crate::{Error, Result, model::memory_total};
use std::{
    env,
    fs::File,
    io::{self, Write},
    ops::Range,
};

/// Default limit on the bytes of all such texts in memory together.
const IN_MEMORY: usize = 64 << 20;
/// Number of bytes to leave free on the disk of temporary files.
const LEFT_FREE: u64 = 256 << 20;
/// Number of bytes written between two checks of the free space.
const CHECK: u64 = 16 << 20;

/// The default limit in memory. It is an eighth of the memory that this process may use, if that is
/// less, which leaves room for a model.
pub(super) fn in_memory() -> usize {
    memory_total().map_or(IN_MEMORY, |total| IN_MEMORY.min((total / 8.0) as usize))
}

/// Holds texts while they are read.
#[derive(Debug)]
pub(super) struct Spool {
    memory: usize,
    /// True if texts beyond the limit go to the file; otherwise they are an error.
    spills: bool,
    file: Option<File>,
    /// Number of bytes in the file.
    written: u64,
}

/// The place of the bytes of one text.
#[derive(Debug)]
pub(super) enum SpooledText {
    Memory(Vec<u8>),
    /// A range of the temporary file.
    File(Range<usize>),
}

impl Spool {
    /// Creates a spool that keeps up to `memory` bytes in memory.
    pub fn new(memory: usize) -> Self {
        Self { memory, spills: true, file: None, written: 0 }
    }

    /// Creates a spool that refuses texts beyond `memory` bytes.
    pub fn without_file(memory: usize) -> Self {
        Self { spills: false, ..Self::new(memory) }
    }

    /// Starts a text; messages call it `text`.
    pub fn sink(&mut self, text: &str) -> Sink<'_> {
        Sink { start: self.written, spool: self, text: text.to_owned(), memory: Some(Vec::new()), checked: 0 }
    }

    /// Maps the temporary file, if there is one.
    pub fn map(&self) -> Result<Option<Mapping>> {
        let mapped = self.file.as_ref().map(Mapping::new).transpose();
        mapped.map_err(|source| Error::Io {
            action: "map a temporary file in",
            path: env::temp_dir(),
            source,
        })
    }
}

/// Writes one text.
pub(super) struct Sink<'s> {
    spool: &'s mut Spool,
    text: String,
    /// The bytes in memory; `None` once they are in the file.
    memory: Option<Vec<u8>>,
    /// Start of the text in the file.
    start: u64,
    /// Number of bytes in the file at the last check of the free space.
    checked: u64,
}

impl Sink<'_> {
    /// Ends the text.
    pub fn finish(self) -> SpooledText {
        match self.memory {
            Some(bytes) => {
                self.spool.memory -= bytes.len();
                SpooledText::Memory(bytes)
            }
            None => SpooledText::File(self.start as usize..self.spool.written as usize),
        }
    }

    fn spill(&mut self, bytes: &[u8]) -> io::Result<()> {
        let failed = |source| {
            io::Error::other(Error::Io { action: "write a temporary file in", path: env::temp_dir(), source })
        };
        let file = match &mut self.spool.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(failed)?),
        };
        file.write_all(bytes).map_err(failed)?;
        self.spool.written += bytes.len() as u64;
        if self.spool.written - self.checked >= CHECK {
            self.checked = self.spool.written;
            self.check_free()?;
        }
        Ok(())
    }

    fn check_free(&self) -> io::Result<()> {
        let free = self.spool.file.as_ref().and_then(free_space).unwrap_or(u64::MAX);
        match free < LEFT_FREE {
            true => Err(io::Error::other(Error::TextTooLarge {
                text: self.text.clone(),
                problem: format!(
                    "takes more room than {} has for temporary files: {} bytes are written, and {free} would be \
                     left free; make room, or set TMPDIR to a folder with more",
                    env::temp_dir().display(),
                    self.spool.written - self.start
                ),
            })),
            false => Ok(()),
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.memory.take() {
            Some(mut held) if held.len() + bytes.len() <= self.spool.memory => {
                held.extend_from_slice(bytes);
                self.memory = Some(held);
            }
            Some(_) if !self.spool.spills => {
                return Err(io::Error::other(too_large(&self.text, self.spool.memory)));
            }
            Some(held) => {
                self.spill(&held)?;
                self.spill(bytes)?;
            }
            None => self.spill(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error for a text that does not fit in memory.
pub(super) fn too_large(text: &str, most: usize) -> Error {
    let problem =
        format!("is larger than {} MiB, the most that is read at once; name a shorter one", most >> 20);
    Error::TextTooLarge { text: text.to_owned(), problem }
}

/// Number of free bytes on the disk of this file.
#[cfg(unix)]
fn free_space(file: &File) -> Option<u64> {
    rustix::fs::fstatvfs(file).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_space(_: &File) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_beyond_the_limit_go_to_one_file() {
        let mut spool = Spool::new(10);
        let mut keep = |pieces: &[&str]| {
            let mut sink = spool.sink("a text");
            pieces.iter().for_each(|piece| sink.write_all(piece.as_bytes()).unwrap());
            sink.finish()
        };
        assert!(matches!(keep(&["four"]), SpooledText::Memory(bytes) if bytes == b"four"));
        assert!(matches!(keep(&["six by", "tes"]), SpooledText::File(range) if range == (0..9)));
        assert!(matches!(keep(&["sixsix"]), SpooledText::Memory(bytes) if bytes == b"sixsix"));
        assert!(matches!(keep(&["x"]), SpooledText::File(range) if range == (9..10)));
        let map = spool.map().unwrap().expect("a file");
        assert_eq!(&*map, b"six bytesx");
        assert!(Spool::new(10).map().unwrap().is_none());
    }

    #[test]
    fn without_a_file_a_text_beyond_the_limit_is_refused() {
        let mut spool = Spool::without_file(1 << 20);
        let mut sink = spool.sink("a prompt");
        sink.write_all(&[b'a'; 1 << 20]).unwrap();
        let refused = sink.write_all(b"b").unwrap_err().to_string();
        assert_eq!(
            refused,
            "a prompt is larger than 1 MiB, the most that is read at once; name a shorter one"
        );
        assert!(spool.map().unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn free_space_is_known() {
        assert!(free_space(&tempfile::tempfile().unwrap()).is_some());
    }
}

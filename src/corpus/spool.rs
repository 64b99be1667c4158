//! Where text goes that is not read from its file in place: decompressed, decoded, or from a pipe.
//!
//! The first bytes stay in memory. A text that would take more than what is left of that goes to one temporary file,
//! which has no name and is mapped once everything is written.

use super::map::Mapping;
use crate::{Error, Result, model::memory_total};
use std::{
    env,
    fs::File,
    io::{self, Write},
    ops::Range,
};

/// Bytes of such texts that stay in memory at most, all of them together, unless the caller says otherwise.
const IN_MEMORY: usize = 64 << 20;
/// Bytes that are left free on the disk that holds temporary files.
const LEFT_FREE: u64 = 256 << 20;
/// Bytes written between two looks at the free space.
const LOOK: u64 = 16 << 20;

/// Bytes that stay in memory when the caller does not say how many: where this process may use little, an eighth of that,
/// which leaves room for a model.
pub(super) fn in_memory() -> usize {
    memory_total().map_or(IN_MEMORY, |total| IN_MEMORY.min((total / 8.0) as usize))
}

/// Texts under way.
#[derive(Debug)]
pub(super) struct Spool {
    memory: usize,
    /// Whether what is more goes to the file; it is refused otherwise.
    spills: bool,
    file: Option<File>,
    /// Bytes in the file.
    written: u64,
}

/// Where one text lies.
#[derive(Debug)]
pub(super) enum Kept {
    Memory(Vec<u8>),
    /// These bytes of the temporary file.
    File(Range<usize>),
}

impl Spool {
    /// One that keeps `memory` bytes in memory.
    pub fn new(memory: usize) -> Self {
        Self { memory, spills: true, file: None, written: 0 }
    }

    /// One that refuses what takes more than `memory` bytes.
    pub fn without_file(memory: usize) -> Self {
        Self { spills: false, ..Self::new(memory) }
    }

    /// The place for the text that is called `text`.
    pub fn sink(&mut self, text: &str) -> Sink<'_> {
        Sink { start: self.written, spool: self, text: text.to_owned(), memory: Some(Vec::new()), looked: 0 }
    }

    /// The temporary file, if there was need of one.
    pub fn map(&self) -> Result<Option<Mapping>> {
        let mapped = self.file.as_ref().map(Mapping::new).transpose();
        mapped.map_err(|source| Error::Io {
            action: "map a temporary file in",
            path: env::temp_dir(),
            source,
        })
    }
}

/// Takes one text.
pub(super) struct Sink<'s> {
    spool: &'s mut Spool,
    text: String,
    /// What is in memory; none once it has gone to the file.
    memory: Option<Vec<u8>>,
    /// Where it begins in the file.
    start: u64,
    /// Bytes in the file at the last look at the free space.
    looked: u64,
}

impl Sink<'_> {
    /// The text is complete.
    pub fn finish(self) -> Kept {
        match self.memory {
            Some(bytes) => {
                self.spool.memory -= bytes.len();
                Kept::Memory(bytes)
            }
            None => Kept::File(self.start as usize..self.spool.written as usize),
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
        if self.spool.written - self.looked >= LOOK {
            self.looked = self.spool.written;
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

/// The error for a text that is to be held in memory as a whole.
pub(super) fn too_large(text: &str, most: usize) -> Error {
    let problem =
        format!("is larger than {} MiB, the most that is read at once; name a shorter one", most >> 20);
    Error::TextTooLarge { text: text.to_owned(), problem }
}

/// Bytes that may still be written beside this file.
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
    fn what_memory_cannot_take_goes_to_one_file() {
        let mut spool = Spool::new(10);
        let mut keep = |pieces: &[&str]| {
            let mut sink = spool.sink("a text");
            pieces.iter().for_each(|piece| sink.write_all(piece.as_bytes()).unwrap());
            sink.finish()
        };
        assert!(matches!(keep(&["four"]), Kept::Memory(bytes) if bytes == b"four"));
        assert!(matches!(keep(&["six by", "tes"]), Kept::File(range) if range == (0..9)));
        assert!(matches!(keep(&["sixsix"]), Kept::Memory(bytes) if bytes == b"sixsix"));
        assert!(matches!(keep(&["x"]), Kept::File(range) if range == (9..10)));
        let map = spool.map().unwrap().expect("a file");
        assert_eq!(&*map, b"six bytesx");
        assert!(Spool::new(10).map().unwrap().is_none());
    }

    #[test]
    fn without_a_file_more_is_refused() {
        let mut spool = Spool::without_file(1 << 20);
        let mut sink = spool.sink("a prompt");
        sink.write_all(&[b'a'; 1 << 20]).unwrap();
        let told = sink.write_all(b"b").unwrap_err().to_string();
        assert_eq!(told, "a prompt is larger than 1 MiB, the most that is read at once; name a shorter one");
        assert!(spool.map().unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn free_space_is_known() {
        assert!(free_space(&tempfile::tempfile().unwrap()).is_some());
    }
}

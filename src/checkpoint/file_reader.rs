//! Reads files: parts of a checkpoint, which is never held in memory as a whole, and whole files of
//! other programs.

use crate::{Error, Result, device::device};
use crc32fast::Hasher;
use std::{
    fs::{self, File},
    io::{self, Cursor, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

/// Bytes hashed at a time.
const CHUNK: u64 = 1 << 18;

/// Reads a whole file, or what a pipe holds. A device is an error, because it has no end.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::unreadable(path, source);
    match device(&fs::metadata(path).map_err(failed)?) {
        Some(found) => Err(failed(io::Error::other(format!("{found}; name a file on a disk")))),
        None => fs::read(path).map_err(failed),
    }
}

/// A file, or bytes in memory. `path` is for messages.
pub(super) struct FileReader<'a, R> {
    pub(super) path: &'a Path,
    pub(super) len: u64,
    reader: R,
}

impl<'a> FileReader<'a, File> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, reader)) if metadata.is_file() => Ok(Self { path, len: metadata.len(), reader }),
            Ok((metadata, _)) if metadata.is_dir() => {
                Err(Error::unreadable(path, io::ErrorKind::IsADirectory.into()))
            }
            Ok(_) => {
                Err(Error::unreadable(path, io::Error::other("not a regular file; name a file on a disk")))
            }
            Err(error) => Err(Error::unreadable(path, error)),
        }
    }
}

impl<'a> FileReader<'a, Cursor<&'a [u8]>> {
    pub(super) fn of(bytes: &'a [u8], path: &'a Path) -> Self {
        Self { path, len: bytes.len() as u64, reader: Cursor::new(bytes) }
    }
}

impl<R: Read + Seek> FileReader<'_, R> {
    /// Fills `bytes` from offset `at`.
    pub(super) fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<()> {
        let reader = &mut self.reader;
        let read = reader.seek(SeekFrom::Start(at)).and_then(|_| reader.read_exact(bytes));
        read.map_err(|error| Error::unreadable(self.path, error))
    }

    /// Returns the bytes in `range`, which must be within the file.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Adds the bytes in `range` to a checksum.
    pub(super) fn hash(&mut self, range: Range<u64>, hasher: &mut Hasher) -> Result<()> {
        let mut chunk = vec![0; CHUNK.min(range.end - range.start) as usize];
        for at in range.clone().step_by(CHUNK as usize) {
            let bytes = &mut chunk[..CHUNK.min(range.end - at) as usize];
            self.read(at, bytes)?;
            hasher.update(bytes);
        }
        Ok(())
    }

    /// Fills `values` with little-endian floats from offset `at`.
    pub(super) fn floats(&mut self, at: u64, values: &mut [f32]) -> Result<()> {
        self.read(at, bytemuck::cast_slice_mut(values))?;
        if cfg!(target_endian = "big") {
            values.iter_mut().for_each(|value| *value = f32::from_bits(value.to_bits().swap_bytes()));
        }
        Ok(())
    }
}

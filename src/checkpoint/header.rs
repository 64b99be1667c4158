//! The header of a safetensors file: what tensors there are, and the strings beside them.

use super::{CHECKSUM_PLACE, PREFIX, source::Source, strings::foreign};
use crate::{CheckpointError, Error, Result};
use safetensors::tensor::{Metadata, SafeTensorError};
use std::{
    io::{Read, Seek},
    ops::Range,
};

/// Bytes before the header: its length.
const LENGTH: u64 = 8;
/// The most that readers of the format accept.
const LARGEST_HEADER: u64 = 100_000_000;

/// The header of a file that has all bytes that it tells of, and no more.
pub(super) struct Header {
    json: Vec<u8>,
    pub(super) metadata: Metadata,
}

impl Header {
    /// Reads it.
    ///
    /// # Errors
    /// Why the file is no safetensors file: cut short, or another kind of file.
    pub(super) fn read<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Self> {
        let (path, found) = (source.path, source.len);
        let json = json(source)?;
        let metadata = serde_json::from_slice(&json)
            .map_err(|error| foreign(path, SafeTensorError::InvalidHeaderDeserialization(error)))?;
        let header = Self { json, metadata };
        let expected = header.end() + header.metadata.data_len() as u64;
        if found < expected {
            return Err(Error::Checkpoint(CheckpointError::Truncated {
                path: path.to_owned(),
                found,
                expected,
            }));
        }
        if found > expected {
            return Err(foreign(path, format!("{} bytes follow its last tensor", found - expected)));
        }
        Ok(header)
    }

    /// Where the first tensor begins in the file.
    pub(super) fn end(&self) -> u64 {
        LENGTH + self.json.len() as u64
    }

    /// The bytes at a place of the file, as far as they are the header's.
    pub(super) fn at(&self, place: Range<usize>) -> Option<&[u8]> {
        let length = LENGTH as usize;
        self.json.get(place.start.checked_sub(length)?..place.end - length)
    }

    /// The checksum that the file was written with; `None` where the header does not start with it.
    pub(super) fn recorded(&self) -> Option<&[u8]> {
        self.at(CHECKSUM_PLACE).filter(|_| self.json.starts_with(PREFIX))
    }
}

/// The header's JSON, of a file that has as much.
fn json<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Vec<u8>> {
    let (path, found) = (source.path, source.len);
    let truncated =
        |expected| Error::Checkpoint(CheckpointError::Truncated { path: path.to_owned(), found, expected });
    if found < LENGTH {
        return Err(truncated(LENGTH));
    }
    let mut length = [0; LENGTH as usize];
    source.read(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    let first = if found > LENGTH { source.bytes(LENGTH..LENGTH + 1)? } else { Vec::new() };
    if length > LARGEST_HEADER || first.first().is_some_and(|first| *first != b'{') {
        return Err(foreign(path, "it is not a safetensors file"));
    }
    if found < LENGTH + length {
        return Err(truncated(LENGTH + length));
    }
    source.bytes(LENGTH..LENGTH + length)
}

//! The header of a safetensors file: the list of tensors, and the metadata.

use super::{
    file_reader::FileReader,
    format::{CHECKSUM_PLACE, LARGEST_HEADER, PREFIX},
    metadata::{MetadataStrings, not_checkpoint},
};
use crate::{CheckpointError, Error, Result};
use safetensors::tensor::{Metadata, SafeTensorError};
use std::{
    io::{Read, Seek},
    ops::Range,
    path::Path,
};

/// Bytes of the header's length, before the header.
const LENGTH: u64 = 8;

/// The header of a file whose length matches it.
pub(super) struct FileHeader {
    json: Vec<u8>,
    pub(super) metadata: Metadata,
}

impl FileHeader {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`CheckpointError::Truncated`] or [`CheckpointError::NotCheckpoint`].
    pub(super) fn read<R: Read + Seek>(source: &mut FileReader<'_, R>) -> Result<Self> {
        let (path, found) = (source.path, source.len);
        let json = json(source)?;
        let metadata = serde_json::from_slice(&json)
            .map_err(|error| not_checkpoint(path, SafeTensorError::InvalidHeaderDeserialization(error)))?;
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
            return Err(not_checkpoint(path, format!("{} bytes follow its last tensor", found - expected)));
        }
        Ok(header)
    }

    /// Returns the strings of the metadata. `path` is for messages.
    pub(super) fn strings<'a>(&'a self, path: &'a Path) -> MetadataStrings<'a> {
        MetadataStrings::new(path, self.metadata.metadata().iter().flatten())
    }

    /// Returns the offset of the first tensor in the file.
    pub(super) fn end(&self) -> u64 {
        LENGTH + self.json.len() as u64
    }

    /// Returns the bytes at `place` in the file, if the header contains them.
    pub(super) fn at(&self, place: Range<usize>) -> Option<&[u8]> {
        let length = LENGTH as usize;
        self.json.get(place.start.checked_sub(length)?..place.end - length)
    }

    /// Returns the stored checksum; `None` if the header does not start with one.
    pub(super) fn recorded(&self) -> Option<&[u8]> {
        self.at(CHECKSUM_PLACE).filter(|_| self.json.starts_with(PREFIX))
    }
}

/// Returns whether bytes are a safetensors file whose metadata names the format of a checkpoint, or
/// which has an optimizer's moments: a checkpoint without its metadata.
#[cfg(feature = "convert")]
pub(crate) fn is_checkpoint(bytes: &[u8]) -> bool {
    safetensors::SafeTensors::read_metadata(bytes).is_ok_and(|(_, metadata)| {
        let format = metadata.metadata().as_ref().and_then(|strings| strings.get("format"));
        let is_moment = |name: &String| name.starts_with("optimizer.");
        format.is_some_and(|format| format == super::format::FORMAT)
            || metadata.tensors().keys().any(is_moment)
    })
}

/// Returns the header's JSON.
fn json<R: Read + Seek>(source: &mut FileReader<'_, R>) -> Result<Vec<u8>> {
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
    if length > LARGEST_HEADER as u64 || first.first().is_some_and(|first| *first != b'{') {
        return Err(not_checkpoint(path, "it is not a safetensors file"));
    }
    if found < LENGTH + length {
        return Err(truncated(LENGTH + length));
    }
    source.bytes(LENGTH..LENGTH + length)
}

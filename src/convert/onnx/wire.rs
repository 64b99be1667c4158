//! Decodes messages within a budget: the number of fields of a message is counted before it is
//! decoded, because a structure of 200 bytes may take 2 bytes in the file.

use prost::{Message, bytes::Bytes};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The most fields of all messages of a file, without packed numbers.
const MOST_FIELDS: usize = 1 << 20;
/// The most bytes of a list of numbers of an attribute or a shape.
const MOST_NUMBERS: usize = 1 << 16;

/// The number of fields and bytes that may still be decoded.
#[derive(Debug)]
pub(super) struct Budget {
    fields: usize,
    /// The bytes that were read of each file beside the graph.
    external: BTreeMap<PathBuf, u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { fields: MOST_FIELDS, external: BTreeMap::new() }
    }
}

impl Budget {
    /// Decodes a message.
    pub(super) fn decode<M: Message + Default>(&mut self, bytes: &Bytes) -> Result<M, String> {
        self.spend(bytes)?;
        M::decode(bytes.clone()).map_err(|error| format!("its protobuf is invalid: {error}"))
    }

    /// Counts `bytes` of a file of `len` bytes. Each byte may be read once.
    pub(super) fn read_external(&mut self, file: &Path, bytes: u64, len: u64) -> Result<(), String> {
        let read = self.external.entry(file.to_owned()).or_default();
        *read = read.saturating_add(bytes);
        match *read <= len {
            true => Ok(()),
            false => Err(format!(
                "its external data overlaps other tensors, or is longer than the file of {len} bytes"
            )),
        }
    }

    /// Counts the fields of a message.
    fn spend(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut fields = Fields { rest: bytes };
        while fields.next()?.is_some() {
            self.fields = self.fields.checked_sub(1).ok_or_else(|| {
                format!("found more than {MOST_FIELDS} fields, expected a small graph with large tensors")
            })?;
        }
        Ok(())
    }

    /// Decodes a message whose fields `tags` are packed numbers, which take eight times the memory
    /// of their bytes: they must be short.
    pub(super) fn decode_numbers<M: Message + Default>(
        &mut self,
        bytes: &Bytes,
        tags: &[u64],
    ) -> Result<M, String> {
        let mut fields = Fields { rest: bytes };
        while let Some((tag, len)) = fields.next()? {
            if tags.contains(&tag) && len > MOST_NUMBERS {
                return Err(format!(
                    "found a list of numbers of {len} bytes, expected at most {MOST_NUMBERS}"
                ));
            }
        }
        self.decode(bytes)
    }
}

/// The fields of a message.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    /// Skips the next field. Returns its tag, and its length in bytes.
    fn next(&mut self) -> Result<Option<(u64, usize)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let before = self.rest.len();
        let len = match key & 7 {
            0 => {
                varint(&mut self.rest)?;
                return Ok(Some((key >> 3, before - self.rest.len())));
            }
            1 => 8,
            2 => usize::try_from(varint(&mut self.rest)?).map_err(|_| CUT)?,
            5 => 4,
            kind => return Err(format!("its protobuf is invalid: found wire type {kind}")),
        };
        self.rest = self.rest.get(len..).ok_or(CUT)?;
        Ok(Some((key >> 3, len)))
    }
}

const CUT: &str = "its protobuf is cut short";

/// Reads a varint, and removes it from `bytes`.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 127);
        value |= bits.checked_shl(7 * index as u32).unwrap_or(0);
        if byte & 128 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(CUT.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::onnx::messages::GraphProto;

    #[test]
    fn small_structures_are_counted_before_they_are_decoded() {
        let few = Bytes::from([10, 0].repeat(10));
        assert_eq!(Budget::default().decode::<GraphProto>(&few).unwrap().node.len(), 10);
        let many = Bytes::from([10, 0].repeat(MOST_FIELDS + 1));
        let error = Budget::default().decode::<GraphProto>(&many).unwrap_err();
        assert!(error.starts_with("found more than"), "{error}");
    }

    #[test]
    fn a_message_that_is_cut_short_is_an_error() {
        for bytes in [&[10, 5, 1][..], &[255], &[10, 255, 255], &[9, 0], &[13, 0], &[11]] {
            let error = Budget::default().decode::<GraphProto>(&Bytes::copy_from_slice(bytes)).unwrap_err();
            assert!(error.starts_with("its protobuf is"), "{error}");
        }
    }
}

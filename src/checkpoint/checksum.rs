//! Compares a file with its checksums. A file that differs is either damaged or was written by
//! another program.

use super::{
    file_reader::FileReader,
    format::{AFTER_CHECKSUM, CHECKSUM_PLACE, NO_CHECKSUM, PREFIX, one_line},
    header::FileHeader,
    metadata::{MetadataStrings, not_checkpoint},
};
use crate::{CheckpointError, Error, Result};
use crc32fast::Hasher;
use std::{
    collections::HashMap,
    io::{Read, Seek},
};

/// Refuses a file that differs from what `unrolled train` wrote. Reads it once, and a damaged one
/// again to find the place.
pub(super) fn verify<R: Read + Seek>(
    source: &mut FileReader<'_, R>,
    header: &FileHeader,
    metadata: &MetadataStrings<'_>,
) -> Result<()> {
    let path = source.path;
    let recorded = header.recorded();
    let found = recorded.map(|_| checksum(source)).transpose()?.unwrap_or_default();
    let is_right = recorded == Some(found.as_bytes());
    if !is_right && is_rewritten(header) {
        return Err(Error::Checkpoint(CheckpointError::Rewritten {
            path: path.to_owned(),
            reason: metadata.difference(),
        }));
    }
    metadata.check_format()?;
    match recorded {
        Some(_) if is_right => Ok(()),
        Some(recorded) => {
            let recorded = one_line(&String::from_utf8_lossy(recorded));
            let place = damaged(source, header, metadata)?;
            Err(Error::Checkpoint(CheckpointError::Damaged { path: path.to_owned(), place, found, recorded }))
        }
        None => Err(not_checkpoint(path, "its header does not start with a checksum")),
    }
}

/// Returns the checksum over every byte of the file, with its own eight digits read as zeros.
fn checksum<R: Read + Seek>(source: &mut FileReader<'_, R>) -> Result<String> {
    let mut hasher = Hasher::new();
    source.hash(0..CHECKSUM_PLACE.start as u64, &mut hasher)?;
    hasher.update(NO_CHECKSUM.as_bytes());
    source.hash(CHECKSUM_PLACE.end as u64..source.len, &mut hasher)?;
    Ok(digits(hasher))
}

fn digits(hasher: Hasher) -> String {
    format!("{:08x}", hasher.finalize())
}

/// Returns whether another program wrote a file with a wrong checksum, so that the file is not
/// damaged. The start of our header is always the same, except for the eight digits, and
/// `weight_ih` comes before `weight_hh`. Libraries sort tensors by name, and write the metadata in
/// any order. A few bytes may differ, because they may be damaged.
fn is_rewritten(header: &FileHeader) -> bool {
    let differs = |place: usize, expected: &[u8]| {
        let found = header.at(place..place + expected.len()).unwrap_or_default();
        let equal = found.iter().zip(expected).filter(|(found, expected)| found == expected).count();
        equal < expected.len() * 3 / 4
    };
    let start = |name: &str| header.metadata.info(name).map(|info| info.data_offsets.0);
    let sorted = start("rnn.weight_hh_l0").zip(start("rnn.weight_ih_l0")).is_some_and(|(hh, ih)| hh < ih);
    sorted
        || differs(CHECKSUM_PLACE.start - PREFIX.len(), PREFIX)
        || differs(CHECKSUM_PLACE.end, AFTER_CHECKSUM)
}

/// Names the damaged tensors, or the header. A damaged header may have lost the checksums of the
/// tensors.
fn damaged<R: Read + Seek>(
    source: &mut FileReader<'_, R>,
    header: &FileHeader,
    metadata: &MetadataStrings<'_>,
) -> Result<String> {
    let checksums: HashMap<String, String> =
        metadata.find("checksums").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let mut names = Vec::new();
    for (name, info) in header.metadata.tensors() {
        let (from, to) = info.data_offsets;
        let mut hasher = Hasher::new();
        source.hash(header.end() + from as u64..header.end() + to as u64, &mut hasher)?;
        let found = digits(hasher);
        if checksums.get(&name).is_some_and(|recorded| *recorded != found) {
            names.push(one_line(&name));
        }
    }
    names.sort_unstable();
    Ok(match names.as_slice() {
        [] => "header".into(),
        [one] => format!("tensor {one}"),
        [first, .., last] => format!("{} tensors, {first} to {last},", names.len()),
    })
}

//! A file to a checkpoint. Whatever the bytes, the answer is a checkpoint or an error; nothing is allocated by the word of a
//! header alone.
//!
//! The file is read twice: once for its checksum, and then each tensor to its place. It is never held as a whole.

use super::{CHECKSUM_PLACE, Checkpoint, FORMAT, NO_CHECKSUM, PREFIX, VERSION, source::Source};
use crate::{
    Error, Result, Settings,
    corpus::Vocabulary,
    exec::{LayerState, State},
    model::{CustomCell, Entry, Layout, ModelConfig, Parameters},
    train::Progress,
};
use crc32fast::Hasher;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Seek},
    path::Path,
};

/// Bytes before the header: its length.
const LENGTH: u64 = 8;
/// The most that readers of the format accept.
const LARGEST_HEADER: u64 = 100_000_000;

/// Reads a checkpoint.
pub(super) fn decode<R: Read + Seek>(mut source: Source<'_, R>, cells: &[CustomCell]) -> Result<Checkpoint> {
    let path = source.path;
    let (end, metadata) = verified(&mut source)?;
    let strings = Strings { path, map: metadata.metadata().as_ref() };
    let mut settings: Settings = strings.json("config")?;
    settings.resolve(cells);
    settings.validate().map_err(|error| unusable(path, "config", error))?;
    let vocabulary =
        Vocabulary::from_json(strings.get("vocabulary")?).map_err(|e| unusable(path, "vocabulary", e))?;
    // Runs of earlier versions may record another unit than their vocabulary's, which is the one that they read.
    settings.unit = vocabulary.unit();
    let progress = strings.json("progress")?;
    let config = ModelConfig::new(&settings, vocabulary.len()).map_err(|e| unusable(path, "config", e))?;
    let layout = config.layout();
    let mut tensors = Tensors::new(source, end, &metadata);
    let values = tensors.arena("", &layout)?;
    let moments = tensors.moments(&layout)?;
    let state = tensors.state(&config, settings.batch)?;
    tensors.finish()?;
    let parameters = Parameters { layout, values };
    Ok(Checkpoint { settings, vocabulary, parameters, moments, state, progress })
}

/// Checks a checkpoint without holding its tensors.
pub(super) fn verify<R: Read + Seek>(mut source: Source<'_, R>) -> Result<Progress> {
    let (_, metadata) = verified(&mut source)?;
    Strings { path: source.path, map: metadata.metadata().as_ref() }.json("progress")
}

/// Where the header ends and what it says, of an intact checkpoint.
fn verified<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<(u64, Metadata)> {
    let path = source.path;
    let header = header(source)?;
    let end = LENGTH + header.len() as u64;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| foreign(path, SafeTensorError::InvalidHeaderDeserialization(error)))?;
    let expected = end + metadata.data_len() as u64;
    match source.len {
        found if found < expected => {
            return Err(Error::CheckpointTruncated { path: path.to_owned(), found, expected });
        }
        found if found > expected => {
            return Err(foreign(path, format!("{} bytes follow its last tensor", found - expected)));
        }
        _ => {}
    }
    let strings = Strings { path, map: metadata.metadata().as_ref() };
    strings.check_format()?;
    verify_checksum(source, &header, &metadata, &strings)?;
    Ok((end, metadata))
}

/// The header's JSON, of a file that has as much.
fn header<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Vec<u8>> {
    let (path, found) = (source.path, source.len);
    let truncated = |expected| Error::CheckpointTruncated { path: path.to_owned(), found, expected };
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

/// The strings beside the tensors.
struct Strings<'a> {
    path: &'a Path,
    map: Option<&'a HashMap<String, String>>,
}

impl<'a> Strings<'a> {
    fn find(&self, key: &str) -> Option<&'a str> {
        self.map?.get(key).map(String::as_str)
    }

    fn get(&self, key: &'static str) -> Result<&'a str> {
        self.find(key).ok_or_else(|| unusable(self.path, key, "it is missing"))
    }

    fn json<T: DeserializeOwned>(&self, key: &'static str) -> Result<T> {
        serde_json::from_str(self.get(key)?).map_err(|error| unusable(self.path, key, error))
    }

    fn check_format(&self) -> Result<()> {
        if self.find("format") != Some(FORMAT) {
            return Err(foreign(self.path, "a safetensors file, but its metadata lacks format = unrolled"));
        }
        match self.find("version") {
            Some(VERSION) => Ok(()),
            found => Err(Error::CheckpointVersion {
                path: self.path.to_owned(),
                found: one_line(found.unwrap_or("none")),
                expected: VERSION,
            }),
        }
    }
}

/// The checksum covers every byte of the file, its own eight digits read as zeros.
fn verify_checksum<R: Read + Seek>(
    source: &mut Source<'_, R>,
    header: &[u8],
    metadata: &Metadata,
    strings: &Strings<'_>,
) -> Result<()> {
    let path = source.path;
    if header.len() < CHECKSUM_PLACE.end || !header.starts_with(PREFIX) {
        return Err(foreign(
            path,
            "its checksum does not stand first: another program has rewritten the file",
        ));
    }
    let recorded = source.bytes(CHECKSUM_PLACE.start as u64..CHECKSUM_PLACE.end as u64)?;
    let mut hasher = Hasher::new();
    source.hash(0..CHECKSUM_PLACE.start as u64, &mut hasher)?;
    hasher.update(NO_CHECKSUM.as_bytes());
    source.hash(CHECKSUM_PLACE.end as u64..source.len, &mut hasher)?;
    let found = format!("{:08x}", hasher.finalize());
    if found.as_bytes() == recorded {
        return Ok(());
    }
    let recorded = one_line(&String::from_utf8_lossy(&recorded));
    let place = damaged(source, LENGTH + header.len() as u64, metadata, strings)?;
    Err(Error::CheckpointDamaged { path: path.to_owned(), place, found, recorded })
}

/// Which tensors are not what was written, as far as the file tells: a damaged header may have lost their checksums.
fn damaged<R: Read + Seek>(
    source: &mut Source<'_, R>,
    start: u64,
    metadata: &Metadata,
    strings: &Strings<'_>,
) -> Result<String> {
    let checksums: HashMap<String, String> =
        strings.find("checksums").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let mut names = Vec::new();
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let mut hasher = Hasher::new();
        source.hash(start + from as u64..start + to as u64, &mut hasher)?;
        let found = format!("{:08x}", hasher.finalize());
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

/// The tensors not yet taken.
struct Tensors<'a, R> {
    source: Source<'a, R>,
    /// Where the first one begins in the file.
    start: u64,
    /// In the file's order.
    names: Vec<String>,
    left: BTreeMap<String, TensorInfo>,
}

impl<'a, R: Read + Seek> Tensors<'a, R> {
    fn new(source: Source<'a, R>, start: u64, metadata: &Metadata) -> Self {
        let left = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Self { source, start, names: metadata.offset_keys(), left }
    }

    /// Where a tensor lies that must be there with this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<u64> {
        let expected = || format!("F32 {shape:?}");
        let Some(info) = self.left.remove(name) else {
            return Err(self.misfit(name, "nothing".to_owned(), expected()));
        };
        if info.dtype != Dtype::F32 || info.shape != shape {
            return Err(self.misfit(name, format!("{} {:?}", info.dtype, info.shape), expected()));
        }
        Ok(self.start + info.data_offsets.0 as u64)
    }

    /// Reads the numbers of a tensor, which must be finite.
    fn read(&mut self, name: &str, at: u64, values: &mut [f32]) -> Result<()> {
        self.source.floats(at, values)?;
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(self.misfit(name, value.to_string(), "finite numbers".to_owned())),
        }
    }

    /// One arena, allocated after every shape in it was found in the file.
    fn arena(&mut self, prefix: &str, layout: &Layout) -> Result<Vec<f32>> {
        let name = |entry: &Entry| format!("{prefix}{}", entry.name);
        let places: Vec<u64> = layout
            .entries()
            .iter()
            .map(|entry| self.take(&name(entry), &entry.shape))
            .collect::<Result<_>>()?;
        let mut values = zeros(layout.len())?;
        for (entry, at) in layout.entries().iter().zip(places) {
            self.read(&name(entry), at, &mut values[entry.range.clone()])?;
        }
        Ok(values)
    }

    fn moments(&mut self, layout: &Layout) -> Result<Vec<(String, Vec<f32>)>> {
        let mut moments: Vec<(String, Vec<f32>)> = Vec::new();
        for name in std::mem::take(&mut self.names) {
            let moment = name.strip_prefix("optimizer.").and_then(|rest| rest.split_once('.'));
            let Some((moment, _)) = moment.filter(|(moment, _)| !moment.is_empty()) else { continue };
            if moments.iter().all(|(taken, _)| taken != moment) {
                let values = self.arena(&format!("optimizer.{moment}."), layout)?;
                moments.push((moment.to_owned(), values));
            }
        }
        Ok(moments)
    }

    fn state(&mut self, config: &ModelConfig, rows: usize) -> Result<Option<State>> {
        if !self.left.contains_key("state.h_l0") {
            return Ok(None);
        }
        let layers = (0..config.stack.len())
            .map(|layer| self.layer_state(config, rows, layer))
            .collect::<Result<_>>()?;
        Ok(Some(State { layers, rows }))
    }

    fn layer_state(&mut self, config: &ModelConfig, rows: usize, layer: usize) -> Result<LayerState> {
        let [h, c] = config.state_size(layer);
        let mut vector = |name: String, width: usize| {
            let at = self.take(&name, &[rows, width])?;
            let mut values = zeros(rows * width)?;
            self.read(&name, at, &mut values)?;
            Ok(values)
        };
        let h = vector(format!("state.h_l{layer}"), h)?;
        let c = if c > 0 { vector(format!("state.c_l{layer}"), c)? } else { Vec::new() };
        Ok(LayerState { h, c })
    }

    /// An error when a tensor is left that the configuration does not know.
    fn finish(self) -> Result<()> {
        match self.left.first_key_value() {
            None => Ok(()),
            Some((name, _)) => Err(self.misfit(name, "a tensor".to_owned(), "none of that name".to_owned())),
        }
    }

    fn misfit(&self, tensor: &str, found: String, expected: String) -> Error {
        Error::CheckpointTensor {
            path: self.source.path.to_owned(),
            tensor: one_line(tensor),
            found,
            expected,
        }
    }
}

/// Room for as many floats; an error where the system does not have it.
fn zeros(len: usize) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    let needed = size_of::<f32>() * len;
    values.try_reserve_exact(len).map_err(|_| Error::Allocation { needed })?;
    values.resize(len, 0.0);
    Ok(values)
}

/// Little-endian bytes of any alignment to as many floats.
fn copy(bytes: &[u8], values: &mut [f32]) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        *value = f32::from_le_bytes(*bytes);
    }
}

pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / size_of::<f32>()];
    copy(bytes, &mut values);
    values
}

fn foreign(path: &Path, reason: impl ToString) -> Error {
    Error::NotCheckpoint { path: path.to_owned(), reason: one_line(&reason.to_string()) }
}

fn unusable(path: &Path, part: &'static str, reason: impl ToString) -> Error {
    Error::CheckpointContent { path: path.to_owned(), part, reason: one_line(&reason.to_string()) }
}

/// What a file says is printed on one line, whatever it says.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

//! Bytes to a checkpoint. Whatever the bytes, the answer is a checkpoint or an error; nothing is allocated by the
//! word of a header alone.

use super::{AFTER_CHECKSUM, CHECKSUM_PLACE, Checkpoint, FORMAT, NO_CHECKSUM, PREFIX, VERSION};
use crate::{
    Error, Result, Settings,
    corpus::Vocabulary,
    exec::{LayerState, State},
    model::{CustomCell, Layout, ModelConfig, Parameters},
    train::Progress,
};
use safetensors::{
    SafeTensors,
    tensor::{Dtype, Metadata, SafeTensorError, TensorView},
};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// Reads a file's bytes; `path` is for the messages.
pub(super) fn decode(bytes: &[u8], path: &Path, cells: &[CustomCell]) -> Result<Checkpoint> {
    let (header, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| diagnose(bytes, path, error))?;
    let strings = Strings { path, map: metadata.metadata().as_ref() };
    let sum = Checksum::of(bytes, header);
    if !sum.is_right() && is_rewritten(bytes, &metadata) {
        return Err(Error::Rewritten { path: path.to_owned(), reason: strings.difference() });
    }
    strings.check_format()?;
    sum.verify(bytes, path, &strings)?;
    let mut settings: Settings = strings.json("config")?;
    settings.resolve(cells);
    settings.validate().map_err(|error| unusable(path, "config", error))?;
    let vocabulary =
        Vocabulary::from_json(strings.get("vocabulary")?).map_err(|e| unusable(path, "vocabulary", e))?;
    let progress = strings.json("progress")?;
    let config = ModelConfig::new(&settings, vocabulary.len()).map_err(|e| unusable(path, "config", e))?;
    let layout = config.layout();
    let mut tensors = Tensors::new(bytes, path, &metadata)?;
    let values = tensors.arena("", &layout)?;
    let moments = tensors.moments(&layout)?;
    let state = tensors.state(&config, settings.batch)?;
    tensors.finish()?;
    let parameters = Parameters { layout, values };
    Ok(Checkpoint { settings, vocabulary, parameters, moments, state, progress })
}

/// The parts of a checkpoint's metadata that a file of another program has kept.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) settings: Option<Settings>,
    pub(super) vocabulary: Option<Vocabulary>,
    pub(super) progress: Option<Progress>,
}

/// Reads the metadata of a file that another program may have rewritten: without checksums.
pub(super) fn metadata(path: &Path, map: &BTreeMap<String, String>, cells: &[CustomCell]) -> Result<Kept> {
    if map.get("format").is_none_or(|format| format != FORMAT) {
        return Ok(Kept::default());
    }
    let map: HashMap<String, String> = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let strings = Strings { path, map: Some(&map) };
    strings.check_format()?;
    let has = |key: &str| strings.find(key).is_some();
    let mut settings: Option<Settings> = has("config").then(|| strings.json("config")).transpose()?;
    settings.iter_mut().for_each(|settings| settings.resolve(cells));
    settings.as_ref().map_or(Ok(()), Settings::validate).map_err(|error| unusable(path, "config", error))?;
    let vocabulary = strings.find("vocabulary").map(Vocabulary::from_json).transpose();
    let vocabulary = vocabulary.map_err(|error| unusable(path, "vocabulary", error))?;
    let progress = has("progress").then(|| strings.json("progress")).transpose()?;
    Ok(Kept { settings, vocabulary, progress })
}

/// Why these bytes are no safetensors file: cut short, or another kind of file.
pub(super) fn diagnose(bytes: &[u8], path: &Path, error: SafeTensorError) -> Error {
    let found = bytes.len() as u64;
    let truncated = |expected| Error::CheckpointTruncated { path: path.to_owned(), found, expected };
    let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) else {
        return truncated(8);
    };
    if length > 100_000_000 || bytes.get(8).is_some_and(|&first| first != b'{') {
        return foreign(path, "it is not a safetensors file");
    }
    let Some(header) = bytes.get(8..8 + length as usize) else {
        return truncated(8 + length);
    };
    match serde_json::from_slice::<Metadata>(header).map(|metadata| 8 + length + metadata.data_len() as u64) {
        Ok(expected) if found < expected => truncated(expected),
        Ok(expected) => foreign(path, format!("{} bytes follow its last tensor", found - expected)),
        Err(_) => foreign(path, error),
    }
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

    /// In what a file differs that another program wrote.
    fn difference(&self) -> &'static str {
        match self.find("format") {
            Some(FORMAT) => "its parts are in another order",
            _ => "its metadata lacks format = unrolled",
        }
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
struct Checksum {
    found: String,
    /// `None` where the header does not start with it.
    recorded: Option<String>,
}

impl Checksum {
    fn of(bytes: &[u8], header: usize) -> Self {
        let stands = header >= CHECKSUM_PLACE.end && bytes[8..].starts_with(PREFIX);
        let recorded = bytes.get(CHECKSUM_PLACE).filter(|_| stands);
        let recorded = recorded.map(|digits| one_line(&String::from_utf8_lossy(digits)));
        let mut hasher = crc32fast::Hasher::new();
        if recorded.is_some() {
            hasher.update(&bytes[..CHECKSUM_PLACE.start]);
            hasher.update(NO_CHECKSUM.as_bytes());
            hasher.update(&bytes[CHECKSUM_PLACE.end..]);
        }
        Self { found: format!("{:08x}", hasher.finalize()), recorded }
    }

    fn is_right(&self) -> bool {
        self.recorded.as_ref() == Some(&self.found)
    }

    fn verify(self, bytes: &[u8], path: &Path, strings: &Strings) -> Result<()> {
        if self.is_right() {
            return Ok(());
        }
        let Some(recorded) = self.recorded else {
            return Err(foreign(path, "its checksum does not stand first"));
        };
        let place = damaged(bytes, strings);
        Err(Error::CheckpointDamaged { path: path.to_owned(), place, found: self.found, recorded })
    }
}

/// Whether another program wrote a file whose checksum is not right, so that it is no damage. The start of our header is
/// always the same, up to the eight digits, and `weight_ih` lies before `weight_hh`; libraries sort tensors by name, and
/// strings in any order. A few bytes may differ, for damage may be there.
fn is_rewritten(bytes: &[u8], metadata: &Metadata) -> bool {
    let differs = |place: usize, expected: &[u8]| {
        let found = bytes.get(place..place + expected.len()).unwrap_or_default();
        let equal = found.iter().zip(expected).filter(|(found, expected)| found == expected).count();
        equal < expected.len() * 3 / 4
    };
    let start = |name: &str| metadata.info(name).map(|info| info.data_offsets.0);
    let sorted = start("rnn.weight_hh_l0").zip(start("rnn.weight_ih_l0")).is_some_and(|(hh, ih)| hh < ih);
    sorted || differs(8, PREFIX) || differs(CHECKSUM_PLACE.end, AFTER_CHECKSUM)
}

/// Which tensors are not what was written, as far as the file tells: a damaged header may have lost their checksums.
fn damaged(bytes: &[u8], strings: &Strings) -> String {
    let checksums: HashMap<String, String> =
        strings.find("checksums").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let Ok(file) = SafeTensors::deserialize(bytes) else { return "content".into() };
    let differs = |name: &str| {
        let found = file.tensor(name).map(|view| format!("{:08x}", crc32fast::hash(view.data())));
        found.is_ok_and(|found| checksums.get(name).is_some_and(|recorded| *recorded != found))
    };
    let mut names: Vec<String> =
        file.names().into_iter().filter(|name| differs(name)).map(one_line).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => "header".into(),
        [one] => format!("tensor {one}"),
        [first, .., last] => format!("{} tensors, {first} to {last},", names.len()),
    }
}

/// The tensors not yet taken.
struct Tensors<'a> {
    path: &'a Path,
    /// In the file's order.
    names: Vec<String>,
    left: BTreeMap<String, TensorView<'a>>,
}

impl<'a> Tensors<'a> {
    fn new(bytes: &'a [u8], path: &'a Path, metadata: &Metadata) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| diagnose(bytes, path, error))?;
        Ok(Self { path, names: metadata.offset_keys(), left: file.tensors().into_iter().collect() })
    }

    /// The bytes of a tensor that must be there with this shape, all its numbers finite.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<&'a [u8]> {
        let expected = || format!("F32 {shape:?}");
        let Some(view) = self.left.remove(name) else {
            return Err(self.misfit(name, "nothing".to_owned(), expected()));
        };
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            return Err(self.misfit(name, format!("{} {:?}", view.dtype(), view.shape()), expected()));
        }
        let mut values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        match values.find(|value| !value.is_finite()) {
            None => Ok(view.data()),
            Some(value) => Err(self.misfit(name, value.to_string(), "finite numbers".to_owned())),
        }
    }

    /// One arena, allocated after every shape in it was found in the file.
    fn arena(&mut self, prefix: &str, layout: &Layout) -> Result<Vec<f32>> {
        let entries = layout.entries().iter();
        let bytes: Vec<&[u8]> = entries
            .map(|entry| self.take(&format!("{prefix}{}", entry.name), &entry.shape))
            .collect::<Result<_>>()?;
        let mut values = vec![0.0; layout.len()];
        for (entry, bytes) in layout.entries().iter().zip(bytes) {
            copy(bytes, &mut values[entry.range.clone()]);
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
        let mut vector = |name: String, width: usize| self.take(&name, &[rows, width]).map(floats);
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
        Error::CheckpointTensor { path: self.path.to_owned(), tensor: one_line(tensor), found, expected }
    }
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

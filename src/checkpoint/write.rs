//! A checkpoint to bytes, without a copy of them: checksums first, in one pass over the tensors where they lie, then the
//! header, then the tensors.

use super::{CHECKSUM_PLACE, FORMAT, NO_CHECKSUM, VERSION, replace};
use crate::{
    Error, Result, Settings,
    corpus::Vocabulary,
    exec::State,
    model::{self, Entry, ModelConfig, Parameters},
    train::Progress,
};
use crc32fast::Hasher;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

/// What a [`Checkpoint`](super::Checkpoint) holds, borrowed from whoever has it.
pub(crate) struct Snapshot<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) parameters: &'a Parameters,
    /// Arenas parallel to the parameters; what lies in the gaps between tensors is not written.
    pub(crate) moments: Vec<(&'a str, &'a [f32])>,
    pub(crate) state: Option<Cow<'a, State>>,
    pub(crate) progress: &'a Progress,
}

impl Snapshot<'_> {
    /// Writes to a temporary file beside `path`, syncs it and renames it into place.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let image = Image::new(self)?;
        replace(path, |out| image.write(out))
    }

    fn config(&self) -> Result<ModelConfig> {
        ModelConfig::new(&self.settings.model, self.vocabulary.len())
    }
}

/// The most that readers of the format accept.
const LARGEST_HEADER: usize = 100_000_000;

/// The file's header. Field order is byte order: the same content gives the same file, and the checksum stands
/// where the reader looks for it.
#[derive(Serialize)]
struct Header<'a> {
    __metadata__: Strings<'a>,
    #[serde(flatten)]
    tensors: &'a Metadata,
}

#[derive(Serialize)]
struct Strings<'a> {
    checksum: &'a str,
    format: &'a str,
    version: &'a str,
    config: String,
    vocabulary: String,
    progress: String,
    /// CRC-32 of each tensor, as JSON.
    checksums: String,
}

/// A tensor under the name it has in the file.
struct Tensor<'a> {
    name: String,
    shape: Vec<usize>,
    values: &'a [f32],
}

/// A checkpoint ready to be written: nothing but the disk can fail any more.
pub(super) struct Image<'a> {
    /// Length, JSON and padding, checksum included.
    header: Vec<u8>,
    tensors: Vec<Tensor<'a>>,
}

impl<'a> Image<'a> {
    pub(super) fn new(checkpoint: &'a Snapshot<'a>) -> Result<Self> {
        check(checkpoint)?;
        let tensors = tensors(checkpoint);
        check_finite(checkpoint, &tensors)?;
        let sums: Vec<Hasher> = tensors.iter().map(|tensor| hashed(&little_endian(tensor.values))).collect();
        let mut header = header(checkpoint, &tensors, &sums)?;
        let mut hasher = hashed(&header);
        sums.iter().for_each(|sum| hasher.combine(sum));
        header[CHECKSUM_PLACE].copy_from_slice(format!("{:08x}", hasher.finalize()).as_bytes());
        Ok(Self { header, tensors })
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        self.tensors.iter().try_for_each(|tensor| out.write_all(&little_endian(tensor.values)))
    }
}

/// Refuses what could not be loaded again.
fn check(checkpoint: &Snapshot<'_>) -> Result<()> {
    checkpoint.settings.validate()?;
    model::check_parameters(&checkpoint.config()?, checkpoint.parameters)?;
    let floats = checkpoint.parameters.values.len();
    for (index, (moment, values)) in checkpoint.moments.iter().enumerate() {
        let taken = checkpoint.moments[..index].iter().any(|(other, _)| other == moment);
        if moment.is_empty() || moment.contains('.') || taken {
            return Err(unfit(format!(
                "the name {moment:?} of a moment is empty, has a dot, or comes twice"
            )));
        }
        if values.len() != floats {
            let found = values.len();
            return Err(unfit(format!(
                "moment {moment} has {found} floats where the parameters have {floats}"
            )));
        }
    }
    check_state(checkpoint)?;
    let progress: Option<Progress> =
        serde_json::to_string(checkpoint.progress).ok().and_then(|json| serde_json::from_str(&json).ok());
    if progress.as_ref() != Some(checkpoint.progress) {
        return Err(unfit("its progress holds a number that is not finite".to_owned()));
    }
    Ok(())
}

fn check_state(checkpoint: &Snapshot<'_>) -> Result<()> {
    let Some(state) = &checkpoint.state else { return Ok(()) };
    let config = checkpoint.config()?;
    match state.check(&config, checkpoint.settings.run.batch) {
        Ok(()) => Ok(()),
        Err(error) => Err(unfit(error.to_string())),
    }
}

/// Refuses to put a model that diverged in the place of one that had not.
fn check_finite(checkpoint: &Snapshot<'_>, tensors: &[Tensor<'_>]) -> Result<()> {
    match tensors.iter().find(|tensor| !tensor.values.iter().all(|value| value.is_finite())) {
        None => Ok(()),
        Some(Tensor { name, .. }) => Err(Error::Diverged {
            tensor: name.clone(),
            step: checkpoint.progress.step,
            learning_rate: checkpoint.settings.schedule.learning_rate,
            clip: checkpoint.settings.optimizer.clip,
        }),
    }
}

fn unfit(reason: String) -> Error {
    Error::CheckpointUnfit { reason }
}

/// All tensors in the file's order: parameters, moments, state.
fn tensors<'a>(checkpoint: &'a Snapshot<'a>) -> Vec<Tensor<'a>> {
    let mut tensors = arena(checkpoint, "", &checkpoint.parameters.values);
    for (moment, values) in &checkpoint.moments {
        tensors.extend(arena(checkpoint, &format!("optimizer.{moment}."), values));
    }
    let state = checkpoint.state.iter().flat_map(|state| state.layers.iter().enumerate());
    for (index, layer) in state {
        let rows = checkpoint.settings.run.batch;
        let shape = |values: &[f32]| vec![rows, values.len() / rows.max(1)];
        tensors.push(Tensor { name: format!("state.h_l{index}"), shape: shape(&layer.h), values: &layer.h });
        if !layer.c.is_empty() {
            tensors.push(Tensor {
                name: format!("state.c_l{index}"),
                shape: shape(&layer.c),
                values: &layer.c,
            });
        }
    }
    tensors
}

/// The tensors of one arena, their names after a prefix.
fn arena<'a>(checkpoint: &Snapshot<'_>, prefix: &str, values: &'a [f32]) -> Vec<Tensor<'a>> {
    let entries = checkpoint.parameters.layout.entries().iter();
    let tensor = |entry: &Entry| Tensor {
        name: format!("{prefix}{}", entry.name),
        shape: entry.shape.clone(),
        values: &values[entry.range.clone()],
    };
    entries.map(tensor).collect()
}

/// The header with a checksum of zeros.
fn header(checkpoint: &Snapshot<'_>, tensors: &[Tensor], sums: &[Hasher]) -> Result<Vec<u8>> {
    let names = tensors.iter().map(|tensor| tensor.name.as_str());
    let checksums: BTreeMap<&str, String> =
        names.zip(sums).map(|(name, sum)| (name, format!("{:08x}", sum.clone().finalize()))).collect();
    let strings = Strings {
        checksum: NO_CHECKSUM,
        format: FORMAT,
        version: VERSION,
        config: json(checkpoint.settings)?,
        vocabulary: checkpoint.vocabulary.to_json(),
        progress: json(checkpoint.progress)?,
        checksums: json(&checksums)?,
    };
    let tensors = Metadata::new(None, infos(tensors)).map_err(|error| unfit(error.to_string()))?;
    let mut text = json(&Header { __metadata__: strings, tensors: &tensors })?.into_bytes();
    // The format aligns the tensors by spaces at the header's end.
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > LARGEST_HEADER {
        return Err(unfit(format!("its header of {} bytes is above the format's 100 MB", text.len())));
    }
    Ok([&(text.len() as u64).to_le_bytes(), text.as_slice()].concat())
}

fn hashed(bytes: &[u8]) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher
}

fn infos(tensors: &[Tensor]) -> Vec<(String, TensorInfo)> {
    let mut start = 0;
    let info = |tensor: &Tensor| {
        let end = start + size_of_val(tensor.values);
        let data_offsets = (std::mem::replace(&mut start, end), end);
        let shape = tensor.shape.clone();
        (tensor.name.clone(), TensorInfo { dtype: Dtype::F32, shape, data_offsets })
    };
    tensors.iter().map(info).collect()
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unfit(error.to_string()))
}

/// The bytes of the file: in place, but on machines that store numbers the other way round.
fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

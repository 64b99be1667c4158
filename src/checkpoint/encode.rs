//! The bytes of a checkpoint, without a copy of its tensors: first the checksums, in one pass over
//! the tensors in place, then the header, then the tensors.

use super::{
    format::{CHECKSUM_PLACE, FORMAT, LARGEST_HEADER, NO_CHECKSUM, VERSION},
    quantized::{MARK, QuantizedMatrix, scale_name},
    snapshot::{Snapshot, unfit},
};
use crate::{
    Error, Result,
    model::{ModelConfig, TensorEntry},
};
use crc32fast::Hasher;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Write},
};

/// The header of the file. Field order is byte order: the same content gives the same file, and the
/// checksum is at its fixed place.
#[derive(Serialize)]
struct HeaderJson<'a> {
    __metadata__: HeaderStrings<'a>,
    #[serde(flatten)]
    tensors: &'a Metadata,
}

#[derive(Serialize)]
struct HeaderStrings<'a> {
    checksum: &'a str,
    format: &'a str,
    version: &'a str,
    config: String,
    vocabulary: String,
    progress: String,
    /// CRC-32 of each tensor, as JSON.
    checksums: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantized: Option<&'a str>,
}

/// A tensor under its name in the file.
struct NamedTensor<'a> {
    name: String,
    shape: Vec<usize>,
    values: TensorValues<'a>,
}

/// The values of a tensor.
enum TensorValues<'a> {
    Floats(Cow<'a, [f32]>),
    Integers(Vec<i8>),
}

impl TensorValues<'_> {
    /// Returns the bytes of the file.
    fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Floats(values) => little_endian(values),
            Self::Integers(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        }
    }

    fn dtype(&self) -> Dtype {
        match self {
            Self::Floats(_) => Dtype::F32,
            Self::Integers(_) => Dtype::I8,
        }
    }

    fn is_finite(&self) -> bool {
        match self {
            Self::Floats(values) => values.iter().all(|value| value.is_finite()),
            Self::Integers(_) => true,
        }
    }
}

/// A checkpoint that is ready to be written. Only the disk can still fail.
pub(super) struct EncodedCheckpoint<'a> {
    /// Length, JSON and padding, checksum included.
    header: Vec<u8>,
    tensors: Vec<NamedTensor<'a>>,
}

impl<'a> EncodedCheckpoint<'a> {
    /// Checks the checkpoint, and computes header and checksums.
    pub(super) fn new(checkpoint: &'a Snapshot<'a>) -> Result<Self> {
        let config = checkpoint.check()?;
        let mut tensors = tensors(checkpoint, &config);
        check_finite(checkpoint, &tensors)?;
        if checkpoint.quantized {
            tensors = quantized(tensors, &config)?;
        }
        let sums: Vec<Hasher> = tensors.iter().map(|tensor| hashed(&tensor.values.bytes())).collect();
        let mut header = header(checkpoint, &tensors, &sums)?;
        let mut hasher = hashed(&header);
        sums.iter().for_each(|sum| hasher.combine(sum));
        header[CHECKSUM_PLACE].copy_from_slice(format!("{:08x}", hasher.finalize()).as_bytes());
        Ok(Self { header, tensors })
    }

    /// Writes the whole file.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        self.tensors.iter().try_for_each(|tensor| out.write_all(&tensor.values.bytes()))
    }
}

/// Refuses a diverged model: it would replace one that had not diverged.
fn check_finite(checkpoint: &Snapshot<'_>, tensors: &[NamedTensor<'_>]) -> Result<()> {
    match tensors.iter().find(|tensor| !tensor.values.is_finite()) {
        None => Ok(()),
        Some(NamedTensor { name, .. }) => Err(Error::Diverged {
            tensor: name.clone(),
            step: checkpoint.progress.step,
            learning_rate: checkpoint.settings.schedule.learning_rate,
            clip: checkpoint.settings.optimizer.clip,
        }),
    }
}

/// Returns all tensors in the file's order: parameters, moments, state.
fn tensors<'a>(checkpoint: &'a Snapshot<'a>, config: &ModelConfig) -> Vec<NamedTensor<'a>> {
    let mut tensors = named(checkpoint, "", &checkpoint.parameters.values);
    for (moment, values) in &checkpoint.moments {
        tensors.extend(named(checkpoint, &format!("optimizer.{moment}."), values));
    }
    let rows = checkpoint.state.as_ref().map_or(0, |state| state.rows);
    let of_state = |name: String, values: &'a [f32]| {
        (!values.is_empty()).then(|| NamedTensor {
            name,
            shape: vec![rows, values.len() / rows.max(1)],
            values: TensorValues::Floats(values.into()),
        })
    };
    let layers = checkpoint.state.iter().flat_map(|state| &state.layers);
    for (layer, direction) in layers.zip(config.directions()) {
        tensors.extend(of_state(format!("state.h_{direction}"), &layer.h));
        tensors.extend(of_state(format!("state.c_{direction}"), &layer.c));
    }
    tensors
}

/// Returns the tensors of one flat parameter buffer, with `prefix` before their names.
fn named<'a>(checkpoint: &Snapshot<'_>, prefix: &str, values: &'a [f32]) -> Vec<NamedTensor<'a>> {
    let entries = checkpoint.parameters.layout.entries().iter();
    let tensor = |entry: &TensorEntry| NamedTensor {
        name: format!("{prefix}{}", entry.name),
        shape: entry.shape.clone(),
        values: TensorValues::Floats(values[entry.range.clone()].into()),
    };
    entries.map(tensor).collect()
}

/// Returns the parameters of a quantized checkpoint, with integers and scales in place of each
/// weight matrix. All integers follow after all floats.
fn quantized<'a>(parameters: Vec<NamedTensor<'a>>, config: &ModelConfig) -> Result<Vec<NamedTensor<'a>>> {
    let (mut floats, mut matrices) = (Vec::with_capacity(parameters.len()), Vec::new());
    for (tensor, is_matrix) in parameters.into_iter().zip(config.is_matrix()) {
        match &tensor.values {
            TensorValues::Floats(values) if is_matrix => {
                let NamedTensor { name, shape, .. } = &tensor;
                let matrix = QuantizedMatrix::of(values, shape[1]).ok_or_else(|| not_quantized(name))?;
                let scales = TensorValues::Floats(matrix.scales.into());
                floats.push(NamedTensor { name: scale_name(name), shape: vec![shape[0], 1], values: scales });
                matrices.push(NamedTensor { values: TensorValues::Integers(matrix.integers), ..tensor });
            }
            _ => floats.push(tensor),
        }
    }
    floats.append(&mut matrices);
    Ok(floats)
}

fn not_quantized(matrix: &str) -> Error {
    unfit(format!("{matrix} is not quantized; create the checkpoint with Checkpoint::quantize"))
}

/// Returns the header with a checksum of zeros.
fn header(checkpoint: &Snapshot<'_>, tensors: &[NamedTensor], sums: &[Hasher]) -> Result<Vec<u8>> {
    let names = tensors.iter().map(|tensor| tensor.name.as_str());
    let checksums: BTreeMap<&str, String> =
        names.zip(sums).map(|(name, sum)| (name, format!("{:08x}", sum.clone().finalize()))).collect();
    let strings = HeaderStrings {
        checksum: NO_CHECKSUM,
        format: FORMAT,
        version: VERSION,
        config: json(checkpoint.settings)?,
        vocabulary: checkpoint.vocabulary.to_json(),
        progress: json(checkpoint.progress)?,
        checksums: json(&checksums)?,
        quantized: checkpoint.quantized.then_some(MARK),
    };
    let tensors = Metadata::new(None, infos(tensors)).map_err(|error| unfit(error.to_string()))?;
    let mut text = json(&HeaderJson { __metadata__: strings, tensors: &tensors })?.into_bytes();
    // The format aligns the tensors by spaces at the header's end.
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > LARGEST_HEADER {
        return Err(unfit(format!("its header has {} bytes, expected at most 100 MB", text.len())));
    }
    Ok([&(text.len() as u64).to_le_bytes(), text.as_slice()].concat())
}

fn hashed(bytes: &[u8]) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher
}

fn infos(tensors: &[NamedTensor]) -> Vec<(String, TensorInfo)> {
    let mut start = 0;
    let info = |tensor: &NamedTensor| {
        let end = start + tensor.values.bytes().len();
        let data_offsets = (std::mem::replace(&mut start, end), end);
        let shape = tensor.shape.clone();
        (tensor.name.clone(), TensorInfo { dtype: tensor.values.dtype(), shape, data_offsets })
    };
    tensors.iter().map(info).collect()
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unfit(error.to_string()))
}

/// Returns the bytes of the file: in place on little-endian machines, a copy on others.
pub(super) fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

//! Tensors: their numbers in the file, or in a file beside it.

use super::{
    messages::{
        BFLOAT16, BOOL, DOUBLE, EXTERNAL, FLOAT, FLOAT16, INT32, INT64, StringEntryProto, TensorProto,
    },
    wire::{Budget, varint},
};
use crate::checkpoint::{TensorType, as_f32};
use prost::bytes::Bytes;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path},
};

/// The most numbers of a tensor of integers, which describe shapes and positions.
pub(super) const MOST_INTS: usize = 256;
/// The most dimensions of a tensor.
pub(super) const MOST_DIMENSIONS: usize = 8;

/// The numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Numbers,
}

/// Returns the name of a number type as safetensors has it.
pub(super) fn type_name(data_type: i32) -> String {
    match data_type {
        FLOAT => "F32".to_owned(),
        INT32 => "I32".to_owned(),
        INT64 => "I64".to_owned(),
        BOOL => "BOOL".to_owned(),
        FLOAT16 => "F16".to_owned(),
        DOUBLE => "F64".to_owned(),
        BFLOAT16 => "BF16".to_owned(),
        other => format!("type {other}"),
    }
}

/// Reads a tensor. `path` is the file of the graph.
pub(super) fn tensor(proto: &TensorProto, path: &Path, budget: &mut Budget) -> Result<Tensor, String> {
    let shape = shape(&proto.dims)?;
    let count = element_count(&shape).ok_or("its shape is too large")?;
    let data_type = proto.data_type.unwrap_or(0);
    let numbers = match data_type {
        FLOAT | DOUBLE | FLOAT16 | BFLOAT16 => {
            Numbers::Floats(floats(proto, data_type, count, path, budget)?)
        }
        INT32 | INT64 | BOOL => Numbers::Ints(ints(proto, data_type, count, path, budget)?),
        other => return Err(format!("found numbers of {}, expected F32", type_name(other))),
    };
    let found = match &numbers {
        Numbers::Floats(values) => values.len(),
        Numbers::Ints(values) => values.len(),
    };
    match found == count {
        true => Ok(Tensor { shape, numbers }),
        false => Err(format!("found {found} numbers, expected {count} for its shape {shape:?}")),
    }
}

/// The number of elements of an array; `None` if a product of any of its sizes overflows.
pub(super) fn element_count(shape: &[usize]) -> Option<usize> {
    let product =
        |least: usize| shape.iter().try_fold(1usize, |count, size| count.checked_mul((*size).max(least)));
    product(1)?;
    product(0)
}

fn shape(dims: &[i64]) -> Result<Vec<usize>, String> {
    if dims.len() > MOST_DIMENSIONS {
        return Err(format!("found {} dimensions, expected at most {MOST_DIMENSIONS}", dims.len()));
    }
    let size = |size: &i64| usize::try_from(*size).map_err(|_| format!("found a dimension of {size}"));
    dims.iter().map(size).collect()
}

fn floats(
    proto: &TensorProto,
    data_type: i32,
    count: usize,
    path: &Path,
    budget: &mut Budget,
) -> Result<Vec<f32>, String> {
    let (dtype, size) = match data_type {
        FLOAT => (TensorType::F32, 4),
        DOUBLE => (TensorType::F64, 8),
        FLOAT16 => (TensorType::F16, 2),
        _ => (TensorType::BF16, 2),
    };
    let bytes = match raw(proto, count, size, path, budget)? {
        Some(bytes) => bytes,
        None if data_type == FLOAT => proto.float_data.concat().into(),
        None if data_type == DOUBLE => proto.double_data.concat().into(),
        // 16-bit floats are the lower halves of int32_data.
        None => {
            let halves = packed_ints(&proto.int32_data, count)?;
            halves.into_iter().flat_map(|half| (half as u16).to_le_bytes()).collect()
        }
    };
    if bytes.len().checked_div(size) != Some(count) {
        return Err(format!("found {} bytes, expected {count} numbers", bytes.len()));
    }
    as_f32(&dtype, &bytes).map_err(|found| format!("found {found}"))
}

fn ints(
    proto: &TensorProto,
    data_type: i32,
    count: usize,
    path: &Path,
    budget: &mut Budget,
) -> Result<Vec<i64>, String> {
    if count > MOST_INTS {
        return Err(format!("found {count} integers, expected at most {MOST_INTS}"));
    }
    let size = match data_type {
        INT64 => 8,
        INT32 => 4,
        _ => 1,
    };
    let Some(bytes) = raw(proto, count, size, path, budget)? else {
        let packed = if data_type == INT64 { &proto.int64_data } else { &proto.int32_data };
        return packed_ints(packed, count);
    };
    Ok(match size {
        8 => bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        4 => bytes.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect(),
        _ => bytes.iter().map(|byte| i64::from(*byte)).collect(),
    })
}

/// Reads packed varints, at most `most`.
fn packed_ints(chunks: &[Bytes], most: usize) -> Result<Vec<i64>, String> {
    let mut ints = Vec::new();
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            ints.push(varint(&mut rest)?.cast_signed());
            if ints.len() > most {
                return Err(format!("found more than the {most} integers of its shape"));
            }
        }
    }
    Ok(ints)
}

/// The bytes of the numbers, unless they are in a field for their type.
fn raw(
    proto: &TensorProto,
    count: usize,
    size: usize,
    path: &Path,
    budget: &mut Budget,
) -> Result<Option<Bytes>, String> {
    if proto.data_location.unwrap_or(0) != EXTERNAL {
        return Ok(proto.raw_data.clone());
    }
    let len = count.checked_mul(size).ok_or("its shape is too large")?;
    external(proto, len, path, budget).map(|bytes| Some(bytes.into()))
}

/// Reads `len` bytes from a file in the folder of the graph.
fn external(proto: &TensorProto, len: usize, path: &Path, budget: &mut Budget) -> Result<Vec<u8>, String> {
    let (mut location, mut offset, mut length) = (None, 0, len as u64);
    for entry in &proto.external_data {
        let StringEntryProto { key, value } = budget.decode(entry)?;
        let value = value.unwrap_or_default();
        let number =
            || value.parse::<u64>().map_err(|_| format!("found external data at {value}, expected a number"));
        match key.as_deref().unwrap_or_default() {
            "location" => location = Some(value),
            "offset" => offset = number()?,
            "length" => length = number()?,
            "checksum" => {}
            other => return Err(format!("external data with the key {other} is not supported")),
        }
    }
    let location = location.ok_or("its external data has no location")?;
    if length != len as u64 {
        return Err(format!("its external data has {length} bytes, expected {len} for its shape"));
    }
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !Path::new(&location).components().all(is_name) || location.is_empty() {
        return Err(format!(
            "its external data is in {location}, expected a file in the folder of the graph"
        ));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let unreadable =
        |error: std::io::Error| format!("its external data in {location} cannot be read: {error}");
    let file = folder.join(&location).canonicalize().map_err(unreadable)?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !file.starts_with(folder.canonicalize().map_err(unreadable)?) {
        return Err(format!("its external data in {location} is a link out of the folder of the graph"));
    }
    let found = file.metadata().map_err(unreadable)?;
    budget.read_external(&file, length, found.len())?;
    if !found.is_file() || offset.checked_add(length).is_none_or(|end| end > found.len()) {
        return Err(format!(
            "its external data in {location} is missing: the file ends before {offset} + {length} bytes"
        ));
    }
    let mut bytes = vec![0; len];
    let mut file = File::open(file).map_err(unreadable)?;
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(unreadable)?;
    Ok(bytes)
}

//! The format of a file, by its content.

use super::failed;
use crate::{Result, checkpoint::is_checkpoint};
use std::{fmt, path::Path};

/// The format of a file with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A checkpoint of this library.
    Checkpoint,
    /// The `state_dict` of a PyTorch module, as safetensors.
    StateDict,
    /// ONNX.
    Onnx,
    /// RTNeural's JSON, or that of GuitarML.
    RtNeural,
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Checkpoint => "a checkpoint",
            Self::StateDict => "a PyTorch state_dict",
            Self::Onnx => "ONNX",
            Self::RtNeural => "RTNeural's JSON",
        })
    }
}

/// Returns the format of a file by its bytes. `path` is for messages only.
///
/// # Errors
/// [`CheckpointError::Import`](crate::CheckpointError::Import) for any other format.
pub fn detect(bytes: &[u8], path: &Path) -> Result<Format> {
    // The header of a safetensors file is JSON of at most 100 MB, and starts after its length, a
    // 64-bit number: the upper half of the length is zero.
    let safetensors = bytes.get(4..9) == Some(b"\0\0\0\0{");
    let text = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match bytes {
        _ if safetensors && is_checkpoint(bytes) => Ok(Format::Checkpoint),
        _ if safetensors => Ok(Format::StateDict),
        [] => Err(failed(path, "the file is empty")),
        _ if text == Some(&b'{') => Ok(Format::RtNeural),
        _ if is_model_proto(bytes) => Ok(Format::Onnx),
        _ => Err(failed(
            path,
            format!("found {}, expected safetensors, ONNX, or RTNeural's JSON", kind(bytes, path)),
        )),
    }
}

/// Returns whether bytes start like ONNX's `ModelProto`: a varint under tag 1, the version of its
/// format, below 128, and another field.
fn is_model_proto(bytes: &[u8]) -> bool {
    // The fields of a model that a writer may put next: strings, the graph, the operator sets.
    const NEXT: [u8; 9] = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72, 0xca];
    match bytes {
        [0x08, 1..=127, next, ..] => NEXT.contains(next),
        _ => false,
    }
}

/// Names the format of a file that is not read, by its first bytes or its name.
fn kind(bytes: &[u8], path: &Path) -> &'static str {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match (bytes, ending) {
        ([b'P', b'K', 3, 4, ..], "npz") => "a file of NumPy arrays",
        ([b'P', b'K', 3, 4, ..], "keras") => "a Keras model (in Python, unrolled.convert reads it)",
        ([b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..], _) => {
            "a pickle of Python objects, as torch.save writes (in Python, safetensors.torch.save_file(model.state_dict(), \
             \"model.safetensors\") writes one that can be read)"
        }
        ([0x89, b'H', b'D', b'F', ..], _) => {
            "an HDF5 file, as Keras writes (in Python, unrolled.convert reads it)"
        }
        ([0x93, b'N', b'U', b'M', ..], _) => "a NumPy array",
        ([b'G', b'G', b'U', b'F', ..], _) => "a GGUF file",
        ([b'[', ..], _) => "a JSON list",
        _ => "another format",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_tells_the_format() {
        let cases: [(&[u8], Option<Format>); 9] = [
            (b"\x40\0\0\0\0\0\0\0{\"a\"", Some(Format::StateDict)),
            (b"\x08\x08\x12\x07pytorch", Some(Format::Onnx)),
            (b"\x08\x0a:\x03", Some(Format::Onnx)),
            (b" \n{\"layers\": []}", Some(Format::RtNeural)),
            (b"", None),
            (b"PK\x03\x04\0\0", None),
            (b"Be it so", None),
            (b"[1]", None),
            (b"\x89HDF\r\n", None),
        ];
        for (bytes, expected) in cases {
            let found = detect(bytes, "file".as_ref());
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{bytes:?} {found:?}");
        }
    }
}

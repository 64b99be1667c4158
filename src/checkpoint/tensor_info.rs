//! Name, type and shape of a tensor in a file.

use super::format::one_line;
use safetensors::Dtype;
use std::fmt;

/// Name, type and shape of a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name, as in the file: `rnn.weight_ih_l0`.
    pub name: String,
    /// The type of its numbers.
    pub dtype: TensorType,
    /// The row-major shape; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Returns type and shape: `F32 [24, 6]`.
    pub(super) fn summary(&self) -> String {
        format!("{} {:?}", self.dtype, self.shape)
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", one_line(&self.name), self.summary())
    }
}

/// The type of a tensor's numbers. [`TensorFile::floats`](super::TensorFile::floats) reads all but
/// `Other`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats with 5 exponent bits (`torch.float16`).
    F16,
    /// 16-bit floats with 8 exponent bits (`torch.bfloat16`).
    BF16,
    /// 64-bit floats.
    F64,
    /// Any other type, by its name in safetensors: `I64`, `BOOL`, `F8_E4M3`.
    Other(String),
}

impl TensorType {
    /// The type by its value in the safetensors crate.
    pub(super) fn of(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            Dtype::F64 => Self::F64,
            other => Self::Other(other.to_string()),
        }
    }

    /// Returns the name in safetensors: `F32`, `BF16`, `I64`.
    pub fn name(&self) -> &str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F64 => "F64",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

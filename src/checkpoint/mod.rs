//! Checkpoint files and other safetensors files. No other module knows the file format.
//!
//! [`Checkpoint`] is a whole run. [`TensorFile`] is any safetensors file: it lists and reads
//! tensors, and builds models from a PyTorch `state_dict` (see [`StateDict`]). [`save_state_dict`]
//! writes such a file, and [`Import`] converts one to a checkpoint.
//!
//! A checkpoint is one [safetensors](https://huggingface.co/docs/safetensors) file. Its tensors are
//! the parameters under their PyTorch names, the optimizer's moments as
//! `optimizer.{moment}.{parameter}`, and the carried recurrent state as `state.h_l{l}` and, for an
//! LSTM, `state.c_l{l}` [B, H]; names of the reverse direction of a bidirectional layer end in
//! `_reverse`. Its metadata holds strings: `checksum`, `format` ("unrolled"), `version`, and as JSON
//! `config` (the [`Settings`](crate::Settings)), `vocabulary`, `progress`, and `checksums`, the
//! CRC-32 of every tensor.
//!
//! In a quantized checkpoint ([`Checkpoint::quantize`]) the metadata has `quantized` ("int8"). A
//! weight matrix `NAME` is I8 with values from -127 to 127, and `NAME_scale` is F32 [rows, 1]:
//! `NAME * NAME_scale` is the matrix, exactly.
//!
//! The checksum is the CRC-32 of the whole file with its own eight digits read as zeros, so every
//! flipped byte is found. It is the first entry of the header, at a fixed place. The same content
//! always gives the same bytes.

mod checksum;
mod contents;
mod encode;
mod file_reader;
mod float_types;
mod format;
mod header;
mod import;
mod layer_shapes;
mod member_names;
mod metadata;
mod quantized;
mod read;
mod replace_file;
mod save_state_dict;
mod snapshot;
mod state_dict;
mod tensor_file;
mod tensor_info;
mod write;

pub use contents::Checkpoint;
#[cfg(feature = "convert")]
pub(crate) use file_reader::read_whole;
#[cfg(feature = "convert")]
pub(crate) use float_types::as_f32;
#[cfg(feature = "convert")]
pub(crate) use header::is_checkpoint;
pub use import::{Import, Imported, ImportedTensor};
#[cfg(feature = "convert")]
pub(crate) use layer_shapes::{check_chosen, of_shapes};
pub(crate) use member_names::paired_bias;
#[cfg(feature = "convert")]
pub(crate) use replace_file::replace_file;
pub use save_state_dict::save_state_dict;
pub(crate) use snapshot::Snapshot;
pub use state_dict::StateDict;
pub(crate) use tensor_file::prefix;
pub use tensor_file::{FileMatrix, TensorFile};
pub use tensor_info::{TensorInfo, TensorType};

#[cfg(test)]
mod tests;

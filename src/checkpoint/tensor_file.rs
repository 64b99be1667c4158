//! Any safetensors file: lists tensors, and reads them by name.

use super::{
    file_reader::{FileReader, read_whole},
    float_types,
    format::one_line,
    header::FileHeader,
    tensor_info::{TensorInfo, TensorType},
};
use crate::{CheckpointError, Error, Result};
use safetensors::{SafeTensorError, SafeTensors};
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A safetensors file: a checkpoint of `unrolled train`, or what PyTorch saved with
/// `safetensors.torch.save_file(module.state_dict(), path)`.
///
/// The file lists its tensors, reads them as f32, and fills models: [`TensorFile::model`] a whole
/// language model, [`TensorFile::rnn`] a stack of [`crate::network`], [`TensorFile::cell`] and
/// [`TensorFile::linear`] the cells and linear layers of [`crate::fixed`],
/// [`TensorFile::embedding`] an embedding.
///
/// ```no_run
/// use unrolled::checkpoint::{TensorFile, TensorType};
///
/// # fn main() -> unrolled::Result<()> {
/// let file = TensorFile::load("model.safetensors".as_ref())?;
/// for tensor in file.tensors() {
///     println!("{tensor}"); // model.encoder.rnn.weight_ih_l0 BF16 [1024, 256]
///     assert_ne!(tensor.dtype, TensorType::F64);
/// }
/// let embedding = file.embedding("model.embedding")?;
/// let bias = file.floats("model.head.bias", &[embedding.rows])?;
/// # Ok(())
/// # }
/// ```
///
/// # Members
/// A parameter `module` is the name of a member of the PyTorch module, at any depth: `rnn`, or
/// `model.encoder.rnn`. Its tensors have names that start with `{module}.`. The name is empty if
/// the file holds the member alone (`weight_ih_l0`). A name that ends in `.`, `/` or `:` is taken
/// as the prefix itself.
///
/// # Number types
/// Values are returned as f32, and only if that is exact:
///
/// | type | |
/// |---|---|
/// | F32 | as stored |
/// | F16, BF16 | widened; f32 has all of their values |
/// | F64 | converted if f32 has every value of the tensor, otherwise an error |
/// | any other | an error |
///
/// A value that is not finite is an error.
///
/// # Unused tensors
/// The file records which tensors were read. An unread tensor is often a part of the model that the
/// program forgot, which changes the outputs: [`TensorFile::finish`] makes it an error.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// In the file's order.
    tensors: Vec<TensorInfo>,
    /// The place of each tensor in `bytes`.
    places: Vec<Range<usize>>,
    metadata: BTreeMap<String, String>,
    /// Names of the tensors that were read or ignored; true for those that were ignored.
    used: Mutex<BTreeMap<String, bool>>,
}

/// A matrix from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileMatrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// The values, row by row.
    pub values: Vec<f32>,
}

impl Clone for TensorFile {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            bytes: self.bytes.clone(),
            tensors: self.tensors.clone(),
            places: self.places.clone(),
            metadata: self.metadata.clone(),
            used: Mutex::new(self.used().clone()),
        }
    }
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, and [`Error::NotTensors`] for one in another
    /// format.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(read_whole(path)?, path)
    }

    /// Takes the bytes of a file. `path` is for messages only.
    ///
    /// # Errors
    /// [`Error::NotTensors`], or [`CheckpointError::Truncated`] for a file that is cut short.
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let unreadable = |error: SafeTensorError| {
            let reason = one_line(&error.to_string());
            match FileHeader::read(&mut FileReader::of(&bytes, path)) {
                Err(truncated @ Error::Checkpoint(CheckpointError::Truncated { .. })) => truncated,
                _ => Error::NotTensors { path: path.to_owned(), reason },
            }
        };
        let (header, info) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;
        let start = size_of::<u64>() + header;
        let (mut tensors, mut places) = (Vec::new(), Vec::new());
        for name in info.offset_keys() {
            let Some(tensor) = info.info(&name) else { continue };
            let (from, to) = tensor.data_offsets;
            places.push(start + from..start + to);
            let (dtype, shape) = (TensorType::of(tensor.dtype), tensor.shape.clone());
            tensors.push(TensorInfo { name, dtype, shape });
        }
        let metadata = info.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(Self { path: path.to_owned(), bytes, tensors, places, metadata, used: Mutex::default() })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The names of all tensors, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|tensor| tensor.name.as_str())
    }

    /// The tensors of a member: those whose names start with `{module}.`, or all if `module` is
    /// empty.
    pub fn tensors_of(&self, module: &str) -> impl Iterator<Item = &TensorInfo> {
        let prefix = prefix(module);
        self.tensors.iter().filter(move |tensor| tensor.name.starts_with(&prefix))
    }

    /// Finds a tensor by its name.
    pub fn find(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The strings in the file's metadata (`__metadata__`).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Reads a tensor of a known shape. The values are row-major.
    ///
    /// # Errors
    /// [`Error::TensorFile`] if the tensor is missing, has another shape, has values that f32
    /// cannot represent (see [number types](TensorFile#number-types)), or has a value that is not
    /// finite.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let expected = format!("F32 {shape:?}");
        let Some(index) = self.tensors.iter().position(|tensor| tensor.name == name) else {
            return Err(self.mismatch(name, "nothing", expected));
        };
        let info = &self.tensors[index];
        if info.shape != shape {
            return Err(self.mismatch(name, info.summary(), expected));
        }
        let values = float_types::as_f32(&info.dtype, &self.bytes[self.places[index].clone()]);
        let values = values.map_err(|found| {
            let found = if found == info.dtype.name() { info.summary() } else { found };
            self.mismatch(name, found, format!("{expected} ({})", self.conversion()))
        })?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(self.mismatch(name, value.to_string(), "finite numbers"));
        }
        self.used().entry(name.to_owned()).or_default();
        Ok(values)
    }

    /// How to get f32 values.
    fn conversion(&self) -> &'static str {
        match self.metadata.contains_key("quantized") {
            true => "the file is quantized: `unrolled export FILE --out NEW.safetensors` writes it as F32",
            false => "in Python: tensor.float(), then save it again",
        }
    }

    /// Reads a matrix of any size.
    ///
    /// # Errors
    /// As for [`TensorFile::floats`], and [`Error::TensorFile`] for a tensor that is not a matrix.
    pub fn matrix(&self, name: &str) -> Result<FileMatrix> {
        let [rows, columns] = self.required_matrix_shape(name)?;
        Ok(FileMatrix { rows, columns, values: self.floats(name, &[rows, columns])? })
    }

    /// Reads the embedding (`torch.nn.Embedding`) `module`: one row for each symbol.
    ///
    /// # Errors
    /// As for [`TensorFile::matrix`].
    pub fn embedding(&self, module: &str) -> Result<FileMatrix> {
        self.matrix(&format!("{}weight", prefix(module)))
    }

    /// The shape of a matrix, if the file has it.
    pub(super) fn matrix_shape(&self, name: &str) -> Result<Option<[usize; 2]>> {
        let Some(tensor) = self.find(name) else { return Ok(None) };
        match <[usize; 2]>::try_from(tensor.shape.as_slice()) {
            Ok(shape) => Ok(Some(shape)),
            Err(_) => Err(self.mismatch(name, tensor.summary(), "a matrix")),
        }
    }

    /// The shape of a matrix; an error if the file lacks it.
    pub(super) fn required_matrix_shape(&self, name: &str) -> Result<[usize; 2]> {
        self.matrix_shape(name)?.ok_or_else(|| self.mismatch(name, "nothing", "a matrix"))
    }

    /// Reads the biases of a module. PyTorch omits all of them with `bias=False`; then they are
    /// zero.
    pub(crate) fn biases(&self, names: &[String], shape: &[usize]) -> Result<Vec<Vec<f32>>> {
        if names.iter().all(|name| self.find(name).is_none()) {
            return Ok(vec![vec![0.0; shape.iter().product()]; names.len()]);
        }
        names.iter().map(|name| self.floats(name, shape)).collect()
    }

    /// The CRC-32 of a tensor's bytes, as a checkpoint stores it; empty if there is no such tensor.
    pub(super) fn checksum(&self, name: &str) -> String {
        let index = self.tensors.iter().position(|tensor| tensor.name == name);
        let sum = index.map(|index| crc32fast::hash(&self.bytes[self.places[index].clone()]));
        sum.map_or_else(String::new, |sum| format!("{sum:08x}"))
    }

    /// The tensors that were neither read nor ignored, except the optimizer's moments and the
    /// carried state of a checkpoint of `unrolled train`, which are not part of its model.
    pub fn unused(&self) -> Vec<&TensorInfo> {
        let ours = self.metadata.get("format").is_some_and(|format| format == super::format::FORMAT);
        let is_training_state =
            |name: &str| ours && (name.starts_with("optimizer.") || name.starts_with("state."));
        self.unread().filter(|tensor| !is_training_state(&tensor.name)).collect()
    }

    /// All tensors that were neither read nor ignored, also the optimizer's moments and the carried
    /// state.
    pub(super) fn unread(&self) -> impl Iterator<Item = &TensorInfo> {
        let used = self.used().clone();
        self.tensors.iter().filter(move |tensor| !used.contains_key(&tensor.name))
    }

    /// Marks a tensor as used without reading it. A `*` at the end of `name` matches any further
    /// characters: `decoder.*`.
    ///
    /// # Errors
    /// [`Error::TensorFile`] if no tensor has such a name.
    pub fn ignore(&self, name: &str) -> Result<()> {
        let is_meant = |tensor: &&TensorInfo| match name.strip_suffix('*') {
            Some(start) => tensor.name.starts_with(start),
            None => tensor.name == name,
        };
        let meant: Vec<String> = self.tensors.iter().filter(is_meant).map(|t| t.name.clone()).collect();
        if meant.is_empty() {
            return Err(self.mismatch(name, "nothing", "a tensor to ignore"));
        }
        self.used().extend(meant.into_iter().map(|name| (name, true)));
        Ok(())
    }

    /// Checks that every tensor was read or ignored. Call it after the model is filled.
    ///
    /// # Errors
    /// [`Error::UnusedTensors`] names the tensors that were not.
    pub fn finish(&self) -> Result<()> {
        self.require_none(self.unused())
    }

    /// Checks that every tensor of the member `module` was read or ignored.
    pub(crate) fn finish_module(&self, module: &str) -> Result<()> {
        self.finish_module_but(module, &[])
    }

    /// Checks that every tensor of the member `module` was read or ignored, or is one of `known`.
    pub(crate) fn finish_module_but(&self, module: &str, known: &[String]) -> Result<()> {
        let prefix = prefix(module);
        let is_left = |t: &&TensorInfo| t.name.starts_with(&prefix) && !known.contains(&t.name);
        self.require_none(self.unused().into_iter().filter(is_left).collect())
    }

    fn require_none(&self, unused: Vec<&TensorInfo>) -> Result<()> {
        match unused.is_empty() {
            true => Ok(()),
            false => Err(Error::UnusedTensors { path: self.path.clone(), tensors: listed(&unused) }),
        }
    }

    /// The error for a tensor that does not fit.
    pub(super) fn mismatch(
        &self,
        name: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Error {
        let (path, tensor) = (self.path.clone(), one_line(name));
        Error::TensorFile { path, tensor, found: found.into(), expected: expected.into() }
    }

    /// Returns true if the file has a tensor that is not ignored.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.find(name).is_some() && self.used().get(name) != Some(&true)
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileMatrix {
    /// Row `index`, such as the vector of a symbol in an embedding.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..][..self.columns]
    }
}

/// Returns the start of the names of a member's tensors.
pub(crate) fn prefix(module: &str) -> String {
    match module.is_empty() || module.ends_with(['.', '/', ':']) {
        true => module.to_owned(),
        false => format!("{module}."),
    }
}

/// Lists the first few tensors.
fn listed(tensors: &[&TensorInfo]) -> String {
    const SHOWN: usize = 8;
    let mut text = tensors.iter().take(SHOWN).map(|t| t.to_string()).collect::<Vec<_>>().join(", ");
    if tensors.len() > SHOWN {
        text += &format!(" and {} more", tensors.len() - SHOWN);
    }
    text
}

//! Tensors of any safetensors file, by name.

use super::{header::Header, numbers, source::Source, strings::one_line};
use crate::{Error, Result};
use safetensors::{SafeTensorError, SafeTensors};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// A safetensors file: a checkpoint of `unrolled train`, or what PyTorch saved with
/// `safetensors.torch.save_file(module.state_dict(), path)`. [`crate::fixed`] and [`crate::network`] fill their models from one.
///
/// The file knows which of its tensors were read. A tensor that nobody reads is a part of the model that the program
/// leaves out, and the outputs would differ without a word: [`TensorFile::finish`] refuses that.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// In the file's order.
    tensors: Vec<TensorInfo>,
    strings: BTreeMap<String, String>,
    /// Names of the tensors that were read or are ignored.
    used: Mutex<BTreeSet<String>>,
}

/// Name, type and shape of a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// As in the file: `rnn.weight_ih_l0`.
    pub name: String,
    /// As safetensors writes it: `F32`, `BF16`, `I64`.
    pub dtype: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {:?}", one_line(&self.name), self.dtype, self.shape)
    }
}

impl Clone for TensorFile {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            bytes: self.bytes.clone(),
            tensors: self.tensors.clone(),
            strings: self.strings.clone(),
            used: Mutex::new(self.used().clone()),
        }
    }
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, or is no safetensors file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        Self::from_bytes(bytes, path)
    }

    /// The same for the bytes of a file; `path` is only for the messages.
    ///
    /// # Errors
    /// When they are no safetensors file.
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let unreadable = |error: SafeTensorError| {
            let reason = one_line(&error.to_string());
            match Header::read(&mut Source::of(&bytes, path)) {
                Err(truncated @ Error::CheckpointTruncated { .. }) => truncated,
                _ => Error::NotTensors { path: path.to_owned(), reason },
            }
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;
        SafeTensors::deserialize(&bytes).map_err(unreadable)?;
        let info = |name: String| {
            let info = metadata.info(&name)?;
            Some(TensorInfo { name, dtype: info.dtype.to_string(), shape: info.shape.clone() })
        };
        let tensors = metadata.offset_keys().into_iter().filter_map(info).collect();
        let strings = metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { path: path.to_owned(), bytes, tensors, strings, used: Mutex::default() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The strings beside the tensors (`__metadata__`).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.strings
    }

    /// The tensors that were neither read nor ignored. Optimiser and carried state of a checkpoint of `unrolled train` are
    /// no part of its model, and are not counted.
    pub fn unused(&self) -> Vec<&TensorInfo> {
        let ours = self.is_ours();
        let beside = |name: &str| ours && (name.starts_with("optimizer.") || name.starts_with("state."));
        self.unread().filter(|tensor| !beside(&tensor.name)).collect()
    }

    /// The tensors that were neither read nor ignored, whatever they are.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &TensorInfo> {
        let used = self.used().clone();
        self.tensors.iter().filter(move |tensor| !used.contains(&tensor.name))
    }

    /// Leaves tensors out on purpose: the one of that name, or those whose names begin as `name` does before a `*` at its
    /// end.
    ///
    /// # Errors
    /// [`Error::TensorFile`] when there is none.
    pub fn ignore(&self, name: &str) -> Result<()> {
        let is_meant = |tensor: &&TensorInfo| match name.strip_suffix('*') {
            Some(start) => tensor.name.starts_with(start),
            None => tensor.name == name,
        };
        let meant: Vec<String> = self.tensors.iter().filter(is_meant).map(|t| t.name.clone()).collect();
        if meant.is_empty() {
            return Err(self.misfit(name, "nothing".to_owned(), "a tensor to ignore".to_owned()));
        }
        self.used().extend(meant);
        Ok(())
    }

    /// Refuses a file with tensors that were neither read nor ignored: call it when the model is filled.
    ///
    /// # Errors
    /// [`Error::UnusedTensors`] names them.
    pub fn finish(&self) -> Result<()> {
        self.refuse(self.unused())
    }

    /// [`TensorFile::finish`] for the tensors of one module: those whose names begin with `{module}.`, all where `module` is
    /// empty.
    pub(crate) fn finish_module(&self, module: &str) -> Result<()> {
        self.finish_module_but(module, &[])
    }

    /// The same before tensors are read that are named already.
    pub(crate) fn finish_module_but(&self, module: &str, known: &[String]) -> Result<()> {
        let prefix = prefix(module);
        let is_left = |t: &&TensorInfo| t.name.starts_with(&prefix) && !known.contains(&t.name);
        self.refuse(self.unused().into_iter().filter(is_left).collect())
    }

    fn refuse(&self, unused: Vec<&TensorInfo>) -> Result<()> {
        if unused.is_empty() {
            return Ok(());
        }
        Err(Error::UnusedTensors { path: self.path.clone(), tensors: listed(&unused) })
    }

    /// The numbers of a tensor, row-major. F16 and BF16 are widened, and F64 is taken where f32 has every number of it.
    ///
    /// # Errors
    /// [`Error::TensorFile`] when there is none of that name, or it has another shape, another type, or a number that is not
    /// finite.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let misfit = |found: String, expected: String| Err(self.misfit(name, found, expected));
        let Some(info) = self.find(name) else {
            return misfit("nothing".to_owned(), format!("F32 {shape:?}"));
        };
        if info.shape != shape {
            return misfit(format!("{} {:?}", info.dtype, info.shape), format!("F32 {shape:?}"));
        }
        let values = match self.values(name) {
            Ok(values) => values,
            Err(found) => {
                return misfit(
                    found,
                    format!("F32 {shape:?} (in Python: tensor.float(), then save it again)"),
                );
            }
        };
        match values.iter().find(|value| !value.is_finite()) {
            None => {
                self.used().insert(name.to_owned());
                Ok(values)
            }
            Some(value) => misfit(value.to_string(), "finite numbers".to_owned()),
        }
    }

    /// The numbers of a tensor as f32, or what it holds instead.
    fn values(&self, name: &str) -> Result<Vec<f32>, String> {
        let file = SafeTensors::deserialize(&self.bytes).map_err(|error| one_line(&error.to_string()))?;
        let view = file.tensor(name).map_err(|error| one_line(&error.to_string()))?;
        numbers::as_f32(&view)
    }

    /// The CRC-32 of a tensor's bytes, as a checkpoint records it; empty where there is no such tensor.
    pub(crate) fn checksum(&self, name: &str) -> String {
        let file = SafeTensors::deserialize(&self.bytes);
        let view = file.and_then(|file| file.tensor(name).map(|view| crc32fast::hash(view.data())));
        view.map_or_else(|_| String::new(), |sum| format!("{sum:08x}"))
    }

    /// [`TensorFile::floats`] for the biases of a module, which PyTorch leaves out together where `bias=False`: then they are
    /// zero.
    pub(crate) fn biases(&self, names: &[String], shape: &[usize]) -> Result<Vec<Vec<f32>>> {
        if names.iter().all(|name| self.find(name).is_none()) {
            return Ok(vec![vec![0.0; shape.iter().product()]; names.len()]);
        }
        names.iter().map(|name| self.floats(name, shape)).collect()
    }

    fn misfit(&self, name: &str, found: String, expected: String) -> Error {
        Error::TensorFile { path: self.path.clone(), tensor: one_line(name), found, expected }
    }

    /// Whether `unrolled train` wrote it.
    fn is_ours(&self) -> bool {
        self.strings.get("format").is_some_and(|format| format == super::FORMAT)
    }

    fn used(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How the names of a module's tensors begin.
pub(crate) fn prefix(module: &str) -> String {
    if module.is_empty() { String::new() } else { format!("{module}.") }
}

/// The first few of a list.
pub(crate) fn listed(tensors: &[&TensorInfo]) -> String {
    const SHOWN: usize = 8;
    let mut text = tensors.iter().take(SHOWN).map(|t| t.to_string()).collect::<Vec<_>>().join(", ");
    if tensors.len() > SHOWN {
        text += &format!(" and {} more", tensors.len() - SHOWN);
    }
    text
}

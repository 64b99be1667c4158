//! A file to a checkpoint. Whatever the bytes, the answer is a checkpoint or an error; nothing is allocated by the word of a
//! header alone.
//!
//! The file is read twice: once for its checksum, and then each tensor to its place. It is never held as a whole.

use super::{
    Checkpoint, checksum,
    header::Header,
    source::Source,
    strings::{Strings, one_line, unusable},
};
use crate::{
    Error, Result, Settings,
    corpus::Vocabulary,
    exec::{LayerState, State},
    model::{CustomCell, Entry, Layout, ModelConfig, Parameters},
    train::Progress,
};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

/// Reads a checkpoint.
pub(super) fn decode<R: Read + Seek>(mut source: Source<'_, R>, cells: &[CustomCell]) -> Result<Checkpoint> {
    let path = source.path;
    let (end, metadata) = verified(&mut source)?;
    let strings = Strings::new(path, metadata.metadata().iter().flatten());
    let mut settings: Settings = strings.json("config")?;
    settings.model.resolve(cells);
    settings.validate().map_err(|error| unusable(path, "config", error))?;
    let vocabulary =
        Vocabulary::from_json(strings.get("vocabulary")?).map_err(|e| unusable(path, "vocabulary", e))?;
    // Runs of earlier versions may record another unit than their vocabulary's, which is the one that they read.
    settings.data.unit = vocabulary.unit();
    let progress = strings.json("progress")?;
    let config =
        ModelConfig::new(&settings.model, vocabulary.len()).map_err(|e| unusable(path, "config", e))?;
    let layout = config.layout();
    let mut tensors = Tensors::new(source, end, &metadata);
    let values = tensors.arena("", &layout)?;
    let moments = tensors.moments(&layout)?;
    let state = tensors.state(&config, settings.run.batch)?;
    tensors.finish()?;
    let parameters = Parameters { layout, values };
    Ok(Checkpoint { settings, vocabulary, parameters, moments, state, progress })
}

/// Checks a checkpoint without holding its tensors.
pub(super) fn verify<R: Read + Seek>(mut source: Source<'_, R>) -> Result<Progress> {
    let (_, metadata) = verified(&mut source)?;
    Strings::new(source.path, metadata.metadata().iter().flatten()).json("progress")
}

/// Where the header ends and what it says, of an intact checkpoint.
fn verified<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<(u64, Metadata)> {
    let header = Header::read(source)?;
    let strings = Strings::new(source.path, header.metadata.metadata().iter().flatten());
    checksum::verify(source, &header, &strings)?;
    Ok((header.end(), header.metadata))
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

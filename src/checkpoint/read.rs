//! Reads checkpoints. Any bytes give a checkpoint or an error, and no header makes it allocate more
//! than the file holds, or four times as much for a quantized file.
//!
//! The file is read twice: once for its checksum, and then each tensor to its place. It is never in
//! memory as a whole.

use super::{
    checksum,
    contents::Checkpoint,
    file_reader::FileReader,
    format::one_line,
    header::FileHeader,
    metadata::invalid_content,
    quantized::{QuantizedMatrix, is_marked, scale_name},
};
use crate::{
    CheckpointError, Error, Result, RunSettings, Settings,
    corpus::Vocabulary,
    exec::{LayerState, State},
    model::{CustomCell, LayerDirection, ModelConfig, ParameterLayout, Parameters, TensorEntry},
    progress::Progress,
};
use safetensors::tensor::{Dtype, TensorInfo};
use std::{
    collections::BTreeMap,
    io::{Read, Seek},
    path::Path,
};

impl Checkpoint {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, and [`Error::Checkpoint`] for one that is not
    /// a checkpoint, is truncated or damaged, has another version, or has tensors that do not match
    /// its own configuration.
    pub fn load(path: &Path) -> Result<Self> {
        decode(FileReader::open(path)?, &[])
    }

    /// Reads a checkpoint of a model with custom cells. A file holds only the names of custom
    /// cells; `cells` supplies the cells themselves.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`], and [`CheckpointError::Content`] if a cell is missing or has
    /// other variables.
    pub fn load_with(path: &Path, cells: &[CustomCell]) -> Result<Self> {
        decode(FileReader::open(path)?, cells)
    }

    /// Reads a checkpoint from the bytes of a file. `path` is for messages only.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        decode(FileReader::of(bytes, path), &[])
    }

    /// Checks by the checksum that every byte of a file is intact, and returns the position of its
    /// run. It allocates memory for the header only.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`], but tensors are not compared with the configuration.
    pub fn verify(path: &Path) -> Result<Progress> {
        let mut reader = FileReader::open(path)?;
        let header = FileHeader::read(&mut reader)?;
        let strings = header.strings(path);
        checksum::verify(&mut reader, &header, &strings)?;
        strings.json("progress")
    }
}

fn decode<R: Read + Seek>(mut reader: FileReader<'_, R>, cells: &[CustomCell]) -> Result<Checkpoint> {
    let path = reader.path;
    let header = FileHeader::read(&mut reader)?;
    let strings = header.strings(path);
    checksum::verify(&mut reader, &header, &strings)?;
    let mut settings: Settings = strings.json("config")?;
    settings.model.resolve(cells);
    settings.validate().map_err(|error| invalid_content(path, "config", error))?;
    let vocabulary = Vocabulary::from_json(strings.get("vocabulary")?)
        .map_err(|error| invalid_content(path, "vocabulary", error))?;
    // Earlier versions may have stored another unit than the vocabulary's. The vocabulary's is the
    // one that was used.
    settings.data.unit = vocabulary.unit();
    let progress = strings.json("progress")?;
    let config = ModelConfig::of(&settings.model, vocabulary.len())
        .map_err(|error| invalid_content(path, "config", error))?;
    let layout = config.layout();
    let quantized = is_marked(strings.find("quantized"));
    let quantized = quantized.map_err(|reason| invalid_content(path, "quantized", reason))?;
    if quantized {
        config.check_quantizes().map_err(|error| invalid_content(path, "quantized", error))?;
    }
    let mut tensors = RemainingTensors::new(reader, &header);
    let (values, moments, state) = match quantized {
        true => (tensors.quantized_buffer(&config, &layout)?, Vec::new(), None),
        false => {
            (tensors.buffer("", &layout)?, tensors.moments(&layout)?, tensors.state(&config, &settings.run)?)
        }
    };
    tensors.finish()?;
    let parameters = Parameters { layout, values };
    Ok(Checkpoint { settings, vocabulary, parameters, moments, state, progress, quantized })
}

/// The tensors of a file that have not been read yet.
struct RemainingTensors<'a, R> {
    reader: FileReader<'a, R>,
    /// Offset of the first tensor in the file.
    start: u64,
    /// Names in the file's order.
    names: Vec<String>,
    left: BTreeMap<String, TensorInfo>,
}

impl<'a, R: Read + Seek> RemainingTensors<'a, R> {
    fn new(reader: FileReader<'a, R>, header: &FileHeader) -> Self {
        let (start, metadata) = (header.end(), &header.metadata);
        let left = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Self { reader, start, names: metadata.offset_keys(), left }
    }

    /// Returns the offset of a tensor of floats, which must have this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<u64> {
        self.take_typed(name, Dtype::F32, shape)
    }

    /// Returns the offset of a tensor, which must have this type and shape.
    fn take_typed(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<u64> {
        let expected = || format!("{dtype} {shape:?}");
        let Some(info) = self.left.remove(name) else {
            return Err(self.mismatch(name, "nothing".to_owned(), expected()));
        };
        if info.dtype != dtype || info.shape != shape {
            return Err(self.mismatch(name, format!("{} {:?}", info.dtype, info.shape), expected()));
        }
        Ok(self.start + info.data_offsets.0 as u64)
    }

    /// Reads the values of a tensor, which must be finite.
    fn read(&mut self, name: &str, at: u64, values: &mut [f32]) -> Result<()> {
        self.reader.floats(at, values)?;
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(self.mismatch(name, value.to_string(), "finite numbers".to_owned())),
        }
    }

    /// Reads one flat parameter buffer. It is allocated after every shape in it was found in the
    /// file.
    fn buffer(&mut self, prefix: &str, layout: &ParameterLayout) -> Result<Vec<f32>> {
        let name = |entry: &TensorEntry| format!("{prefix}{}", entry.name);
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

    /// Reads the parameters of a quantized checkpoint, as [`RemainingTensors::buffer`] does.
    fn quantized_buffer(&mut self, config: &ModelConfig, layout: &ParameterLayout) -> Result<Vec<f32>> {
        let mut places = Vec::with_capacity(layout.entries().len());
        for (entry, is_matrix) in layout.entries().iter().zip(config.is_matrix()) {
            let dtype = if is_matrix { Dtype::I8 } else { Dtype::F32 };
            let at = self.take_typed(&entry.name, dtype, &entry.shape)?;
            let scale = || self.take(&scale_name(&entry.name), &[entry.shape[0], 1]);
            places.push((at, is_matrix.then(scale).transpose()?));
        }
        let mut values = zeros(layout.len())?;
        for (entry, (at, scale)) in layout.entries().iter().zip(places) {
            let values = &mut values[entry.range.clone()];
            match scale {
                None => self.read(&entry.name, at, values)?,
                Some(scale) => self.read_matrix(entry, at, scale, values)?,
            }
        }
        Ok(values)
    }

    /// Reads the integers at `at` and the scales at `scale` of a matrix.
    fn read_matrix(&mut self, entry: &TensorEntry, at: u64, scale: u64, values: &mut [f32]) -> Result<()> {
        let mut scales = zeros(entry.shape[0])?;
        self.read(&scale_name(&entry.name), scale, &mut scales)?;
        let mut integers = vec![0; values.len()];
        self.reader.read(at, bytemuck::cast_slice_mut(&mut integers))?;
        let matrix = QuantizedMatrix { integers, scales };
        match matrix.problem() {
            None => matrix.write(values),
            Some((found, expected)) => return Err(self.mismatch(&entry.name, found, expected.to_owned())),
        }
        Ok(())
    }

    /// Reads the moments of all names that the file has.
    fn moments(&mut self, layout: &ParameterLayout) -> Result<Vec<(String, Vec<f32>)>> {
        let mut moments: Vec<(String, Vec<f32>)> = Vec::new();
        for name in std::mem::take(&mut self.names) {
            let moment = name.strip_prefix("optimizer.").and_then(|rest| rest.split_once('.'));
            let Some((moment, _)) = moment.filter(|(moment, _)| !moment.is_empty()) else { continue };
            if moments.iter().all(|(taken, _)| taken != moment) {
                let values = self.buffer(&format!("optimizer.{moment}."), layout)?;
                moments.push((moment.to_owned(), values));
            }
        }
        Ok(moments)
    }

    /// Reads the carried state, if the file has one. In files of earlier versions all windows of a
    /// step share their streams.
    fn state(&mut self, config: &ModelConfig, run: &RunSettings) -> Result<Option<State>> {
        let Some(first) = self.left.get("state.h_l0") else { return Ok(None) };
        let is_shared = first.shape.first() == Some(&run.batch);
        let rows = if is_shared { run.batch } else { run.streams() };
        let layers = config.directions().map(|direction| self.layer_state(config, rows, direction));
        let layers = layers.collect::<Result<_>>()?;
        Ok(Some(State { layers, rows }))
    }

    fn layer_state(
        &mut self,
        config: &ModelConfig,
        rows: usize,
        direction: LayerDirection,
    ) -> Result<LayerState> {
        let [h, c] = config.state_size(direction.layer);
        let mut vector = |name: String, width: usize| {
            let at = self.take(&name, &[rows, width])?;
            let mut values = zeros(rows * width)?;
            self.read(&name, at, &mut values)?;
            Ok(values)
        };
        let h = vector(format!("state.h_{direction}"), h)?;
        let c = if c > 0 { vector(format!("state.c_{direction}"), c)? } else { Vec::new() };
        Ok(LayerState { h, c })
    }

    /// Returns an error for a tensor that the configuration does not contain.
    fn finish(self) -> Result<()> {
        match self.left.first_key_value() {
            None => Ok(()),
            Some((name, _)) => {
                Err(self.mismatch(name, "a tensor".to_owned(), "none of that name".to_owned()))
            }
        }
    }

    fn mismatch(&self, tensor: &str, found: String, expected: String) -> Error {
        Error::Checkpoint(CheckpointError::Tensor {
            path: self.reader.path.to_owned(),
            tensor: one_line(tensor),
            found,
            expected,
        })
    }
}

/// Allocates `len` floats; an error if the system refuses.
fn zeros(len: usize) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    let needed = size_of::<f32>() * len;
    values.try_reserve_exact(len).map_err(|_| Error::Allocation { needed })?;
    values.resize(len, 0.0);
    Ok(values)
}

//! Converts files that other programs wrote to checkpoints: a checkpoint that was changed and saved
//! again, or the `state_dict` of a PyTorch module. Every tensor of the file is used, dropped with a
//! note, or an error.

mod failure;
mod origin;
mod selected_tensors;
mod shapes;
mod training_state;
mod weights;

use super::{
    contents::Checkpoint, layer_shapes::check_chosen, member_names::MemberNames, tensor_file::TensorFile,
    tensor_info::TensorInfo,
};
use crate::{
    Activation, Layer, Reset, Result, Settings,
    model::{CustomCell, ModelConfig},
};
use failure::failed;
use origin::ImportOrigin;
use selected_tensors::SelectedTensors;
use std::collections::HashMap;

/// Options for the import of a file as a checkpoint.
///
/// ```
/// use unrolled::checkpoint::{Import, TensorFile};
/// # use unrolled::{ModelSettings, RunSettings, Settings, Unit, corpus::Corpus, train::Training};
///
/// # fn main() -> unrolled::Result<()> {
/// # let corpus = Corpus::from_text("to be or not to be, ".repeat(20), Unit::Char)?;
/// # let run = RunSettings { batch: 2, steps: 4, ..RunSettings::default() };
/// # let settings = Settings { model: ModelSettings::lstm(8), run, ..Settings::default() };
/// # let mut checkpoint = Training::new(corpus, settings, Some(1))?.checkpoint();
/// # checkpoint.state = None;
/// # let bytes = checkpoint.to_bytes()?;
/// let file = TensorFile::from_bytes(bytes, "changed.safetensors".as_ref())?; // or TensorFile::load(path)
/// let imported = Import::default().read(&file)?;
/// for tensor in &imported.tensors {
///     println!("{}: {}", tensor.tensor, tensor.became);
/// }
/// let checkpoint = imported.checkpoint; // `save` writes new checksums
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Import<'a> {
    /// A checkpoint that supplies the settings, vocabulary and progress that the file lacks.
    pub like: Option<&'a Checkpoint>,
    /// Tensors to ignore, as for [`TensorFile::ignore`].
    pub ignore: &'a [String],
    /// Activation of RNN layers that are found from shapes. Required for such layers if `like` does
    /// not tell it.
    pub activation: Option<Activation>,
    /// Position of the reset gate of GRU layers that are found from shapes. The default is
    /// PyTorch's, after the product.
    pub reset: Option<Reset>,
    /// The custom cells of the model, as for [`Checkpoint::load_with`].
    pub cells: &'a [CustomCell],
}

/// The result of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The checkpoint, ready to be saved.
    pub checkpoint: Checkpoint,
    /// The use of each tensor, in the order of the file.
    pub tensors: Vec<ImportedTensor>,
    /// Notes, one sentence each.
    pub notes: Vec<String>,
}

/// A tensor of an imported file, and its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedTensor {
    /// The tensor in the file.
    pub tensor: TensorInfo,
    /// Its name in the checkpoint, `ignored`, or `dropped`.
    pub became: String,
    /// True if its bytes differ from the checksum in the file's metadata.
    pub changed: bool,
}

impl Import<'_> {
    /// Converts `file` to a checkpoint. The settings come from the file's own metadata if it has
    /// them, and otherwise from [`Import::like`]. If the shapes do not fit the settings of
    /// [`Import::like`], the layers are found from the shapes.
    ///
    /// The optimizer's moments and the carried state are kept if they are complete and their step
    /// is known. Without them the checkpoint starts at step 0: it can be sampled from, evaluated
    /// and fine-tuned, but not resumed.
    ///
    /// # Errors
    /// [`CheckpointError::Import`](crate::CheckpointError::Import) names the tensor that is
    /// missing, has another shape or a value that is not finite, or has no place in the model, or
    /// says what else is missing; [`CheckpointError::Content`](crate::CheckpointError::Content) for
    /// damaged metadata.
    pub fn read(&self, file: &TensorFile) -> Result<Imported> {
        let ignored = self.ignore(file)?;
        let (selected, mut notes) = (SelectedTensors { file, ignored: &ignored }, Vec::new());
        let origin = ImportOrigin::find(file, self.like, self.cells)?;
        let prefix = shapes::prefix(file);
        let names = MemberNames::below(&prefix);
        let settings = self.settings(file, &names, &origin, &mut notes)?;
        let config = ModelConfig::of(&settings.model, origin.vocabulary.len())?;
        let parameters = weights::read(selected, &names, &config, &mut notes)?;
        let state = training_state::read(selected, &settings, &config, &origin, self.like, &mut notes);
        weights::finish(file)?;
        let tensors = imported(file, |tensor| became(tensor, &prefix, &ignored, &state.dropped));
        let checkpoint = Checkpoint {
            settings,
            vocabulary: origin.vocabulary,
            parameters,
            moments: state.moments,
            state: state.state,
            progress: state.progress,
            quantized: false,
        };
        Ok(Imported { checkpoint, tensors, notes })
    }

    /// Marks the tensors to ignore, and returns their names.
    fn ignore(&self, file: &TensorFile) -> Result<Vec<String>> {
        for name in self.ignore {
            file.ignore(name).map_err(|error| weights::explained(file, error))?;
        }
        let left: Vec<&TensorInfo> = file.unread().collect();
        Ok(file.tensors().iter().filter(|tensor| !left.contains(tensor)).map(|t| t.name.clone()).collect())
    }

    /// Returns the settings that the tensors fit: the known ones, or settings found from the
    /// shapes.
    fn settings(
        &self,
        file: &TensorFile,
        names: &MemberNames,
        origin: &ImportOrigin,
        notes: &mut Vec<String>,
    ) -> Result<Settings> {
        let (known, symbols) = (&origin.settings, origin.vocabulary.len());
        check_head(file, names, known, symbols)?;
        let config = ModelConfig::of(&known.model, symbols)?;
        let chosen = self.activation.is_some() || self.reset.is_some();
        if origin.own_settings && chosen {
            let reason = "its own metadata has activation and reset; leave --activation and --reset out";
            return Err(failed(file.path(), reason));
        }
        if origin.own_settings || (!chosen && shapes::fit(file, names, &config.layout())) {
            return Ok(known.clone());
        }
        let found = shapes::infer(file, names, known, (self.activation, self.reset))?;
        found.validate()?;
        let stack = found.model.stack();
        let layers: Vec<&Layer> = stack.iter().collect();
        check_chosen(&layers, self.activation, self.reset).map_err(|reason| failed(file.path(), reason))?;
        let name = |layer: &Layer| format!("{} of {}", layer.cell.name().to_uppercase(), layer.hidden);
        let layers = stack.iter().map(name).collect::<Vec<_>>().join(", ");
        notes.push(format!("layers found from the shapes: {layers}; all other settings are those of --like"));
        Ok(found)
    }
}

/// Checks that the head has a row for each output: for each symbol of a language model.
fn check_head(file: &TensorFile, names: &MemberNames, known: &Settings, symbols: usize) -> Result<()> {
    let head = file.find(&format!("{}weight", names.head)).map(|head| head.shape.as_slice());
    let expected = match known.model.outputs {
        Some(outputs) => format!("the model has {outputs} outputs"),
        None => format!("the vocabulary has {symbols} symbols"),
    };
    match head {
        Some(&[rows, _]) if rows != known.model.outputs.unwrap_or(symbols) => Err(failed(
            file.path(),
            format!(
                "head.weight has {rows} rows, but {expected}; name the run that it came from: --like RUN"
            ),
        )),
        _ => Ok(()),
    }
}

/// Lists all tensors, and compares them with the file's own checksums.
fn imported(file: &TensorFile, became: impl Fn(&TensorInfo) -> String) -> Vec<ImportedTensor> {
    let checksums = file.metadata().get("checksums").and_then(|json| serde_json::from_str(json).ok());
    let checksums: HashMap<String, String> = checksums.unwrap_or_default();
    let changed = |name: &str| checksums.get(name).is_some_and(|recorded| file.checksum(name) != *recorded);
    let row = |tensor: &TensorInfo| ImportedTensor {
        became: became(tensor),
        changed: changed(&tensor.name),
        tensor: tensor.clone(),
    };
    file.tensors().iter().map(row).collect()
}

/// Returns the use of a tensor.
fn became(tensor: &TensorInfo, prefix: &str, ignored: &[String], dropped: &[String]) -> String {
    match &tensor.name {
        name if ignored.contains(name) => "ignored".to_owned(),
        name if dropped.contains(name) => "dropped".to_owned(),
        name => name.strip_prefix(prefix).unwrap_or(name).to_owned(),
    }
}

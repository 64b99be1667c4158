//! Checkpoints from files that other programs wrote: one of ours that was changed and saved again, or a PyTorch module's
//! `state_dict`. Every tensor of the file is used, is dropped with a note, or is an error.

mod beside;
mod shapes;
mod weights;

use super::{Checkpoint, TensorFile, TensorInfo, strings};
use crate::{
    Activation, Cell, Error, Layer, Reset, Result, Settings,
    corpus::Vocabulary,
    model::{CustomCell, ModelConfig},
    train::Progress,
};
use std::{collections::HashMap, path::Path};
use weights::Source;

/// How a file becomes a checkpoint.
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
/// let checkpoint = imported.checkpoint; // to be saved, with new checksums
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Import<'a> {
    /// A checkpoint that supplies what the file lacks: configuration, vocabulary, and where the run stands.
    pub like: Option<&'a Checkpoint>,
    /// Tensors to leave out, as for [`TensorFile::ignore`].
    pub ignore: &'a [String],
    /// The squashing function of a vanilla RNN whose configuration is found from shapes alone.
    pub activation: Option<Activation>,
    /// Where such a GRU applies its reset gate; as PyTorch does (after the product) when absent.
    pub reset: Option<Reset>,
    /// The custom cells of the model, as for [`Checkpoint::load_with`].
    pub cells: &'a [CustomCell],
}

/// A checkpoint, and what it was made from.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The checkpoint, fit to be saved.
    pub checkpoint: Checkpoint,
    /// The use of each tensor, in the order of the file.
    pub tensors: Vec<ImportedTensor>,
    /// Notes, one sentence each.
    pub notes: Vec<String>,
}

/// The use that an import made of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedTensor {
    /// The tensor in the file.
    pub tensor: TensorInfo,
    /// Its name in the checkpoint, `ignored`, or `dropped`.
    pub became: String,
    /// Whether its bytes are others than those whose checksum the file's metadata records.
    pub changed: bool,
}

/// The metadata of a checkpoint.
#[derive(Clone)]
struct Origin {
    settings: Settings,
    vocabulary: Vocabulary,
    progress: Progress,
    /// Whether the configuration is the file's own.
    own_settings: bool,
    /// Whether the progress is the file's own.
    own_progress: bool,
}

impl Import<'_> {
    /// Takes the tensors of `file` for a checkpoint. Its own metadata says how, where another program kept it; otherwise
    /// [`Import::like`] does, and where the shapes are not those of that checkpoint the layers are found from the shapes.
    ///
    /// Moments of the optimiser and the carried state are kept where they are whole and the step they belong to is known.
    /// Without them the checkpoint starts at step 0: it can be sampled from, evaluated and trained from, but not resumed.
    ///
    /// # Errors
    /// [`Error::Import`] names the tensor that is missing, has another shape or a number that is not finite, or has no place
    /// in the model, and says what else is missing; [`Error::CheckpointContent`] for metadata of ours that is damaged.
    pub fn read(&self, file: &TensorFile) -> Result<Imported> {
        let ignored = self.leave_out(file)?;
        let (source, mut notes) = (Source { file, ignored: &ignored }, Vec::new());
        let origin = self.origin(file)?;
        let prefix = shapes::prefix(file);
        let settings = self.settings(file, &prefix, &origin, &mut notes)?;
        let config = ModelConfig::new(&settings.model, origin.vocabulary.len())?;
        let parameters = weights::read(source, &prefix, &config, &mut notes)?;
        let beside = beside::read(source, &settings, &config, &origin, self.like, &mut notes);
        weights::finish(file)?;
        let became = |tensor: &TensorInfo| became(tensor, &prefix, &ignored, &beside.dropped);
        let tensors = imported(file, became);
        let (moments, state, progress) = (beside.moments, beside.state, beside.progress);
        let vocabulary = origin.vocabulary;
        let checkpoint = Checkpoint { settings, vocabulary, parameters, moments, state, progress };
        Ok(Imported { checkpoint, tensors, notes })
    }

    /// Names of the tensors to leave out.
    fn leave_out(&self, file: &TensorFile) -> Result<Vec<String>> {
        for name in self.ignore {
            file.ignore(name).map_err(|error| weights::explained(file, error))?;
        }
        let left: Vec<&TensorInfo> = file.unread().collect();
        Ok(file.tensors().iter().filter(|tensor| !left.contains(tensor)).map(|t| t.name.clone()).collect())
    }

    /// The file's own metadata, and the other checkpoint where that is lost.
    fn origin(&self, file: &TensorFile) -> Result<Origin> {
        let own = strings::metadata(file.path(), file.metadata(), self.cells)?;
        let like = self.like;
        let lacks = |what: &str| {
            let reason = format!("its metadata has no {what}; name the run that it came from: --like RUN");
            refused(file.path(), reason)
        };
        let (own_settings, own_progress) = (own.settings.is_some(), own.progress.is_some());
        let settings = own.settings.or_else(|| like.map(|like| like.settings.clone()));
        let vocabulary = own.vocabulary.or_else(|| like.map(|like| like.vocabulary.clone()));
        let progress = own.progress.or_else(|| like.map(|like| like.progress.clone()));
        let mut settings = settings.ok_or_else(|| lacks("configuration and vocabulary"))?;
        let vocabulary = vocabulary.ok_or_else(|| lacks("vocabulary"))?;
        // As for a checkpoint that is read.
        settings.data.unit = vocabulary.unit();
        let origin = Origin {
            settings,
            vocabulary,
            progress: progress.unwrap_or_default(),
            own_settings,
            own_progress,
        };
        let differs = like.is_some_and(|like| {
            let stacks = [&like.settings, &origin.settings].map(|settings| settings.model.stack());
            own_settings && (stacks[0] != stacks[1] || like.vocabulary != origin.vocabulary)
        });
        if differs {
            let reason =
                "its own metadata has other layers or symbols than the run given by --like; leave --like out";
            return Err(refused(file.path(), reason.to_owned()));
        }
        Ok(origin)
    }

    /// The configuration that the tensors fit: the one that is known, or one found from their shapes.
    fn settings(
        &self,
        file: &TensorFile,
        prefix: &str,
        origin: &Origin,
        notes: &mut Vec<String>,
    ) -> Result<Settings> {
        let (known, symbols) = (&origin.settings, origin.vocabulary.len());
        check_symbols(file, prefix, symbols)?;
        let config = ModelConfig::new(&known.model, symbols)?;
        let chosen = self.activation.is_some() || self.reset.is_some();
        if origin.own_settings && chosen {
            let reason = "its own metadata tells activation and reset; leave --activation and --reset out";
            return Err(refused(file.path(), reason.to_owned()));
        }
        if origin.own_settings || (!chosen && shapes::fit(file, prefix, &config.layout())) {
            return Ok(known.clone());
        }
        let found = shapes::infer(file, prefix, known, (self.activation, self.reset))
            .map_err(|reason| refused(file.path(), reason))?;
        found.validate()?;
        let stack = found.model.stack();
        self.check_chosen(file, &stack)?;
        let name = |layer: &Layer| format!("{} of {}", layer.cell.name().to_uppercase(), layer.hidden);
        let layers = stack.iter().map(name).collect::<Vec<_>>().join(", ");
        notes.push(format!("layers found from the shapes: {layers}; all other settings are those of --like"));
        Ok(found)
    }

    /// Refuses a choice that no layer asks for.
    fn check_chosen(&self, file: &TensorFile, stack: &[Layer]) -> Result<()> {
        let given = [
            ("activation", self.activation.is_some(), Cell::Rnn),
            ("reset", self.reset.is_some(), Cell::Gru),
        ];
        for (flag, given, cell) in given {
            if given && stack.iter().all(|layer| layer.cell != cell) {
                let cell = cell.name().to_uppercase();
                let reason = format!("--{flag} is for a layer of kind {cell}, and it has none; leave it out");
                return Err(refused(file.path(), reason));
            }
        }
        Ok(())
    }
}

/// Whether the head gives as many logits as there are symbols.
fn check_symbols(file: &TensorFile, prefix: &str, symbols: usize) -> Result<()> {
    let head = file.find(&format!("{prefix}head.weight")).map(|head| head.shape.as_slice());
    match head {
        Some(&[rows, _]) if rows != symbols => Err(refused(
            file.path(),
            format!(
                "head.weight has {rows} rows, but the vocabulary has {symbols} symbols; name the run that it came from: \
                 --like RUN"
            ),
        )),
        _ => Ok(()),
    }
}

/// All tensors, and whether the file's own checksums tell that they changed.
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

fn became(tensor: &TensorInfo, prefix: &str, ignored: &[String], dropped: &[String]) -> String {
    match &tensor.name {
        name if ignored.contains(name) => "ignored".to_owned(),
        name if dropped.contains(name) => "dropped".to_owned(),
        name => name.strip_prefix(prefix).unwrap_or(name).to_owned(),
    }
}

fn refused(path: &Path, reason: String) -> Error {
    Error::Import { path: path.to_owned(), reason }
}

//! `unrolled import`: makes a checkpoint from a file that another program wrote.

use super::{
    config_file::ConfigFile,
    config_record::config_record,
    failure::Failure,
    output::{self, note},
    parts_table::{PartsTable, aligned},
    run_folder::{LAST, RunCheckpoint, RunFolder, check_absent},
};
use clap::{Args, builder::PossibleValuesParser};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{
    Activation, Reset,
    checkpoint::{Checkpoint, Import, Imported, ImportedTensor, TensorFile},
    convert::{Format, Options, detect, from_bytes, read_file},
};

/// Make a checkpoint from a file that another program wrote: PyTorch, ONNX, RTNeural
///
/// Every tensor, node and layer of the file is used, or is an error that names it.
#[derive(Args)]
pub struct ImportCommand {
    /// Checkpoint that another program changed, or PyTorch state_dict (both as safetensors), ONNX,
    /// or JSON of RTNeural or GuitarML
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File that ends in .safetensors, or a new run folder
    #[arg(short, long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Run folder or checkpoint that supplies what IN lacks: settings, vocabulary, corpus
    #[arg(long, value_name = "RUN")]
    like: Option<PathBuf>,
    /// Tensor, node, layer or key to leave out; NAME* leaves out all names with this beginning. May
    /// be given several times
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Activation of a vanilla RNN whose layers are derived from the shapes
    #[arg(long, value_parser = PossibleValuesParser::new(Activation::NAMES))]
    activation: Option<String>,
    /// Where a GRU whose layers are derived from the shapes applies the reset gate [default: after,
    /// as in PyTorch]
    #[arg(long, value_parser = PossibleValuesParser::new(Reset::NAMES))]
    reset: Option<String>,
    /// Overwrite the file of --out
    #[arg(long)]
    replace: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ImportReport<'a> {
    checkpoint: String,
    step: u64,
    tensors: Vec<TensorRow<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct TensorRow<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: &'a [usize],
    became: &'a str,
    changed: bool,
}

impl ImportCommand {
    /// Reads the file, writes the checkpoint, and prints what each tensor became.
    pub fn run(&self) -> Result<(), Failure> {
        self.check_out()?;
        // The file is read once, because it may be a pipe.
        let bytes = read_file(&self.input)?;
        let format = detect(&bytes, &self.input)?;
        if self.like.is_none() && format == Format::StateDict || is_foreign(format) {
            return self.convert(bytes, format);
        }
        let like = self.like.as_deref().map(|run| RunCheckpoint::find(Some(run), None)).transpose()?;
        let imported = self.import(&bytes, like.as_ref())?;
        let written = match self.is_file() {
            true => self.write_file(&imported.checkpoint)?,
            false => self.write_folder(&imported.checkpoint, like.as_ref())?,
        };
        self.report(&imported, &written)
    }

    /// Writes the model of a file that is complete without a run.
    fn convert(&self, bytes: Vec<u8>, format: Format) -> Result<(), Failure> {
        if let Some(like) = &self.like {
            let (input, like) = (self.input.display(), like.display());
            return Err(Failure::Usage(format!(
                "--like {like}: {input} is {format}, which needs no run; leave --like out"
            )));
        }
        if !self.is_file() {
            let (input, out) = (self.input.display(), self.out.display());
            return Err(Failure::Usage(format!(
                "--out {out}: a run folder needs a corpus, and {input} has none; end --out in .safetensors"
            )));
        }
        let (activation, reset) = (named(self.activation.as_deref()), named(self.reset.as_deref()));
        let options = Options { ignore: &self.ignore, activation, reset };
        let converted = from_bytes(bytes, &self.input, &options)?;
        let written = self.write_file(&converted.checkpoint()?)?;
        let parts = PartsTable { parts: &converted.parts, notes: &converted.notes };
        parts.print(self.json.then(|| written.display().to_string()))?;
        note(&format!("wrote {}", written.display()));
        Ok(())
    }

    /// Imports like the checkpoint of the run that the optimizer state belongs to: the best one, or
    /// else the last.
    fn import(&self, bytes: &[u8], like: Option<&RunCheckpoint>) -> Result<Imported, Failure> {
        let imported = self.import_like(bytes, like.map(RunCheckpoint::load).transpose()?.as_ref())?;
        let last =
            like.filter(|_| self.like.as_deref().is_some_and(Path::is_dir)).map(|like| like.folder.last());
        let Some(last) = last.filter(|last| last.exists() && imported.checkpoint.progress.step == 0) else {
            return Ok(imported);
        };
        match Checkpoint::load(&last)
            .map_err(Failure::from)
            .and_then(|last| self.import_like(bytes, Some(&last)))
        {
            Ok(other) if other.checkpoint.progress.step > 0 => Ok(other),
            _ => Ok(imported),
        }
    }

    fn import_like(&self, bytes: &[u8], like: Option<&Checkpoint>) -> Result<Imported, Failure> {
        let file = TensorFile::from_bytes(bytes.to_vec(), &self.input)?;
        let (activation, reset) = (named(self.activation.as_deref()), named(self.reset.as_deref()));
        Ok(Import { like, ignore: &self.ignore, activation, reset, cells: &[] }.read(&file)?)
    }

    /// Returns whether `--out` names a file, not a run folder.
    fn is_file(&self) -> bool {
        self.out.extension().is_some_and(|ending| ending == "safetensors")
    }

    fn check_out(&self) -> Result<(), Failure> {
        let out = self.out.display();
        if !self.is_file() {
            return match self.replace {
                true => Err(Failure::Usage(format!(
                    "--replace overwrites a file, and --out {out} is a folder; end its name in .safetensors, or leave --replace out"
                ))),
                false => RunFolder::at(&self.out).check_free(),
            };
        }
        check_absent(&self.out, self.replace)
    }

    /// Writes the file. If it is in a run folder, the folder is locked: a process that trains there
    /// would overwrite the file.
    fn write_file(&self, checkpoint: &Checkpoint) -> Result<PathBuf, Failure> {
        let parent = self.out.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let of_run = RunFolder::at(parent).config().exists();
        let _held = of_run.then(|| RunFolder::hold(parent)).transpose()?;
        checkpoint.save(&self.out)?;
        Ok(self.out.clone())
    }

    /// Creates a run folder with the corpus of the run that the file came from.
    fn write_folder(
        &self,
        checkpoint: &Checkpoint,
        like: Option<&RunCheckpoint>,
    ) -> Result<PathBuf, Failure> {
        let own = RunFolder::at(self.input.parent().unwrap_or(Path::new("")));
        let from = like.map_or(&own, |like| &like.folder);
        if !from.config().exists() {
            return Err(Failure::Usage(format!(
                "--out {}: a run folder needs its corpus, and {} is missing; name the run folder with --like, or end \
                 --out in .safetensors",
                self.out.display(),
                from.config().display()
            )));
        }
        let config = ConfigFile::read(&from.config())?;
        let text = config_record(&checkpoint.settings, config.paths().unwrap_or_default(), &config.run)?;
        let folder = RunFolder::create(Some(&self.out), &text)?;
        let written =
            folder.write(LAST, |path| checkpoint.save(path)).and_then(|()| folder.copy_manifest(from));
        // A folder with only a configuration would be a run that starts again.
        written.inspect_err(|_| _ = fs::remove_file(folder.config()))?;
        Ok(folder.last())
    }

    fn report(&self, imported: &Imported, written: &Path) -> Result<(), Failure> {
        match self.json {
            true => output::json(&ImportReport::new(imported, written))?,
            false => output::write(&table(&imported.tensors))?,
        }
        imported.notes.iter().for_each(|text| note(text));
        note(&format!("wrote {}", written.display()));
        Ok(())
    }
}

impl<'a> ImportReport<'a> {
    fn new(imported: &'a Imported, written: &Path) -> Self {
        let row = |row: &'a ImportedTensor| TensorRow {
            name: &row.tensor.name,
            dtype: row.tensor.dtype.name(),
            shape: &row.tensor.shape,
            became: &row.became,
            changed: row.changed,
        };
        Self {
            checkpoint: written.display().to_string(),
            step: imported.checkpoint.progress.step,
            tensors: imported.tensors.iter().map(row).collect(),
            notes: &imported.notes,
        }
    }
}

/// Returns a choice by its name, which the argument parser has checked.
fn named<T: DeserializeOwned>(name: Option<&str>) -> Option<T> {
    serde_json::from_value(name?.into()).ok()
}

/// Returns a table of the tensors and what each became.
fn table(tensors: &[ImportedTensor]) -> String {
    let head = ["tensor", "type", "shape", "became"].map(str::to_owned);
    let row = |row: &ImportedTensor| {
        let tensor = &row.tensor;
        [
            tensor.name.clone(),
            tensor.dtype.to_string(),
            format!("{:?}", tensor.shape),
            row.became.clone() + if row.changed { ", changed" } else { "" },
        ]
    };
    aligned([head].into_iter().chain(tensors.iter().map(row)).collect())
}

/// Returns whether a format has no settings of a run.
fn is_foreign(format: Format) -> bool {
    !matches!(format, Format::Checkpoint | Format::StateDict)
}

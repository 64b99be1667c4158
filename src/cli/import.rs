//! `unrolled import`: makes a checkpoint from a file that another program wrote.

use super::{
    config_file::ConfigFile,
    config_record::config_record,
    failure::Failure,
    output::{self, note},
    run_folder::{LAST, RunCheckpoint, RunFolder, check_absent},
};
use clap::{Args, builder::PossibleValuesParser};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{
    Activation, Error, Reset,
    checkpoint::{Checkpoint, Import, Imported, ImportedTensor, TensorFile},
};

/// Make a checkpoint from a safetensors file that another program wrote
#[derive(Args)]
pub struct ImportCommand {
    /// Checkpoint that another program changed, or a PyTorch state_dict with the members embedding,
    /// rnn and head
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File that ends in .safetensors, or a new run folder
    #[arg(short, long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Run folder or checkpoint that supplies what IN lacks: settings, vocabulary, corpus
    #[arg(long, value_name = "RUN")]
    like: Option<PathBuf>,
    /// Tensor to leave out; NAME* leaves out all names with this beginning. May be given several
    /// times
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
        let bytes = read(&self.input)?;
        let like = self.like.as_deref().map(|run| RunCheckpoint::find(Some(run), None)).transpose()?;
        let imported = self.import(&bytes, like.as_ref())?;
        let written = match self.is_file() {
            true => self.write_file(&imported.checkpoint)?,
            false => self.write_folder(&imported.checkpoint, like.as_ref())?,
        };
        self.report(&imported, &written)
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
    let rows: Vec<_> = [head].into_iter().chain(tensors.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [name, dtype, shape] = [0, 1, 2].map(width);
    rows.iter().map(|[a, b, c, d]| format!("{a:name$}  {b:dtype$}  {c:shape$}  {d}\n")).collect()
}

/// Reads a file once, because it may be a pipe. A file of another format is an error that names the
/// format.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes =
        fs::read(file).map_err(|source| Error::Io { action: "read", path: file.to_owned(), source })?;
    let Some(kind) = kind(file, &bytes) else { return Ok(bytes) };
    Err(Failure::Usage(format!(
        "{}: found {kind}, expected a safetensors file; in Python, safetensors.torch.save_file(model.state_dict(), \
         \"model.safetensors\") writes one",
        file.display()
    )))
}

/// Returns the format of a file that is not safetensors, by its first bytes or its name.
fn kind(file: &Path, start: &[u8]) -> Option<&'static str> {
    let named = |endings: &[&str]| {
        file.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending))
    };
    // A JSON header after its length.
    let safetensors = start.get(4..9) == Some(b"\0\0\0\0{");
    match start {
        _ if safetensors => None,
        [b'P', b'K', 3, 4, ..] if named(&["npz"]) => Some("a file of NumPy arrays"),
        [b'P', b'K', 3, 4, ..] if named(&["keras"]) => Some("a Keras model"),
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => {
            Some("a pickle of Python objects, as torch.save writes")
        }
        [0x89, b'H', b'D', b'F', ..] => Some("an HDF5 file, as Keras writes"),
        [0x93, b'N', b'U', b'M', ..] => Some("a NumPy array"),
        [b'G', b'G', b'U', b'F', ..] => Some("a GGUF file"),
        _ if named(&["onnx"]) => Some("an ONNX model"),
        [b'{' | b'[', ..] => Some("JSON"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_formats_are_named() {
        let cases: [(&str, &[u8], Option<&str>); 8] = [
            ("m.safetensors", b"\x40\0\0\0\0\0\0\0{\"a\"", None),
            ("m.safetensors", b"{\0\0\0\0\0\0\0{\"a\"", None),
            ("m.pt", b"PK\x03\x04\0\0", Some("a pickle")),
            ("m.pth", b"\x80\x02\x8a\n", Some("a pickle")),
            ("m.npz", b"PK\x03\x04\0\0", Some("a file of NumPy")),
            ("m.h5", b"\x89HDF\r\n", Some("an HDF5")),
            ("m.onnx", b"\x08\x07\x12\x07pytorch", Some("an ONNX")),
            ("m.json", b"{\"layers\": []}", Some("JSON")),
        ];
        for (name, start, expected) in cases {
            let found = kind(Path::new(name), start);
            assert!(
                found.zip(expected).map_or(found.is_none() && expected.is_none(), |(f, e)| f.starts_with(e)),
                "{name} {found:?}"
            );
        }
    }
}

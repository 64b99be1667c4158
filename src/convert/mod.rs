//! Models from files of other programs, and files for other programs.
//!
//! ```text
//! bytes -> messages -> a chain of layers with their weights -> Model
//! Model -> messages -> bytes
//! ```
//!
//! [`load`] reads a checkpoint, a PyTorch `state_dict` in safetensors, ONNX, or RTNeural's JSON. It
//! recognizes the format by the content. Every tensor, node and layer of the file is used, or is
//! an error that names it. [`Options::ignore`] leaves out what it names.
//! [`onnx::to_bytes`] and [`rtneural::to_json`] write files.
//!
//! # What a model has
//! A [`Model`] is an input (symbols or vectors), recurrent layers, and a linear head. Other parts
//! of a file become these:
//!
//! | in the file | in the model |
//! |---|---|
//! | a linear layer below or between the recurrent layers, or one with an activation | an RNN layer whose recurrent weights are zero |
//! | tanh, ReLU or sigmoid after a layer | the activation of that linear layer; after a recurrent layer, an RNN layer with the identity as its input weights |
//! | the input added to the output (GuitarML's `skip`) | a residual connection around the recurrent layer, which is wider by the inputs, and ones in the head |
//! | softmax, log-softmax | refused; with [`Options::ignore`] the model returns the logits |
//!
//! The numbers are the same up to the rounding of float32.

mod chain;
mod detect;
mod gates;
pub mod onnx;
mod plain;
pub mod rtneural;
mod state_dict;
mod widen;

use crate::{
    Activation, CheckpointError, DataSettings, Error, Reset, Result, Settings,
    checkpoint::{Checkpoint, TensorFile, read_whole},
    corpus::Vocabulary,
    model::Model,
    progress::Progress,
};
pub use detect::{Format, detect};
use std::path::Path;

/// Options of [`load_with`].
///
/// ```no_run
/// use unrolled::convert::{Options, load_with};
///
/// # fn main() -> unrolled::Result<()> {
/// // A classifier that ends in a node `/Softmax`: the model returns its logits.
/// let ignore = ["/Softmax".to_owned()];
/// let options = Options { ignore: &ignore, ..Options::default() };
/// let converted = load_with("classifier.onnx".as_ref(), &options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Tensors, nodes, layers or keys to leave out, by the names that errors and [`Part`] give
    /// them. A `*` at the end matches any further characters. A node that is left out passes its
    /// input on.
    pub ignore: &'a [String],
    /// Activation of the RNN layers of a `state_dict`, which does not contain it. Required for such
    /// layers.
    pub activation: Option<Activation>,
    /// Position of the reset gate of the GRU layers of a `state_dict`. The default is PyTorch's,
    /// after the product.
    pub reset: Option<Reset>,
}

/// A model from a file, and what became of the parts of the file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Converted {
    /// The model.
    pub model: Model,
    /// The symbols of a checkpoint; ids for another model of symbols; none for a model of vectors.
    pub vocabulary: Vocabulary,
    /// The format of the file.
    pub format: Format,
    /// The tensors, nodes and layers of the file in its order, each with what became of it.
    pub parts: Vec<Part>,
    /// Notes, one sentence each.
    pub notes: Vec<String>,
    /// True if the file returns only the output of the last step. The model returns all steps.
    pub last_step: bool,
}

/// A part of a file, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in the file.
    pub name: String,
    /// The type of its numbers (`F32`), or its operator or kind of layer (`LSTM`).
    pub kind: String,
    /// The shape of a tensor; empty for others.
    pub shape: Vec<usize>,
    /// The layer or tensor of the model, or `ignored`.
    pub became: String,
}

impl Part {
    fn new(name: &str, kind: &str, shape: &[usize], became: impl Into<String>) -> Self {
        Self { name: one_line(name), kind: kind.to_owned(), shape: shape.to_vec(), became: became.into() }
    }
}

/// Reads the model of a file.
///
/// ```
/// use unrolled::convert::load;
/// use unrolled::exec::Stream;
///
/// # fn main() -> unrolled::Result<()> {
/// # let path = std::path::Path::new("tests/fixtures/convert/guitarml-lstm.json");
/// // An amplifier: one sample in, one sample out.
/// let converted = load(path)?;
/// for part in &converted.parts {
///     println!("{}: {}", part.name, part.became);
/// }
/// let mut stream = Stream::new(converted.model)?;
/// let output = stream.step(&[0.25])?[0];
/// # assert!(output.is_finite());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`CheckpointError::Import`] names the part of the file that is not understood, and says what to
/// do; [`Error::Io`] for a file that cannot be read.
pub fn load(path: &Path) -> Result<Converted> {
    load_with(path, &Options::default())
}

/// Reads the model of a file, with options.
///
/// # Errors
/// As for [`load`], and for a name in [`Options::ignore`] that the file does not have.
pub fn load_with(path: &Path, options: &Options<'_>) -> Result<Converted> {
    from_bytes(read_file(path)?, path, options)
}

/// Reads the bytes of a file, for [`from_bytes`]. The file may be a pipe.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, and for a device, which has no end.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    read_whole(path)
}

/// Reads the model in the bytes of a file. `path` is for messages, and for the folder of ONNX
/// tensors in separate files.
///
/// # Errors
/// As for [`load_with`].
pub fn from_bytes(bytes: Vec<u8>, path: &Path, options: &Options<'_>) -> Result<Converted> {
    let format = detect(&bytes, path)?;
    if format != Format::StateDict {
        check_unused_options(path, format, options)?;
    }
    let converted = match format {
        Format::Checkpoint => return of_checkpoint(&bytes, path, options),
        Format::StateDict => return state_dict::load(&TensorFile::from_bytes(bytes, path)?, options),
        Format::Onnx => onnx::read(bytes, path, options.ignore),
        Format::RtNeural => rtneural::read(&bytes, options.ignore),
    };
    converted.map_err(|reason| failed(path, reason))
}

impl Converted {
    /// Returns a checkpoint at step 0, which [`Checkpoint::save`] writes as safetensors.
    ///
    /// # Errors
    /// [`Error::Setting`] for a model that a checkpoint cannot hold.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let data = DataSettings { unit: self.vocabulary.unit(), ..DataSettings::default() };
        let settings = Settings { model: self.model.config().settings(), data, ..Settings::default() };
        settings.validate()?;
        Ok(Checkpoint {
            settings,
            vocabulary: self.vocabulary.clone(),
            parameters: self.model.parameters().clone(),
            moments: Vec::new(),
            state: None,
            progress: Progress::default(),
            quantized: self.model.is_quantized(),
        })
    }
}

/// The model of a checkpoint.
fn of_checkpoint(bytes: &[u8], path: &Path, options: &Options<'_>) -> Result<Converted> {
    if let Some(name) = options.ignore.first() {
        return Err(failed(path, format!("a checkpoint has no part to ignore, found {name}; leave it out")));
    }
    let checkpoint = Checkpoint::from_bytes(bytes, path)?;
    let entries = checkpoint.parameters.layout.entries().iter();
    let parts =
        entries.map(|entry| Part::new(&entry.name, "F32", &entry.shape, entry.name.clone())).collect();
    let model = checkpoint.model()?;
    let vocabulary = checkpoint.vocabulary;
    Ok(Converted {
        model,
        vocabulary,
        format: Format::Checkpoint,
        parts,
        notes: Vec::new(),
        last_step: false,
    })
}

/// Returns an error for options that only a `state_dict` needs.
fn check_unused_options(path: &Path, format: Format, options: &Options<'_>) -> Result<()> {
    let given = [("activation", options.activation.is_some()), ("reset", options.reset.is_some())];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => {
            let reason = format!("{name} is for a PyTorch state_dict, and this is {format}; leave it out");
            Err(failed(path, reason))
        }
    }
}

/// The error for a file that cannot be converted.
fn failed(path: &Path, reason: impl Into<String>) -> Error {
    Error::Checkpoint(CheckpointError::Import { path: path.to_owned(), reason: reason.into() })
}

/// Returns a name from a file without line breaks, shortened if it is long.
fn one_line(name: &str) -> String {
    const LONGEST: usize = 120;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = name.chars().take(LONGEST).map(clean).collect();
    if name.chars().nth(LONGEST).is_some() {
        text += "...";
    }
    text
}

/// Returns whether `name` is one of the names to ignore.
fn is_ignored(ignore: &[String], name: &str) -> bool {
    ignore.iter().any(|given| match given.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == given,
    })
}

/// Returns an error for a name to ignore that nothing in the file has.
fn check_ignored<'a>(ignore: &[String], names: impl Iterator<Item = &'a str> + Clone) -> Result<(), String> {
    let is_missing =
        |given: &&String| !names.clone().any(|name| is_ignored(std::slice::from_ref(*given), name));
    match ignore.iter().find(is_missing) {
        None => Ok(()),
        Some(name) => Err(format!("found nothing named {name} to ignore; leave that --ignore out")),
    }
}

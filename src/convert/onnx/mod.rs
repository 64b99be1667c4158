//! ONNX: graphs around `LSTM`, `GRU` and `RNN`, as PyTorch's exporters, tf2onnx and Keras write
//! them.
//!
//! A graph is read without computing it. The walk through its nodes records for each value which
//! axes it has (steps, batch rows, features) and after which layer it comes. So `Transpose`,
//! `Reshape` and the like may stand anywhere between the layers, as long as the layers follow each
//! other.
//!
//! `docs/converting.md` lists the operators with their attributes. All others are refused by node,
//! operator and attribute.
//!
//! Files are not trusted: the fields of a message are counted before it is decoded, the graph has
//! no deep nesting, constants are copied within a budget, and tensors in other files are read only
//! from the folder of the graph.

mod axes;
mod constants;
mod graph;
mod layers;
mod layout;
mod messages;
mod operators;
mod outputs;
mod recurrent;
mod slices;
mod tensor;
mod value;
mod visit;
mod walk;
mod wire;
mod write;

use super::{Converted, Format, one_line};
use crate::{Result, checkpoint::replace_file, corpus::Vocabulary, model::Model};
use graph::Graph;
use std::path::Path;
use walk::Walk;
use wire::Budget;
pub use write::to_bytes;

/// Writes a model as an ONNX file: first a temporary file beside `path`, which is synced and
/// renamed.
///
/// # Errors
/// As for [`to_bytes`]; [`Error::Io`](crate::Error::Io) if the file cannot be written. On an error
/// the old file stays as it was.
pub fn save(model: &Model, path: &Path) -> Result<()> {
    let bytes = to_bytes(model)?;
    replace_file(path, |out| out.write_all(&bytes))
}

/// Reads the bytes of a file.
pub(super) fn read(bytes: Vec<u8>, path: &Path, ignore: &[String]) -> std::result::Result<Converted, String> {
    let (len, mut budget) = (bytes.len(), Budget::default());
    let graph = Graph::read(bytes.into(), ignore, &mut budget)?;
    let mut walk = Walk::new(&graph, path, len, budget)?;
    walk.run()?;
    let outputs = walk.outputs()?;
    let mut notes: Vec<String> = walk.check_inputs()?.into_iter().collect();
    let chain = std::mem::replace(&mut walk.chain, Walk::empty_chain());
    let (model, became) = chain.model()?;
    let mut parts = walk.parts(&became);
    parts.extend(outputs.parts);
    if walk.has_lengths {
        let note =
            "the file reads the lengths of the rows; outputs of the model past the end of a row are zero";
        notes.push(note.to_owned());
    }
    if outputs.last_step {
        notes.push(
            "the file returns the last step; the model returns all steps, of which the last one is the same"
                .to_owned(),
        );
    }
    let vocabulary = match model.config().vocabulary {
        0 => Vocabulary::none(),
        symbols => Vocabulary::of_ids(symbols).map_err(|error| error.to_string())?,
    };
    let (format, last_step) = (Format::Onnx, outputs.last_step);
    Ok(Converted { model, vocabulary, format, parts, notes, last_step })
}

//! RTNeural's JSON, and the JSON of GuitarML, which RTNeural's plug-ins read too.
//!
//! RTNeural's own format is a list of Keras layers:
//!
//! ```json
//! {"in_shape": [null, null, 1],
//!  "layers": [{"type": "lstm", "activation": "tanh", "shape": [null, null, 16], "weights": [...]},
//!             {"type": "dense", "activation": "", "shape": [null, null, 1], "weights": [...]}]}
//! ```
//!
//! | type | weights | read as | written |
//! |---|---|---|---|
//! | `lstm` | kernel [E, 4H], recurrent kernel [H, 4H], bias `[4H]`; gates i, f, c, o | LSTM | yes |
//! | `gru` | kernel [E, 3H], recurrent kernel [H, 3H], bias [2, 3H]; gates z, r, h | GRU, reset after | yes |
//! | `dense`, `time-distributed-dense` | kernel [I, O], bias `[O]` | linear layer | yes |
//! | `activation` | none | tanh, ReLU or sigmoid of the layer before | no |
//!
//! `activation` of `dense` is empty, `tanh`, `relu` or `sigmoid`. Of `lstm` and `gru` it is empty
//! or `tanh`, and both mean the usual cell. `in_skip` (AIDA-X) adds that many inputs to the outputs.
//!
//! GuitarML's format is the `state_dict` of a PyTorch module:
//!
//! ```json
//! {"model_data": {"model": "SimpleRNN", "input_size": 1, "skip": 1, "output_size": 1,
//!                 "unit_type": "LSTM", "num_layers": 1, "hidden_size": 40, "bias_fl": true},
//!  "state_dict": {"rec.weight_ih_l0": [...], "rec.weight_hh_l0": [...],
//!                 "rec.bias_ih_l0": [...], "rec.bias_hh_l0": [...],
//!                 "lin.weight": [...], "lin.bias": [...]}}
//! ```

mod array;
mod document;
mod guitarml;
mod layers;
mod write;

use super::{Converted, Format, Part, chain::Chain, is_ignored, one_line, widen::with_skip};
use crate::{checkpoint::replace_file, corpus::Vocabulary, model::Model};
use document::{Document, Value};
use std::path::Path;
pub use write::to_json;

/// The kind of a tensor in the table.
const TENSOR: &str = "JSON";

/// The chain of a file, and what each of its parts became; without names for the layers of the
/// model, which come from the chain.
struct Read {
    chain: Chain,
    parts: Vec<Part>,
    /// Number of inputs that are added to the outputs, and the key that says so.
    skip: (usize, &'static str),
}

/// Writes a model as RTNeural's JSON: first a temporary file beside `path`, which is synced and
/// renamed.
///
/// # Errors
/// As for [`to_json`]; [`Error::Io`](crate::Error::Io) if the file cannot be written. On an error
/// the old file stays as it was.
pub fn save(model: &Model, path: &Path) -> crate::Result<()> {
    let json = to_json(model)?;
    replace_file(path, |out| out.write_all(json.as_bytes()))
}

/// Reads the bytes of a file.
pub(super) fn read(bytes: &[u8], ignore: &[String]) -> Result<Converted, String> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("its JSON is invalid: {}", one_line(&error.to_string())))?;
    document.check_ignored(ignore)?;
    let mut read = match (&document.layers, &document.state_dict) {
        (Some(layers), None) => layers::read(&document, layers, ignore)?,
        (None, Some(tensors)) => guitarml::read(&document, tensors, ignore)?,
        (None, None) => {
            return Err(
                "found no key layers or state_dict, expected a model of RTNeural or GuitarML".to_owned()
            );
        }
        (Some(_), Some(_)) => {
            return Err("found both keys layers and state_dict, expected one of them".to_owned());
        }
    };
    read.parts.extend(other_keys(&document, ignore)?);
    let (skip, name) = read.skip;
    let chain = if skip > 0 { with_skip(read.chain, skip, name)? } else { read.chain };
    let names: Vec<String> = chain.stages.iter().map(|stage| stage.name.clone()).collect();
    let (model, became) = chain.model()?;
    for part in read.parts.iter_mut().filter(|part| part.kind != TENSOR) {
        if let Some(index) = names.iter().position(|name| *name == part.name) {
            part.became = became[index].clone();
        }
    }
    let mut notes = Vec::new();
    if skip > 0 {
        // A linear layer below them is layer 0.
        read.parts.iter_mut().for_each(|part| part.became = part.became.replace("_l0", "_l1"));
        notes.push(format!("{name} = {skip}: the layers are wider, and pass the inputs on to the outputs"));
    }
    let (vocabulary, format) = (Vocabulary::none(), Format::RtNeural);
    Ok(Converted { model, vocabulary, format, parts: read.parts, notes, last_step: false })
}

/// The keys that are not part of the model, each with what became of it.
fn other_keys(document: &Document, ignore: &[String]) -> Result<Vec<Part>, String> {
    // Descriptions and test signals, which change no number.
    const DESCRIPTIONS: [&str; 6] =
        ["metadata", "samplerate", "sample_rate", "input_batch", "output_batch", "in_shape"];
    let mut parts = Vec::new();
    for (name, value) in &document.others {
        let neutral = match name.as_str() {
            "in_gain" | "out_gain" => matches!(value, Value::Number(number) if *number == 0.0),
            "in_skip" => true,
            name => DESCRIPTIONS.contains(&name),
        };
        let became = match (is_ignored(ignore, name), neutral) {
            (true, _) => "ignored",
            (false, true) => "no part of the model",
            (false, false) => {
                return Err(format!(
                    "key {} has no place in the model; apply it outside, and leave it out (--ignore {0})",
                    one_line(name)
                ));
            }
        };
        if name != "in_skip" || became == "ignored" {
            parts.push(Part::new(name, "key", &[], became));
        }
    }
    Ok(parts)
}

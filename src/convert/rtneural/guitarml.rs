//! GuitarML's format: the `state_dict` of a PyTorch module with a recurrent member and a linear
//! layer on it.

use super::{
    super::{
        Options, Part,
        chain::{Chain, Stage},
        is_ignored,
        state_dict::{self, Tensor},
    },
    Read, TENSOR,
    array::Array,
    document::{Document, Entries, Value, find},
    layers::count,
};
use crate::{Activation, Cell};

/// The keys of `model_data` that describe the tensors.
const KNOWN: [&str; 8] =
    ["model", "input_size", "skip", "output_size", "unit_type", "num_layers", "hidden_size", "bias_fl"];

/// Reads the tensors.
pub(super) fn read(document: &Document, tensors: &Entries<Array>, ignore: &[String]) -> Result<Read, String> {
    let Some(data) = &document.model_data else {
        return Err("the key model_data is missing, which describes the layers".to_owned());
    };
    check_keys(data, ignore)?;
    let list: Vec<Tensor> = tensors
        .iter()
        .map(|(name, array)| Tensor {
            name: name.clone(),
            dtype: TENSOR.to_owned(),
            shape: array.shape.clone(),
        })
        .collect();
    let floats = |name: &str, _: &[usize]| {
        let found = tensors.iter().find(|(tensor, _)| tensor == name);
        found.map(|(_, array)| array.values.clone()).ok_or_else(|| format!("tensor {name} is missing"))
    };
    let cell = cell(data)?;
    // Only the names of tensors are looked up there.
    let names: Vec<String> = ignore
        .iter()
        .filter(|given| list.iter().any(|tensor| is_ignored(std::slice::from_ref(*given), &tensor.name)))
        .cloned()
        .collect();
    let activation = (cell == Cell::Rnn).then_some(Activation::Tanh);
    let options = Options { ignore: &names, activation, reset: None };
    let found = state_dict::chain(&list, &floats, &options, false)?;
    check_sizes(data, &found.chain, cell)?;
    let skip = count(data, "skip")?.unwrap_or(0);
    let skip = if is_ignored(ignore, "model_data.skip") { 0 } else { skip };
    let parts = found.parts.into_iter().chain(keys(data, ignore)).collect();
    Ok(Read { chain: found.chain, parts, skip: (skip, "model_data.skip") })
}

/// The rows of the table for the keys of `model_data`.
fn keys(data: &Entries<Value>, ignore: &[String]) -> Vec<Part> {
    let row = |(key, _): &(String, Value)| {
        let name = format!("model_data.{key}");
        let became = match (is_ignored(ignore, &name), key.as_str()) {
            (true, _) => "ignored",
            (_, "skip") => "inputs added to the outputs",
            _ => "the sizes of the layers",
        };
        Part::new(&name, "key", &[], became)
    };
    data.iter().map(row).collect()
}

fn check_keys(data: &Entries<Value>, ignore: &[String]) -> Result<(), String> {
    let unknown = |key: &str| !KNOWN.contains(&key) && !is_ignored(ignore, &format!("model_data.{key}"));
    if let Some((key, _)) = data.iter().find(|(key, _)| unknown(key)) {
        let key = super::one_line(key);
        return Err(format!(
            "key model_data.{key} is not supported; leave it out (--ignore model_data.{key})"
        ));
    }
    match find(data, "model") {
        None => Ok(()),
        Some(Value::Text(model)) if model == "SimpleRNN" => Ok(()),
        Some(other) => Err(format!("model_data.model: found {other:?}, expected SimpleRNN")),
    }
}

fn cell(data: &Entries<Value>) -> Result<Cell, String> {
    match find(data, "unit_type") {
        Some(Value::Text(name)) if name == "LSTM" => Ok(Cell::Lstm),
        Some(Value::Text(name)) if name == "GRU" => Ok(Cell::Gru),
        Some(Value::Text(name)) if name == "RNN" => Ok(Cell::Rnn),
        other => Err(format!("model_data.unit_type: found {other:?}, expected LSTM, GRU or RNN")),
    }
}

/// Compares the sizes that the file gives with those of its tensors.
fn check_sizes(data: &Entries<Value>, chain: &Chain, cell: Cell) -> Result<(), String> {
    let layers: Vec<_> = chain.stages.iter().filter_map(Stage::recurrent).collect();
    let outputs = chain.stages.last().map_or(0, |stage| stage.outputs());
    let hidden = layers.first().map_or(0, |recurrent| recurrent.layer.hidden);
    let sizes = [
        ("input_size", chain.input.width()),
        ("output_size", outputs),
        ("num_layers", layers.len()),
        ("hidden_size", hidden),
    ];
    for (key, found) in sizes {
        if let Some(expected) = count(data, key)?.filter(|expected| *expected != found) {
            return Err(format!("model_data.{key} = {expected}, but the tensors have {found}"));
        }
    }
    match layers.iter().find(|recurrent| recurrent.layer.cell != cell) {
        None => Ok(()),
        Some(recurrent) => {
            let (found, cell) = (recurrent.layer.cell.name(), cell.name());
            Err(format!("model_data.unit_type is {cell}, but the tensors are of kind {found}"))
        }
    }
}

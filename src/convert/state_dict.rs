//! The `state_dict` of a PyTorch module: one recurrent module, with an embedding below it and a
//! linear layer above it or without them, under any names.

use super::{
    Converted, Format, Options, Part,
    chain::{Chain, ChainInput, Linear, REVERSE, Recurrent, Stage, StageKind},
    check_ignored, failed,
    gates::Matrix,
    is_ignored,
};
use crate::{
    Activation, Cell, Error, Layer, Reset, Result,
    checkpoint::{TensorFile, check_chosen, of_shapes},
    corpus::Vocabulary,
};
use std::collections::BTreeMap;

/// A tensor's name, its type and its shape.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
}

/// Reads the values of a tensor by its name and shape.
pub(super) type ReadFloats<'a> = &'a dyn Fn(&str, &[usize]) -> std::result::Result<Vec<f32>, String>;

/// The chain of a `state_dict`, and what each of its tensors became.
pub(super) struct Found {
    pub(super) chain: Chain,
    pub(super) parts: Vec<Part>,
}

/// Reads a file.
pub(super) fn load(file: &TensorFile, options: &Options<'_>) -> Result<Converted> {
    let tensor = |tensor: &crate::checkpoint::TensorInfo| Tensor {
        name: tensor.name.clone(),
        dtype: tensor.dtype.name().to_owned(),
        shape: tensor.shape.clone(),
    };
    let tensors: Vec<Tensor> = file.tensors().iter().map(tensor).collect();
    let read = |name: &str, shape: &[usize]| file.floats(name, shape).map_err(short);
    let convert = || {
        let Found { chain, parts } = chain(&tensors, &read, options, true)?;
        let (model, _) = chain.model()?;
        Ok((model, parts))
    };
    let (model, parts) = convert().map_err(|reason: String| failed(file.path(), reason))?;
    let vocabulary = match model.config().vocabulary {
        0 => Vocabulary::none(),
        symbols => Vocabulary::of_ids(symbols)?,
    };
    let (format, notes) = (Format::StateDict, Vec::new());
    Ok(Converted { model, vocabulary, format, parts, notes, last_step: false })
}

/// The message of an error without the path, which the caller adds.
fn short(error: Error) -> String {
    match error {
        Error::TensorFile { tensor, found, expected, .. } => {
            format!("tensor {tensor}: found {found}, expected {expected}")
        }
        other => other.to_string(),
    }
}

/// Finds the layers of a `state_dict`. It has an embedding only if `symbols`.
pub(super) fn chain(
    tensors: &[Tensor],
    read: ReadFloats<'_>,
    options: &Options<'_>,
    symbols: bool,
) -> std::result::Result<Found, String> {
    check_ignored(options.ignore, tensors.iter().map(|tensor| tensor.name.as_str()))?;
    let mut names = Names { read, left: BTreeMap::new(), became: BTreeMap::new(), stored: 0 };
    for tensor in tensors.iter().filter(|tensor| !is_ignored(options.ignore, &tensor.name)) {
        names.left.insert(tensor.name.clone(), tensor.shape.clone());
    }
    let prefix = names.recurrent_module()?;
    let mut stages = Vec::new();
    while names.shape(&format!("{prefix}weight_ih_l{}", stages.len())).is_some() {
        let number = stages.len();
        let name = format!("{}layer {number}", if prefix.is_empty() { "rnn." } else { &prefix });
        stages.push(Stage { name, kind: StageKind::Recurrent(names.layer(&prefix, number, options)?) });
    }
    let layers: Vec<&Layer> =
        stages.iter().filter_map(Stage::recurrent).map(|recurrent| &recurrent.layer).collect();
    check_chosen(&layers, options.activation, options.reset)?;
    let (inputs, outputs) = (stages[0].inputs(), stages[stages.len() - 1].outputs());
    let (embedding, head) = names.members(inputs, outputs, symbols)?;
    let input = match embedding {
        None => ChainInput::Vectors(inputs),
        Some(name) => ChainInput::Embedding(names.matrix(&name, "embedding.weight")?),
    };
    if let Some(name) = head {
        let weight = names.matrix(&name, "head.weight")?;
        let bias = name.strip_suffix("weight").map(|module| format!("{module}bias")).unwrap_or_default();
        let bias = names.vector(&bias, weight.rows, "head.bias")?;
        let linear = Linear { weight, bias, activation: Activation::Identity };
        stages.push(Stage { name, kind: StageKind::Linear(linear) });
    }
    names.finish()?;
    let became =
        |tensor: &Tensor| names.became.get(&tensor.name).cloned().unwrap_or_else(|| "ignored".to_owned());
    let parts =
        tensors.iter().map(|tensor| Part::new(&tensor.name, &tensor.dtype, &tensor.shape, became(tensor)));
    Ok(Found { parts: parts.collect(), chain: Chain { input, stages, stored: names.stored } })
}

/// The tensors that were not read yet, and what those became that were.
struct Names<'a> {
    read: ReadFloats<'a>,
    left: BTreeMap<String, Vec<usize>>,
    became: BTreeMap<String, String>,
    /// Number of floats that were read.
    stored: usize,
}

impl Names<'_> {
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.left.get(name).map(Vec::as_slice)
    }

    fn take(&mut self, name: &str, became: &str) -> std::result::Result<Vec<f32>, String> {
        let Some(shape) = self.left.remove(name) else {
            return Err(format!("tensor {name} is missing"));
        };
        let values = (self.read)(name, &shape)?;
        self.stored += values.len();
        self.became.insert(name.to_owned(), became.to_owned());
        Ok(values)
    }

    fn matrix(&mut self, name: &str, became: &str) -> std::result::Result<Matrix, String> {
        let shape = self.shape(name).unwrap_or_default().to_vec();
        if shape.len() != 2 {
            return Err(format!("tensor {name}: found shape {shape:?}, expected a matrix"));
        }
        Matrix::new(&shape, self.take(name, became)?)
    }

    /// Reads a vector, if the file has it.
    fn vector(
        &mut self,
        name: &str,
        len: usize,
        became: &str,
    ) -> std::result::Result<Option<Vec<f32>>, String> {
        match self.shape(name) {
            None => Ok(None),
            Some(shape) if shape != [len] => {
                Err(format!("tensor {name}: found shape {shape:?}, expected [{len}]"))
            }
            Some(_) => self.take(name, became).map(Some),
        }
    }

    /// Finds the recurrent module, and returns the start of its tensor names.
    fn recurrent_module(&self) -> std::result::Result<String, String> {
        const FIRST: &str = "weight_ih_l0";
        let found: Vec<&str> = self
            .left
            .keys()
            .filter_map(|name| name.strip_suffix(FIRST))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with(['.', '/', ':']))
            .collect();
        match found[..] {
            [prefix] => Ok(prefix.to_owned()),
            [] => Err(
                "found no tensor weight_ih_l0, expected one nn.LSTM, nn.GRU or nn.RNN; a module with other layers can be \
                 exported as ONNX"
                    .to_owned(),
            ),
            [first, second, ..] => Err(format!(
                "found the recurrent modules {first} and {second}, expected one; leave one out (--ignore {second}*), or \
                 export the module as ONNX, which tells their order"
            )),
        }
    }

    /// Reads layer `number` of the recurrent module.
    fn layer(
        &mut self,
        prefix: &str,
        number: usize,
        options: &Options<'_>,
    ) -> std::result::Result<Recurrent, String> {
        let mut recurrent = self.direction(prefix, number, "", options)?;
        if self.shape(&format!("{prefix}weight_ih_l{number}{REVERSE}")).is_some() {
            let reverse = self.direction(prefix, number, REVERSE, options)?;
            if reverse.layer != recurrent.layer || reverse.inputs != recurrent.inputs {
                return Err(format!("the two directions of layer {number} of {prefix} have different sizes"));
            }
            recurrent.layer.bidirectional = true;
            recurrent
                .tensors
                .extend(reverse.tensors.into_iter().map(|(name, values)| (name + REVERSE, values)));
        }
        Ok(recurrent)
    }

    /// Reads one direction of a layer, whose names end in `end`.
    fn direction(
        &mut self,
        prefix: &str,
        number: usize,
        end: &str,
        options: &Options<'_>,
    ) -> std::result::Result<Recurrent, String> {
        let name = |tensor: &str| format!("{prefix}{tensor}_l{number}{end}");
        let became = |tensor: &str| format!("rnn.{tensor}_l{number}{end}");
        let projection = self.shape(&name("weight_hr")).is_some();
        let projection =
            projection.then(|| self.matrix(&name("weight_hr"), &became("weight_hr"))).transpose()?;
        let weight_hh = self.matrix(&name("weight_hh"), &became("weight_hh"))?;
        let shape = weight_hh.shape();
        let layer = of_shapes(shape, projection.as_ref().map(Matrix::shape))
            .map_err(|expected| format!("found shape {shape:?}, expected {expected}"))
            .and_then(|layer| choose(layer, number, options))
            .map_err(|reason| format!("tensor {}: {reason}", name("weight_hh")))?;
        let weight_ih = self.matrix(&name("weight_ih"), &became("weight_ih"))?;
        if weight_ih.rows != weight_hh.rows {
            let (found, expected) = (weight_ih.rows, weight_hh.rows);
            return Err(format!("tensor {}: found {found} rows, expected {expected}", name("weight_ih")));
        }
        let (inputs, rows) = (weight_ih.columns, weight_ih.rows);
        let mut tensors = vec![("weight_ih", weight_ih.values), ("weight_hh", weight_hh.values)];
        for bias in ["bias_ih", "bias_hh"] {
            tensors.extend(self.vector(&name(bias), rows, &became(bias))?.map(|values| (bias, values)));
        }
        if tensors.len() == 3 {
            return Err(format!("layer {number} of {prefix} has one of two biases; expected both or none"));
        }
        tensors.extend(projection.map(|matrix| ("weight_hr", matrix.values)));
        let tensors = tensors.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        Ok(Recurrent { layer, inputs, tensors })
    }

    /// Finds the matrices of the embedding and of the head among the tensors that are left.
    fn members(
        &self,
        inputs: usize,
        outputs: usize,
        symbols: bool,
    ) -> std::result::Result<(Option<String>, Option<String>), String> {
        let matrices: Vec<(&String, usize)> = self
            .left
            .iter()
            .filter(|(name, shape)| shape.len() == 2 && !is_of_layer(name))
            .map(|(name, shape)| (name, shape[1]))
            .collect();
        let has_bias = |name: &str| {
            name.strip_suffix("weight").is_some_and(|start| self.left.contains_key(&format!("{start}bias")))
        };
        let (mut embedding, mut head) = (Vec::new(), Vec::new());
        for (name, columns) in matrices {
            let named = name.to_lowercase().contains("emb");
            let is_embedding =
                symbols && columns == inputs && !has_bias(name) && (named || columns != outputs);
            match () {
                () if is_embedding => embedding.push(name.clone()),
                () if columns == outputs && (has_bias(name) || columns != inputs || !symbols) => {
                    head.push(name.clone())
                }
                () if symbols && columns == inputs && columns == outputs => {
                    return Err(format!(
                        "tensor {name} may be an embedding or a linear layer without bias; name the embedding \"embedding\" in \
                         the module"
                    ));
                }
                () => {}
            }
        }
        for (what, found) in [("embeddings", &embedding), ("linear layers", &head)] {
            if let [first, second, ..] = &found[..] {
                return Err(format!(
                    "found the {what} {first} and {second}, expected one; a state_dict does not tell what is between them: \
                     export the module as ONNX"
                ));
            }
        }
        Ok((embedding.pop(), head.pop()))
    }

    /// Checks that every tensor was read.
    fn finish(&self) -> std::result::Result<(), String> {
        if let Some((name, shape)) = self.left.iter().next() {
            let others = self.left.len() - 1;
            let more = if others > 0 { format!(", nor have {others} more") } else { String::new() };
            return Err(format!(
                "tensor {name} {shape:?} has no place in the model{more}; leave it out (--ignore {name}), or export the module \
                 as ONNX"
            ));
        }
        Ok(())
    }
}

/// Returns whether a tensor is one of a recurrent layer: its name ends in the layer's number.
fn is_of_layer(name: &str) -> bool {
    let name = name.strip_suffix(REVERSE).unwrap_or(name);
    name.rsplit_once("_l").is_some_and(|(_, number)| number.parse::<usize>().is_ok())
}

/// Sets the options that no shape tells.
fn choose(layer: Layer, number: usize, options: &Options<'_>) -> std::result::Result<Layer, String> {
    match (layer.cell, options.activation) {
        (Cell::Lstm, _) => Ok(layer),
        (Cell::Gru, _) => Ok(Layer { reset: options.reset.unwrap_or(Reset::After), ..layer }),
        (Cell::Rnn, Some(activation)) => Ok(Layer { activation, ..layer }),
        (Cell::Rnn, None) => Err(format!(
            "layer {number} is an RNN, and no shape tells its activation; give --activation tanh or relu"
        )),
    }
}

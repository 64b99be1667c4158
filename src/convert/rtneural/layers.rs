//! RTNeural's own format: a list of Keras layers.

use super::{
    super::{
        Part,
        chain::{Chain, ChainInput, Linear, Recurrent, StageKind},
        gates::{Matrix, blocks},
        is_ignored,
    },
    Read,
    array::Array,
    document::{Document, Entries, LayerEntry, Value, find},
};
use crate::{Activation, Layer};

/// Keras's order of the gates of an LSTM (i, f, c, o) and a GRU (z, r, h): our gate g is their gate
/// `order[g]`.
pub(super) const LSTM: [usize; 4] = [0, 1, 2, 3];
pub(super) const GRU: [usize; 3] = [1, 0, 2];

/// Reads the layers.
pub(super) fn read(document: &Document, layers: &[LayerEntry], ignore: &[String]) -> Result<Read, String> {
    let inputs = match find(&document.others, "in_shape") {
        Some(Value::List(Some(width))) => whole("in_shape", *width)?,
        _ => {
            return Err(
                "the key in_shape is missing, expected a list that ends in the number of inputs".to_owned()
            );
        }
    };
    let skip = match find(&document.others, "in_skip") {
        Some(_) if is_ignored(ignore, "in_skip") => 0,
        None | Some(Value::Null) => 0,
        Some(_) => count(&document.others, "in_skip")?.unwrap_or(0),
    };
    let stored = layers.iter().flat_map(|layer| &layer.weights).map(|array| array.values.len()).sum();
    let mut chain = Chain { input: ChainInput::Vectors(inputs), stages: Vec::new(), stored };
    let mut parts = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let kind = match find(&layer.others, "type") {
            Some(Value::Text(kind)) => kind.as_str(),
            _ => return Err(format!("layers.{index} has no type")),
        };
        let name = format!("layers.{index}");
        if is_ignored(ignore, &name) {
            parts.push(Part::new(&name, kind, &[], "ignored"));
            continue;
        }
        let of_layer = |reason: String| format!("{name} ({kind}): {reason}");
        let entry = NamedLayer { name: &name, kind, layer, ignore };
        entry.append(&mut chain).map_err(of_layer)?;
        // A layer of its own gets its description from the model.
        parts.push(Part::new(&name, kind, &[], "the activation of the layer before"));
    }
    Ok(Read { chain, parts, skip: (skip, "in_skip") })
}

/// A layer of the file.
struct NamedLayer<'a> {
    name: &'a str,
    kind: &'a str,
    layer: &'a LayerEntry,
    ignore: &'a [String],
}

impl NamedLayer<'_> {
    /// Appends the layer to a chain.
    fn append(&self, chain: &mut Chain) -> Result<(), String> {
        let activation = self.activation()?;
        let kind = match self.kind {
            "lstm" => StageKind::Recurrent(self.recurrent(&LSTM)?),
            "gru" => StageKind::Recurrent(self.recurrent(&GRU)?),
            "dense" | "time-distributed-dense" => StageKind::Linear(self.dense(activation)?),
            "activation" if self.layer.weights.is_empty() => return chain.activate(self.name, activation),
            _ => {
                return Err("this kind of layer is not supported; the supported ones are lstm, gru, dense, \
                            time-distributed-dense and activation"
                    .to_owned());
            }
        };
        if let (StageKind::Recurrent(_), Activation::Relu | Activation::Sigmoid) = (&kind, activation) {
            return Err("found an activation other than tanh, which this cell has; leave it out".to_owned());
        }
        chain.push(self.name, kind)?;
        self.check_shape(chain)
    }

    /// The activation, and a check of all other keys.
    fn activation(&self) -> Result<Activation, String> {
        let mut activation = Activation::Identity;
        for (key, value) in &self.layer.others {
            match (key.as_str(), value) {
                ("type" | "shape" | "name", _) => {}
                (key, _) if is_ignored(self.ignore, &format!("{}.{key}", self.name)) => {}
                ("activation", Value::Null) => {}
                ("activation", Value::Text(name)) => match name.as_str() {
                    "" | "linear" => {}
                    "tanh" => activation = Activation::Tanh,
                    "relu" => activation = Activation::Relu,
                    "sigmoid" => activation = Activation::Sigmoid,
                    other => return Err(self.unsupported_activation(other)),
                },
                (key, _) => {
                    return Err(format!(
                        "key {key} is not supported; leave it out (--ignore {}.{key})",
                        self.name
                    ));
                }
            }
        }
        Ok(activation)
    }

    fn unsupported_activation(&self, found: &str) -> String {
        let name = self.name;
        let advice = match found {
            "softmax" => {
                format!("--ignore {name}.activation leaves it out, and the model returns the logits")
            }
            _ => "the supported ones are tanh, relu and sigmoid".to_owned(),
        };
        format!("activation {found} is not supported; {advice}")
    }

    /// Checks the width that the file gives.
    fn check_shape(&self, chain: &Chain) -> Result<(), String> {
        let found = chain.stages.last().map_or(0, |stage| stage.outputs());
        match find(&self.layer.others, "shape") {
            None => Ok(()),
            Some(Value::List(Some(width))) if whole("shape", *width)? == found => Ok(()),
            Some(_) => Err(format!("shape: expected a list that ends in {found}, as the weights have")),
        }
    }

    fn arrays<const N: usize>(&self) -> Result<[&Array; N], String> {
        let arrays: Vec<&Array> = self.layer.weights.iter().collect();
        let found = arrays.len();
        arrays.try_into().map_err(|_| format!("found {found} arrays in weights, expected {N}"))
    }

    fn dense(&self, activation: Activation) -> Result<Linear, String> {
        // Keras writes no bias with `use_bias=False`.
        let (kernel, bias) = match &self.layer.weights[..] {
            [kernel] => (kernel, None),
            _ => {
                let [kernel, bias] = self.arrays()?;
                (kernel, Some(bias))
            }
        };
        let kernel = matrix(kernel, "weights[0]")?;
        let bias = bias.map(|bias| vector(bias, "weights[1]", &[kernel.columns])).transpose()?;
        Ok(Linear { weight: kernel.transposed(), bias, activation })
    }

    /// An LSTM or a GRU with this order of gates.
    fn recurrent(&self, order: &[usize]) -> Result<Recurrent, String> {
        let [kernel, recurrent, bias] = self.arrays()?;
        let (kernel, recurrent) = (matrix(kernel, "weights[0]")?, matrix(recurrent, "weights[1]")?);
        let (hidden, width) = (recurrent.rows, kernel.columns);
        if hidden == 0 || hidden.checked_mul(order.len()) != Some(width) || recurrent.columns != width {
            return Err(format!(
                "weights: found kernels {:?} and {:?}, expected [inputs, {gates} units] and [units, {gates} units]",
                kernel.shape(),
                recurrent.shape(),
                gates = order.len()
            ));
        }
        let (lstm, shape) = (order.len() == LSTM.len(), [2, width]);
        let layer = if lstm { Layer::lstm(hidden) } else { Layer::gru(hidden) };
        let bias = vector(bias, "weights[2]", if lstm { &shape[1..] } else { &shape })?;
        let mut tensors = vec![
            ("weight_ih", kernel.transposed().gates(order, hidden).values),
            ("weight_hh", recurrent.transposed().gates(order, hidden).values),
        ];
        let names = ["bias_ih", "bias_hh"].into_iter();
        tensors.extend(
            names.zip(bias.chunks_exact(width)).map(|(name, bias)| (name, blocks(bias, order, hidden))),
        );
        let tensors = tensors.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        Ok(Recurrent { layer, inputs: kernel.rows, tensors })
    }
}

fn matrix(array: &Array, name: &str) -> Result<Matrix, String> {
    Matrix::new(&array.shape, array.values.clone()).map_err(|reason| format!("{name}: {reason}"))
}

fn vector(array: &Array, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    match array.shape == shape {
        true => Ok(array.values.clone()),
        false => Err(format!("{name}: found shape {:?}, expected {shape:?}", array.shape)),
    }
}

/// Returns a count that JSON stores as a number.
fn whole(name: &str, number: f64) -> Result<usize, String> {
    const LARGEST: f64 = 1e9;
    match number.fract() == 0.0 && (0.0..=LARGEST).contains(&number) {
        true => Ok(number as usize),
        false => Err(format!("{name}: found {number}, expected a whole number from 0 to {LARGEST}")),
    }
}

/// Returns the value of a key that must be a whole number.
pub(super) fn count(entries: &Entries<Value>, key: &str) -> Result<Option<usize>, String> {
    match find(entries, key) {
        None => Ok(None),
        Some(Value::Number(number)) => whole(key, *number).map(Some),
        Some(_) => Err(format!("{key}: expected a whole number")),
    }
}

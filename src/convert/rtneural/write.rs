//! Writes RTNeural's own format.

use super::{
    super::{
        gates::{Matrix, blocks, inverse},
        plain::option_beyond,
    },
    layers::{GRU, LSTM},
};
use crate::{
    Activation, Cell, Error, ForgetBiasAt, Layer, Reset, Result,
    model::{Model, ModelConfig, Parameters},
};
use serde::Serialize;

/// A file.
#[derive(Serialize)]
struct File {
    in_shape: [Option<usize>; 3],
    layers: Vec<FileLayer>,
}

#[derive(Serialize)]
struct FileLayer {
    #[serde(rename = "type")]
    kind: &'static str,
    activation: &'static str,
    shape: [Option<usize>; 3],
    weights: Vec<Weights>,
}

/// An array with one or two dimensions.
#[derive(Serialize)]
#[serde(untagged)]
enum Weights {
    Vector(Vec<f32>),
    Matrix(Vec<Vec<f32>>),
}

impl Weights {
    /// The transposed matrix, as Keras stores it.
    fn transposed(matrix: &Matrix) -> Self {
        Self::rows(&matrix.transposed().values, matrix.rows)
    }

    fn rows(values: &[f32], columns: usize) -> Self {
        Self::Matrix(values.chunks(columns.max(1)).map(<[f32]>::to_vec).collect())
    }
}

/// Returns a model of vectors as RTNeural's JSON. Layers are `lstm`, `gru` and `dense`; an RNN
/// layer is written if its recurrent weights are zero, as `dense` with its activation.
///
/// ```
/// use unrolled::{ModelSettings, convert::rtneural, model::Model};
///
/// # fn main() -> unrolled::Result<()> {
/// let model = Model::of_vectors(&ModelSettings::gru(8).on_vectors(1, 1), 1)?;
/// let json = rtneural::to_json(&model)?;
/// assert!(json.starts_with(r#"{"in_shape":[null,null,1],"layers":[{"type":"gru""#));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Setting`] names what the format cannot hold: a model of symbols, an RNN layer, a GRU
/// with reset before the product, or an option of a layer.
pub fn to_json(model: &Model) -> Result<String> {
    let (config, parameters) = (model.config(), model.parameters());
    if config.reads_symbols() {
        let expected = "RTNeural's JSON has no embedding: export it as ONNX";
        return Err(Error::setting("vocabulary", config.vocabulary, expected));
    }
    let layers: Result<Vec<FileLayer>> =
        (0..config.stack.len()).map(|l| layer(config, parameters, l)).collect();
    let mut layers = layers?;
    if config.has_head() {
        let weight = matrix(parameters, "head.weight", config.stack_width());
        layers.push(dense(&weight, tensor(parameters, "head.bias"), Activation::Identity));
    }
    let file = File { in_shape: [None, None, Some(config.input_width(0))], layers };
    serde_json::to_string(&file)
        .map_err(|error| Error::tensor("(all tensors)", error.to_string(), "numbers that JSON has"))
}

fn tensor<'a>(parameters: &'a Parameters, name: &str) -> &'a [f32] {
    parameters.get(name).unwrap_or_default()
}

fn matrix(parameters: &Parameters, name: &str, columns: usize) -> Matrix {
    let values = tensor(parameters, name).to_vec();
    Matrix { rows: values.len() / columns.max(1), columns, values }
}

fn layer(config: &ModelConfig, parameters: &Parameters, number: usize) -> Result<FileLayer> {
    let layer = &config.stack[number];
    check(layer, number)?;
    let (inputs, hidden) = (config.input_width(number), layer.hidden);
    let name = |tensor: &str| format!("rnn.{tensor}_l{number}");
    let input = matrix(parameters, &name("weight_ih"), inputs);
    let recurrent = matrix(parameters, &name("weight_hh"), hidden);
    let biases = ["bias_ih", "bias_hh"].map(|bias| tensor(parameters, &name(bias)));
    let (kind, order) = match layer.cell {
        Cell::Lstm => ("lstm", &LSTM[..]),
        Cell::Gru => ("gru", &GRU[..]),
        Cell::Rnn => return without_recurrence(layer, number, (&input, &recurrent), biases),
    };
    let order = inverse(order);
    let width = order.len() * hidden;
    let bias = match layer.cell {
        Cell::Lstm => Weights::Vector(blocks(&sum(layer, biases), &order, hidden)),
        _ => Weights::rows(&biases.map(|bias| blocks(bias, &order, hidden)).concat(), width),
    };
    let kernels = [input, recurrent].map(|matrix| Weights::transposed(&matrix.gates(&order, hidden)));
    let weights = kernels.into_iter().chain([bias]).collect();
    Ok(FileLayer { kind, activation: "tanh", shape: [None, None, Some(hidden)], weights })
}

/// The sum of both biases, and of the number added to the forget gate, in the order of the kernels.
fn sum(layer: &Layer, [input, hidden]: [&[f32]; 2]) -> Vec<f32> {
    let mut sum: Vec<f32> = input.iter().zip(hidden).map(|(input, hidden)| input + hidden).collect();
    if let Some((rows, value)) = layer.forget_bias(ForgetBiasAt::RunTime) {
        sum[rows].iter_mut().for_each(|bias| *bias += value);
    }
    sum
}

/// An RNN layer without recurrent weights, as a dense layer.
fn without_recurrence(
    layer: &Layer,
    number: usize,
    (input, recurrent): (&Matrix, &Matrix),
    biases: [&[f32]; 2],
) -> Result<FileLayer> {
    if recurrent.values.iter().any(|weight| *weight != 0.0) {
        let expected =
            format!("layer {number} is an RNN, which RTNeural does not have: export the model as ONNX");
        return Err(Error::setting("cell", "rnn", expected));
    }
    let bias: Vec<f32> = biases[0].iter().zip(biases[1]).map(|(input, hidden)| input + hidden).collect();
    Ok(dense(input, &bias, layer.activation))
}

fn dense(weight: &Matrix, bias: &[f32], activation: Activation) -> FileLayer {
    let activation = if activation == Activation::Identity { "" } else { activation.name() };
    let weights = vec![Weights::transposed(weight), Weights::Vector(bias.to_vec())];
    FileLayer { kind: "dense", activation, shape: [None, None, Some(weight.rows)], weights }
}

/// Checks that a layer has only what the format has.
fn check(layer: &Layer, number: usize) -> Result<()> {
    let reset = if layer.cell == Cell::Gru { Reset::After } else { layer.reset };
    let plain = Layer { activation: layer.activation, reset, ..Layer::new(layer.cell, layer.hidden) };
    let Some(option) = option_beyond(layer, &plain) else { return Ok(()) };
    let expected = format!(
        "layer {number} has an option that RTNeural's JSON cannot hold: {option}; expected a plain LSTM, or a GRU with \
         reset = after"
    );
    Err(Error::setting("stack", layer.cell.name(), expected))
}

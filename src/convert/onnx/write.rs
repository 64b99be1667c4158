//! Writes a model as ONNX, with operators of set 14.
//!
//! | input | shape | |
//! |---|---|---|
//! | `input` | [steps, batch, E], or ids [steps, batch] | |
//! | `h_in_l{l}`, `c_in_l{l}` | [1, batch, H] | the state before the first step |
//!
//! | output | shape | |
//! |---|---|---|
//! | `output` | [steps, batch, O] | |
//! | `h_out_l{l}`, `c_out_l{l}` | [1, batch, H] | the state after the last step |
//!
//! The sizes of steps and batch are free. Only an LSTM has `c`.

use super::{
    super::{
        chain::REVERSE,
        gates::{Matrix, blocks, inverse},
        plain::option_beyond,
    },
    messages::{
        AttributeProto, DimensionProto, FLOAT, GraphProto, INT64, ModelProto, NodeProto, OperatorSetProto,
        ShapeProto, TensorProto, TensorTypeProto, TypeProto, ValueInfoProto,
    },
    recurrent::{PEEPHOLES, order},
};
use crate::{
    Activation, Cell, Error, ForgetBiasAt, Layer, Reset, Result,
    model::{Model, ModelConfig, Parameters},
};
use prost::{Message, bytes::Bytes};

/// The version of the format, and of the operators. Both are from 2021, so that most programs read
/// them.
const IR_VERSION: i64 = 7;
const OPSET: i64 = 14;
/// `AttributeProto.AttributeType`
const INT: i32 = 2;
const STRING: i32 = 3;
const FLOATS: i32 = 6;
const INTS: i32 = 7;
const STRINGS: i32 = 8;

/// Returns a model as the bytes of an ONNX file.
///
/// ```
/// use unrolled::{ModelSettings, convert, model::Model};
///
/// # fn main() -> unrolled::Result<()> {
/// let model = Model::of_vectors(&ModelSettings::lstm(8).on_vectors(3, 2), 1)?;
/// let bytes = convert::onnx::to_bytes(&model)?;
/// let again = convert::from_bytes(bytes, "model.onnx".as_ref(), &convert::Options::default())?;
/// assert_eq!(again.model.parameters().get("head.weight"), model.parameters().get("head.weight"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Setting`] names an option of a layer that ONNX's operators do not have: a projection,
/// clipping, layer normalization, zoneout, a highway connection, or a custom cell. [`Error::Batch`]
/// for a model that is too large for a file of this kind (2 GB).
pub fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    let (config, parameters) = (model.config(), model.parameters());
    config.stack.iter().enumerate().try_for_each(|(number, layer)| check(layer, number))?;
    if parameters.values.len() > LARGEST {
        let found = format!("{} parameters", parameters.values.len());
        return Err(Error::batch(found, format!("at most {LARGEST}: an ONNX file has at most 2 GB")));
    }
    let mut writer = Writer { config, parameters, graph: GraphProto::default() };
    writer.write();
    let opset = OperatorSetProto { domain: Some(String::new()), version: Some(OPSET) };
    let file = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("unrolled".to_owned()),
        graph: Some(bytes(&writer.graph)),
        opset_import: vec![bytes(&opset)],
    };
    Ok(file.encode_to_vec())
}

/// The most parameters of a file: protobuf has a limit of 2 GB.
const LARGEST: usize = 500_000_000;

/// Checks that a layer has only what ONNX's operators have.
fn check(layer: &Layer, number: usize) -> Result<()> {
    let plain = Layer {
        activation: layer.activation,
        reset: layer.reset,
        peepholes: layer.peepholes,
        coupled: layer.coupled,
        residual: layer.residual && !layer.bidirectional,
        bidirectional: layer.bidirectional,
        ..Layer::new(layer.cell, layer.hidden)
    };
    let Some(option) = option_beyond(layer, &plain) else { return Ok(()) };
    let both = if layer.bidirectional { " in a bidirectional layer" } else { "" };
    let expected = format!("layer {number} has an option that ONNX's operators lack{both}: {option}");
    Err(Error::setting("stack", layer.cell.name(), expected))
}

fn bytes(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

/// A graph that is being written.
struct Writer<'a> {
    config: &'a ModelConfig,
    parameters: &'a Parameters,
    graph: GraphProto,
}

impl Writer<'_> {
    fn write(&mut self) {
        self.graph.name = Some("unrolled".to_owned());
        let config = self.config;
        let mut data = self.input();
        for number in 0..config.stack.len() {
            data = self.layer(number, &data);
        }
        if config.has_head() {
            let weight = self.matrix("head.weight", config.stack_width()).transposed();
            self.floats("head.weight", &weight.shape(), &weight.values);
            let bias = self.tensor("head.bias").to_vec();
            self.floats("head.bias", &[bias.len()], &bias);
            self.node("MatMul", "head.product", &[&data, "head.weight"], &["head.product"], Vec::new());
            self.node("Add", "head", &["head.product", "head.bias"], &["output"], Vec::new());
        } else {
            self.node("Identity", "output", &[&data], &["output"], Vec::new());
        }
        let free = [Err("steps"), Err("batch"), Ok(config.output_width())];
        self.graph.output.insert(0, value("output", FLOAT, &free));
    }

    /// Writes the input of the first layer, and returns its name.
    fn input(&mut self) -> String {
        let config = self.config;
        if !config.reads_symbols() {
            let shape = [Err("steps"), Err("batch"), Ok(config.input_width(0))];
            self.graph.input.push(value("input", FLOAT, &shape));
            return "input".to_owned();
        }
        self.graph.input.push(value("input", INT64, &[Err("steps"), Err("batch")]));
        match config.embedding {
            Some(width) => {
                let weight = self.tensor("embedding.weight").to_vec();
                self.floats("embedding.weight", &[config.vocabulary, width], &weight);
                self.node("Gather", "embedding", &["embedding.weight", "input"], &["embedded"], Vec::new());
            }
            None => {
                self.ints("symbols", &[config.vocabulary as i64]);
                self.floats("off_on", &[2], &[0.0, 1.0]);
                self.node("OneHot", "embedding", &["input", "symbols", "off_on"], &["embedded"], Vec::new());
            }
        }
        "embedded".to_owned()
    }

    /// Writes a layer that reads `data`, and returns the name of its outputs.
    fn layer(&mut self, number: usize, data: &str) -> String {
        let layer = self.config.stack[number].clone();
        let name = |tensor: &str| format!("{tensor}_l{number}");
        self.weights(&layer, number);
        let [h_in, h_out, c_in, c_out] = ["h_in", "h_out", "c_in", "c_out"].map(name);
        let directions = if layer.bidirectional { 2 } else { 1 };
        let state = [Ok(directions), Err("batch"), Ok(layer.hidden)];
        self.graph.input.push(value(&h_in, FLOAT, &state));
        self.graph.output.push(value(&h_out, FLOAT, &state));
        let [weight, recurrent, bias, peepholes] = ["W", "R", "B", "P"].map(name);
        let mut inputs = vec![data, &weight, &recurrent, &bias, "", &h_in];
        let [all, outputs] = ["all", "outputs"].map(name);
        let mut results = vec![&all[..], &h_out];
        if layer.cell == Cell::Lstm {
            self.graph.input.push(value(&c_in, FLOAT, &state));
            self.graph.output.push(value(&c_out, FLOAT, &state));
            inputs.push(&c_in);
            results.push(&c_out);
            if layer.peepholes {
                inputs.push(&peepholes);
            }
        }
        let operator = layer.cell.name().to_uppercase();
        self.node(&operator, &name("layer"), &inputs, &results, attributes(&layer));
        let joined = if layer.residual { name("joined") } else { outputs.clone() };
        self.join_directions(&layer, number, &all, &joined);
        if layer.residual {
            self.node("Add", &name("residual"), &[data, &joined], &[&outputs], Vec::new());
        }
        outputs
    }

    /// Makes [steps, batch, directions H] of the outputs [steps, directions, batch, H].
    fn join_directions(&mut self, layer: &Layer, number: usize, all: &str, joined: &str) {
        let name = |tensor: &str| format!("{tensor}_l{number}");
        if !layer.bidirectional {
            self.ints(&name("axes"), &[1]);
            return self.node("Squeeze", &name("squeeze"), &[all, &name("axes")], &[joined], Vec::new());
        }
        let perm = AttributeProto { ints: vec![0, 2, 1, 3], ..named("perm", INTS) };
        self.node("Transpose", &name("transpose"), &[all], &[&name("transposed")], vec![perm]);
        self.ints(&name("shape"), &[0, 0, 2 * layer.hidden as i64]);
        self.node("Reshape", &name("reshape"), &[&name("transposed"), &name("shape")], &[joined], Vec::new());
    }

    /// Writes the tensors of a layer in ONNX's order.
    fn weights(&mut self, layer: &Layer, number: usize) {
        let (inputs, hidden) = (self.config.input_width(number), layer.hidden);
        let ends = if layer.bidirectional { &["", REVERSE][..] } else { &[""] };
        let parts: Vec<DirectionWeights> =
            ends.iter().map(|end| self.direction(layer, inputs, &format!("_l{number}{end}"))).collect();
        let (directions, rows) = (parts.len(), order(layer.cell).len() * hidden);
        let joined = |part: fn(&DirectionWeights) -> &[f32]| {
            parts.iter().flat_map(part).copied().collect::<Vec<f32>>()
        };
        let name = |tensor: &str| format!("{tensor}_l{number}");
        self.floats(&name("W"), &[directions, rows, inputs], &joined(|part| &part.input));
        self.floats(&name("R"), &[directions, rows, hidden], &joined(|part| &part.recurrent));
        self.floats(&name("B"), &[directions, 2 * rows], &joined(|part| &part.bias));
        if layer.peepholes {
            self.floats(&name("P"), &[directions, 3 * hidden], &joined(|part| &part.peepholes));
        }
    }

    /// The tensors of one direction, whose names end in `end`, in ONNX's order.
    fn direction(&self, layer: &Layer, inputs: usize, end: &str) -> DirectionWeights {
        let hidden = layer.hidden;
        let tensor = |name: &str| self.tensor(&format!("rnn.{name}{end}")).to_vec();
        let [mut input, mut recurrent] = [tensor("weight_ih"), tensor("weight_hh")];
        let mut biases = [tensor("bias_ih"), tensor("bias_hh")];
        let mut peepholes = tensor("weight_peephole");
        if let Some((rows, value)) = layer.forget_bias(ForgetBiasAt::RunTime) {
            // In the engine's order: both biases, then the number.
            for row in rows {
                biases[0][row] = biases[0][row] + biases[1][row] + value;
                biases[1][row] = 0.0;
            }
        }
        if layer.coupled {
            // The gates are f, g, o, and i = 1 - f is the sigmoid of the negative sum of f.
            let [input_bias, hidden_bias] = &mut biases;
            for values in [&mut input, &mut recurrent, input_bias, hidden_bias] {
                prepend_negative(values, 3);
            }
            prepend_negative(&mut peepholes, 2);
        }
        let order = inverse(order(layer.cell));
        let peephole_order = if peepholes.is_empty() { Vec::new() } else { inverse(&PEEPHOLES) };
        DirectionWeights {
            input: blocks(&input, &order, hidden * inputs),
            recurrent: blocks(&recurrent, &order, hidden * hidden),
            bias: biases.map(|bias| blocks(&bias, &order, hidden)).concat(),
            peepholes: blocks(&peepholes, &peephole_order, hidden),
        }
    }

    fn tensor(&self, name: &str) -> &[f32] {
        self.parameters.get(name).unwrap_or_default()
    }

    fn matrix(&self, name: &str, columns: usize) -> Matrix {
        let values = self.tensor(name).to_vec();
        Matrix { rows: values.len() / columns.max(1), columns, values }
    }

    fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.graph.node.push(bytes(&NodeProto {
            input: own(inputs),
            output: own(outputs),
            name: Some(name.to_owned()),
            op_type: Some(operator.to_owned()),
            attribute: attributes.iter().map(bytes).collect(),
            domain: None,
        }));
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, FLOAT, shape, raw);
    }

    fn ints(&mut self, name: &str, values: &[i64]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, INT64, &[values.len()], raw);
    }

    fn initializer(&mut self, name: &str, data_type: i32, shape: &[usize], raw: Vec<u8>) {
        self.graph.initializer.push(bytes(&TensorProto {
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: Some(data_type),
            name: Some(name.to_owned()),
            raw_data: Some(raw.into()),
            ..TensorProto::default()
        }));
    }
}

/// The tensors of one direction of a layer, in ONNX's order.
struct DirectionWeights {
    input: Vec<f32>,
    recurrent: Vec<f32>,
    bias: Vec<f32>,
    peepholes: Vec<f32>,
}

/// Inserts the negative values of the first of `gates` gates before it.
fn prepend_negative(values: &mut Vec<f32>, gates: usize) {
    let negative: Vec<f32> = values[..values.len() / gates].iter().map(|value| -value).collect();
    values.splice(0..0, negative);
}

/// An attribute without a value.
fn named(name: &str, kind: i32) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), kind: Some(kind), ..AttributeProto::default() }
}

/// The attributes of a layer.
fn attributes(layer: &Layer) -> Vec<AttributeProto> {
    let int = |name: &str, value: i64| AttributeProto { i: Some(value), ..named(name, INT) };
    let mut attributes = vec![int("hidden_size", layer.hidden as i64)];
    if layer.bidirectional {
        attributes.push(AttributeProto { s: Some("bidirectional".into()), ..named("direction", STRING) });
    }
    match layer.cell {
        Cell::Lstm => {}
        Cell::Gru => attributes.push(int("linear_before_reset", i64::from(layer.reset == Reset::After))),
        Cell::Rnn => attributes.extend(activation(layer)),
    }
    attributes
}

/// The activation of an RNN, for each direction.
fn activation(layer: &Layer) -> Vec<AttributeProto> {
    let directions = if layer.bidirectional { 2 } else { 1 };
    let name = match layer.activation {
        Activation::Tanh => "Tanh",
        Activation::Relu => "Relu",
        Activation::Sigmoid => "Sigmoid",
        Activation::Identity => "Affine",
    };
    let floats =
        |name: &str, value: f32| AttributeProto { floats: vec![value; directions], ..named(name, FLOATS) };
    let strings = vec![Bytes::from(name); directions];
    let mut attributes = vec![AttributeProto { strings, ..named("activations", STRINGS) }];
    if layer.activation == Activation::Identity {
        attributes.extend([floats("activation_alpha", 1.0), floats("activation_beta", 0.0)]);
    }
    attributes
}

/// An input or output. A size is fixed, or free with a name.
fn value(name: &str, elem_type: i32, shape: &[std::result::Result<usize, &str>]) -> Bytes {
    let dimension = |size: &std::result::Result<usize, &str>| {
        let dim_value = size.ok().map(|size| size as i64);
        bytes(&DimensionProto { dim_value, dim_param: size.err().map(str::to_owned) })
    };
    let shape = ShapeProto { dim: shape.iter().map(dimension).collect() };
    let tensor = TensorTypeProto { elem_type: Some(elem_type), shape: Some(bytes(&shape)) };
    let type_proto = TypeProto { tensor_type: Some(bytes(&tensor)) };
    bytes(&ValueInfoProto { name: Some(name.to_owned()), type_proto: Some(bytes(&type_proto)) })
}

//! Converts the weights of TensorFlow 1 and Keras to this library's names and layout.
//!
//! A TensorFlow kernel [E + H, gates * H] has the input's rows above the state's rows, and
//! multiplies from the right. Here `weight_ih` [gates * H, E] and `weight_hh` [gates * H, H] are
//! separate, and multiply from the left.
//!
//! | class | variables | order of the gates |
//! |---|---|---|
//! | `BasicRNNCell` | `kernel`, `bias` | |
//! | `BasicLSTMCell`, `LSTMCell` | `kernel`, `bias`; `w_i_diag`, `w_f_diag`, `w_o_diag`; `projection/kernel` [H, P] | i, j, f, o |
//! | `GRUCell` | `gates/kernel`, `gates/bias`, `candidate/kernel`, `candidate/bias` | r, u |
//! | `CoupledInputForgetGateLSTMCell` | `W`, `B`, `W_F_diag`, `W_O_diag` | j, f, o |
//! | `LayerNormBasicLSTMCell` | `kernel`; `gamma` and `beta` below `input/`, `transform/`, `forget/`, `output/`, `state/` | i, j, f, o |
//! | `HighwayWrapper` | those of its cell, `carry_w`, `carry_b`; uncoupled also `transform_w`, `transform_b` | |
//! | Keras `SimpleRNN`, `LSTM`, `GRU` | `kernel`, `recurrent_kernel`, `bias` | i, f, c, o; z, r, h |
//! | a custom cell | its own variables, unchanged | |
//!
//! The classes are in TensorFlow's [`rnn_cell`](https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/rnn_cell)
//! module, in [`tf.contrib.rnn`](https://github.com/tensorflow/tensorflow/tree/r1.15/tensorflow/contrib/rnn)
//! and in [Keras](https://keras.io/api/layers/recurrent_layers/).
//!
//! TensorFlow's LSTMs add `forget_bias` at run time, and so does a layer with
//! [`ForgetBiasAt::RunTime`](crate::ForgetBiasAt). Keras's LSTMs store it in `bias`: such a layer
//! has `forget_bias: 0.0`.
//!
//! ```
//! use unrolled::model::Model;
//! use unrolled::{ForgetBiasAt, Layer, tensorflow};
//!
//! # fn main() -> unrolled::Result<()> {
//! let layer = Layer { forget_bias_at: ForgetBiasAt::RunTime, ..Layer::lstm(2) };
//! let mut model = Model::of_layers(&[layer], 3, None, 1)?;
//! let (kernel, bias) = (vec![0.25; (3 + 2) * 8], vec![0.0; 8]); // as a session gives them
//! let mut parameters = model.parameters().clone();
//! tensorflow::copy_layer(model.config(), 0, &mut parameters, &|name| match name {
//!     "kernel" => Some(&kernel[..]),
//!     "bias" => Some(&bias[..]),
//!     _ => None,
//! })?;
//! model = Model::with_parameters(model.config().clone(), parameters)?;
//! # Ok(())
//! # }
//! ```

use crate::model::{LayerDirection, ModelConfig, Parameters, RnnCell, Variable};
use crate::{Cell, Error, Highway, Layer, Reset, Result};
use std::{cell::RefCell, ops::Range};

/// A function that returns a variable, row-major, by its TensorFlow name without the scopes.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<&'a [f32]>;

/// All names in the table above, except those of custom cells.
const NAMES: &[&str] = &[
    "kernel",
    "bias",
    "recurrent_kernel",
    "w_i_diag",
    "w_f_diag",
    "w_o_diag",
    "projection/kernel",
    "gates/kernel",
    "gates/bias",
    "candidate/kernel",
    "candidate/bias",
    "W",
    "B",
    "W_F_diag",
    "W_O_diag",
    "input/gamma",
    "input/beta",
    "transform/gamma",
    "transform/beta",
    "forget/gamma",
    "forget/beta",
    "output/gamma",
    "output/beta",
    "state/gamma",
    "state/beta",
    "carry_w",
    "carry_b",
    "transform_w",
    "transform_b",
];

/// Copies the variables of one layer to the parameters of layer `layer` of a model. Parameters
/// without a variable (the second bias) become zero. Gradients convert in the same way.
///
/// # Errors
/// [`Error::Tensor`] names a variable that is missing, has another length or has no place in the
/// layer (peepholes, for example), a layer that is missing, or a tensor of `parameters` with
/// another layout than `config`'s.
pub fn copy_layer(
    config: &ModelConfig,
    layer: usize,
    parameters: &mut Parameters,
    variables: Variables<'_>,
) -> Result<()> {
    copy_direction(config, LayerDirection { layer, is_reverse: false }, parameters, variables)
}

/// Copies the variables of one direction of a bidirectional layer, as [`copy_layer`] those of a
/// layer.
///
/// # Errors
/// As for [`copy_layer`]; [`Error::Tensor`] for the reverse direction of a layer that has none.
pub fn copy_direction(
    config: &ModelConfig,
    direction: LayerDirection,
    parameters: &mut Parameters,
    variables: Variables<'_>,
) -> Result<()> {
    let (layer, suffix) = (direction.layer, format!("_{direction}"));
    let Some(of) = config.stack.get(layer) else {
        let expected = format!("a layer of the model, which has {}", config.stack.len());
        return Err(missing(&format!("(layer {layer})"), &expected));
    };
    for entry in parameters.layout.entries().to_vec() {
        if entry.name.starts_with("rnn.") && entry.name.ends_with(&suffix) {
            parameters.values[entry.range].fill(0.0);
        }
    }
    let copy =
        LayerCopy { inputs: config.input_width(layer), of, direction, variables, read: RefCell::default() };
    copy.products(parameters)?;
    copy.options(parameters)?;
    copy.finish()
}

/// Copies a dense layer's kernel [H, V] and bias `[V]` to the head of a model.
///
/// # Errors
/// As for [`copy_layer`].
pub fn copy_head(parameters: &mut Parameters, kernel: &[f32], bias: &[f32]) -> Result<()> {
    let shape = parameters.layout.find("head.weight").map(|entry| entry.shape.clone());
    let Some([outputs, hidden]) = shape.as_deref().and_then(|shape| <[usize; 2]>::try_from(shape).ok())
    else {
        return Err(missing("head.weight", "a model with a head"));
    };
    let (kernel, bias) = (sized("kernel", kernel, hidden * outputs)?, sized("bias", bias, outputs)?);
    put(parameters, "head.weight", &transposed(kernel, 0..hidden, &[0], outputs))?;
    put(parameters, "head.bias", bias)
}

/// The copy of one layer's variables.
struct LayerCopy<'m, 'v> {
    of: &'m Layer,
    direction: LayerDirection,
    inputs: usize,
    variables: Variables<'v>,
    /// Names of the variables that were copied.
    read: RefCell<Vec<String>>,
}

impl LayerCopy<'_, '_> {
    fn put(&self, parameters: &mut Parameters, name: &str, values: &[f32]) -> Result<()> {
        put(parameters, &format!("rnn.{name}_{}", self.direction), values)
    }

    /// Returns an error for a variable that was not copied: without it the layer would compute
    /// something else.
    fn finish(&self) -> Result<()> {
        let read = self.read.borrow();
        let is_left =
            |name: &&&str| !read.iter().any(|read| read == **name) && (self.variables)(name).is_some();
        match NAMES.iter().find(is_left) {
            None => Ok(()),
            Some(name) => Err(Error::tensor(
                *name,
                "a variable",
                format!(
                    "none of that name: layer {} has no place for it; set that option of the layer, or omit the variable",
                    self.direction.layer
                ),
            )),
        }
    }

    /// Returns a variable of length `len`, under the first of `names` that exists.
    fn get(&self, names: &[&str], len: usize) -> Result<&[f32]> {
        let found = names.iter().find_map(|name| Some((*name, (self.variables)(name)?)));
        let Some((name, values)) = found else {
            return Err(missing(names[0], &format!("{len} values, for layer {}", self.direction.layer)));
        };
        self.read.borrow_mut().push(name.to_owned());
        sized(name, values, len)
    }

    fn products(&self, parameters: &mut Parameters) -> Result<()> {
        if let Some(cell) = self.of.custom.as_ref().and_then(|custom| custom.cell()) {
            return self.custom(parameters, cell);
        }
        let keras = (self.variables)("recurrent_kernel").is_some();
        match (self.of.cell, self.of.coupled) {
            (Cell::Gru, _) if self.of.reset == Reset::Before && !keras => self.gru(parameters),
            (Cell::Rnn, _) => self.gates(parameters, keras, &[0]),
            (Cell::Lstm, true) => self.gates(parameters, keras, &[1, 0, 2]),
            (Cell::Lstm, false) if keras => self.gates(parameters, keras, &[0, 1, 2, 3]),
            (Cell::Lstm, false) => self.gates(parameters, keras, &[0, 2, 1, 3]),
            (Cell::Gru, _) => self.gates(parameters, keras, &[1, 0, 2]),
        }
    }

    /// Copies the variables of a custom cell.
    fn custom(&self, parameters: &mut Parameters, cell: &dyn RnnCell) -> Result<()> {
        for Variable { name, shape, .. } in cell.variables(self.inputs) {
            let values = self.get(&[&name], shape.iter().product())?;
            self.put(parameters, &name, values)?;
        }
        Ok(())
    }

    /// Copies the kernels of all gates. Our gate g is their gate `gates[g]`.
    fn gates(&self, parameters: &mut Parameters, keras: bool, gates: &[usize]) -> Result<()> {
        let (hidden, state, inputs) = (self.of.hidden, self.of.direction_size(), self.inputs);
        let width = gates.len() * hidden;
        if keras {
            let kernel = self.get(&["kernel"], inputs * width)?;
            let recurrent = self.get(&["recurrent_kernel"], state * width)?;
            self.put(parameters, "weight_ih", &transposed(kernel, 0..inputs, gates, hidden))?;
            self.put(parameters, "weight_hh", &transposed(recurrent, 0..state, gates, hidden))?;
        } else {
            let kernel = self.get(&["kernel", "W"], (inputs + state) * width)?;
            self.put(parameters, "weight_ih", &transposed(kernel, 0..inputs, gates, hidden))?;
            self.put(parameters, "weight_hh", &transposed(kernel, inputs..inputs + state, gates, hidden))?;
        }
        if self.of.layer_norm {
            return Ok(());
        }
        // Keras's GRU with reset after the product has a bias for each product.
        let both = keras && self.of.cell == Cell::Gru && self.of.reset == Reset::After;
        let bias = self.get(&["bias", "B"], if both { 2 * width } else { width })?;
        self.put(parameters, "bias_ih", &ordered(&bias[..width], gates, hidden))?;
        if both {
            self.put(parameters, "bias_hh", &ordered(&bias[width..], gates, hidden))?;
        }
        Ok(())
    }

    fn gru(&self, parameters: &mut Parameters) -> Result<()> {
        let (hidden, inputs) = (self.of.hidden, self.inputs);
        let rows = inputs + hidden;
        let gates = self.get(&["gates/kernel"], rows * 2 * hidden)?;
        let candidate = self.get(&["candidate/kernel"], rows * hidden)?;
        let both = |rows: Range<usize>| {
            [transposed(gates, rows.clone(), &[0, 1], hidden), transposed(candidate, rows, &[0], hidden)]
                .concat()
        };
        self.put(parameters, "weight_ih", &both(0..inputs))?;
        self.put(parameters, "weight_hh", &both(inputs..rows))?;
        let biases = [self.get(&["gates/bias"], 2 * hidden)?, self.get(&["candidate/bias"], hidden)?];
        self.put(parameters, "bias_ih", &biases.concat())
    }

    fn options(&self, parameters: &mut Parameters) -> Result<()> {
        let Layer { hidden, coupled, .. } = *self.of;
        let joined = |names: &[&str], len: usize| -> Result<Vec<f32>> {
            let parts: Vec<&[f32]> =
                names.iter().map(|name| self.get(&[name], len)).collect::<Result<_>>()?;
            Ok(parts.concat())
        };
        if let Some(width) = self.of.projection {
            let kernel = self.get(&["projection/kernel"], hidden * width)?;
            self.put(parameters, "weight_hr", &transposed(kernel, 0..hidden, &[0], width))?;
        }
        if self.of.peepholes {
            let names: &[&str] =
                if coupled { &["W_F_diag", "W_O_diag"] } else { &["w_i_diag", "w_f_diag", "w_o_diag"] };
            self.put(parameters, "weight_peephole", &joined(names, hidden)?)?;
        }
        if self.of.layer_norm {
            let [gamma, beta] = ["gamma", "beta"].map(|part| {
                ["input", "forget", "transform", "output", "state"].map(|gate| format!("{gate}/{part}"))
            });
            for (name, names) in [("norm_weight", gamma), ("norm_bias", beta)] {
                self.put(parameters, name, &joined(&names.each_ref().map(String::as_str), hidden)?)?;
            }
        }
        let gates: &[&str] = match self.of.highway {
            Highway::Off => return Ok(()),
            Highway::Coupled => &["carry"],
            Highway::Separate => &["carry", "transform"],
        };
        let width = self.inputs;
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for gate in gates {
            let kernel = self.get(&[&format!("{gate}_w")], width * width)?;
            weight.extend(transposed(kernel, 0..width, &[0], width));
            bias.extend_from_slice(self.get(&[&format!("{gate}_b")], width)?);
        }
        self.put(parameters, "highway_weight", &weight)?;
        self.put(parameters, "highway_bias", &bias)
    }
}

fn put(parameters: &mut Parameters, name: &str, values: &[f32]) -> Result<()> {
    let Some(to) = parameters.get_mut(name) else {
        return Err(missing(name, "the parameters of the model's own layout"));
    };
    sized(name, to, values.len())?;
    to.copy_from_slice(values);
    Ok(())
}

fn missing(name: &str, expected: &str) -> Error {
    Error::tensor(name, "nothing", expected)
}

fn sized<'a>(name: &str, values: &'a [f32], len: usize) -> Result<&'a [f32]> {
    if values.len() == len {
        return Ok(values);
    }
    let (found, expected) = (format!("{} values", values.len()), format!("{len} values"));
    Err(Error::tensor(name, found, expected))
}

/// Returns rows `rows` of a kernel [inputs, gates * H], transposed. Our gate g is their gate
/// `gates[g]`.
fn transposed(kernel: &[f32], rows: Range<usize>, gates: &[usize], hidden: usize) -> Vec<f32> {
    let width = gates.len() * hidden;
    let mut weight = Vec::with_capacity(rows.len() * width);
    for gate in gates {
        for unit in 0..hidden {
            weight.extend(rows.clone().map(|row| kernel[row * width + gate * hidden + unit]));
        }
    }
    weight
}

fn ordered(bias: &[f32], gates: &[usize], hidden: usize) -> Vec<f32> {
    gates.iter().flat_map(|gate| &bias[gate * hidden..][..hidden]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    fn reason(variables: Variables<'_>) -> String {
        let model = Model::of_layers(&[Layer::lstm(2)], 3, None, 1).unwrap();
        let mut parameters = model.parameters().clone();
        copy_layer(model.config(), 0, &mut parameters, variables).unwrap_err().to_string()
    }

    #[test]
    fn missing_variables_and_other_shapes_are_errors_that_name_them() {
        assert_eq!(reason(&|_| None), "tensor kernel: found nothing, expected 40 values, for layer 0");
        let kernel = [0.0; 40];
        let short = |name: &str| (name == "kernel").then_some(&kernel[..39]);
        assert_eq!(reason(&short), "tensor kernel: found 39 values, expected 40 values");
        let alone = |name: &str| (name == "kernel").then_some(&kernel[..]);
        assert_eq!(reason(&alone), "tensor bias: found nothing, expected 8 values, for layer 0");
        let model = Model::of_layers(&[Layer::lstm(2)], 3, None, 1).unwrap();
        let error = copy_layer(model.config(), 1, &mut model.parameters().clone(), &|_| None).unwrap_err();
        let expected = "tensor (layer 1): found nothing, expected a layer of the model, which has 1";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_variable_without_a_place_in_the_layer_is_an_error() {
        let (kernel, bias, diagonal) = ([0.0; 40], [0.0; 8], [0.0; 2]);
        for left in ["w_f_diag", "projection/kernel", "carry_b", "state/beta", "W"] {
            let variables = |name: &str| match name {
                "kernel" => Some(&kernel[..]),
                "bias" => Some(&bias[..]),
                name => (name == left).then_some(&diagonal[..]),
            };
            let text = reason(&variables);
            let expected =
                format!("tensor {left}: found a variable, expected none of that name: layer 0 has");
            assert!(text.starts_with(&expected), "{text}");
        }
    }

    #[test]
    fn parameters_of_another_model_are_an_error() {
        let model = Model::of_layers(&[Layer::lstm(2)], 3, None, 1).unwrap();
        let other = Model::of_layers(&[Layer::lstm(2)], 4, None, 1).unwrap();
        let (kernel, bias) = ([0.0; 40], [0.0; 8]);
        let variables = |name: &str| match name {
            "kernel" => Some(&kernel[..]),
            "bias" => Some(&bias[..]),
            _ => None,
        };
        let mut parameters = other.parameters().clone();
        let error = copy_layer(model.config(), 0, &mut parameters, &variables).unwrap_err().to_string();
        assert_eq!(error, "tensor rnn.weight_ih_l0: found 32 values, expected 24 values");
    }
}

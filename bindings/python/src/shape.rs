//! The shape of a stack of recurrent layers: its sizes, its options and the names of its parameters.

use crate::errors::invalid;
use pyo3::prelude::*;
use std::ops::Range;
use unrolled::model::{ParameterLayout, TensorEntry};
use unrolled::{Activation, Cell, Layer, Reset};

/// The sizes and options of a stack, with the names of PyTorch.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Shape {
    /// `lstm`, `gru` or `rnn`.
    pub cell: String,
    /// `tanh` or `relu`, for the cell `rnn`.
    pub nonlinearity: String,
    /// True if a GRU applies its reset gate after the recurrent product, as PyTorch does.
    pub reset_after: bool,
    /// Width E of the inputs.
    pub input_size: usize,
    /// Number of hidden units H.
    pub hidden_size: usize,
    /// Number of layers L.
    pub num_layers: usize,
    /// True if the layers have biases.
    pub bias: bool,
    /// Share of the outputs of each layer but the last that training drops.
    pub dropout: f32,
    /// True if each layer reads its inputs in both directions.
    pub bidirectional: bool,
    /// Width P of the projection of an LSTM; 0 without one.
    pub proj_size: usize,
}

impl Shape {
    /// Returns the layers. Their initial biases are those of PyTorch.
    pub fn layers(&self) -> PyResult<Vec<Layer>> {
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(invalid(format!("dropout = {}", self.dropout), "a number of at least 0 and below 1"));
        }
        let plain = Layer { forget_bias: 0.0, ..Layer::new(self.cell()?, self.hidden_size) };
        let layer = Layer {
            activation: self.activation()?,
            reset: if self.reset_after { Reset::After } else { Reset::Before },
            bidirectional: self.bidirectional,
            projection: Some(self.proj_size).filter(|width| *width > 0),
            ..plain
        };
        let dropping = Layer { output_keep_prob: 1.0 - self.dropout, ..layer.clone() };
        let mut layers = vec![dropping; self.num_layers.saturating_sub(1).min(1 << 12)];
        layers.extend((self.num_layers > 0).then_some(layer));
        Ok(layers)
    }

    fn cell(&self) -> PyResult<Cell> {
        match self.cell.as_str() {
            "lstm" => Ok(Cell::Lstm),
            "gru" => Ok(Cell::Gru),
            "rnn" => Ok(Cell::Rnn),
            other => Err(invalid(format!("the cell {other:?}"), "lstm, gru or rnn")),
        }
    }

    fn activation(&self) -> PyResult<Activation> {
        match self.nonlinearity.as_str() {
            "tanh" => Ok(Activation::Tanh),
            "relu" => Ok(Activation::Relu),
            other => Err(invalid(format!("nonlinearity = {other:?}"), "\"tanh\" or \"relu\"")),
        }
    }

    /// Returns true if the layers have a cell state.
    pub fn has_cell_state(&self) -> bool {
        self.cell == "lstm"
    }

    /// Number of layers times directions: the first size of states.
    pub fn parts(&self) -> usize {
        self.num_layers * self.directions()
    }

    fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Width of the hidden state: P, or H without a projection.
    pub fn state_size(&self) -> usize {
        if self.proj_size > 0 { self.proj_size } else { self.hidden_size }
    }

    /// Width of the outputs.
    pub fn output_size(&self) -> usize {
        self.directions() * self.state_size()
    }

    /// Returns the parameters that Python sees, in PyTorch's order: name, shape and range in the
    /// flat buffer. The biases of the library are not among them if the layers have none.
    pub fn parameters(&self, layout: &ParameterLayout) -> Vec<Parameter> {
        let entries = layout.entries().iter().filter(|entry| self.bias || !is_bias(entry));
        let parameter = |entry: &TensorEntry| Parameter {
            name: entry.name.strip_prefix("rnn.").unwrap_or(&entry.name).to_owned(),
            shape: entry.shape.clone(),
            range: entry.range.clone(),
        };
        entries.map(parameter).collect()
    }

    /// Returns the ranges of the library's biases that stay 0, because the layers have none.
    pub fn zero_biases(&self, layout: &ParameterLayout) -> Vec<Range<usize>> {
        let entries = layout.entries().iter().filter(|entry| !self.bias && is_bias(entry));
        entries.map(|entry| entry.range.clone()).collect()
    }
}

fn is_bias(entry: &TensorEntry) -> bool {
    entry.name.contains("bias_")
}

/// A parameter that Python sees.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// PyTorch's name.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// The range of its values in the flat buffer.
    pub range: Range<usize>,
}

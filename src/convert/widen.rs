//! The model of a chain whose inputs are added to its outputs: y = W h + b + x, where h are the
//! outputs of a recurrent layer that reads x. Amplifier models have this connection.
//!
//! A model has no connection around its head. Layers of H + E units compute the same numbers, for H
//! hidden units and E inputs:
//!
//! ```text
//! e = [0, ..., 0, x]          a linear layer
//! r = [h, 0, ..., 0]          the recurrent layer; the weights of its last E units are zero
//! y = [W, I] (e + r) + b      the residual connection of that layer, and the head
//! ```
//!
//! The state of units without weights stays exactly zero, in an LSTM, a GRU and an RNN with tanh or
//! ReLU.

use super::{
    chain::{Chain, ChainInput, Linear, Recurrent, Stage, StageKind},
    gates::Matrix,
};
use crate::{Activation, Cell, Layer};

/// The most units of the wider layer, whose weights are a square of them.
const WIDEST: usize = 2048;

/// Returns the chain that adds the first `skip` inputs to its first `skip` outputs.
pub(super) fn with_skip(chain: Chain, skip: usize, name: &str) -> Result<Chain, String> {
    let shape = "expected one LSTM, GRU or RNN (tanh, relu), and a linear layer on it";
    let Chain { input: ChainInput::Vectors(inputs), stages, stored } = chain else {
        return Err(format!("{name}: found a model that reads ids, {shape}"));
    };
    let Ok([recurrent, head]) = <[Stage; 2]>::try_from(stages) else {
        return Err(format!("{name}: found other layers, {shape}"));
    };
    let (StageKind::Recurrent(cell), StageKind::Linear(linear)) = (recurrent.kind, head.kind) else {
        return Err(format!("{name}: found other layers, {shape}"));
    };
    let keeps_zero = cell.layer.cell != Cell::Rnn || cell.layer.activation != Activation::Sigmoid;
    let one_way = !cell.layer.bidirectional && cell.layer.projection.is_none();
    if !keeps_zero || !one_way || linear.activation != Activation::Identity {
        return Err(format!("{name}: found other layers, {shape}"));
    }
    if skip > inputs || skip > linear.weight.rows {
        let outputs = linear.weight.rows;
        return Err(format!(
            "{name} = {skip}, expected at most the {inputs} inputs and the {outputs} outputs"
        ));
    }
    let hidden = cell.layer.hidden;
    if hidden > WIDEST || inputs > WIDEST - hidden {
        return Err(format!(
            "{name}: found {hidden} units and {inputs} inputs, expected at most {WIDEST} together"
        ));
    }
    let stages = vec![
        Stage { name: name.to_owned(), kind: StageKind::Linear(spread(inputs, hidden)) },
        Stage { name: recurrent.name, kind: StageKind::Recurrent(widened(cell, inputs)?) },
        Stage { name: head.name, kind: StageKind::Linear(with_ones(linear, inputs, skip)) },
    ];
    Ok(Chain { input: ChainInput::Vectors(inputs), stages, stored })
}

/// The layer that returns [0, x].
fn spread(inputs: usize, hidden: usize) -> Linear {
    let mut weight = Matrix::zeros(hidden + inputs, inputs);
    (0..inputs).for_each(|input| weight.values[(hidden + input) * inputs + input] = 1.0);
    Linear { weight, bias: None, activation: Activation::Identity }
}

/// The recurrent layer with E more units, which reads [0, x].
fn widened(cell: Recurrent, inputs: usize) -> Result<Recurrent, String> {
    let Recurrent { layer, tensors, .. } = cell;
    let (hidden, gates) = (layer.hidden, layer.gates());
    let width = hidden + inputs;
    let mut widened = Vec::new();
    for (name, values) in tensors {
        // Where the columns of a tensor are among those of the wider one; None for a vector.
        let (columns, first) = match name.as_str() {
            "weight_ih" => (inputs, Some(hidden)),
            "weight_hh" => (hidden, Some(0)),
            "bias_ih" | "bias_hh" => (1, None),
            other => return Err(format!("found {other}, expected a layer without options")),
        };
        let (to_columns, first) = first.map_or((1, 0), |first| (width, first));
        let mut wide = vec![0.0; gates * width * to_columns];
        for (row, from) in values.chunks_exact(columns.max(1)).enumerate() {
            let to = (row / hidden * width + row % hidden) * to_columns + first;
            wide[to..][..columns].copy_from_slice(from);
        }
        widened.push((name, wide));
    }
    Ok(Recurrent { layer: Layer { hidden: width, residual: true, ..layer }, inputs: width, tensors: widened })
}

/// The head that adds the first `skip` inputs.
fn with_ones(head: Linear, inputs: usize, skip: usize) -> Linear {
    let Matrix { rows, columns, values } = head.weight;
    let mut weight = Matrix::zeros(rows, columns + inputs);
    for row in 0..rows {
        let to = &mut weight.values[row * (columns + inputs)..][..columns + inputs];
        to[..columns].copy_from_slice(&values[row * columns..][..columns]);
        if row < skip {
            to[columns + row] = 1.0;
        }
    }
    Linear { weight, ..head }
}

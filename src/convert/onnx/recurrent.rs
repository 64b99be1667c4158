//! `LSTM`, `GRU` and `RNN`.
//!
//! | | gates in W, R and B | here |
//! |---|---|---|
//! | `LSTM` | i, o, f, c | i, f, g, o |
//! | its peepholes P | i, o, f | i, f, o |
//! | `GRU` | z, r, h | r, z, n |

use super::{
    super::{
        chain::{REVERSE, Recurrent, StageKind},
        gates::{Matrix, blocks},
    },
    axes,
    graph::Node,
    value::{Atom, Axis, Content, Data, Floats, Label, Value},
    walk::Walk,
};
use crate::{Activation, Cell, Layer, Reset};

/// Our gate g is gate `ORDER[g]` of ONNX.
pub(super) const LSTM: [usize; 4] = [0, 2, 3, 1];
pub(super) const PEEPHOLES: [usize; 3] = [0, 2, 1];
pub(super) const GRU: [usize; 3] = [1, 0, 2];
pub(super) const RNN: [usize; 1] = [0];

impl Walk<'_> {
    /// Appends a recurrent layer. Returns Y, Y_h and Y_c.
    pub(super) fn recurrent(&mut self, node: &Node) -> Result<Vec<Value>, String> {
        let layer = layer(node)?;
        let directions = if layer.bidirectional { 2 } else { 1 };
        let Value::Data(data) = self.required(node, 0)?.clone() else {
            return Err("its input X is a constant".to_owned());
        };
        let [weight, recurrent] = [(1, "W"), (2, "R")].map(|(index, name)| self.floats(node, index, name));
        let (weight, recurrent) = (weight?, recurrent?);
        let (layer, inputs) = sized(layer, &weight, &recurrent, node)?;
        let tensors = self.tensors(node, &layer, inputs, (&weight, &recurrent))?;
        let data = self.begin(data, inputs)?;
        let batch_first = node.int("layout", 0) != 0;
        let [steps, batch] = self.outer_axes(&data, inputs, batch_first)?;
        self.lengths(node)?;
        self.initial_state(node, 5, "initial_h", layer.hidden)?;
        if layer.cell == Cell::Lstm {
            self.initial_state(node, 6, "initial_c", layer.hidden)?;
        }
        let hidden = vec![Atom::features(layer.hidden)];
        let kind = StageKind::Recurrent(Recurrent { layer, inputs, tensors });
        let both = match directions {
            1 => Axis::new(),
            _ => vec![Atom { label: Label::Direction, size: Some(directions) }],
        };
        let (all, last) = match batch_first {
            false => (vec![steps, both.clone(), batch.clone(), hidden.clone()], vec![both, batch, hidden]),
            true => (vec![batch.clone(), steps, both.clone(), hidden.clone()], vec![batch, both, hidden]),
        };
        let outputs = self.push(node, kind, data, all)?;
        self.recurrent += 1;
        // The reverse direction ends at the first step.
        let last_content = if directions == 1 { Content::LastStep } else { Content::State };
        if directions == 1 {
            self.hidden_states.push(self.position);
        }
        for index in 1..node.inputs.len() {
            if let Some(Value::Floats(floats)) = self.optional(node, index)?.cloned() {
                self.used(&floats);
            }
        }
        let position = self.position;
        let state = |content| Value::Data(Data { content, position, axes: last.clone() });
        Ok(vec![outputs, state(last_content), state(Content::State)])
    }

    /// A constant of the layer.
    fn floats(&self, node: &Node, index: usize, name: &str) -> Result<Floats, String> {
        match self.required(node, index)? {
            Value::Floats(floats) => Ok(floats.clone()),
            other => Err(format!("its input {name} is {}, expected constant floats", other.kind())),
        }
    }

    /// A constant of the layer that may be missing, of `shape`.
    fn vector(
        &self,
        node: &Node,
        index: usize,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Option<Floats>, String> {
        match self.optional(node, index)? {
            None | Some(Value::Zeros) => Ok(None),
            Some(Value::Floats(floats)) if floats.shape == shape => Ok(Some(floats.clone())),
            Some(Value::Floats(floats)) => {
                Err(format!("its input {name} has shape {:?}, expected {shape:?}", floats.shape))
            }
            Some(other) => Err(format!("its input {name} is {}, expected constant floats", other.kind())),
        }
    }

    /// The tensors of the layer in PyTorch's order.
    fn tensors(
        &mut self,
        node: &Node,
        layer: &Layer,
        inputs: usize,
        (weight, recurrent): (&Floats, &Floats),
    ) -> Result<Vec<(String, Vec<f32>)>, String> {
        let (hidden, order) = (layer.hidden, order(layer.cell));
        let rows = order.len() * hidden;
        self.copy(weight.values.len().saturating_add(recurrent.values.len()))?;
        let directions = if layer.bidirectional { 2 } else { 1 };
        let bias = self.vector(node, 3, "B", [directions, 2 * rows])?;
        let peepholes =
            if layer.peepholes { self.vector(node, 7, "P", [directions, 3 * hidden])? } else { None };
        let mut tensors = Vec::new();
        for (direction, end) in ["", REVERSE].into_iter().enumerate().take(directions) {
            let part = |floats: &Floats, len: usize| floats.values[direction * len..][..len].to_vec();
            let ordered = |floats: &Floats, columns: usize| {
                let matrix = Matrix { rows, columns, values: part(floats, rows * columns) };
                matrix.gates(order, hidden).values
            };
            let mut put = |name: &str, values: Vec<f32>| tensors.push((format!("{name}{end}"), values));
            put("weight_ih", ordered(weight, inputs));
            put("weight_hh", ordered(recurrent, hidden));
            if let Some(bias) = &bias {
                let bias = part(bias, 2 * rows);
                put("bias_ih", blocks(&bias[..rows], order, hidden));
                put("bias_hh", blocks(&bias[rows..], order, hidden));
            }
            if let Some(peepholes) = &peepholes {
                put("weight_peephole", blocks(&part(peepholes, 3 * hidden), &PEEPHOLES, hidden));
            }
        }
        Ok(tensors)
    }

    /// Returns the axes of steps and batch rows of the input X, and checks that all layers agree.
    fn outer_axes(&mut self, data: &Data, inputs: usize, batch_first: bool) -> Result<[Axis; 2], String> {
        self.check_features(data, inputs)?;
        if data.content != Content::EveryStep {
            return Err("it reads the last step of the layer before, expected all steps".to_owned());
        }
        let [first, second, _] = &data.axes[..] else {
            return Err(format!("its input X has {} axes, expected 3", data.axes.len()));
        };
        let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
        let label = |axis: &Axis, name: &str| match axis[..] {
            [] => Ok(None),
            [Atom { label: label @ Label::Outer(_), .. }] => Ok(Some(label)),
            _ => Err(format!("the {name} of its input X are {}", axes::described(axis))),
        };
        let roles = [label(steps, "steps")?, label(batch, "batch rows")?];
        match self.roles {
            Some(known) if known != roles => {
                Err("its steps and batch rows are not those of the layer before".to_owned())
            }
            _ => {
                self.roles = Some(roles);
                Ok([steps.clone(), batch.clone()])
            }
        }
    }

    /// The lengths of the rows: an input of the graph, or the number of steps.
    fn lengths(&mut self, node: &Node) -> Result<(), String> {
        match self.optional(node, 4)?.cloned() {
            None => Ok(()),
            Some(Value::Ints { dims, .. }) if self.are_all_steps(&dims) => Ok(()),
            Some(Value::Data(Data { content: Content::Input(input), .. }))
                if Some(input) != self.main_input =>
            {
                self.has_lengths = true;
                self.side_input(input, "the lengths of the rows");
                Ok(())
            }
            Some(other) => Err(format!(
                "its input sequence_lens is {}, expected none, or an input of the graph",
                other.kind()
            )),
        }
    }

    /// An initial state: zeros, or an input of the graph.
    fn initial_state(&mut self, node: &Node, index: usize, name: &str, hidden: usize) -> Result<(), String> {
        let number = self.recurrent;
        match self.optional(node, index)?.cloned() {
            None | Some(Value::Zeros) => Ok(()),
            // An exporter that drops the projection of an LSTM leaves such a state behind.
            Some(Value::Floats(floats)) if floats.shape.last() != Some(&hidden) => Err(format!(
                "its input {name} has shape {:?}, expected {hidden} values for each row, as R has units",
                floats.shape
            )),
            Some(Value::Floats(floats)) if floats.is_zero() => Ok(()),
            Some(Value::Floats(_)) => Err(format!(
                "its input {name} is a constant that is not zero, expected zeros or an input of the graph"
            )),
            Some(Value::Data(Data { content: Content::Input(input), .. }))
                if Some(input) != self.main_input =>
            {
                self.side_input(input, &format!("the initial state of layer {number}"));
                Ok(())
            }
            Some(Value::InitialState { input, layer })
                if Some(input) != self.main_input && layer.is_none_or(|layer| layer == number) =>
            {
                self.side_input(input, "the initial states");
                Ok(())
            }
            Some(other) => {
                Err(format!("its input {name} is {}, expected zeros or an input of the graph", other.kind()))
            }
        }
    }

    fn side_input(&mut self, input: usize, became: &str) {
        if self.side_inputs.iter().all(|(known, _)| *known != input) {
            self.side_inputs.push((input, became.to_owned()));
        }
    }
}

/// ONNX's order of the gates of a cell.
pub(super) fn order(cell: Cell) -> &'static [usize] {
    match cell {
        Cell::Lstm => &LSTM,
        Cell::Gru => &GRU,
        Cell::Rnn => &RNN,
    }
}

/// The layer by the attributes of its node, without its size.
fn layer(node: &Node) -> Result<Layer, String> {
    let direction = node.text("direction", "forward");
    if !matches!(&direction[..], "forward" | "bidirectional") {
        return Err(format!(
            "attribute direction = {direction} is not supported, expected forward or bidirectional"
        ));
    }
    let bidirectional = direction == "bidirectional";
    node.require_int("input_forget", 0)?;
    let activations = node.texts("activations").unwrap_or_default();
    let names: Vec<String> = activations.iter().map(|name| name.to_lowercase()).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (forward, reverse) = names.split_at(names.len() / 2);
    if bidirectional && forward == reverse {
        names.truncate(names.len() / 2);
    }
    let other = || format!("attribute activations = {activations:?} is not supported");
    match node.operator.as_str() {
        "LSTM" if matches!(names[..], [] | ["sigmoid", "tanh", "tanh"]) => {
            let peepholes = node.inputs.get(7).is_some_and(|name| !name.is_empty());
            Ok(Layer { peepholes, bidirectional, ..Layer::lstm(0) })
        }
        "GRU" if matches!(names[..], [] | ["sigmoid", "tanh"]) => {
            let reset = if node.int("linear_before_reset", 0) == 0 { Reset::Before } else { Reset::After };
            Ok(Layer { reset, bidirectional, ..Layer::gru(0) })
        }
        "RNN" => {
            let activation = match names[..] {
                [] | ["tanh"] => Activation::Tanh,
                ["relu"] => Activation::Relu,
                ["sigmoid"] => Activation::Sigmoid,
                ["affine"] if is_identity(node) => Activation::Identity,
                _ => return Err(other()),
            };
            Ok(Layer { activation, bidirectional, ..Layer::rnn(0) })
        }
        _ => Err(other()),
    }
}

/// Returns whether `Affine`, a x + b, has a = 1 and b = 0.
fn is_identity(node: &Node) -> bool {
    let is = |name: &str, default: f32, wanted: f32| {
        let found = node
            .attributes
            .get(name)
            .map(|attribute| &attribute.floats[..])
            .filter(|found| !found.is_empty());
        found.unwrap_or(&[default]).iter().all(|found| *found == wanted)
    };
    is("activation_alpha", 1.0, 1.0) && is("activation_beta", 0.0, 0.0)
}

/// The layer with the size of its weights, and the width of its inputs.
fn sized(layer: Layer, weight: &Floats, recurrent: &Floats, node: &Node) -> Result<(Layer, usize), String> {
    let gates = order(layer.cell).len();
    let directions = if layer.bidirectional { 2 } else { 1 };
    let (&[of_weight, rows, inputs], &[of_recurrent, state_rows, hidden]) =
        (&weight.shape[..], &recurrent.shape[..])
    else {
        let (weight, recurrent) = (&weight.shape, &recurrent.shape);
        return Err(format!(
            "W and R have shapes {weight:?} and {recurrent:?}, expected [directions, gates * units, width]"
        ));
    };
    if [of_weight, of_recurrent] != [directions; 2] {
        return Err(format!("W and R have {of_weight} and {of_recurrent} directions, expected {directions}"));
    }
    if hidden == 0 || hidden.checked_mul(gates) != Some(rows) || rows != state_rows {
        let (weight, recurrent) = (&weight.shape, &recurrent.shape);
        return Err(format!(
            "W and R have shapes {weight:?} and {recurrent:?}, expected {gates} gates of equal size"
        ));
    }
    match node.int("hidden_size", hidden as i64) {
        found if found == hidden as i64 => Ok((Layer { hidden, ..layer }, inputs)),
        found => Err(format!("attribute hidden_size = {found}, but R has {hidden} units")),
    }
}

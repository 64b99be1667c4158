//! Operators that are a layer, or a part of one: embeddings, linear layers, activations.

use super::{
    super::{
        chain::{ChainInput, Linear, StageKind},
        gates::Matrix,
    },
    axes,
    graph::Node,
    value::{Atom, Axis, Content, Data, Dim, Floats, Label, Value},
    walk::Walk,
};
use crate::Activation;

impl Walk<'_> {
    /// `Gather` of rows of a matrix by ids: the embedding.
    pub(super) fn embedding(&mut self, table: &Floats, ids: Data) -> Result<Value, String> {
        let Content::Input(input) = ids.content else {
            return Err("its ids are the output of a layer, expected an input of the graph".to_owned());
        };
        let matrix = Matrix::new(&table.shape, table.values.to_vec())?;
        let width = matrix.columns;
        let data = self.begin_at(ids, input, ChainInput::Embedding(matrix))?;
        self.position += 1;
        self.used(table);
        let mut axes = data.axes;
        axes.push(vec![Atom::features(width)]);
        Ok(Value::Data(Data { content: Content::EveryStep, position: self.position, axes }))
    }

    /// `OneHot` of ids along the last axis, with the values 0 and 1.
    pub(super) fn one_hot(&mut self, node: &Node) -> Result<Value, String> {
        let Value::Data(ids @ Data { content: Content::Input(input), .. }) = self.required(node, 0)?.clone()
        else {
            return Err("its ids are no input of the graph".to_owned());
        };
        let depth = self.required(node, 1)?.known_ints();
        let depth =
            depth.as_deref().and_then(|depth| depth.first()).and_then(|depth| usize::try_from(*depth).ok());
        let depth = depth.filter(|depth| *depth > 0).ok_or("its depth is not constant")?;
        let has_values = match self.required(node, 2)? {
            Value::Floats(values) => values.values[..] == [0.0, 1.0],
            other => other.known_ints().is_some_and(|values| values == [0, 1]),
        };
        if !has_values {
            return Err("its values are not 0 and 1".to_owned());
        }
        let rank = ids.axes.len() as i64;
        if !matches!(node.int("axis", -1), axis if axis == -1 || axis == rank) {
            return Err("its axis is not the last one".to_owned());
        }
        let data = self.begin_at(ids, input, ChainInput::OneHot(depth))?;
        self.position += 1;
        let mut axes = data.axes;
        axes.push(vec![Atom::features(depth)]);
        Ok(Value::Data(Data { content: Content::EveryStep, position: self.position, axes }))
    }

    pub(super) fn mat_mul(&mut self, node: &Node) -> Result<Value, String> {
        match (self.required(node, 0)?.clone(), self.required(node, 1)?.clone()) {
            (Value::Data(data), Value::Floats(floats)) => {
                let matrix = Matrix::new(&floats.shape, floats.values.to_vec())?;
                self.copy(floats.values.len())?;
                self.linear(node, data, matrix.transposed(), &floats)
            }
            (one, other) => {
                Err(format!("found {} times {}, expected a layer times a constant", one.kind(), other.kind()))
            }
        }
    }

    pub(super) fn gemm(&mut self, node: &Node) -> Result<Value, String> {
        node.require_float("alpha", 1.0)?;
        node.require_float("beta", 1.0)?;
        node.require_int("transA", 0)?;
        let (Value::Data(data), Value::Floats(floats)) =
            (self.required(node, 0)?.clone(), self.required(node, 1)?.clone())
        else {
            return Err("expected a layer times a constant".to_owned());
        };
        let bias = self.optional(node, 2)?.cloned();
        let matrix = Matrix::new(&floats.shape, floats.values.to_vec())?;
        self.copy(floats.values.len())?;
        let matrix = if node.int("transB", 0) == 0 { matrix.transposed() } else { matrix };
        let value = self.linear(node, data, matrix, &floats)?;
        match (value, bias) {
            (Value::Data(data), Some(Value::Floats(bias))) => self.bias(data, &bias),
            (value, None | Some(Value::Zeros)) => Ok(value),
            (_, Some(other)) => Err(format!("its bias is {}, expected a constant", other.kind())),
        }
    }

    /// Appends a linear layer with the weights [O, I].
    fn linear(&mut self, node: &Node, data: Data, weight: Matrix, floats: &Floats) -> Result<Value, String> {
        if data.content == Content::State {
            return Err("it reads a last state, expected the outputs of a layer".to_owned());
        }
        let data = self.begin(data, weight.columns)?;
        self.check_features(&data, weight.columns)?;
        let mut axes = data.axes.clone();
        axes.pop();
        axes.push(vec![Atom::features(weight.rows)]);
        let linear = Linear { weight, bias: None, activation: Activation::Identity };
        let value = self.push(node, StageKind::Linear(linear), data, axes)?;
        self.used(floats);
        Ok(value)
    }

    /// Checks that the last axis of an array is the features of the last layer.
    pub(super) fn check_features(&self, data: &Data, width: usize) -> Result<(), String> {
        self.check_current(data)?;
        let last = data.axes.last().map(Vec::as_slice).unwrap_or_default();
        let labels: Vec<Label> = last.iter().map(|atom| atom.label).collect();
        let are_features = matches!(labels[..], [Label::Features] | [Label::Direction, Label::Features]);
        match are_features && axes::size(last) == Some(width) {
            true => Ok(()),
            false => Err(format!("its input ends in {}, expected {width} features", axes::described(last))),
        }
    }

    /// `Add` of a vector to a linear layer.
    pub(super) fn bias(&mut self, data: Data, bias: &Floats) -> Result<Value, String> {
        self.check_current(&data)?;
        let width = bias.values.len();
        let is_vector = bias.shape.iter().rev().skip(1).all(|size| *size == 1);
        let stage = self.chain.stages.last_mut().map(|stage| &mut stage.kind);
        let Some(StageKind::Linear(linear)) =
            stage.filter(|_| matches!(data.content, Content::EveryStep | Content::LastStep))
        else {
            return Err("it adds a constant, which is supported after a linear layer only".to_owned());
        };
        if !is_vector
            || linear.bias.is_some()
            || linear.activation != Activation::Identity
            || linear.weight.rows != width
        {
            let expected = linear.weight.rows;
            return Err(format!(
                "it adds a constant of shape {:?}, expected one bias of {expected} values",
                bias.shape
            ));
        }
        linear.bias = Some(bias.values.to_vec());
        self.check_features(&data, width)?;
        self.position += 1;
        self.used(bias);
        Ok(Value::Data(Data { position: self.position, ..data }))
    }

    /// `Add` of the inputs of a recurrent layer to its outputs.
    pub(super) fn residual(&mut self, one: Data, other: Data) -> Result<Value, String> {
        let expected =
            "it adds two outputs of layers; expected the input and the output of one recurrent layer";
        let (output, input) = if one.position == self.position { (one, other) } else { (other, one) };
        self.check_current(&output)?;
        let input = self.as_main(input);
        let is_below = self.below.as_ref().is_some_and(|below| {
            let are_features = |axis: &Axis| axis.iter().all(|atom| !matches!(atom.label, Label::Outer(_)));
            let same = |axis: &Axis, other: &Axis| {
                axis == other
                    || are_features(axis) && are_features(other) && axes::size(axis) == axes::size(other)
            };
            below.position == input.position
                && input.content == below.content
                && input.axes.len() == output.axes.len()
                && input.axes.iter().zip(&output.axes).all(|(axis, other)| same(axis, other))
        });
        match self.chain.stages.last_mut().map(|stage| &mut stage.kind) {
            Some(StageKind::Recurrent(recurrent))
                if is_below
                    && output.content == Content::EveryStep
                    && !recurrent.layer.residual
                    && !recurrent.layer.bidirectional =>
            {
                recurrent.layer.residual = true;
                self.position += 1;
                Ok(Value::Data(Data { position: self.position, ..output }))
            }
            _ => Err(expected.to_owned()),
        }
    }

    /// The input of the graph, with the features along its last axis as the first layer reads it.
    fn as_main(&self, mut input: Data) -> Data {
        let Some(below) = &self.below else { return input };
        if matches!(input.content, Content::Input(index) if Some(index) == self.main_input) {
            let features = below.axes.last().cloned();
            if let (Some(last), Some(features)) = (input.axes.last_mut(), features) {
                *last = features;
            }
            input.content = below.content;
        }
        input
    }

    /// tanh, ReLU or sigmoid of a layer.
    pub(super) fn activation(&mut self, node: &Node) -> Result<Value, String> {
        let activation = match node.operator.as_str() {
            "Tanh" => Activation::Tanh,
            "Relu" => Activation::Relu,
            _ => Activation::Sigmoid,
        };
        let Value::Data(data) = self.required(node, 0)?.clone() else {
            return Err("it reads a constant, expected the output of a layer".to_owned());
        };
        self.check_current(&data)?;
        if !matches!(data.content, Content::EveryStep | Content::LastStep) || self.chain.stages.is_empty() {
            return Err("it is not after a layer".to_owned());
        }
        self.chain.activate(&super::one_line(&node.name), activation)?;
        self.position += 1;
        Ok(Value::Data(Data { position: self.position, ..data }))
    }

    /// Returns whether all integers are the number of steps.
    pub(super) fn are_all_steps(&self, dims: &[Dim]) -> bool {
        let steps = self.roles.and_then(|[steps, _]| steps);
        dims.iter().all(|dim| match dim {
            Dim::Atoms(atoms) => matches!(atoms[..], [atom] if Some(atom.label) == steps),
            Dim::Known(_) | Dim::Unknown => false,
        })
    }
}

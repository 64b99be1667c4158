//! One node of the graph.

use super::{
    axes, constants,
    graph::Node,
    messages::FLOAT,
    value::{Content, Data, Dim, Floats, Value},
    walk::Walk,
};

impl Walk<'_> {
    /// Returns the outputs of a node.
    pub(super) fn visit(&mut self, node: &Node) -> Result<Vec<Value>, String> {
        match node.operator.as_str() {
            "LSTM" | "GRU" | "RNN" => return self.recurrent(node),
            "Split" => return self.split(node),
            _ => {}
        }
        let value = match node.operator.as_str() {
            "Identity" => self.required(node, 0)?.clone(),
            "Dropout" => self.dropout(node)?,
            "Cast" => self.cast(node)?,
            "CastLike" => self.required(node, 0)?.clone(),
            "Constant" => self.constant_node(node)?,
            "ConstantOfShape" => self.constant_of_shape(node)?,
            "Expand" | "Tile" => self.repeated(node)?,
            "Shape" => self.shape(node)?,
            "Gather" => self.gather(node)?,
            "Slice" => self.slice(node)?,
            "Concat" => self.concat(node)?,
            "Transpose" => self.transpose(node)?,
            "Squeeze" => self.squeeze(node)?,
            "Unsqueeze" => self.unsqueeze(node)?,
            "Reshape" => self.reshape(node)?,
            "Flatten" => self.flatten(node)?,
            "OneHot" => self.one_hot(node)?,
            "MatMul" => self.mat_mul(node)?,
            "Gemm" => self.gemm(node)?,
            "Tanh" | "Relu" | "Sigmoid" => self.activation(node)?,
            "Add" => self.add(node)?,
            "Mul" => self.multiply(node)?,
            "ReduceProd" => self.reduce_product(node)?,
            _ => self.arithmetic(node)?,
        };
        Ok(vec![value])
    }

    /// Dropout passes its input on outside of training.
    fn dropout(&self, node: &Node) -> Result<Value, String> {
        let training = self.optional(node, 2)?.map(Value::known_ints);
        match training {
            None => Ok(self.required(node, 0)?.clone()),
            Some(Some(mode)) if mode.iter().all(|mode| *mode == 0) => Ok(self.required(node, 0)?.clone()),
            Some(_) => Err("input training_mode is not supported, expected the constant false".to_owned()),
        }
    }

    /// A conversion of numbers. Integers, and floats that stay floats, do not change.
    fn cast(&self, node: &Node) -> Result<Value, String> {
        let value = self.required(node, 0)?;
        let is_input = matches!(value, Value::Data(Data { content: Content::Input(_), .. }));
        match (value, node.int("to", 0)) {
            (Value::Data(_) | Value::Floats(_), to) if to != i64::from(FLOAT) && !is_input => {
                Err(format!("attribute to = {to} is not supported for {}, expected 1 (float)", value.kind()))
            }
            _ => Ok(value.clone()),
        }
    }

    fn constant_node(&mut self, node: &Node) -> Result<Value, String> {
        let Some(attribute) = node.attributes.values().next() else {
            return Err("it has no value".to_owned());
        };
        let floats = |values: &[f32], shape: Vec<usize>| {
            Value::Floats(Floats { shape, values: values.into(), origins: [].into() })
        };
        Ok(match attribute.name.as_deref().unwrap_or_default() {
            "value" => self.attribute_tensor(attribute.t.as_ref().ok_or("it has no value")?)?,
            "value_float" => floats(&[attribute.f.unwrap_or(0.0)], Vec::new()),
            "value_floats" => floats(&attribute.floats, vec![attribute.floats.len()]),
            "value_int" => Value::Ints { dims: vec![Dim::Known(attribute.i.unwrap_or(0))], scalar: true },
            _ => Value::list(constants::limited(attribute.ints.iter().copied().map(Dim::Known))?),
        })
    }

    /// Zeros, or other constants that only shapes may depend on.
    fn constant_of_shape(&mut self, node: &Node) -> Result<Value, String> {
        let value = node.attributes.get("value").and_then(|attribute| attribute.t.as_ref()).cloned();
        Ok(match value.map(|bytes| self.attribute_tensor(&bytes)).transpose()? {
            None => Value::Zeros,
            Some(Value::Floats(floats)) if floats.is_zero() => Value::Zeros,
            Some(_) => Value::Unknown,
        })
    }

    /// `Expand` and `Tile`: of zeros, and of shapes.
    fn repeated(&self, node: &Node) -> Result<Value, String> {
        match self.required(node, 0)? {
            Value::Zeros => Ok(Value::Zeros),
            Value::Floats(floats) if floats.is_zero() => Ok(Value::Zeros),
            Value::Ints { dims, .. } if dims.windows(2).all(|pair| pair[0] == pair[1]) => {
                Ok(Value::list(dims.clone()))
            }
            Value::Ints { .. } | Value::Unknown => Ok(Value::Unknown),
            other => Err(format!("found {}, expected zeros", other.kind())),
        }
    }

    fn shape(&self, node: &Node) -> Result<Value, String> {
        let dims: Vec<Dim> = match self.required(node, 0)? {
            Value::Data(data) => data.axes.iter().map(axes::dim).collect(),
            Value::Floats(floats) => floats.shape.iter().map(|size| Dim::Known(*size as i64)).collect(),
            _ => return Ok(Value::Unknown),
        };
        let (start, end) = (node.int("start", 0), node.int("end", i64::MAX));
        Ok(Value::list(constants::sliced(&dims, start, end)))
    }

    /// `Add` of shapes; of a bias; or of the input of a recurrent layer to its output.
    fn add(&mut self, node: &Node) -> Result<Value, String> {
        let (one, other) = (self.required(node, 0)?.clone(), self.required(node, 1)?.clone());
        match (one, other) {
            (Value::Data(data), Value::Floats(bias)) | (Value::Floats(bias), Value::Data(data)) => {
                self.bias(data, &bias)
            }
            (Value::Data(one), Value::Data(other)) => self.residual(one, other),
            (one, other) if one.is_constant() && other.is_constant() => self.arithmetic(node),
            (one, other) => {
                Err(format!("found {} and {}, expected a layer and its bias", one.kind(), other.kind()))
            }
        }
    }

    /// The product of shapes.
    fn multiply(&self, node: &Node) -> Result<Value, String> {
        let (one, other) = (self.required(node, 0)?, self.required(node, 1)?);
        let (Value::Ints { dims: one, .. }, Value::Ints { dims: other, .. }) = (one, other) else {
            return self.arithmetic(node);
        };
        match (&one[..], &other[..]) {
            ([one], many) => Ok(Value::list(many.iter().map(|dim| product(one, dim)).collect())),
            (many, [other]) => Ok(Value::list(many.iter().map(|dim| product(dim, other)).collect())),
            (many, others) if many.len() == others.len() => {
                Ok(Value::list(many.iter().zip(others).map(|(one, other)| product(one, other)).collect()))
            }
            _ => Ok(Value::Unknown),
        }
    }

    /// The product of all sizes of a shape.
    fn reduce_product(&self, node: &Node) -> Result<Value, String> {
        let Value::Ints { dims, .. } = self.required(node, 0)? else { return self.arithmetic(node) };
        let all = dims.iter().fold(Dim::Known(1), |all, dim| product(&all, dim));
        Ok(Value::Ints { dims: vec![all], scalar: node.int("keepdims", 1) == 0 })
    }

    /// Other operators, which are understood if shapes alone depend on them. Sums and differences
    /// of known integers are computed.
    fn arithmetic(&self, node: &Node) -> Result<Value, String> {
        let mut known = Vec::new();
        for index in 0..node.inputs.len() {
            if let Some(value) = self.optional(node, index)? {
                if !value.is_constant() {
                    return Err(format!(
                        "it reads {}; this operator is supported for shapes only",
                        value.kind()
                    ));
                }
                known.extend(value.known_ints().filter(|ints| ints.len() == 1));
            }
        }
        let result = match (node.operator.as_str(), &known[..]) {
            ("Add", [one, other]) => one[0].checked_add(other[0]),
            ("Sub", [one, other]) => one[0].checked_sub(other[0]),
            _ => None,
        };
        let scalar = (0..2)
            .all(|index| matches!(self.optional(node, index), Ok(Some(Value::Ints { scalar: true, .. }))));
        Ok(result.map_or(Value::Unknown, |result| Value::Ints { dims: vec![Dim::Known(result)], scalar }))
    }
}

/// The product of two sizes.
fn product(one: &Dim, other: &Dim) -> Dim {
    match (one, other) {
        (Dim::Known(one), Dim::Known(other)) => one.checked_mul(*other).map_or(Dim::Unknown, Dim::Known),
        (Dim::Known(1), dim) | (dim, Dim::Known(1)) => dim.clone(),
        (Dim::Atoms(one), Dim::Atoms(other)) if one.len() + other.len() <= 8 => {
            Dim::Atoms(one.iter().chain(other).copied().collect())
        }
        _ => Dim::Unknown,
    }
}

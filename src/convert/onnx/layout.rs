//! Operators that move the numbers of an array without changing them.

use super::{
    axes,
    constants::{self, transposed_floats},
    graph::Node,
    tensor::element_count,
    value::{Atom, Axis, Content, Data, Dim, Floats, Label, Value},
    walk::Walk,
};

/// The most states that are joined: two for each layer.
const MOST_STATES: usize = 2048;

impl Walk<'_> {
    /// The axes of `Squeeze` and `Unsqueeze`: an attribute, or from operator set 13 on an input.
    fn axes(&self, node: &Node) -> Result<Option<Vec<i64>>, String> {
        match (node.ints("axes"), self.optional(node, 1)?) {
            (Some(axes), None) => Ok(Some(axes.to_vec())),
            (None, None) => Ok(None),
            (_, Some(value)) => {
                value.known_ints().map(Some).ok_or_else(|| "its axes are not constant".to_owned())
            }
        }
    }

    /// A constant with its values in another order.
    pub(super) fn folded(
        &mut self,
        floats: &Floats,
        change: impl FnOnce(&Floats) -> Result<(Vec<usize>, Vec<f32>), String>,
    ) -> Result<Value, String> {
        self.copy(floats.values.len())?;
        let (shape, values) = change(floats)?;
        Ok(Value::Floats(Floats { shape, values: values.into(), origins: floats.origins.clone() }))
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Result<Value, String> {
        let perm = node.ints("perm");
        match self.required(node, 0)?.clone() {
            Value::Data(data) => {
                let axes = axes::transposed(&data.axes, perm)?;
                Ok(Value::Data(Data { axes, ..data }))
            }
            Value::Floats(floats) => {
                self.folded(&floats, |floats| transposed_floats(&floats.shape, &floats.values, perm))
            }
            value @ (Value::Zeros | Value::Unknown | Value::InitialState { .. }) => Ok(value),
            other => Err(format!("found {}, expected an array", other.kind())),
        }
    }

    pub(super) fn squeeze(&mut self, node: &Node) -> Result<Value, String> {
        let places = self.axes(node)?;
        match self.required(node, 0)?.clone() {
            Value::Data(data) => {
                let axes = axes::squeezed(&data.axes, places.as_deref())?;
                Ok(Value::Data(Data { axes, ..data }))
            }
            Value::Floats(floats) => {
                let mut shape = floats.shape.clone();
                let places = places.unwrap_or_else(|| (0..shape.len() as i64).collect());
                let rank = shape.len();
                let places =
                    places.iter().map(|axis| axes::place(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
                let mut place = 0;
                shape.retain(|size| {
                    place += 1;
                    *size != 1 || !places.contains(&(place - 1))
                });
                Ok(Value::Floats(Floats { shape, ..floats }))
            }
            Value::Ints { dims, .. } => Ok(Value::Ints { scalar: dims.len() == 1, dims }),
            value @ (Value::Zeros | Value::Unknown | Value::InitialState { .. }) => Ok(value),
            other => Err(format!("found {}, expected an array", other.kind())),
        }
    }

    pub(super) fn unsqueeze(&mut self, node: &Node) -> Result<Value, String> {
        let places = self.axes(node)?.ok_or("its axes are missing")?;
        match self.required(node, 0)?.clone() {
            Value::Data(data) => {
                let axes = axes::unsqueezed(&data.axes, &places, &Vec::new())?;
                Ok(Value::Data(Data { axes, ..data }))
            }
            Value::Floats(floats) => {
                let shape = axes::unsqueezed(&floats.shape, &places, &1)?;
                Ok(Value::Floats(Floats { shape, ..floats }))
            }
            Value::Ints { dims, .. } => Ok(Value::list(dims)),
            value @ (Value::Zeros | Value::Unknown | Value::InitialState { .. }) => Ok(value),
            other => Err(format!("found {}, expected an array", other.kind())),
        }
    }

    pub(super) fn reshape(&mut self, node: &Node) -> Result<Value, String> {
        let target = self.required(node, 1)?.clone();
        match (self.required(node, 0)?.clone(), target) {
            (Value::Data(data), Value::Ints { dims, .. }) => {
                let axes = axes::reshaped(&data.axes, &dims, node.int("allowzero", 0) == 0)?;
                Ok(Value::Data(Data { axes, ..data }))
            }
            (Value::Floats(floats), target) => {
                let sizes = target.known_ints().ok_or("its shape is not constant")?;
                let shape = reshaped_floats(&floats, &sizes)?;
                Ok(Value::Floats(Floats { shape, ..floats }))
            }
            (Value::Ints { dims, .. }, Value::Ints { dims: sizes, .. }) => {
                Ok(Value::Ints { scalar: sizes.is_empty() && dims.len() == 1, dims })
            }
            (value @ (Value::Zeros | Value::Unknown | Value::InitialState { .. }), _) => Ok(value),
            (Value::Ints { .. }, _) => Ok(Value::Unknown),
            (other, _) => Err(format!("found {}, expected an array and a shape", other.kind())),
        }
    }

    /// `Flatten` merges the axes before `axis`, and those from it on.
    pub(super) fn flatten(&mut self, node: &Node) -> Result<Value, String> {
        let Value::Data(data) = self.required(node, 0)?.clone() else {
            return Err("found a constant, expected the output of a layer".to_owned());
        };
        let rank = data.axes.len();
        let axis = match node.int("axis", 1) {
            end if end == rank as i64 => rank,
            axis => axes::place(axis, rank)?,
        };
        let axes = vec![data.axes[..axis].concat(), data.axes[axis..].concat()];
        Ok(Value::Data(Data { axes, ..data }))
    }

    /// Joins constants, shapes, or the last states of layers.
    pub(super) fn concat(&mut self, node: &Node) -> Result<Value, String> {
        let parts = (0..node.inputs.len()).map(|index| self.required(node, index).cloned());
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let axis = node.int("axis", 0);
        match &parts[..] {
            [] => Err("it joins nothing".to_owned()),
            [one] => Ok(one.clone()),
            [Value::Floats(_), ..] => self.joined(&parts, axis),
            [Value::Data(one), Value::Data(other)] if one.content == Content::OneDirection(0) => {
                joined_directions(one, other, axis)
            }
            [Value::Data(_) | Value::States(_), ..] if axis == 0 => joined_states(&parts),
            parts if parts.iter().all(|part| matches!(part, Value::Zeros)) => Ok(Value::Zeros),
            parts if parts.iter().all(Value::is_constant) => {
                let dims = parts.iter().flat_map(|part| match part {
                    Value::Ints { dims, .. } => dims.clone(),
                    _ => vec![Dim::Unknown],
                });
                constants::limited(dims).map(Value::list)
            }
            _ => Err("it joins outputs of layers; expected constants, shapes, or last states".to_owned()),
        }
    }

    /// Joins constants of floats.
    fn joined(&mut self, parts: &[Value], axis: i64) -> Result<Value, String> {
        let mut all = Vec::new();
        for part in parts {
            let Value::Floats(floats) = part else {
                return Err(format!("it joins floats and {}, expected constants", part.kind()));
            };
            all.push(floats);
        }
        let axis = axes::place(axis, all[0].shape.len())?;
        self.copy(all.iter().map(|floats| floats.values.len()).sum())?;
        let mut shape = all[0].shape.clone();
        shape[axis] = 0;
        let outer: usize = shape[..axis].iter().product();
        for floats in &all {
            let mut other = floats.shape.clone();
            let size = other.get_mut(axis).map(std::mem::take).unwrap_or_default();
            let as_first: Vec<usize> =
                shape.iter().enumerate().map(|(i, size)| if i == axis { 0 } else { *size }).collect();
            if other != as_first {
                return Err("it joins constants of different shapes".to_owned());
            }
            shape[axis] += size;
        }
        let mut values = Vec::new();
        for part in 0..outer {
            for floats in &all {
                let len = floats.values.len() / outer.max(1);
                values.extend_from_slice(&floats.values[part * len..][..len]);
            }
        }
        let origins = all.iter().flat_map(|floats| floats.origins.iter().copied()).take(16).collect();
        Ok(Value::Floats(Floats { shape, values: values.into(), origins }))
    }
}

/// Joins the features of both directions.
fn joined_directions(one: &Data, other: &Data, axis: i64) -> Result<Value, String> {
    let mut data = one.clone();
    let place = axes::place(axis, data.axes.len())?;
    let both = other.content == Content::OneDirection(1) && other.axes == one.axes;
    match (both && other.position == one.position, &data.axes[place][..]) {
        (true, &[features @ Atom { label: Label::Features, .. }]) => {
            data.axes[place] = vec![Atom { label: Label::Direction, size: Some(2) }, features];
            data.content = Content::EveryStep;
            Ok(Value::Data(data))
        }
        _ => {
            Err("it joins outputs of layers; expected the forward direction, then the reverse one".to_owned())
        }
    }
}

/// Joins the last states of layers.
fn joined_states(parts: &[Value]) -> Result<Value, String> {
    let is_state = |data: &Data| matches!(data.content, Content::LastStep | Content::State);
    let is_directions = |axis: &Axis| axis.iter().all(|atom| atom.label == Label::Direction);
    let mut states = Vec::new();
    for part in parts {
        match part {
            Value::Data(data) if is_state(data) && data.axes.first().is_some_and(is_directions) => {
                states.push(data.clone());
            }
            Value::States(several) => states.extend(several.iter().cloned()),
            _ => {
                return Err(
                    "it joins outputs of layers; expected constants, shapes, or last states".to_owned()
                );
            }
        }
        if states.len() > MOST_STATES {
            return Err(format!("it joins more than {MOST_STATES} states"));
        }
    }
    Ok(Value::States(states))
}

/// The shape of a constant that is reshaped.
fn reshaped_floats(floats: &Floats, sizes: &[i64]) -> Result<Vec<usize>, String> {
    let count = floats.values.len();
    let mismatch = || format!("found shape {sizes:?} for {count} values");
    if sizes.len() > 8 {
        return Err(mismatch());
    }
    let mut shape = Vec::new();
    for (place, size) in sizes.iter().enumerate() {
        shape.push(match size {
            -1 => 0,
            0 => *floats.shape.get(place).ok_or_else(mismatch)?,
            size => usize::try_from(*size).map_err(|_| mismatch())?,
        });
    }
    if let Some(open) = sizes.iter().position(|size| *size == -1) {
        shape[open] = 1;
        let others = element_count(&shape).filter(|others| *others > 0).ok_or_else(mismatch)?;
        shape[open] = count / others;
    }
    match element_count(&shape) == Some(count) {
        true => Ok(shape),
        false => Err(mismatch()),
    }
}

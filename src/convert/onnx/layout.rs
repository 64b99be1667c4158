//! Operators that move the numbers of an array without changing them.

use super::{
    axes,
    constants::{self, sliced_floats, transposed_floats},
    graph::Node,
    value::{Content, Data, Dim, Floats, Label, Value},
    walk::Walk,
};

impl Walk<'_> {
    /// The axes of `Squeeze` and `Unsqueeze`: an attribute, or from operator set 13 on an input.
    fn axes(&self, node: &Node) -> Result<Option<Vec<i64>>, String> {
        match (node.ints("axes"), self.optional(node, 1)?) {
            (Some(axes), None) => Ok(Some(axes.to_vec())),
            (None, None) => Ok(None),
            (_, Some(value)) => value.known_ints().map(Some).ok_or_else(|| "its axes are not constant".to_owned()),
        }
    }

    /// A constant with its values in another order.
    fn folded(
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
            Value::Floats(floats) => self.folded(&floats, |floats| transposed_floats(&floats.shape, &floats.values, perm)),
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
                let places = places.iter().map(|axis| axes::place(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
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

    pub(super) fn slice(&mut self, node: &Node) -> Result<Value, String> {
        let list = |name: &str, index: usize| match node.ints(name) {
            Some(values) => Ok(Some(values.to_vec())),
            None => match self.optional(node, index)? {
                None => Ok(None),
                Some(value) => {
                    value.known_ints().map(Some).ok_or_else(|| format!("{name} is not constant, expected constants"))
                }
            },
        };
        let starts = list("starts", 1)?.ok_or("starts is missing")?;
        let ends = list("ends", 2)?.ok_or("ends is missing")?;
        let count = starts.len() as i64;
        let places = list("axes", 3)?.unwrap_or_else(|| (0..count).collect());
        let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if let Some(step) = steps.iter().find(|step| **step != 1) {
            return Err(format!("found steps = {step}, expected 1"));
        }
        if ends.len() != starts.len() || places.len() != starts.len() {
            return Err("starts, ends and axes have different lengths".to_owned());
        }
        let mut value = self.required(node, 0)?.clone();
        for ((start, end), axis) in starts.into_iter().zip(ends).zip(places) {
            value = self.sliced(value, axis, start, end)?;
        }
        Ok(value)
    }

    /// A part of a value along one axis.
    fn sliced(&mut self, value: Value, axis: i64, start: i64, end: i64) -> Result<Value, String> {
        match value {
            Value::Data(data) => self.sliced_data(data, axis, start, end),
            Value::Floats(floats) => {
                let axis = axes::place(axis, floats.shape.len())?;
                let range = constants::range(floats.shape[axis], start, end);
                self.folded(&floats, |floats| Ok(sliced_floats(&floats.shape, &floats.values, axis, range)))
            }
            Value::Ints { dims, .. } => constants::sliced(&dims, start, end, 1).map(Value::list),
            Value::States(states) if axis == 0 => match &constants::sliced(&states, start, end, 1)?[..] {
                [state] => Ok(Value::Data(state.clone())),
                several => Ok(Value::States(several.to_vec())),
            },
            value @ (Value::Zeros | Value::Unknown) => Ok(value),
            other => Err(format!("found {}, expected an array", other.kind())),
        }
    }

    fn sliced_data(&mut self, data: Data, axis: i64, start: i64, end: i64) -> Result<Value, String> {
        let place = axes::place(axis, data.axes.len())?;
        let size = axes::size(&data.axes[place]);
        let is_all = start == 0 && (end >= i64::from(i32::MAX) || size.is_some_and(|size| end >= size as i64));
        if is_all {
            return Ok(Value::Data(data));
        }
        if let (Content::Input(input), 0, true) = (data.content, place, start.checked_add(1) == Some(end)) {
            return Ok(Value::InitialState { input, layer: usize::try_from(start).ok() });
        }
        let is_last = match size {
            Some(size) => constants::range(size, start, end) == (size.saturating_sub(1)..size),
            None => start == -1 && end >= i64::from(i32::MAX),
        };
        match is_last && self.is_steps(&data, place) {
            true => Ok(Value::Data(last_step(data, place, true))),
            false => Err(format!(
                "found a slice from {start} to {end} of {}, expected the last step",
                axes::described(&data.axes[place])
            )),
        }
    }

    /// Returns whether an axis of the outputs of all steps is the steps.
    fn is_steps(&self, data: &Data, place: usize) -> bool {
        let steps = self.roles.and_then(|[steps, _]| steps);
        let labels: Vec<Label> = data.axes[place].iter().map(|atom| atom.label).collect();
        // With lengths, the last step of a row is not the last one of the array.
        let is_last = steps.is_some() && labels[..] == *steps.as_slice() && !self.has_lengths;
        is_last && data.content == Content::EveryStep
    }

    pub(super) fn gather(&mut self, node: &Node) -> Result<Value, String> {
        let (array, index) = (self.required(node, 0)?.clone(), self.required(node, 1)?.clone());
        let axis = node.int("axis", 0);
        match (array, index) {
            (Value::Floats(table), Value::Data(ids)) if axis == 0 => self.embedding(node, &table, ids),
            (Value::Zeros, index) if index.is_constant() => Ok(Value::Zeros),
            (Value::Unknown, index) if index.is_constant() => Ok(Value::Unknown),
            (Value::Ints { dims, .. }, Value::Ints { dims: places, scalar }) => {
                let at = |place: &Dim| match place {
                    Dim::Known(place) => axes::place(*place, dims.len()).map(|place| dims[place].clone()),
                    _ => Ok(Dim::Unknown),
                };
                Ok(Value::Ints { dims: places.iter().map(at).collect::<Result<_, _>>()?, scalar })
            }
            (array, Value::Ints { dims, scalar }) => match dims[..] {
                [Dim::Known(index)] => self.item(array, axis, index, !scalar),
                _ => Err("its indices are not one constant".to_owned()),
            },
            (array, index) => Err(format!("found {} of {}, expected an embedding", index.kind(), array.kind())),
        }
    }

    /// One position along an axis.
    fn item(&mut self, array: Value, axis: i64, index: i64, keep_axis: bool) -> Result<Value, String> {
        match array {
            Value::States(states) if axis == 0 => {
                let state = states[axes::place(index, states.len())?].clone();
                let kept = if keep_axis { 0 } else { 1 };
                let axes = state.axes[kept.min(state.axes.len())..].to_vec();
                Ok(Value::Data(Data { axes, ..state }))
            }
            Value::Data(mut data) => {
                let place = axes::place(axis, data.axes.len())?;
                if let (Content::Input(input), 0) = (data.content, place) {
                    return Ok(Value::InitialState { input, layer: usize::try_from(index).ok() });
                }
                let size = axes::size(&data.axes[place]);
                let is_last = index == -1 || size.is_some_and(|size| index.checked_add(1) == Some(size as i64));
                if data.axes[place].is_empty() && matches!(index, 0 | -1) {
                    if !keep_axis {
                        data.axes.remove(place);
                    }
                    return Ok(Value::Data(data));
                }
                match is_last && self.is_steps(&data, place) {
                    true => Ok(Value::Data(last_step(data, place, keep_axis))),
                    false => Err(format!(
                        "found item {index} of {}, expected the last step",
                        axes::described(&data.axes[place])
                    )),
                }
            }
            other => Err(format!("found an item of {}, expected the last step", other.kind())),
        }
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
            let as_first: Vec<usize> = shape.iter().enumerate().map(|(i, size)| if i == axis { 0 } else { *size }).collect();
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

    pub(super) fn split(&mut self, node: &Node) -> Result<Vec<Value>, String> {
        let count = node.outputs.len();
        let sizes = match (node.ints("split"), self.optional(node, 1)?) {
            (Some(sizes), _) => Some(sizes.to_vec()),
            (None, Some(value)) => Some(value.known_ints().ok_or("its sizes are not constant")?),
            (None, None) => None,
        };
        let (value, axis) = (self.required(node, 0)?.clone(), node.int("axis", 0));
        let total = match &value {
            Value::Zeros => return Ok(vec![Value::Zeros; count]),
            Value::Unknown => return Ok(vec![Value::Unknown; count]),
            Value::Floats(floats) => floats.shape[axes::place(axis, floats.shape.len())?],
            Value::States(states) => states.len(),
            Value::Data(Data { content: Content::Input(_), .. }) => count,
            other => return Err(format!("found {}, expected constants or states", other.kind())),
        };
        let equal = total.div_ceil(count.max(1)) as i64;
        let sizes = sizes.unwrap_or_else(|| vec![equal; count]);
        let mut start = 0i64;
        let mut parts = Vec::new();
        for size in sizes.into_iter().take(count) {
            let end = start.checked_add(size).filter(|_| size > 0).ok_or("found an invalid size")?;
            parts.push(self.sliced(value.clone(), axis, start, end)?);
            start = end;
        }
        Ok(parts)
    }
}

/// The outputs of the last step.
fn last_step(mut data: Data, place: usize, keep_axis: bool) -> Data {
    match keep_axis {
        true => data.axes[place].clear(),
        false => drop(data.axes.remove(place)),
    }
    Data { content: Content::LastStep, ..data }
}

/// Joins the last states of layers.
fn joined_states(parts: &[Value]) -> Result<Value, String> {
    let is_state = |data: &Data| matches!(data.content, Content::LastStep | Content::State);
    let mut states = Vec::new();
    for part in parts {
        match part {
            Value::Data(data) if is_state(data) && data.axes.first().is_some_and(Vec::is_empty) => {
                states.push(data.clone());
            }
            Value::States(several) => states.extend(several.iter().cloned()),
            _ => return Err("it joins outputs of layers; expected constants, shapes, or last states".to_owned()),
        }
        if states.len() > 4096 {
            return Err("it joins more than 4096 states".to_owned());
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
    let known = |shape: &[usize]| shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if let Some(open) = sizes.iter().position(|size| *size == -1) {
        shape[open] = 1;
        let others = known(&shape).filter(|others| *others > 0).ok_or_else(mismatch)?;
        shape[open] = count / others;
    }
    match known(&shape) == Some(count) {
        true => Ok(shape),
        false => Err(mismatch()),
    }
}

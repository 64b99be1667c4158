//! Operators that take a part of an array: the last step, the state of a layer, or a part of a
//! constant.

use super::{
    axes,
    constants::{self, sliced_floats},
    graph::Node,
    value::{Content, Data, Dim, Label, Value},
    walk::Walk,
};

impl Walk<'_> {
    pub(super) fn slice(&mut self, node: &Node) -> Result<Value, String> {
        let list = |name: &str, index: usize| match node.ints(name) {
            Some(values) => Ok(Some(values.to_vec())),
            None => match self.optional(node, index)? {
                None => Ok(None),
                Some(value) => value
                    .known_ints()
                    .map(Some)
                    .ok_or_else(|| format!("{name} is not constant, expected constants")),
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
            Value::Ints { dims, .. } => Ok(Value::list(constants::sliced(&dims, start, end))),
            Value::States(states) if axis == 0 => match &constants::sliced(&states, start, end)[..] {
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
        let is_all =
            start == 0 && (end >= i64::from(i32::MAX) || size.is_some_and(|size| end >= size as i64));
        if is_all {
            return Ok(Value::Data(data));
        }
        let first = usize::try_from(start).unwrap_or(usize::MAX);
        if self.is_direction(&data, place, first) && start.checked_add(1) == Some(end) {
            return Ok(Value::Data(one_direction(data, place, first, true)));
        }
        // One part of a state for each direction.
        let parts = end.checked_sub(start).filter(|parts| matches!(parts, 1 | 2));
        if let (Content::Input(input), 0, Some(parts)) = (data.content, place, parts) {
            return Ok(Value::InitialState { input, layer: usize::try_from(start / parts).ok() });
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

    /// Returns whether an axis of the outputs of all steps is the directions, and has this one.
    fn is_direction(&self, data: &Data, place: usize, direction: usize) -> bool {
        let is_axis = matches!(data.axes[place][..], [atom] if atom.label == Label::Direction);
        is_axis && direction < 2 && data.content == Content::EveryStep
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
            (Value::Floats(table), Value::Data(ids)) if axis == 0 => self.embedding(&table, ids),
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
            (array, index) => {
                Err(format!("found {} of {}, expected an embedding", index.kind(), array.kind()))
            }
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
                let is_last =
                    index == -1 || size.is_some_and(|size| index.checked_add(1) == Some(size as i64));
                if data.axes[place].is_empty() && matches!(index, 0 | -1) {
                    if !keep_axis {
                        data.axes.remove(place);
                    }
                    return Ok(Value::Data(data));
                }
                if let Some(direction) =
                    usize::try_from(index).ok().filter(|at| self.is_direction(&data, place, *at))
                {
                    return Ok(Value::Data(one_direction(data, place, direction, keep_axis)));
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

/// The outputs of one direction.
fn one_direction(data: Data, place: usize, direction: usize, keep_axis: bool) -> Data {
    Data { content: Content::OneDirection(direction), ..last_step(data, place, keep_axis) }
}

/// The outputs of the last step.
fn last_step(mut data: Data, place: usize, keep_axis: bool) -> Data {
    match keep_axis {
        true => data.axes[place].clear(),
        false => drop(data.axes.remove(place)),
    }
    Data { content: Content::LastStep, ..data }
}

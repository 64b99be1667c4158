//! Recurrent states as arrays [L D, B, H].

use crate::arrays::{Array, Floats, array};
use crate::shape::Shape;
use pyo3::prelude::*;
use unrolled::exec::{LayerState, State};

/// The arrays h and c of a state. Only an LSTM has c.
pub type StateArrays<'py> = (Array<'py>, Option<Array<'py>>);

/// The arguments h and c of a state.
pub type StateArguments<'py> = (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// Reads a state of `rows` rows; zeros for a part that is `None`. `names` are those of the
/// arguments. Without rows in the shape of arrays (`is_batched` is false) they are [L D, H].
pub fn read(
    shape: &Shape,
    (rows, is_batched): (usize, bool),
    names: [&str; 2],
    (h, c): StateArguments<'_>,
) -> PyResult<State> {
    let mut state = zero(shape, rows);
    let widths = [shape.state_size(), shape.hidden_size];
    for (part, object) in [h, c].into_iter().enumerate() {
        let Some(values) = object.map(|object| Floats::of(names[part], &object)).transpose()? else {
            continue;
        };
        values.check_shape(names[part], &dimensions(shape, (rows, is_batched), widths[part]))?;
        let count = rows * widths[part];
        for (layer, values) in state.layers.iter_mut().zip(values.values().chunks_exact(count.max(1))) {
            let to = if part == 0 { &mut layer.h } else { &mut layer.c };
            to.clear();
            to.extend_from_slice(values);
        }
    }
    Ok(state)
}

/// The zero state of `rows` rows.
pub fn zero(shape: &Shape, rows: usize) -> State {
    let c = if shape.has_cell_state() { rows * shape.hidden_size } else { 0 };
    let layer = LayerState { h: vec![0.0; rows * shape.state_size()], c: vec![0.0; c] };
    State { rows, layers: vec![layer; shape.parts()] }
}

/// Returns the arrays of a state.
pub fn arrays<'py>(
    py: Python<'py>,
    shape: &Shape,
    is_batched: bool,
    state: &State,
) -> PyResult<StateArrays<'py>> {
    let rows = state.rows;
    let h =
        array(py, &dimensions(shape, (rows, is_batched), shape.state_size()), join(state, |layer| &layer.h))?;
    if !shape.has_cell_state() {
        return Ok((h, None));
    }
    let c =
        array(py, &dimensions(shape, (rows, is_batched), shape.hidden_size), join(state, |layer| &layer.c))?;
    Ok((h, Some(c)))
}

/// Returns one part of all layers.
fn join(state: &State, part: fn(&LayerState) -> &[f32]) -> Vec<f32> {
    let mut values = Vec::with_capacity(state.layers.iter().map(|layer| part(layer).len()).sum());
    state.layers.iter().for_each(|layer| values.extend_from_slice(part(layer)));
    values
}

fn dimensions(shape: &Shape, (rows, is_batched): (usize, bool), width: usize) -> Vec<usize> {
    match is_batched {
        true => vec![shape.parts(), rows, width],
        false => vec![shape.parts(), width],
    }
}

//! States as floats: h and c of each layer.

use crate::arrays::Output;
use unrolled::exec::State;
use unrolled::model::ModelConfig;

/// Returns the number of floats of one row.
pub(crate) fn width(config: &ModelConfig) -> usize {
    State::zero(config, 1).layers.iter().map(|layer| layer.h.len() + layer.c.len()).sum()
}

/// Copies floats to a state of their number.
pub(crate) fn read(mut floats: &[f32], state: &mut State) {
    for values in state.layers.iter_mut().flat_map(|layer| [&mut layer.h, &mut layer.c]) {
        let (own, rest) = floats.split_at(values.len());
        values.copy_from_slice(own);
        floats = rest;
    }
}

/// Returns a state with the values of an array.
pub(crate) fn given(config: &ModelConfig, rows: usize, floats: &[f32]) -> State {
    let mut state = State::zero(config, rows);
    read(floats, &mut state);
    state
}

/// Copies a state to an array.
pub(crate) fn write(state: &State, to: Output) {
    let parts = state.layers.iter().flat_map(|layer| [&layer.h[..], &layer.c[..]]);
    to.write(&parts.collect::<Vec<_>>().concat());
}

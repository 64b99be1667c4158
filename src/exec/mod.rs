//! How a model runs.
use crate::model::Model;

/// The state of some batch rows, a value of its own: save it, clone it to fork, reset one row.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// One vector of tensors per layer: `h` [B, H], and for an LSTM `c` [B, H], row-major.
    pub layers: Vec<LayerState>,
    /// Rows B.
    pub rows: usize,
}
/// One layer's part of a [`State`].
#[derive(Clone, Debug, PartialEq)]
pub struct LayerState {
    /// Hidden [B, H].
    pub h: Vec<f32>,
    /// Cell [B, H]; empty but for an LSTM.
    pub c: Vec<f32>,
}

/// Runs a model one symbol at a time, without allocating.
#[derive(Clone, Debug)]
pub struct Stream<'m> {
    _model: &'m Model,
}
impl<'m> Stream<'m> {
    /// From the zero state.
    pub fn new(_model: &'m Model) -> Self {
        unimplemented!()
    }
    /// Feeds one symbol and gives the logits [V] of the next. Panics when `id >= V`.
    pub fn step(&mut self, _id: u32) -> &[f32] {
        unimplemented!()
    }
    /// A copy of the state.
    pub fn state(&self) -> State {
        unimplemented!()
    }
    /// Continues from a state of one row.
    pub fn set_state(&mut self, _state: &State) -> crate::Result<()> {
        unimplemented!()
    }
}

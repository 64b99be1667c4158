//! The recurrent state as a value of its own: save it, clone it to fork, reset one row.

use crate::model::ModelConfig;
use crate::{Error, Result};

/// The state of some batch rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Rows B.
    pub rows: usize,
    /// One part per layer.
    pub layers: Vec<LayerState>,
}

/// One layer's part of a [`State`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerState {
    /// Hidden [B, H], row-major.
    pub h: Vec<f32>,
    /// Cell [B, H], row-major; empty but for an LSTM.
    pub c: Vec<f32>,
}

impl State {
    /// All zero.
    pub fn zero(config: &ModelConfig, rows: usize) -> Self {
        let h = vec![0.0; rows * config.hidden];
        let c = if config.has_cell_state() { h.clone() } else { Vec::new() };
        Self { rows, layers: vec![LayerState { h, c }; config.layers] }
    }

    /// Sets one row to zero.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn reset_row(&mut self, row: usize) {
        assert!(row < self.rows, "row {row} of a state of {} rows", self.rows);
        for values in self.layers.iter_mut().flat_map(|layer| [&mut layer.h, &mut layer.c]) {
            let width = values.len() / self.rows;
            values[row * width..][..width].fill(0.0);
        }
    }

    /// Takes another shape; allocates only what its parts lack.
    pub(crate) fn reshape(&mut self, layers: usize, rows: usize, hidden: usize, cell: bool) {
        self.rows = rows;
        self.layers.resize_with(layers, LayerState::default);
        for layer in &mut self.layers {
            layer.h.resize(rows * hidden, 0.0);
            layer.c.resize(if cell { rows * hidden } else { 0 }, 0.0);
        }
    }

    /// Becomes a copy of `other`; allocates only what its parts lack.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.rows = other.rows;
        self.layers.resize_with(other.layers.len(), LayerState::default);
        for (to, from) in self.layers.iter_mut().zip(&other.layers) {
            to.h.clone_from(&from.h);
            to.c.clone_from(&from.c);
        }
    }

    /// Whether this is a state of `rows` rows of that model.
    pub(crate) fn check(&self, config: &ModelConfig, rows: usize) -> Result<()> {
        let h = rows.checked_mul(config.hidden);
        let c = if config.has_cell_state() { h } else { Some(0) };
        let fits = |layer: &LayerState| Some(layer.h.len()) == h && Some(layer.c.len()) == c;
        if self.rows == rows && self.layers.len() == config.layers && self.layers.iter().all(fits) {
            return Ok(());
        }
        let odd = self.layers.iter().find(|layer| !fits(layer)).or(self.layers.first());
        let found = odd.map_or((0, 0), |layer| (layer.h.len(), layer.c.len()));
        Err(Error::StateShape {
            found: sizes(self.rows, self.layers.len(), found),
            expected: sizes(rows, config.layers, (h.unwrap_or(usize::MAX), c.unwrap_or(usize::MAX))),
        })
    }
}

/// A state's shape in words.
fn sizes(rows: usize, layers: usize, (h, c): (usize, usize)) -> String {
    format!("{rows} rows and {layers} layers, h of {h} and c of {c} values")
}

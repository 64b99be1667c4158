//! The recurrent state as a separate value, which can be saved, cloned, and reset row by row.

use crate::model::{LayerDirection, ModelConfig};
use crate::parallel::Threads;
use crate::{Error, Result};

/// The recurrent state of B batch rows: h of each layer, and c of LSTM layers. A bidirectional layer
/// has two parts, its forward direction first; the state of its reverse direction after a window is
/// that after step 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Rows B.
    pub rows: usize,
    /// One part for each layer, or for each direction of a bidirectional layer, in the order of
    /// [`ModelConfig::directions`] (and of PyTorch's `h_n`).
    pub layers: Vec<LayerState>,
}

/// One layer's part of a [`State`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerState {
    /// Hidden state h [B, H], row-major.
    pub h: Vec<f32>,
    /// Cell state c [B, H], row-major; empty except for an LSTM.
    pub c: Vec<f32>,
}

impl State {
    /// The zero state of `rows` rows.
    pub fn zero(config: &ModelConfig, rows: usize) -> Self {
        let mut state = Self::default();
        state.take_shape(config, rows);
        state
    }

    /// Becomes zero, of the shape of a model's state.
    pub(crate) fn take_shape(&mut self, config: &ModelConfig, rows: usize) {
        let widths = config.directions().map(|direction| config.state_size(direction.layer));
        self.reshape(rows, widths);
        for layer in &mut self.layers {
            layer.h.fill(0.0);
            layer.c.fill(0.0);
        }
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

    /// Takes another shape, for parts of `widths` of h and c; allocates only what they lack.
    pub(crate) fn reshape(&mut self, rows: usize, widths: impl Iterator<Item = [usize; 2]> + Clone) {
        self.rows = rows;
        self.layers.resize_with(widths.clone().count(), LayerState::default);
        for (layer, [h, c]) in self.layers.iter_mut().zip(widths) {
            layer.h.resize(rows * h, 0.0);
            layer.c.resize(rows * c, 0.0);
        }
    }

    /// Calls `write` with the layer, the part (0: h, 1: c), the row and the values of each row of
    /// each part. Threads divide the rows.
    pub(crate) fn write_rows(
        &mut self,
        threads: &Threads,
        write: &(impl Fn(usize, usize, usize, &mut [f32]) + Sync),
    ) {
        let rows = self.rows;
        let part = |layer: usize, part: usize, values: &mut [f32]| {
            let width = values.len() / rows.max(1);
            threads.rows(values, width, &|row, values| write(layer, part, row, values));
        };
        threads.chunks(&mut self.layers, 1, &|l, layers| {
            for LayerState { h, c } in layers {
                threads.join(|| part(l, 0, h), || part(l, 1, c));
            }
        });
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
        let sizes_of = |direction: LayerDirection| {
            config.state_size(direction.layer).map(|width| rows.checked_mul(width))
        };
        let fits = |(layer, direction): (&LayerState, LayerDirection)| {
            let [h, c] = sizes_of(direction);
            Some(layer.h.len()) == h && Some(layer.c.len()) == c
        };
        let (layers, parts) = (config.direction_count(), || self.layers.iter().zip(config.directions()));
        if self.rows == rows && self.layers.len() == layers && parts().all(fits) {
            return Ok(());
        }
        let odd = parts().position(|part| !fits(part)).unwrap_or(0);
        let found = self.layers.get(odd).map_or((0, 0), |layer| (layer.h.len(), layer.c.len()));
        let expected = config.directions().nth(odd).map_or([Some(0); 2], sizes_of);
        let [h, c] = expected.map(|size| size.unwrap_or(usize::MAX));
        Err(Error::StateShape {
            found: sizes(self.rows, self.layers.len(), found),
            expected: sizes(rows, layers, (h, c)),
        })
    }
}

/// A state's shape in words.
fn sizes(rows: usize, layers: usize, (h, c): (usize, usize)) -> String {
    format!("{rows} rows and {layers} layers, h of {h} and c of {c} values")
}

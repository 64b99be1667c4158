//! Sizes of the buffers of one layer.

use crate::{Cell, Layer, Reset};

/// Rounds up to a multiple of 16.
pub(super) fn padded(units: f64) -> f64 {
    (units / 16.0).ceil() * 16.0
}

/// The use of a window.
#[derive(Clone, Copy)]
pub(super) struct WindowUse {
    /// True if all activations are kept for the backward pass.
    pub(super) backward: bool,
    /// True if dropout masks are drawn.
    pub(super) dropout: bool,
}

impl WindowUse {
    pub(super) const INFERENCE: Self = Self { backward: false, dropout: false };
}

/// Returns the gate vectors of a stored row. A GRU with the reset gate after the recurrent product
/// also stores the product.
pub(super) fn slots(layer: &Layer) -> f64 {
    let apart = layer.cell == Cell::Gru && layer.reset == Reset::After && layer.custom.is_none();
    layer.gates() as f64 + if apart { 1.0 } else { 0.0 }
}

/// Sizes of one layer.
pub(super) struct LayerSizes<'a> {
    layer: &'a Layer,
    gates: f64,
    hidden: f64,
    state: f64,
    cell: f64,
    inputs: f64,
    outputs: f64,
    /// True if the layer reads rows of the input table.
    gathered: bool,
    /// Rows of the highway gates.
    mixed: f64,
    /// Floats of a custom cell's variables.
    variables: f64,
}

impl<'a> LayerSizes<'a> {
    pub(super) fn new(layer: &'a Layer, inputs: usize, gathered: bool) -> Self {
        let custom = layer.custom.as_ref().and_then(|custom| custom.cell());
        let size = |shape: Vec<usize>| shape.into_iter().map(|n| n as f64).product::<f64>();
        let variables = custom.map(|cell| cell.variables(inputs)).unwrap_or_default();
        let [state, cell] = layer.state_size().map(|width| width as f64);
        Self {
            gates: layer.gates() as f64,
            hidden: layer.hidden as f64,
            outputs: layer.direction_size() as f64,
            mixed: layer.highway.gates() as f64 * inputs as f64,
            variables: variables.into_iter().map(|variable| size(variable.shape)).sum(),
            inputs: inputs as f64,
            state,
            cell,
            gathered,
            layer,
        }
    }

    /// Returns the floats of the packed weights of all directions, for the forward and the backward
    /// pass, if a weight takes `share` of a float. A custom cell has copies of its variables, and of
    /// their gradient.
    pub(super) fn packed(&self, embedding: f64, share: f64) -> [f64; 2] {
        let packed = |weights| self.layer.directions() as f64 * (share * weights + self.variables);
        self.packed_weights(embedding).map(packed)
    }

    /// Returns the packed weights of one direction.
    fn packed_weights(&self, embedding: f64) -> [f64; 2] {
        let Self { gates, hidden, state, inputs, mixed, .. } = *self;
        let depth = if self.gathered { embedding } else { inputs };
        let read = if self.layer.custom.is_some() { 0.0 } else { depth };
        let projection = self.layer.projection.unwrap_or(0) as f64;
        let forward =
            padded(hidden) * gates * (read + state) + padded(projection) * hidden + padded(mixed) * inputs;
        let back = gates * hidden * (padded(read) + padded(state))
            + padded(hidden) * projection
            + padded(inputs) * mixed;
        [forward, back]
    }

    /// Returns the floats of a window, as `exec` allocates them. A bidirectional layer also has its
    /// inputs in reverse order, and the outputs of both directions side by side.
    pub(super) fn window(&self, steps: f64, rows: f64, uses: WindowUse) -> f64 {
        let direction = self.window_of_direction(steps, rows, uses);
        match self.layer.bidirectional {
            true => 2.0 * direction + steps * rows * (padded(self.inputs) + padded(2.0 * self.outputs)),
            false => direction,
        }
    }

    /// Returns the floats of a direction: the buffers of the cell, and of dropout, zoneout, residual
    /// and highway connections.
    fn window_of_direction(&self, steps: f64, rows: f64, uses: WindowUse) -> f64 {
        let tokens = steps * rows;
        let kept = if uses.backward { tokens } else { rows };
        (rows + tokens) * padded(self.state)
            + if uses.backward { rows + tokens } else { rows } * padded(self.cell)
            + kept * self.cell_vectors(uses.backward)
            + rows * 2.0 * padded(self.hidden)
            + tokens * self.around(uses)
    }

    /// Returns the floats of a token in the cell's buffers, without h and c.
    fn cell_vectors(&self, backward: bool) -> f64 {
        let (layer, h) = (self.layer, padded(self.hidden));
        if let Some(cell) = layer.custom.as_ref().and_then(|custom| custom.cell()) {
            return cell.kept_size(self.inputs as usize) as f64;
        }
        let before = layer.cell == Cell::Gru && layer.reset == Reset::Before;
        let extra = if layer.cell == Cell::Lstm || before { h } else { 0.0 };
        if !layer.is_extended() {
            return slots(layer) * h + extra;
        }
        let terms = match (layer.peepholes, layer.layer_norm) {
            (true, _) => (if layer.coupled { 2.0 } else { 3.0 }) * h,
            (_, true) => 10.0 * h,
            _ => 0.0,
        };
        let norm = if layer.layer_norm { 5.0 * h + 16.0 } else { 0.0 };
        let back = if backward { terms + padded(self.state) } else { 0.0 };
        slots(layer) * h + extra + h + norm + back
    }

    /// Returns the floats of a token for dropout, zoneout, residual and highway connections.
    fn around(&self, WindowUse { backward, dropout }: WindowUse) -> f64 {
        let (layer, [state, cell, inputs, outputs]) =
            (self.layer, [self.state, self.cell, self.inputs, self.outputs].map(padded));
        let dropped = |share: f32| dropout && share < 1.0;
        let apart = layer.custom.is_some() || layer.zones_out() || dropped(layer.state_keep_prob);
        // Values before the mask, which the backward pass needs.
        let raw = apart && layer.custom.is_none() && backward;
        let drops_cell = layer.drop_cell_state && dropped(layer.state_keep_prob);
        let mixes = self.mixed > 0.0;
        let parts = [
            (apart, outputs),
            (raw, state),
            (raw && (layer.zoneout_cell > 0.0 || drops_cell), cell),
            (dropped(layer.input_keep_prob), 2.0 * inputs),
            (dropout, outputs),
            (dropped(layer.state_keep_prob), state),
            (drops_cell, cell),
            (layer.zoneout > 0.0, state),
            (layer.zoneout_cell > 0.0, cell),
            (dropout || layer.residual || mixes, outputs),
            (mixes, padded(self.mixed)),
            (backward && (layer.residual || mixes), inputs),
        ];
        parts.into_iter().filter(|(used, _)| *used).map(|(_, floats)| floats).sum()
    }
}

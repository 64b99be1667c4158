//! One layer of a shard: its cell, dropout, zoneout, and a residual or highway connection.
//!
//! ```text
//! x' = mask_in x            y = cell(x')            y' = mask_out y
//! out = y'     or, residual, y' + x     or, highway, carry x + transform y'
//! ```
//!
//! 1. A plain cell runs all steps of the window in one kernel call. A layer whose state changes
//!    between two steps (`step_by_step.rs`) and a custom cell (`custom_cell.rs`) run one step at a
//!    time.
//! 2. `skip_connection.rs` has the residual and highway connections, `masks.rs` the dropout masks.
//! 3. Each direction of a bidirectional layer runs as a layer of its own (`both_directions.rs`).
//! 4. Options that are not used allocate nothing and take no time.

mod activations;
mod both_directions;
mod crew;
mod custom_cell;
mod skip_connection;
mod step_by_step;

pub(crate) use activations::{LayerActivations, LayerContext, LayerInput};
pub(crate) use both_directions::{
    BothDirections, MirroredTokens, add_reverse, forward_gradient, outputs_of, reverse_gradient,
};

use super::weights::{GatedWeights, LayerKind};
use crate::exec::masks::{Mask, Site};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;
use unrolled_kernels::{DenseInput, Input};

impl LayerActivations {
    /// Runs a window forward, from the state at the start of the buffers.
    pub(crate) fn forward(&mut self, at: LayerContext<'_>, below: LayerInput<'_>) {
        let _clock = at.clock_alone();
        if let (true, None, LayerKind::Gated(gated)) = (at.weights.is_bare, at.dropping, &at.weights.kind) {
            self.shares = [None; Site::COUNT];
            return self.forward_window(at, gated, below);
        }
        self.custom.note(&at.weights.layer);
        self.draw(at, matches!(below, LayerInput::Table { .. }));
        if let (LayerInput::Dense(x), Some(_)) = (below, self.share(Site::Input)) {
            at.multiply(x, &self.masks[Site::Input as usize], &mut self.masked);
        }
        let masked = std::mem::take(&mut self.masked);
        let read = match below {
            LayerInput::Dense(_) if self.share(Site::Input).is_some() => LayerInput::Dense(&masked),
            below => below,
        };
        match &at.weights.kind {
            LayerKind::Gated(gated) if self.changes_state() => {
                self.forward_stepped(at.isa, gated, gated.input(at, read))
            }
            LayerKind::Gated(gated) => self.forward_window(at, gated, read),
            LayerKind::Custom(variables) => self.forward_custom(at, variables, read),
        }
        self.masked = masked;
        if let (true, below) = (self.finishes(), below) {
            self.finish(at, below);
        }
    }

    /// Runs all steps of a layer whose state nothing changes between two steps.
    fn forward_window(&mut self, at: LayerContext<'_>, gated: &GatedWeights, below: LayerInput<'_>) {
        let crew = at.crew(self.buffers.seats.len(), self.buffers.window().tokens());
        gated.cell.forward(crew, &gated.weights(), gated.input(at, below), self.buffers.view());
    }

    /// Draws the masks of the window. Rows of an input table are already masked.
    fn draw(&mut self, at: LayerContext<'_>, gathered: bool) {
        let layer = &at.weights.layer;
        let [state, cell] = layer.state_size();
        let window = self.buffers.window();
        let sites = [
            (Site::Output, at.weights.outputs),
            (Site::Input, at.weights.inputs),
            (Site::State, state),
            (Site::CellState, cell),
            (Site::Zoneout, state),
            (Site::ZoneoutCell, cell),
        ];
        for (site, width) in sites {
            let masked = gathered && site == Site::Input;
            let share = layer.share(site, at.dropping).filter(|_| !masked);
            self.shares[site as usize] = share;
            let Some(share) = share else { continue };
            let (variational, seed, dropping) = (layer.variational, layer.dropout_seed, at.dropping);
            let mask = Mask { layer: at.index, site, share, width, variational, seed, dropping };
            let active = |t| window.active(t);
            mask.fill(window.steps, &active, (at.rows, at.threads), &mut self.masks[site as usize]);
        }
    }

    /// Computes the outputs of the layer from those of its cell.
    fn finish(&mut self, at: LayerContext<'_>, below: LayerInput<'_>) {
        let mut finished = std::mem::take(&mut self.finished);
        match self.share(Site::Output) {
            Some(_) => at.multiply(self.cell_outputs(), &self.masks[Site::Output as usize], &mut finished),
            None => finished.copy_from_slice(self.cell_outputs()),
        }
        if let LayerInput::Dense(x) = below {
            if at.weights.layer.residual {
                at.add(&mut finished, x);
            }
            if at.weights.highway.is_some() {
                self.add_highway(at, x, &mut finished);
            }
        }
        self.finished = finished;
    }

    /// Runs a window backward. Takes the gradient `dy` [N, padded(P)] of the layer's outputs and
    /// turns it into that of its cell's outputs; leaves the deltas. Writes the gradient `dx` [N,
    /// padded(E)] of the layer's inputs, unless `dx` is empty.
    pub(crate) fn backward(
        &mut self,
        at: LayerContext<'_>,
        below: LayerInput<'_>,
        dy: &mut [f32],
        dx: &mut [f32],
    ) {
        let _clock = at.clock_alone();
        if let LayerInput::Dense(x) = below {
            self.split_gradient(at, x, dy);
        }
        if self.share(Site::Output).is_some() {
            at.scale(dy, &self.masks[Site::Output as usize]);
        }
        match &at.weights.kind {
            LayerKind::Gated(gated) if self.changes_state() => self.backward_stepped(at.isa, gated, dy),
            LayerKind::Gated(gated) => {
                self.start_carry(dy);
                let crew = at.crew(self.buffers.seats.len(), self.buffers.window().tokens());
                gated.cell.backward(crew, &gated.weights(), dy, self.buffers.view());
            }
            LayerKind::Custom(variables) => {
                let masked = std::mem::take(&mut self.masked);
                let read = match below {
                    LayerInput::Dense(_) if self.share(Site::Input).is_some() => LayerInput::Dense(&masked),
                    below => below,
                };
                self.backward_custom(at, variables, read, dy, dx);
                self.masked = masked;
            }
        }
        if dx.is_empty() {
            return;
        }
        if let LayerKind::Gated(gated) = &at.weights.kind {
            gated.input_gradient(at, &self.buffers.gates, dx);
        }
        if self.share(Site::Input).is_some() {
            at.scale(dx, &self.masks[Site::Input as usize]);
        }
        if !self.skip.is_empty() {
            at.add(dx, &self.skip);
        }
    }

    /// Adds the gradient of the last state: of h to `dy`, of c to the gradient that the cell
    /// carries.
    fn start_carry(&mut self, dy: &mut [f32]) {
        let (cell, vector) = (self.buffers.has_cell(), padded(self.buffers.sizes.state));
        self.buffers.carry.fill(0.0);
        let steps = &self.steps;
        if steps.d_last[0].is_empty() {
            return;
        }
        let batch = self.buffers.window.rows;
        for (rows, place) in self.buffers.states(false) {
            for row in rows.filter(|_| place >= batch) {
                let to = &mut dy[(place - batch + row) * vector..][..vector];
                to.iter_mut().zip(&steps.d_last[0][row * vector..]).for_each(|(to, from)| *to += from);
            }
        }
        if cell {
            self.buffers.carry.copy_from_slice(&steps.d_last[1]);
        }
    }
}

impl GatedWeights {
    /// The input of the cell's kernels.
    fn input<'a>(&'a self, at: LayerContext<'a>, below: LayerInput<'a>) -> Input<'a> {
        match below {
            LayerInput::Table { rows, ids } => Input { start: rows, ids: Some(ids), dense: None },
            LayerInput::Dense(values) => {
                let width = at.weights.inputs;
                let second = self.input.get(1).map_or(&[][..], |second| &**second);
                let dense =
                    DenseInput { values, stride: padded(width), width, weights: &self.input[0], second };
                Input { start: &self.bias, ids: None, dense: Some(dense) }
            }
        }
    }

    /// Computes the gradient of the layer's inputs from the deltas of a window.
    fn input_gradient(&self, at: LayerContext<'_>, deltas: &[f32], dx: &mut [f32]) {
        let (stored, width) = (self.input_slots.width(), self.input_units.out_width());
        at.rows(dx, width, &|first, dx| {
            let product = Affine {
                rows: dx.len() / width,
                x: &deltas[first * stored..],
                x_stride: stored,
                pieces: &self.input_pieces,
                panels: &self.input_units,
                weights: &self.input_t,
                start: Start::Zero,
                out: dx,
            };
            product.run_on(at.isa);
        });
    }
}

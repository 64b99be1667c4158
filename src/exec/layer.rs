//! One layer of a shard: its cell, and what is wrapped around it (dropout, zoneout, residual and highway connections).
//!
//! ```text
//! x' = mask_in x            y = cell(x')            y' = mask_out y
//! out = y'     or, residual, y' + x     or, highway, carry x + transform y'
//! ```
//!
//! 1. A plain cell runs all steps of the window in one kernel call. Where something happens to the state between two steps
//!    (`stepped.rs`), and for cells of the user's own (`custom.rs`), it runs step by step.
//!    The way around the cell is in `around.rs`.
//! 2. What is not asked for has no buffers and costs nothing.

use super::custom::Custom;
use super::masks::{Dropping, Mask, Rows, Site};
use super::weights::{Gated, Kind, LayerWeights};
use crate::model::cell::{Buffers, resize};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::masks::multiply;
use unrolled_kernels::pack::padded;
use unrolled_kernels::{DenseInput, Input, Isa, WindowShape};

/// One layer's activations for some rows.
#[derive(Clone, Debug)]
pub(crate) struct LayerRun {
    pub(crate) buffers: Buffers,
    /// What the layer reads, masked [N, padded(E)].
    masked: Vec<f32>,
    /// What its cell gave, where that is not h: [N, padded(P)].
    pub(super) given: Vec<f32>,
    /// What the layer gives, where that is not what its cell gave: [N, padded(P)].
    finished: Vec<f32>,
    /// For each site, [N, padded(width)].
    pub(super) masks: [Vec<f32>; Site::COUNT],
    /// What is kept at each site in the pass at hand.
    pub(super) shares: [Option<f32>; Site::COUNT],
    /// Highway gates, then their deltas [N, padded(gates E)].
    pub(super) mix: Vec<f32>,
    /// The gradient that goes around the cell [N, padded(E)].
    pub(super) skip: Vec<f32>,
    pub(super) stepped: super::stepped::Stepped,
    pub(super) custom: Custom,
}

/// What a layer's pass needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) isa: Isa,
    /// The layer's number.
    pub(crate) number: usize,
    pub(crate) weights: &'a LayerWeights,
    pub(crate) rows: Rows<'a>,
    pub(crate) dropping: Option<Dropping<'a>>,
}

/// What a layer reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Below<'a> {
    /// Rows of the input table.
    Table { rows: &'a [f32], ids: &'a [u32] },
    /// Vectors [N, padded(E)].
    Dense(&'a [f32]),
}

impl LayerRun {
    pub(crate) fn new(weights: &LayerWeights, keep: bool) -> Self {
        let window = WindowShape { steps: 0, rows: 0, hidden: weights.sizes.hidden, keep, active: &[] };
        Self {
            buffers: Buffers::new(weights.sizes, window),
            masked: Vec::new(),
            given: Vec::new(),
            finished: Vec::new(),
            masks: Default::default(),
            shares: [None; Site::COUNT],
            mix: Vec::new(),
            skip: Vec::new(),
            stepped: Default::default(),
            custom: Custom::default(),
        }
    }

    /// Takes the sizes of another window; `drops` says whether its passes may drop activations.
    pub(crate) fn resize(&mut self, weights: &LayerWeights, window: WindowShape<'_>, drops: bool) {
        self.buffers.resize(WindowShape { hidden: weights.sizes.hidden, ..window });
        let (tokens, most) = (window.tokens(), window.steps * window.rows);
        let fit = |values: &mut Vec<f32>, used: bool, width: usize| {
            if used {
                resize(values, tokens * padded(width), most * padded(width));
            }
        };
        let (layer, inputs, outputs) = (&weights.layer, weights.inputs, weights.outputs);
        let kept = |share: f32| drops && share < 1.0;
        let [state, cell] = layer.state_size();
        let custom = layer.custom.is_some();
        let apart = custom || layer.zones_out() || kept(layer.state_keep_prob);
        fit(&mut self.given, apart, outputs);
        let raw = apart && !custom && window.keep;
        fit(&mut self.stepped.raw[0], raw, state);
        let changes_cell = layer.zoneout_cell > 0.0 || (layer.drop_cell_state && kept(layer.state_keep_prob));
        fit(&mut self.stepped.raw[1], raw && changes_cell, cell);
        fit(&mut self.masked, kept(layer.input_keep_prob), inputs);
        fit(&mut self.masks[Site::Input as usize], kept(layer.input_keep_prob), inputs);
        fit(&mut self.masks[Site::Output as usize], drops, outputs);
        fit(&mut self.masks[Site::State as usize], kept(layer.state_keep_prob), state);
        let drops_cell = layer.drop_cell_state && kept(layer.state_keep_prob);
        fit(&mut self.masks[Site::CellState as usize], drops_cell, cell);
        fit(&mut self.masks[Site::Zoneout as usize], layer.zoneout > 0.0, state);
        fit(&mut self.masks[Site::ZoneoutCell as usize], layer.zoneout_cell > 0.0, cell);
        let mixed = layer.highway.gates() * inputs;
        fit(&mut self.finished, drops || layer.residual || mixed > 0, outputs);
        fit(&mut self.mix, mixed > 0, mixed);
        fit(&mut self.skip, window.keep && (layer.residual || mixed > 0), inputs);
    }

    /// What the layer gives [N, padded(P)].
    pub(crate) fn outputs(&self) -> &[f32] {
        if self.finishes() { &self.finished } else { self.cell_outputs() }
    }

    /// What its cell gave [N, padded(P)].
    pub(super) fn cell_outputs(&self) -> &[f32] {
        if self.is_apart() { &self.given } else { self.buffers.outputs() }
    }

    /// Deltas of the highway gates, after a backward pass.
    pub(crate) fn mix(&self) -> &[f32] {
        &self.mix
    }

    pub(super) fn share(&self, site: Site) -> Option<f32> {
        self.shares[site as usize]
    }

    /// Whether what the cell gave is not what the next step starts from.
    fn is_apart(&self) -> bool {
        self.custom.is_custom() || self.changes_state()
    }

    /// Whether something happens to the state between two steps.
    pub(super) fn changes_state(&self) -> bool {
        let sites = [Site::State, Site::CellState, Site::Zoneout, Site::ZoneoutCell];
        sites.into_iter().any(|site| self.share(site).is_some())
    }

    fn finishes(&self) -> bool {
        self.share(Site::Output).is_some() || !self.mix.is_empty() || self.custom.is_residual()
    }

    /// What the layer multiplies: its inputs, masked where they are dropped. For gradients of weights.
    pub(crate) fn multiplied<'a>(&'a self, below: &'a [f32]) -> &'a [f32] {
        if self.share(Site::Input).is_some() { &self.masked } else { below }
    }

    /// A window forward, from the state that the buffers start with.
    pub(crate) fn forward(&mut self, at: At<'_>, below: Below<'_>) {
        if let (true, None, Kind::Gated(gated)) = (at.weights.is_bare, at.dropping, &at.weights.kind) {
            self.shares = [None; Site::COUNT];
            let input = gated.input(at, below);
            return gated.cell.forward(at.isa, &gated.weights(), input, self.buffers.view());
        }
        self.custom.note(&at.weights.layer);
        self.draw(at, matches!(below, Below::Table { .. }));
        if let (Below::Dense(x), Some(_)) = (below, self.share(Site::Input)) {
            multiply(at.isa, x, &self.masks[Site::Input as usize], &mut self.masked);
        }
        let masked = std::mem::take(&mut self.masked);
        let read = match below {
            Below::Dense(_) if self.share(Site::Input).is_some() => Below::Dense(&masked),
            below => below,
        };
        match &at.weights.kind {
            Kind::Gated(gated) if self.changes_state() => {
                self.forward_stepped(at.isa, gated, gated.input(at, read))
            }
            Kind::Gated(gated) => {
                let input = gated.input(at, read);
                gated.cell.forward(at.isa, &gated.weights(), input, self.buffers.view());
            }
            Kind::Custom(variables) => self.forward_custom(at, variables, read),
        }
        self.masked = masked;
        if let (true, below) = (self.finishes(), below) {
            self.finish(at, below);
        }
    }

    /// Draws the masks of the pass. Rows of a table are masked already.
    fn draw(&mut self, at: At<'_>, gathered: bool) {
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
            let mask = Mask { layer: at.number, site, share, width, variational, seed, dropping };
            mask.fill(window.steps, |t| window.active(t), at.rows, &mut self.masks[site as usize]);
        }
    }

    /// From what the cell gave to what the layer gives.
    fn finish(&mut self, at: At<'_>, below: Below<'_>) {
        let mut finished = std::mem::take(&mut self.finished);
        match self.share(Site::Output) {
            Some(_) => {
                multiply(at.isa, self.cell_outputs(), &self.masks[Site::Output as usize], &mut finished)
            }
            None => finished.copy_from_slice(self.cell_outputs()),
        }
        if let Below::Dense(x) = below {
            if at.weights.layer.residual {
                finished.iter_mut().zip(x).for_each(|(out, x)| *out += x);
            }
            if at.weights.highway.is_some() {
                self.mix_in(at, x, &mut finished);
            }
        }
        self.finished = finished;
    }

    /// A window backward: from the gradient `dy` [N, padded(P)] of what the layer gives, which becomes that of what its
    /// cell gives, to its deltas; and, where there is room for it, to the gradient `dx` [N, padded(E)] of what it reads.
    pub(crate) fn backward(&mut self, at: At<'_>, below: Below<'_>, dy: &mut [f32], dx: &mut [f32]) {
        if let Below::Dense(x) = below {
            self.part(at, x, dy);
        }
        if self.share(Site::Output).is_some() {
            self.masks[Site::Output as usize].iter().zip(&mut *dy).for_each(|(mask, dy)| *dy *= mask);
        }
        match &at.weights.kind {
            Kind::Gated(gated) if self.changes_state() => self.backward_stepped(at.isa, gated, dy),
            Kind::Gated(gated) => {
                self.start_carry(dy);
                gated.cell.backward(at.isa, &gated.weights(), dy, self.buffers.view());
            }
            Kind::Custom(variables) => {
                let masked = std::mem::take(&mut self.masked);
                let read = match below {
                    Below::Dense(_) if self.share(Site::Input).is_some() => Below::Dense(&masked),
                    below => below,
                };
                self.backward_custom(at, variables, read, dy, dx);
                self.masked = masked;
            }
        }
        if dx.is_empty() {
            return;
        }
        if let Kind::Gated(gated) = &at.weights.kind {
            gated.hand_down(at.isa, &self.buffers.gates, dx);
        }
        if self.share(Site::Input).is_some() {
            self.masks[Site::Input as usize].iter().zip(&mut *dx).for_each(|(mask, dx)| *dx *= mask);
        }
        if !self.skip.is_empty() {
            self.skip.iter().zip(&mut *dx).for_each(|(skip, dx)| *dx += skip);
        }
    }

    /// The gradient of the last state: of h beside what comes from above, of c where the cell carries it.
    fn start_carry(&mut self, dy: &mut [f32]) {
        let (cell, vector) = (self.buffers.has_cell(), padded(self.buffers.sizes.state));
        self.buffers.carry.fill(0.0);
        let stepped = &self.stepped;
        if stepped.d_last[0].is_empty() {
            return;
        }
        let batch = self.buffers.window.rows;
        for (rows, place) in self.buffers.states(false) {
            for row in rows.filter(|_| place >= batch) {
                let to = &mut dy[(place - batch + row) * vector..][..vector];
                to.iter_mut().zip(&stepped.d_last[0][row * vector..]).for_each(|(to, from)| *to += from);
            }
        }
        if cell {
            self.buffers.carry.copy_from_slice(&stepped.d_last[1]);
        }
    }
}

impl Gated {
    /// What the cell's kernels start from.
    fn input<'a>(&'a self, at: At<'a>, below: Below<'a>) -> Input<'a> {
        match below {
            Below::Table { rows, ids } => Input { start: rows, ids: Some(ids), dense: None },
            Below::Dense(values) => {
                let width = at.weights.inputs;
                let second = self.input.get(1).map_or(&[][..], |second| &**second);
                let dense =
                    DenseInput { values, stride: padded(width), width, weights: &self.input[0], second };
                Input { start: &self.bias, ids: None, dense: Some(dense) }
            }
        }
    }

    /// From the deltas of a window to the gradient of what the layer reads.
    fn hand_down(&self, isa: Isa, deltas: &[f32], dx: &mut [f32]) {
        let stored = self.input_slots.width();
        let product = Affine {
            rows: deltas.len() / stored,
            x: deltas,
            x_stride: stored,
            pieces: &self.input_pieces,
            panels: &self.input_units,
            weights: &self.input_t,
            start: Start::Zero,
            out: dx,
        };
        product.run_on(isa);
    }
}

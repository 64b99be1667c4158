//! The activations of one layer for the rows of a shard. Options that are not used allocate
//! nothing.

use crate::exec::masks::{MaskSource, ShardRows, Site};
use crate::exec::weights::LayerWeights;
use crate::model::cell::{Buffers, resize};
use crate::parallel::Threads;
use crate::phases::Clock;
use crate::settings::Layer;
use unrolled_kernels::pack::padded;
use unrolled_kernels::{Isa, WindowShape};

/// The activations of one layer for some rows; [N, ..] stands for their tokens, as [`WindowShape`]
/// orders them.
#[derive(Clone, Debug)]
pub(crate) struct LayerActivations {
    /// The cell's state, gates and deltas.
    pub(crate) buffers: Buffers,
    /// The masked inputs [N, padded(E)].
    pub(super) masked: Vec<f32>,
    /// The outputs of the cell if they are not h: [N, padded(P)].
    pub(super) given: Vec<f32>,
    /// The outputs of the layer if they are not those of the cell: [N, padded(P)].
    pub(super) finished: Vec<f32>,
    /// The mask of each site [N, padded(width)].
    pub(super) masks: [Vec<f32>; Site::COUNT],
    /// The share kept at each site in the current window; `None` if nothing is dropped.
    pub(super) shares: [Option<f32>; Site::COUNT],
    /// The highway gates, then their deltas [N, padded(gates * E)].
    pub(super) highway_gates: Vec<f32>,
    /// The gradient through the skip connection [N, padded(E)].
    pub(super) skip: Vec<f32>,
    /// Buffers for a layer that runs step by step.
    pub(super) steps: StepBuffers,
    /// Buffers for a custom cell.
    pub(super) custom: CustomBuffers,
}

/// Buffers of a layer that runs step by step, and gradients of states.
#[derive(Clone, Debug, Default)]
pub(super) struct StepBuffers {
    /// h and c as the cell computed them [N, padded(..)], for its backward pass.
    pub(super) raw: [Vec<f32>; 2],
    /// The cell state before a step, if the step overwrites it.
    pub(super) old_cell: Vec<f32>,
    /// Gradients of h and c of the last state [B, padded(..)]; empty for zero.
    pub(super) d_last: [Vec<f32>; 2],
    /// Gradients of h and c on their way to the first state [B, padded(..)].
    pub(super) d_state: [Vec<f32>; 2],
    /// The part of them that bypasses the cell.
    pub(super) around: [Vec<f32>; 2],
    /// The product of deltas and recurrent weights [B, padded(state)].
    pub(super) product: Vec<f32>,
}

/// Buffers of a custom cell's step, without padding, and the gradients of its variables.
#[derive(Clone, Debug, Default)]
pub(super) struct CustomBuffers {
    pub(super) is_custom: bool,
    pub(super) is_residual: bool,
    pub(super) inputs: Vec<f32>,
    pub(super) state: Vec<f32>,
    pub(super) next: Vec<f32>,
    pub(super) outputs: Vec<f32>,
    pub(super) d_inputs: Vec<f32>,
    pub(super) d_state: Vec<f32>,
    /// The gradients of the variables, summed over the whole window.
    pub(super) gradients: Vec<Vec<f32>>,
}

impl CustomBuffers {
    /// Copies from the layer the options that decide where its outputs are.
    pub(super) fn note(&mut self, layer: &Layer) {
        (self.is_custom, self.is_residual) = (layer.custom.is_some(), layer.residual);
    }
}

/// The context of a layer's pass.
#[derive(Clone, Copy)]
pub(crate) struct LayerContext<'a> {
    pub(crate) isa: Isa,
    /// Index of the layer.
    pub(crate) index: usize,
    pub(crate) weights: &'a LayerWeights,
    pub(crate) rows: ShardRows<'a>,
    pub(crate) dropping: Option<MaskSource<'a>>,
    /// The threads that compute the layer together; the calling thread alone if each shard has one.
    pub(crate) threads: &'a Threads,
    /// The clock of the pass.
    pub(crate) clock: Clock<'a>,
}

/// The input of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LayerInput<'a> {
    /// Rows of the input table.
    Table { rows: &'a [f32], ids: &'a [u32] },
    /// Vectors [N, padded(E)].
    Dense(&'a [f32]),
}

impl LayerActivations {
    pub(crate) fn new(weights: &LayerWeights, keep: bool) -> Self {
        let window = WindowShape { steps: 0, rows: 0, hidden: weights.sizes.hidden, keep, active: &[] };
        Self {
            buffers: Buffers::new(weights.sizes, window),
            masked: Vec::new(),
            given: Vec::new(),
            finished: Vec::new(),
            masks: Default::default(),
            shares: [None; Site::COUNT],
            highway_gates: Vec::new(),
            skip: Vec::new(),
            steps: StepBuffers::default(),
            custom: CustomBuffers::default(),
        }
    }

    /// Takes the sizes of another window. `drops` says if its passes may drop activations.
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
        fit(&mut self.steps.raw[0], raw, state);
        let drops_cell = layer.drop_cell_state && kept(layer.state_keep_prob);
        fit(&mut self.steps.raw[1], raw && (layer.zoneout_cell > 0.0 || drops_cell), cell);
        fit(&mut self.masked, kept(layer.input_keep_prob), inputs);
        let masks = [
            (Site::Input, kept(layer.input_keep_prob), inputs),
            (Site::Output, drops, outputs),
            (Site::State, kept(layer.state_keep_prob), state),
            (Site::CellState, drops_cell, cell),
            (Site::Zoneout, layer.zoneout > 0.0, state),
            (Site::ZoneoutCell, layer.zoneout_cell > 0.0, cell),
        ];
        for (site, used, width) in masks {
            fit(&mut self.masks[site as usize], used, width);
        }
        let gates = layer.highway.gates() * inputs;
        fit(&mut self.finished, drops || layer.residual || gates > 0, outputs);
        fit(&mut self.highway_gates, gates > 0, gates);
        fit(&mut self.skip, window.keep && (layer.residual || gates > 0), inputs);
    }

    /// The outputs of the layer [N, padded(P)].
    pub(crate) fn outputs(&self) -> &[f32] {
        if self.finishes() { &self.finished } else { self.cell_outputs() }
    }

    /// The outputs of the cell [N, padded(P)].
    pub(super) fn cell_outputs(&self) -> &[f32] {
        if self.custom.is_custom || self.changes_state() { &self.given } else { self.buffers.outputs() }
    }

    /// The deltas of the highway gates after a backward pass [N, padded(gates * E)].
    pub(crate) fn highway_deltas(&self) -> &[f32] {
        &self.highway_gates
    }

    /// The gradients of a custom cell's variables after a backward pass.
    pub(crate) fn custom_gradients(&self) -> &[Vec<f32>] {
        &self.custom.gradients
    }

    /// The factors that the weights multiply, for their gradients: the inputs, masked if they are
    /// dropped.
    pub(crate) fn factors<'a>(&'a self, inputs: &'a [f32]) -> &'a [f32] {
        if self.share(Site::Input).is_some() { &self.masked } else { inputs }
    }

    /// Buffers for the gradients of h and c of the last state [B, padded(..)].
    pub(crate) fn d_last_mut(&mut self) -> &mut [Vec<f32>; 2] {
        &mut self.steps.d_last
    }

    pub(super) fn share(&self, site: Site) -> Option<f32> {
        self.shares[site as usize]
    }

    /// Returns true if something changes the state between two steps.
    pub(super) fn changes_state(&self) -> bool {
        let sites = [Site::State, Site::CellState, Site::Zoneout, Site::ZoneoutCell];
        sites.into_iter().any(|site| self.share(site).is_some())
    }

    /// Returns true if the outputs of the layer are not those of its cell.
    pub(super) fn finishes(&self) -> bool {
        self.share(Site::Output).is_some() || !self.highway_gates.is_empty() || self.custom.is_residual
    }
}

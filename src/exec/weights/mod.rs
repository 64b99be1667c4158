//! The weights of a model, packed for the kernels.
//!
//! [`PackedWeights`] is filled by `packing.rs` each time the parameters change. `tensor_ranges.rs`
//! finds tensors in the flat parameter buffer, `input_table.rs` looks up the first layer's input
//! products, `symbol_set.rs` finds the symbols of a window, and `logit_blocks.rs` decides which
//! windows keep their logits.

pub(super) mod input_table;
mod logit_blocks;
mod packing;
mod symbol_set;
pub(super) mod tensor_ranges;

pub(crate) use input_table::SMALL_VOCABULARY;
pub(crate) use logit_blocks::LogitBlocks;

use crate::aligned::Aligned;
pub(crate) use crate::model::cell::Plain;
use crate::model::cell::{self, BufferWidths, CellKernels, CellWeights, Recurrent, RoomWidths};
use crate::model::{LayerDirection, ModelConfig, Parameters};
use crate::parallel::Threads;
use crate::phases::Phases;
use crate::settings::{ForgetBiasAt, Layer, Precision};
use std::ops::Range;
use tensor_ranges::TensorRanges;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{Panels, Slots};

/// The packed weights of a model and their layout.
#[derive(Debug)]
pub(crate) struct PackedWeights {
    /// The instruction set, with the number format of products.
    pub(crate) isa: Isa,
    pub(crate) precision: Precision,
    pub(crate) config: ModelConfig,
    pub(crate) tensors: TensorRanges,
    /// One entry for each direction of each layer (see [`ModelConfig::directions`]).
    pub(crate) layers: Vec<LayerWeights>,
    /// The linear layer on top; empty if the model has none.
    pub(crate) head: Plain,
    /// True if the weights are also packed for the backward pass.
    pub(crate) backward: bool,
    /// True if layer 0 reads rows of the input table.
    pub(crate) gathers: bool,
    /// True if the rows of a batch may be divided among threads. A custom cell needs all rows at
    /// once.
    pub(crate) divides: bool,
    /// Which windows keep the outputs of the head.
    pub(crate) blocks: LogitBlocks,
    /// Counts the packings. Tables made from these weights compare it to find out if they are
    /// stale.
    pub(crate) version: u64,
    /// Clocks of the phases that use these weights.
    pub(crate) phases: Phases,
}

/// A model that is ready to run: packed weights, the parameters they were packed from, and threads.
#[derive(Clone, Copy)]
pub(crate) struct PackedModel<'a> {
    pub(crate) weights: &'a PackedWeights,
    pub(crate) parameters: &'a Parameters,
    pub(crate) threads: &'a Threads,
}

/// The packed weights of one layer, or of one direction of a bidirectional layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    pub(crate) layer: Layer,
    /// True for the reverse direction. The forward direction is the entry before.
    pub(crate) is_reverse: bool,
    /// Input width of the layer.
    pub(crate) inputs: usize,
    /// Output width of the direction.
    pub(crate) outputs: usize,
    /// Widths of its buffers.
    pub(crate) sizes: BufferWidths,
    pub(crate) kind: LayerKind,
    /// The gates of a highway connection.
    pub(crate) highway: Option<Plain>,
    /// True if the outputs of the cell are the outputs of the layer, and nothing changes its state
    /// between steps, unless something is dropped.
    pub(crate) is_bare: bool,
}

/// How a layer computes.
#[derive(Debug)]
pub(crate) enum LayerKind {
    /// By gates, with fused kernels.
    Gated(Box<GatedWeights>),
    /// By a custom cell, with a copy of its variables.
    Custom(Vec<Vec<f32>>),
}

/// The packed weights of a layer with gates.
#[derive(Debug)]
pub(crate) struct GatedWeights {
    pub(crate) cell: Box<dyn CellKernels>,
    pub(crate) recurrent: Vec<Recurrent>,
    pub(crate) input_slots: Slots,
    pub(crate) input_pieces: Vec<Range<usize>>,
    pub(super) input_panels: Vec<Panels>,
    recurrent_pieces: Vec<Vec<Range<usize>>>,
    /// `Panels::plain` of the state's width.
    pub(crate) units: Panels,
    /// Input width of a layer that reads vectors or embeddings; 0 for one-hot input, which is
    /// looked up.
    pub(super) depth: usize,
    /// The summed bias, one stored row.
    pub(crate) bias: Vec<f32>,
    /// `weight_ih` as the cell's forward kernel reads it; for a first layer with an input table, as
    /// the product that makes the table reads it.
    pub(crate) input: Vec<Aligned>,
    /// `weight_ih` transposed, for the gradient of the layer's input.
    pub(crate) input_t: Aligned,
    /// Output panels of `input_t`.
    pub(crate) input_units: Panels,
    pub(super) packed: Vec<Aligned>,
    pub(super) packed_t: Vec<Aligned>,
    /// Rows of the forget gate's bias, and the number added to them when the model runs.
    pub(super) forget_bias: Option<(Range<usize>, f32)>,
    /// `weight_hr`.
    pub(crate) projection: Option<Plain>,
    /// Peepholes, or the weights and biases of a layer norm, each vector padded.
    pub(super) vectors: Vec<f32>,
}

impl PackedWeights {
    /// Room for the weights of a model in the number format of `precision`, with `backward` also for
    /// the backward pass. `pack` fills it.
    pub(crate) fn new(config: &ModelConfig, isa: Isa, precision: Precision, backward: bool) -> Self {
        let isa = match precision {
            Precision::F32 => isa,
            Precision::Bf16 => isa.bf16(),
            Precision::Int8 => isa.int8(),
        };
        Self {
            isa,
            precision,
            tensors: TensorRanges::new(config),
            layers: config.directions().map(|direction| LayerWeights::new(config, isa, direction)).collect(),
            head: Plain::new(config.stack_width(), config.outputs),
            backward,
            gathers: config.gathers(),
            divides: config.stack.iter().all(|layer| layer.custom.is_none()),
            blocks: LogitBlocks::default(),
            version: 0,
            phases: Phases::default(),
            config: config.clone(),
        }
    }

    /// The first layer, if it reads rows of the input table.
    pub(crate) fn table_layer(&self) -> Option<&GatedWeights> {
        if self.gathers { self.layers[0].gated() } else { None }
    }

    /// Floats in a row of the input table; 0 without a table.
    pub(crate) fn table_width(&self) -> usize {
        self.table_layer().map_or(0, |layer| layer.input_slots.width())
    }

    /// Multiplications for one token in the forward pass.
    pub(crate) fn work(&self) -> usize {
        let layers = self.layers.iter().enumerate();
        let head = self.config.outputs * self.config.stack_width();
        layers.map(|(l, layer)| layer.work(l == 0 && self.gathers)).sum::<usize>() + head
    }
}

impl LayerWeights {
    fn new(config: &ModelConfig, isa: Isa, LayerDirection { layer: l, is_reverse }: LayerDirection) -> Self {
        let layer = config.stack[l].clone();
        let (inputs, outputs) = (config.input_width(l), layer.direction_size());
        let [state, _] = layer.state_size();
        let gathered = l == 0 && config.gathers();
        let (kind, sizes) = match &layer.custom {
            Some(custom) => {
                let kept = custom.cell().map_or(0, |cell| cell.kept_size(inputs));
                let sizes = BufferWidths { hidden: state, state, stored: kept, ..BufferWidths::default() };
                (LayerKind::Custom(vec![Vec::new(); config.extras(l).len()]), sizes)
            }
            None => {
                let depth = if gathered { config.embedding.unwrap_or(0) } else { inputs };
                let gated = GatedWeights::new(&layer, depth, gathered);
                let (stored, extras) = (gated.input_slots.width(), gated.cell.extras());
                let room = gated.room(isa, if gathered { 0 } else { inputs });
                let sizes = BufferWidths { hidden: layer.hidden, state, stored, extras, room };
                (LayerKind::Gated(Box::new(gated)), sizes)
            }
        };
        let gates = layer.highway.gates() * inputs;
        let highway = (gates > 0).then(|| Plain::new(inputs, gates));
        let is_bare = layer.custom.is_none() && !layer.residual && gates == 0 && !layer.zones_out();
        Self { layer, is_reverse, inputs, outputs, sizes, kind, highway, is_bare }
    }

    /// Returns true if threads can divide the hidden units of the layer: those of a cell whose
    /// state nothing changes between two steps.
    pub(crate) fn divides_units(&self) -> bool {
        let Layer { state_keep_prob, .. } = self.layer;
        let changes = self.layer.zones_out() || state_keep_prob < 1.0;
        self.highway.is_none() && !changes && self.gated().is_some_and(|gated| gated.cell.divides_units())
    }

    /// The gates of the layer; `None` for a custom cell.
    pub(crate) fn gated(&self) -> Option<&GatedWeights> {
        match &self.kind {
            LayerKind::Gated(gated) => Some(gated),
            LayerKind::Custom(_) => None,
        }
    }

    /// Multiplications for one token; without those of the input, if it is `gathered` from a table.
    pub(crate) fn work(&self, gathered: bool) -> usize {
        let inputs = if gathered { 0 } else { self.inputs };
        let Layer { hidden, projection, .. } = self.layer;
        let highway = self.layer.highway.gates() * self.inputs * self.inputs;
        let own = match &self.kind {
            LayerKind::Custom(variables) => variables.iter().map(Vec::len).sum(),
            LayerKind::Gated(_) => {
                self.layer.gates() * hidden * (inputs + self.sizes.state) + hidden * projection.unwrap_or(0)
            }
        };
        own + highway
    }
}

impl GatedWeights {
    fn new(layer: &Layer, depth: usize, gathered: bool) -> Self {
        let cell = cell::build(layer);
        let (input_slots, recurrent) = (cell.input_slots(), cell.recurrent());
        let input_panels = if gathered { vec![Panels::gates(&input_slots)] } else { cell.input_panels() };
        Self {
            input_pieces: input_slots.pieces(),
            recurrent_pieces: recurrent.iter().map(|part| part.slots.pieces()).collect(),
            units: Panels::plain(layer.direction_size()),
            depth,
            bias: vec![0.0; input_slots.width()],
            input: Vec::new(),
            input_t: Aligned::default(),
            input_units: Panels::plain(depth.max(1)),
            packed: vec![Aligned::default(); recurrent.len()],
            packed_t: vec![Aligned::default(); recurrent.len()],
            projection: layer.projection.map(|width| Plain::new(layer.hidden, width)),
            vectors: Vec::new(),
            forget_bias: layer.forget_bias(ForgetBiasAt::RunTime),
            cell,
            recurrent,
            input_slots,
            input_panels,
        }
    }

    /// The room of its kernels for rounded vectors, with a dense input of `inputs` values.
    fn room(&self, isa: Isa, inputs: usize) -> RoomWidths {
        let gates = self.recurrent.first().map_or(0, |part| part.slots.gates.len());
        RoomWidths { isa: Some(isa).filter(|_| self.cell.needs_room()), inputs, gates }
    }

    /// The recurrent weights, as the cell's kernels take them.
    pub(crate) fn weights(&self) -> CellWeights<'_> {
        CellWeights {
            recurrent: &self.packed,
            recurrent_t: &self.packed_t,
            units: &self.units,
            pieces: &self.recurrent_pieces,
            projection: self.projection.as_ref(),
            vectors: &self.vectors,
        }
    }

    /// Returns true if `bias_hh` of a recurrent product has the gradient of `bias_ih` in the same
    /// rows.
    pub(crate) fn shares_bias(&self, part: &Recurrent) -> bool {
        let hidden = part.slots.hidden.max(1);
        part.rows.clone().step_by(hidden).all(|row| part.slots.place(row) == self.input_slots.place(row))
    }
}

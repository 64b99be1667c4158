//! A model's weights in the forms that the kernels read: packed once per change of the parameters (see `packing.rs`).

use super::head::Blocks;
use super::tensors::Tensors;
use crate::aligned::Aligned;
use crate::model::ModelConfig;
pub(crate) use crate::model::cell::Plain;
use crate::model::cell::{self, BufferWidths, CellKernels, CellWeights, Extras, Recurrent};
use crate::phases::Phases;
use crate::settings::{ForgetBiasAt, Layer};
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{Panels, Slots};

/// Packed weights, with everything about their layout that follows from the model's shape.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) isa: Isa,
    pub(crate) config: ModelConfig,
    pub(crate) tensors: Tensors,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) head: HeadWeights,
    /// Whether layer 0 reads rows of the input table.
    pub(crate) gathers: bool,
    /// Whether rows may be divided among threads: a custom cell takes them all at once.
    pub(crate) divides: bool,
    /// Which windows keep their logits.
    pub(crate) blocks: Blocks,
    /// Counts the packings, so that tables made from these weights know when they are out of date.
    pub(crate) version: u64,
    /// Clocks for what is done with these weights.
    pub(crate) phases: Phases,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    pub(crate) layer: Layer,
    /// Width of what it reads.
    pub(crate) inputs: usize,
    /// Width of what it gives.
    pub(crate) outputs: usize,
    /// Widths of its buffers.
    pub(crate) sizes: BufferWidths,
    pub(crate) kind: Kind,
    /// The gate of a highway layer.
    pub(crate) highway: Option<Plain>,
    /// Whether the cell's outputs are the layer's, and its state goes on as it is, unless something is dropped.
    pub(crate) is_bare: bool,
}

/// How a layer computes.
#[derive(Debug)]
pub(crate) enum Kind {
    /// By gates, with fused kernels.
    Gated(Box<Gated>),
    /// By a cell of the user's: its variables, copied from the parameters.
    Custom(Vec<Vec<f32>>),
}

/// A layer of gates.
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) cell: Box<dyn CellKernels>,
    pub(crate) recurrent: Vec<Recurrent>,
    pub(crate) input_slots: Slots,
    pub(crate) input_pieces: Vec<Range<usize>>,
    pub(super) input_panels: Vec<Panels>,
    recurrent_pieces: Vec<Vec<Range<usize>>>,
    /// `Panels::plain` of the state's width.
    pub(crate) units: Panels,
    /// Input width of a dense layer or of an embedding; 0 when a one-hot row is looked up.
    pub(super) depth: usize,
    /// The summed bias, a stored row.
    pub(crate) bias: Vec<f32>,
    /// `weight_ih` as the cell asks for it; for a gathered layer as the table's product does.
    pub(crate) input: Vec<Aligned>,
    /// `weight_ih` transposed, for the gradient that goes down.
    pub(crate) input_t: Aligned,
    /// Outputs of `input_t`.
    pub(crate) input_units: Panels,
    pub(super) packed: Vec<Aligned>,
    pub(super) packed_t: Vec<Aligned>,
    /// What is added to the forget gate's biases when the model runs.
    pub(super) forget_bias: Option<(Range<usize>, f32)>,
    /// `weight_hr`.
    pub(crate) projection: Option<Plain>,
    /// Peepholes, or the weights and biases of a norm, each vector padded.
    pub(super) vectors: Vec<f32>,
}

/// The linear layer that gives logits.
pub(crate) type HeadWeights = Plain;

impl Weights {
    /// Room for a model's weights; `pack` fills it.
    pub(crate) fn new(config: &ModelConfig, isa: Isa) -> Self {
        Self {
            isa,
            tensors: Tensors::new(config),
            layers: (0..config.stack.len()).map(|l| LayerWeights::new(config, l)).collect(),
            head: Plain::new(config.output_width(), config.vocabulary),
            gathers: config.gathers(),
            divides: config.stack.iter().all(|layer| layer.custom.is_none()),
            blocks: Blocks::default(),
            version: 0,
            phases: Phases::default(),
            config: config.clone(),
        }
    }

    /// The first layer, where its inputs are gathered from a table.
    pub(crate) fn table_layer(&self) -> Option<&Gated> {
        if self.gathers { self.layers[0].gated() } else { None }
    }

    /// Floats in a row of the input table; 0 without one.
    pub(crate) fn table_width(&self) -> usize {
        self.table_layer().map_or(0, |layer| layer.input_slots.width())
    }

    /// Multiplications of one symbol through the model, forward.
    pub(crate) fn work(&self) -> usize {
        let layers = self.layers.iter().enumerate();
        let head = self.config.vocabulary * self.config.output_width();
        layers.map(|(l, layer)| layer.work(l == 0 && self.gathers)).sum::<usize>() + head
    }
}

impl LayerWeights {
    fn new(config: &ModelConfig, l: usize) -> Self {
        let layer = config.stack[l].clone();
        let (inputs, outputs, [state, _]) = (config.input_width(l), layer.output_size(), layer.state_size());
        let gathered = l == 0 && config.gathers();
        let (kind, sizes) = match &layer.custom {
            Some(custom) => {
                let kept = custom.cell().map_or(0, |cell| cell.kept_size(inputs));
                let sizes = BufferWidths { hidden: state, state, stored: kept, extras: Extras::default() };
                (Kind::Custom(vec![Vec::new(); config.extras(l).len()]), sizes)
            }
            None => {
                let depth = if gathered { config.embedding.unwrap_or(0) } else { inputs };
                let gated = Gated::new(&layer, depth, gathered);
                let (stored, extras) = (gated.input_slots.width(), gated.cell.extras());
                let sizes = BufferWidths { hidden: layer.hidden, state, stored, extras };
                (Kind::Gated(Box::new(gated)), sizes)
            }
        };
        let mixed = layer.highway.gates() * inputs;
        let highway = (mixed > 0).then(|| Plain::new(inputs, mixed));
        let is_bare = layer.custom.is_none() && !layer.residual && mixed == 0 && !layer.zones_out();
        Self { layer, inputs, outputs, sizes, kind, highway, is_bare }
    }

    /// Its gates, unless it is a custom cell.
    pub(crate) fn gated(&self) -> Option<&Gated> {
        match &self.kind {
            Kind::Gated(gated) => Some(gated),
            Kind::Custom(_) => None,
        }
    }

    /// Multiplications of one symbol.
    fn work(&self, gathered: bool) -> usize {
        let inputs = if gathered { 0 } else { self.inputs };
        let Layer { hidden, projection, .. } = self.layer;
        let mixed = self.layer.highway.gates() * self.inputs * self.inputs;
        let own = match &self.kind {
            Kind::Custom(variables) => variables.iter().map(Vec::len).sum(),
            Kind::Gated(_) => {
                self.layer.gates() * hidden * (inputs + self.sizes.state) + hidden * projection.unwrap_or(0)
            }
        };
        own + mixed
    }
}

impl Gated {
    fn new(layer: &Layer, depth: usize, gathered: bool) -> Self {
        let cell = cell::build(layer);
        let (input_slots, recurrent) = (cell.input_slots(), cell.recurrent());
        let input_panels = if gathered { vec![Panels::gates(&input_slots)] } else { cell.input_panels() };
        Self {
            input_pieces: input_slots.pieces(),
            recurrent_pieces: recurrent.iter().map(|part| part.slots.pieces()).collect(),
            units: Panels::plain(layer.output_size()),
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

    /// The recurrent weights.
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

    /// Whether the deltas that a recurrent product's bias adds up are those of `bias_ih` in the same rows.
    pub(crate) fn shares_bias(&self, part: &Recurrent) -> bool {
        let hidden = part.slots.hidden.max(1);
        part.rows.clone().step_by(hidden).all(|row| part.slots.place(row) == self.input_slots.place(row))
    }
}

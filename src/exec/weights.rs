//! A model's weights in the forms that the kernels read: packed once per change of the parameters (see `packing.rs`).

use super::tensors::Tensors;
use crate::aligned::Aligned;
use crate::model::ModelConfig;
use crate::model::cell::{self, Cell, CellWeights, Recurrent};
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{Panels, Slots, padded};

/// Packed weights, with everything about their layout that follows from the model's shape.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) isa: Isa,
    pub(crate) config: ModelConfig,
    pub(crate) tensors: Tensors,
    pub(crate) cell: Box<dyn Cell>,
    pub(crate) recurrent: Vec<Recurrent>,
    pub(crate) input_slots: Slots,
    pub(crate) input_pieces: Vec<Range<usize>>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) head: HeadWeights,
    /// `Panels::plain(H)`.
    pub(crate) units: Panels,
    pub(super) input_panels: Vec<Panels>,
    /// How `weight_ih` of a gathered layer is packed, for the table's product.
    pub(super) gathered: Panels,
    recurrent_pieces: Vec<Vec<Range<usize>>>,
    /// Counts the packings, so that tables made from these weights know when they are out of date.
    pub(crate) version: u64,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
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
    pub(super) recurrent: Vec<Aligned>,
    pub(super) recurrent_t: Vec<Aligned>,
}

/// The linear layer that gives logits.
#[derive(Debug)]
pub(crate) struct HeadWeights {
    /// `Panels::plain(V)`.
    pub(crate) panels: Panels,
    pub(crate) slots: Slots,
    pub(crate) weight: Aligned,
    pub(crate) weight_t: Aligned,
    /// [padded(V)]
    pub(crate) bias: Vec<f32>,
}

impl Weights {
    /// Room for a model's weights; `pack` fills it.
    pub(crate) fn new(config: &ModelConfig, isa: Isa) -> Self {
        let cell = cell::build(config);
        let (input_slots, input_panels, recurrent) =
            (cell.input_slots(), cell.input_panels(), cell.recurrent());
        let units = Panels::plain(config.hidden);
        let head = Panels::plain(config.vocabulary);
        let layer = |l: usize| LayerWeights {
            depth: if l == 0 { config.embedding.unwrap_or(0) } else { config.hidden },
            bias: vec![0.0; input_slots.width()],
            input: Vec::new(),
            input_t: Aligned::default(),
            input_units: Panels::plain(if l == 0 { config.embedding.unwrap_or(1) } else { config.hidden }),
            recurrent: vec![Aligned::default(); recurrent.len()],
            recurrent_t: vec![Aligned::default(); recurrent.len()],
        };
        Self {
            isa,
            config: config.clone(),
            tensors: Tensors::new(config),
            layers: (0..config.layers).map(layer).collect(),
            head: HeadWeights {
                slots: Slots::plain(config.vocabulary),
                weight: Aligned::default(),
                weight_t: Aligned::default(),
                bias: vec![0.0; padded(config.vocabulary)],
                panels: head,
            },
            input_pieces: input_slots.pieces(),
            gathered: Panels::gates(&input_slots),
            recurrent_pieces: recurrent.iter().map(|part| part.slots.pieces()).collect(),
            cell,
            recurrent,
            input_slots,
            input_panels,
            units,
            version: 0,
        }
    }

    /// The recurrent weights of layer `l`.
    pub(crate) fn cell_weights(&self, l: usize) -> CellWeights<'_> {
        CellWeights {
            recurrent: &self.layers[l].recurrent,
            recurrent_t: &self.layers[l].recurrent_t,
            units: &self.units,
            pieces: &self.recurrent_pieces,
        }
    }

    /// Whether the deltas that a recurrent product's bias adds up are those of `bias_ih` in the same rows.
    pub(crate) fn shares_bias(&self, part: &Recurrent) -> bool {
        let hidden = self.config.hidden.max(1);
        part.rows.clone().step_by(hidden).all(|row| part.slots.place(row) == self.input_slots.place(row))
    }

    /// Multiplications of one symbol through the model, forward.
    pub(crate) fn work(&self) -> usize {
        let (h, g) = (self.config.hidden, self.config.gates());
        (2 * self.config.layers - 1) * g * h * h + self.config.vocabulary * h
    }
}

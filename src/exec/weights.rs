//! A model's weights in the forms that the kernels read: packed once per change of the parameters.

use crate::model::cell::{self, Cell, CellWeights, Recurrent};
use crate::model::{ModelConfig, Parameters};
use crate::parallel::Threads;
use std::borrow::Cow;
use std::ops::Range;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::gather::add_columns;
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::{Aligned, Isa};

/// Packed weights, with everything about their layout that follows from the model's shape.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) isa: Isa,
    pub(crate) config: ModelConfig,
    pub(crate) cell: Box<dyn Cell>,
    pub(crate) recurrent: Vec<Recurrent>,
    pub(crate) input_slots: Slots,
    pub(crate) input_pieces: Vec<Range<usize>>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) head: HeadWeights,
    /// `Panels::plain(H)`.
    pub(crate) units: Panels,
    input_panels: Vec<Panels>,
    /// How `weight_ih` of a gathered layer is packed, for the table's product.
    gathered: Panels,
    recurrent_pieces: Vec<Vec<Range<usize>>>,
    /// Counts the packings, so that tables made from these weights know when they are out of date.
    pub(crate) version: u64,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    /// Input width of a dense layer or of an embedding; 0 when a one-hot row is looked up.
    depth: usize,
    /// The summed bias, a stored row.
    pub(crate) bias: Vec<f32>,
    /// `weight_ih` as the cell asks for it; for a gathered layer as the table's product does.
    pub(crate) input: Vec<Aligned>,
    /// `weight_ih` transposed, for the gradient that goes down.
    pub(crate) input_t: Aligned,
    /// Outputs of `input_t`.
    pub(crate) input_units: Panels,
    recurrent: Vec<Aligned>,
    recurrent_t: Vec<Aligned>,
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

    /// Packs `parameters`; with `backward` also what the backward pass reads.
    pub(crate) fn pack(&mut self, parameters: &Parameters, backward: bool, threads: &Threads) {
        let work = parameters.values.len() * 8;
        let Self { config, recurrent, input_slots, input_panels, gathered, layers, units, head, .. } = self;
        let shape = Shape { recurrent, input_slots, units, config, backward };
        let mut parts: Vec<_> =
            layers.iter_mut().enumerate().map(|(l, layer)| (Some((l, layer)), None)).collect();
        parts.push((None, Some(head)));
        threads.each(&mut parts, work, |part| match part {
            (Some((l, layer)), _) => {
                let panels: &[Panels] = if *l == 0 { std::slice::from_ref(gathered) } else { input_panels };
                shape.pack_layer(parameters, *l, panels, layer);
            }
            (_, Some(head)) => shape.pack_head(parameters, head),
            _ => {}
        });
        self.version += 1;
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

    /// Fills `table` [D, stored] with what each of `symbols`, ascending, brings to the first layer, bias included.
    pub(crate) fn fill_table(&self, parameters: &Parameters, symbols: &[u32], table: &mut Vec<f32>) {
        let (layer, width) = (&self.layers[0], self.input_slots.width());
        table.clear();
        symbols.iter().for_each(|_| table.extend_from_slice(&layer.bias));
        let Some(embedding) = self.config.embedding else {
            let weight = tensor(parameters, "rnn.weight_ih_l0");
            return add_columns(weight, self.config.vocabulary, &self.input_slots, symbols, table);
        };
        let x = follow_or_gather(tensor(parameters, "embedding.weight"), embedding, symbols);
        let piece = 0..embedding;
        let product = Affine {
            rows: symbols.len(),
            x: &x,
            x_stride: embedding,
            pieces: std::slice::from_ref(&piece),
            panels: &self.gathered,
            weights: &layer.input[0],
            start: Start::Out,
            out: &mut table[..symbols.len() * width],
        };
        product.run_on(self.isa);
    }

    /// Multiplications of one symbol through the model, forward.
    pub(crate) fn work(&self) -> usize {
        let (h, g) = (self.config.hidden, self.config.gates());
        (2 * self.config.layers - 1) * g * h * h + self.config.vocabulary * h
    }
}

/// Rows `ids` of a matrix.
pub(crate) fn gather_rows(matrix: &[f32], width: usize, ids: &[u32]) -> Vec<f32> {
    ids.iter().flat_map(|&id| &matrix[id as usize * width..][..width]).copied().collect()
}

/// Rows `ids`, ascending, of a matrix; where they follow each other, as one and all do, the rows themselves.
fn follow_or_gather<'m>(matrix: &'m [f32], width: usize, ids: &[u32]) -> Cow<'m, [f32]> {
    match (ids.first(), ids.last()) {
        (Some(&first), Some(&last)) if (last - first) as usize + 1 == ids.len() => {
            Cow::Borrowed(&matrix[first as usize * width..][..ids.len() * width])
        }
        _ => Cow::Owned(gather_rows(matrix, width, ids)),
    }
}

/// A tensor that the model's layout is known to have.
pub(crate) fn tensor<'p>(parameters: &'p Parameters, name: &str) -> &'p [f32] {
    parameters.get(name).unwrap_or_else(|| panic!("a model without {name}"))
}

/// What packing needs to know of the model.
struct Shape<'a> {
    recurrent: &'a [Recurrent],
    input_slots: &'a Slots,
    units: &'a Panels,
    config: &'a ModelConfig,
    backward: bool,
}

impl Shape<'_> {
    fn pack_layer(&self, parameters: &Parameters, l: usize, input: &[Panels], layer: &mut LayerWeights) {
        let hidden = self.config.hidden;
        let weight = tensor(parameters, &format!("rnn.weight_hh_l{l}"));
        for (i, part) in self.recurrent.iter().enumerate() {
            pack(&part.panels, weight, hidden, &mut layer.recurrent[i]);
            if self.backward {
                pack_transposed(self.units, weight, hidden, &part.slots, &mut layer.recurrent_t[i]);
            }
        }
        self.sum_bias(parameters, l, &mut layer.bias);
        if layer.depth == 0 {
            return;
        }
        let weight = tensor(parameters, &format!("rnn.weight_ih_l{l}"));
        layer.input.resize(input.len(), Aligned::default());
        for (panels, packed) in input.iter().zip(&mut layer.input) {
            pack(panels, weight, layer.depth, packed);
        }
        if self.backward {
            pack_transposed(&layer.input_units, weight, layer.depth, self.input_slots, &mut layer.input_t);
        }
    }

    /// Both bias vectors at the places of their gates; where the places are the same, their sum.
    fn sum_bias(&self, parameters: &Parameters, l: usize, stored: &mut [f32]) {
        stored.fill(0.0);
        for (row, value) in tensor(parameters, &format!("rnn.bias_ih_l{l}")).iter().enumerate() {
            stored[self.input_slots.place(row)] = *value;
        }
        let hidden = tensor(parameters, &format!("rnn.bias_hh_l{l}"));
        for part in self.recurrent {
            part.rows.clone().for_each(|row| stored[part.slots.place(row)] += hidden[row]);
        }
    }

    fn pack_head(&self, parameters: &Parameters, head: &mut HeadWeights) {
        let (hidden, weight) = (self.config.hidden, tensor(parameters, "head.weight"));
        pack(&head.panels, weight, hidden, &mut head.weight);
        head.bias[..self.config.vocabulary].copy_from_slice(tensor(parameters, "head.bias"));
        if self.backward {
            pack_transposed(self.units, weight, hidden, &head.slots, &mut head.weight_t);
        }
    }
}

fn pack(panels: &Panels, weight: &[f32], depth: usize, packed: &mut Aligned) {
    packed.resize(panels.len(depth));
    panels.pack(weight, depth, packed);
}

fn pack_transposed(panels: &Panels, weight: &[f32], outputs: usize, slots: &Slots, packed: &mut Aligned) {
    packed.resize(panels.len(slots.depth()));
    panels.pack_transposed(weight, outputs, slots, packed);
}

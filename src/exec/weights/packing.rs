//! Packing: copies the parameters of a model into the layouts that the kernels read. Threads divide
//! the panels, and large panels too.

use super::tensor_ranges::{LayerRanges, TensorRanges};
use super::{GatedWeights, LayerKind, LayerWeights, PackedWeights, Plain};
use crate::aligned::Aligned;
use crate::model::Parameters;
use crate::model::cell::Recurrent;
use crate::parallel::Threads;
use crate::phases::{Phase, Phases, Section};
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{PackedPart, Panels, Slots};

/// The fewest and the most packed floats that one thread fills at a time.
const FEWEST: usize = 1 << 11;
const MOST: usize = 1 << 14;

impl PackedWeights {
    /// Packs `parameters`.
    pub(crate) fn pack(&mut self, parameters: &Parameters, threads: &Threads) {
        let values = &parameters.values[..];
        let Self { isa, tensors, layers, head, config, phases, backward, .. } = self;
        threads.enter(values.len() * 8, || {
            let share = threads.share(2 * values.len(), FEWEST, MOST);
            let packing = Packing { isa: *isa, values, threads, tensors, backward: *backward, phases, share };
            let _section = phases.section(Section::Pack, threads.at_work());
            let rest = || {
                if config.has_head() {
                    packing.plain((&tensors.head, &tensors.head_bias), config.stack_width(), head);
                }
            };
            threads.join(|| packing.layers(0, layers), rest);
        });
        self.version += 1;
    }
}

/// The inputs of packing.
struct Packing<'a> {
    isa: Isa,
    values: &'a [f32],
    threads: &'a Threads,
    tensors: &'a TensorRanges,
    backward: bool,
    phases: &'a Phases,
    /// Number of packed floats that one thread fills at a time.
    share: usize,
}

impl Packing<'_> {
    fn tensor(&self, range: &Range<usize>) -> &[f32] {
        &self.values[range.clone()]
    }

    /// Layers from `l` on.
    fn layers(&self, l: usize, layers: &mut [LayerWeights]) {
        if let Some((layer, rest)) = layers.split_first_mut() {
            self.threads.join(|| self.layer(l, layer), || self.layers(l + 1, rest));
        }
    }

    fn layer(&self, l: usize, layer: &mut LayerWeights) {
        let places = &self.tensors.layers[l];
        match &mut layer.kind {
            LayerKind::Gated(gated) => self.gated(places, gated),
            LayerKind::Custom(variables) => {
                for (variable, (_, range)) in variables.iter_mut().zip(&places.extras) {
                    variable.clear();
                    variable.extend_from_slice(self.tensor(range));
                }
            }
        }
        if let Some(highway) = &mut layer.highway {
            let places = (&places.extra("highway_weight"), &places.extra("highway_bias"));
            self.plain(places, layer.inputs, highway);
        }
    }

    fn gated(&self, places: &LayerRanges, gated: &mut GatedWeights) {
        self.options(places, gated);
        let GatedWeights { depth, bias, input, input_t, input_units, input_slots, input_panels, .. } = gated;
        let GatedWeights { recurrent, packed, packed_t, units, forget_bias, .. } = gated;
        let recurrent = &recurrent[..];
        let mut hidden = || {
            self.threads.join(
                || self.recurrent(self.tensor(&places.hidden), recurrent, units, (packed, packed_t)),
                || self.sum_bias(places, (input_slots, recurrent), forget_bias.clone(), bias),
            );
        };
        if *depth == 0 {
            return hidden();
        }
        let weight = self.tensor(&places.input);
        input.resize(input_panels.len(), Aligned::default());
        self.threads.join(hidden, || {
            for (panels, packed) in input_panels.iter().zip(input) {
                self.forward(panels, weight, *depth, packed);
            }
            if self.backward {
                self.transposed(input_units, weight, *depth, input_slots, input_t);
            }
        });
    }

    /// The projection, peepholes, norm.
    fn options(&self, places: &LayerRanges, gated: &mut GatedWeights) {
        let hidden = gated.input_slots.hidden;
        if let Some(projection) = &mut gated.projection {
            self.plain((&places.extra("weight_hr"), &(0..0)), hidden, projection);
        }
        gated.vectors.clear();
        for name in ["weight_peephole", "norm_weight", "norm_bias"] {
            for vector in self.tensor(&places.extra(name)).chunks_exact(hidden) {
                gated.vectors.extend_from_slice(vector);
                gated.vectors.resize(gated.vectors.len().next_multiple_of(16), 0.0);
            }
        }
    }

    /// The recurrent products, both ways.
    fn recurrent(
        &self,
        weight: &[f32],
        parts: &[Recurrent],
        units: &Panels,
        (packed, transposed): (&mut [Aligned], &mut [Aligned]),
    ) {
        for (part, (packed, transposed)) in parts.iter().zip(packed.iter_mut().zip(transposed)) {
            self.threads.join(
                || self.forward(&part.panels, weight, part.depth, packed),
                || {
                    if self.backward {
                        self.transposed(units, weight, part.depth, &part.slots, transposed);
                    }
                },
            );
        }
    }

    /// Both bias vectors at the places of their gates; where the places are the same, their sum.
    /// Adds a number to the forget gate's, if there is one.
    fn sum_bias(
        &self,
        places: &LayerRanges,
        (slots, parts): (&Slots, &[Recurrent]),
        forget_bias: Option<(Range<usize>, f32)>,
        stored: &mut [f32],
    ) {
        let _clock = self.phases.time(Phase::Pack);
        stored.fill(0.0);
        let input = self.tensor(&places.input_bias);
        for (rows, place) in slots.groups(0..input.len()) {
            stored[place..][..rows.len()].copy_from_slice(&input[rows]);
        }
        let hidden = self.tensor(&places.hidden_bias);
        for part in parts {
            for (rows, place) in part.slots.groups(part.rows.clone()) {
                let sums = stored[place..].iter_mut().zip(&hidden[rows]);
                sums.for_each(|(sum, value)| *sum += value);
            }
        }
        let Some((rows, value)) = forget_bias else { return };
        for (rows, place) in slots.groups(rows) {
            stored[place..][..rows.len()].iter_mut().for_each(|bias| *bias += value);
        }
    }

    /// A matrix and its bias, both ways.
    fn plain(&self, (weight, bias): (&Range<usize>, &Range<usize>), depth: usize, plain: &mut Plain) {
        let (weight, bias) = (self.tensor(weight), self.tensor(bias));
        let Plain { panels, slots, units, weight: packed, weight_t, bias: packed_bias, .. } = plain;
        let bias = || {
            let _clock = self.phases.time(Phase::Pack);
            packed_bias[..bias.len()].copy_from_slice(bias);
        };
        self.threads.join(
            || self.threads.join(|| self.forward(panels, weight, depth, packed), bias),
            || {
                if self.backward {
                    self.transposed(units, weight, depth, slots, weight_t);
                }
            },
        );
    }

    fn forward(&self, panels: &Panels, weight: &[f32], depth: usize, packed: &mut Aligned) {
        let words = self.isa.words(depth);
        packed.resize(panels.len(words));
        self.halve(panels, PackedPart::whole(panels, words), packed, &|part, packed| {
            panels.pack_part(self.isa, part, (weight, depth), packed);
        });
    }

    fn transposed(
        &self,
        panels: &Panels,
        weight: &[f32],
        outputs: usize,
        slots: &Slots,
        packed: &mut Aligned,
    ) {
        let words = self.isa.slot_words(slots);
        packed.resize(panels.len(words));
        self.halve(panels, PackedPart::whole(panels, words), packed, &|part, packed| {
            panels.pack_part_transposed(self.isa, part, (weight, outputs), slots, packed);
        });
    }

    /// Calls `pack` for some floats of `packed` at a time, which are the floats of `part`.
    fn halve(
        &self,
        panels: &Panels,
        part: PackedPart,
        packed: &mut [f32],
        pack: &(impl Fn(&PackedPart, &mut [f32]) + Sync),
    ) {
        if packed.len() <= self.share {
            let _clock = self.phases.time(Phase::Pack);
            return pack(&part, packed);
        }
        let [first, second] = part.halves(panels, self.isa);
        let (packed, packed_after) = packed.split_at_mut(first.floats(panels));
        self.threads.join(
            || self.halve(panels, first, packed, pack),
            || self.halve(panels, second, packed_after, pack),
        );
    }
}

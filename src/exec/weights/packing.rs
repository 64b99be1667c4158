//! Packing: copies the parameters of a model into the layouts that the kernels read. Threads divide
//! the panels.

use super::tensor_ranges::{LayerRanges, TensorRanges};
use super::{GatedWeights, LayerKind, LayerWeights, PackedWeights, Plain};
use crate::aligned::Aligned;
use crate::model::Parameters;
use crate::model::cell::Recurrent;
use crate::parallel::Threads;
use crate::phases::{Phase, Phases};
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{Panels, Slots};

/// Packed floats that one thread fills at a time.
const SHARE: usize = 1 << 14;

impl PackedWeights {
    /// Packs `parameters`.
    pub(crate) fn pack(&mut self, parameters: &Parameters, threads: &Threads) {
        let values = &parameters.values[..];
        let Self { isa, tensors, layers, head, config, phases, backward, .. } = self;
        let packing = Packing { isa: *isa, values, threads, tensors, backward: *backward, phases };
        threads.enter(values.len() * 8, || {
            let _section = phases.section(threads.at_work());
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
        let mut hidden = || {
            self.recurrent(self.tensor(&places.hidden), recurrent, units, (packed, packed_t));
            self.sum_bias(places, input_slots, recurrent, bias);
            if let Some((rows, value)) = forget_bias.clone() {
                for (rows, place) in input_slots.groups(rows) {
                    bias[place..][..rows.len()].iter_mut().for_each(|bias| *bias += value);
                }
            }
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
    fn sum_bias(&self, places: &LayerRanges, slots: &Slots, parts: &[Recurrent], stored: &mut [f32]) {
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
    }

    /// A matrix and its bias, both ways.
    fn plain(&self, (weight, bias): (&Range<usize>, &Range<usize>), depth: usize, plain: &mut Plain) {
        let (weight, bias) = (self.tensor(weight), self.tensor(bias));
        plain.bias[..bias.len()].copy_from_slice(bias);
        let Plain { panels, slots, units, weight: packed, weight_t, .. } = plain;
        self.threads.join(
            || self.forward(panels, weight, depth, packed),
            || {
                if self.backward {
                    self.transposed(units, weight, depth, slots, weight_t);
                }
            },
        );
    }

    fn forward(&self, panels: &Panels, weight: &[f32], depth: usize, packed: &mut Aligned) {
        packed.resize(panels.len(depth));
        self.halve(0..panels.count(), packed, &|panel| panels.before(panel, depth), &|some, packed| {
            panels.pack_some(self.isa, some, weight, depth, packed);
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
        packed.resize(panels.len(slots.depth()));
        self.halve(
            0..panels.count(),
            packed,
            &|panel| panels.before(panel, slots.depth()),
            &|some, packed| {
                panels.pack_some_transposed(self.isa, some, (weight, outputs), slots, packed);
            },
        );
    }

    /// Calls `pack` for some of `panels` at a time, of which number n begins at float `before(n)`
    /// of all.
    fn halve(
        &self,
        panels: Range<usize>,
        packed: &mut [f32],
        before: &(impl Fn(usize) -> usize + Sync),
        pack: &(impl Fn(Range<usize>, &mut [f32]) + Sync),
    ) {
        if packed.len() <= SHARE || panels.len() <= 1 {
            let _clock = self.phases.time(Phase::Pack);
            return pack(panels, packed);
        }
        let half = panels.start + panels.len().div_ceil(2);
        let (first, second) = packed.split_at_mut(before(half) - before(panels.start));
        self.threads.join(
            || self.halve(panels.start..half, first, before, pack),
            || self.halve(half..panels.end, second, before, pack),
        );
    }
}

//! Packing: the weights of a model from its parameters, divided among threads by panels.

use super::tensors::Tensors;
use super::weights::{HeadWeights, LayerWeights, Weights};
use crate::aligned::Aligned;
use crate::model::cell::Recurrent;
use crate::model::{ModelConfig, Parameters};
use crate::parallel::Threads;
use std::ops::Range;
use unrolled_kernels::pack::{Panels, Slots};

/// Packed floats that one thread takes at a time.
const SHARE: usize = 1 << 14;

impl Weights {
    /// Packs `parameters`; with `backward` also what the backward pass reads.
    pub(crate) fn pack(&mut self, parameters: &Parameters, backward: bool, threads: &Threads) {
        let values = &parameters.values[..];
        let Self {
            config, tensors, recurrent, input_slots, input_panels, gathered, layers, units, head, ..
        } = self;
        let input = Input { slots: input_slots, panels: input_panels, gathered };
        let packing = Packing { values, threads, tensors, recurrent, input, units, config, backward };
        threads.enter(values.len() * 8, || {
            threads.join(|| packing.layers(0, layers), || packing.head(head));
        });
        self.version += 1;
    }
}

/// What packing needs to know of the model.
struct Packing<'a> {
    values: &'a [f32],
    threads: &'a Threads,
    tensors: &'a Tensors,
    recurrent: &'a [Recurrent],
    input: Input<'a>,
    units: &'a Panels,
    config: &'a ModelConfig,
    backward: bool,
}

/// How `weight_ih` is packed.
struct Input<'a> {
    slots: &'a Slots,
    panels: &'a [Panels],
    gathered: &'a Panels,
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
        let LayerWeights { depth, bias, input, input_t, input_units, recurrent, recurrent_t } = layer;
        let mut hidden = || {
            self.recurrent(l, self.recurrent, recurrent, recurrent_t);
            self.sum_bias(l, bias);
        };
        if *depth == 0 {
            return hidden();
        }
        let weight = self.tensor(&self.tensors.layers[l].input);
        let panels = if l == 0 { std::slice::from_ref(self.input.gathered) } else { self.input.panels };
        input.resize(panels.len(), Aligned::default());
        self.threads.join(hidden, || {
            for (panels, packed) in panels.iter().zip(input) {
                self.forward(panels, weight, *depth, packed);
            }
            if self.backward {
                self.transposed(input_units, weight, *depth, self.input.slots, input_t);
            }
        });
    }

    /// The recurrent products of layer `l`, both ways.
    fn recurrent(&self, l: usize, parts: &[Recurrent], packed: &mut [Aligned], transposed: &mut [Aligned]) {
        let (hidden, weight) = (self.config.hidden, self.tensor(&self.tensors.layers[l].hidden));
        for (part, (packed, transposed)) in parts.iter().zip(packed.iter_mut().zip(transposed)) {
            self.threads.join(
                || self.forward(&part.panels, weight, hidden, packed),
                || {
                    if self.backward {
                        self.transposed(self.units, weight, hidden, &part.slots, transposed);
                    }
                },
            );
        }
    }

    /// Both bias vectors at the places of their gates; where the places are the same, their sum.
    fn sum_bias(&self, l: usize, stored: &mut [f32]) {
        stored.fill(0.0);
        let input = self.tensor(&self.tensors.layers[l].input_bias);
        for (rows, place) in self.input.slots.groups(0..input.len()) {
            stored[place..][..rows.len()].copy_from_slice(&input[rows]);
        }
        let hidden = self.tensor(&self.tensors.layers[l].hidden_bias);
        for part in self.recurrent {
            for (rows, place) in part.slots.groups(part.rows.clone()) {
                let sums = stored[place..].iter_mut().zip(&hidden[rows]);
                sums.for_each(|(sum, value)| *sum += value);
            }
        }
    }

    fn head(&self, head: &mut HeadWeights) {
        let (hidden, weight) = (self.config.hidden, self.tensor(&self.tensors.head));
        let bias = self.tensor(&self.tensors.head_bias);
        head.bias[..bias.len()].copy_from_slice(bias);
        let HeadWeights { panels, slots, weight: packed, weight_t, .. } = head;
        self.threads.join(
            || self.forward(panels, weight, hidden, packed),
            || {
                if self.backward {
                    self.transposed(self.units, weight, hidden, slots, weight_t);
                }
            },
        );
    }

    fn forward(&self, panels: &Panels, weight: &[f32], depth: usize, packed: &mut Aligned) {
        packed.resize(panels.len(depth));
        self.halve(0..panels.count(), packed, &|panel| panels.before(panel, depth), &|some, packed| {
            panels.pack_some(some, weight, depth, packed);
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
                panels.pack_some_transposed(some, weight, outputs, slots, packed);
            },
        );
    }

    /// Calls `pack` for some of `panels` at a time, of which number n begins at float `before(n)` of all.
    fn halve(
        &self,
        panels: Range<usize>,
        packed: &mut [f32],
        before: &(impl Fn(usize) -> usize + Sync),
        pack: &(impl Fn(Range<usize>, &mut [f32]) + Sync),
    ) {
        if packed.len() <= SHARE || panels.len() <= 1 {
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

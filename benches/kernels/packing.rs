//! Packing weights into panels, as after every optimizer step.

use crate::isa;
use crate::measure::{Group, Peaks, Work};
use crate::values::{assert_close, numbers};
use criterion::Criterion;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::{lstm, reference};

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "packing");
    for hidden in [100, 128, 512] {
        let forward = format!("lstm {hidden}/forward");
        group.time(&forward, Work::of(0.0), || PackingBench::new(hidden), PackingBench::forward);
        let transposed = format!("lstm {hidden}/transposed");
        group.time(&transposed, Work::of(0.0), || PackingBench::new(hidden), PackingBench::transposed);
    }
}

/// `weight_hh` of an LSTM, [4 H, H].
struct PackingBench {
    hidden: usize,
    slots: Slots,
    weight: Vec<f32>,
    gates: Panels,
    plain: Panels,
    packed: Vec<f32>,
    packed_t: Vec<f32>,
}

impl PackingBench {
    fn new(hidden: usize) -> Self {
        let slots = lstm::slots(hidden);
        let (gates, plain) = (Panels::gates(&slots), Panels::plain(hidden));
        let (packed, packed_t) = (vec![0.0; gates.len(hidden)], vec![0.0; plain.len(slots.depth())]);
        let weight = numbers(4 * hidden * hidden, 5);
        let mut packing = Self { hidden, slots, weight, gates, plain, packed, packed_t };
        packing.forward();
        packing.check_forward();
        packing.transposed();
        packing.check_transposed();
        packing
    }

    fn forward(&mut self) {
        self.gates.pack(isa(), &self.weight, self.hidden, &mut self.packed);
    }

    fn transposed(&mut self) {
        self.plain.pack_transposed(isa(), &self.weight, self.hidden, &self.slots, &mut self.packed_t);
    }

    /// A product with the packed weights equals one with the weights.
    fn check_forward(&self) {
        let (hidden, x) = (self.hidden, numbers(self.hidden, 6));
        let expected = reference::affine(hidden, &x, &self.weight, &vec![0.0; 4 * hidden]);
        let stored = self.multiply(&x, std::slice::from_ref(&(0..hidden)), &self.gates, &self.packed);
        let found: Vec<f32> = (0..4 * hidden).map(|row| stored[self.slots.place(row)]).collect();
        assert_close(&found, &expected, 1e-5, "a product with packed gates");
    }

    fn check_transposed(&self) {
        let (hidden, delta) = (self.hidden, numbers(self.slots.width(), 7));
        let mut expected = vec![0.0f32; hidden];
        for (row, weights) in self.weight.chunks_exact(hidden).enumerate() {
            let delta = delta[self.slots.place(row)];
            expected.iter_mut().zip(weights).for_each(|(sum, w)| *sum += delta * w);
        }
        let found = self.multiply(&delta, &self.slots.pieces(), &self.plain, &self.packed_t);
        assert_close(&found[..hidden], &expected, 1e-5, "a product with transposed weights");
    }

    fn multiply(
        &self,
        x: &[f32],
        pieces: &[std::ops::Range<usize>],
        panels: &Panels,
        weights: &[f32],
    ) -> Vec<f32> {
        let mut out = vec![0.0; panels.out_width()];
        let (rows, x_stride, start) = (1, x.len(), Start::Zero);
        Affine { rows, x, x_stride, pieces, panels, weights, start, out: &mut out }.run_on(isa());
        out
    }
}

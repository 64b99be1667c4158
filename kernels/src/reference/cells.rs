//! The cells: one step, row and unit after another. Gate values are [T, B, slot, H], with slots in
//! the kernels' order.

use super::elements::{sigmoid, tanh};
use super::products::{chain_by_tiles, chain_of};
use crate::isa::Products;
use crate::rnn::Activation;

/// A layer's window: sizes, PyTorch weights and input.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceCell<'a> {
    /// Number of steps (T).
    pub steps: usize,
    /// Number of batch rows (B).
    pub rows: usize,
    /// Input width E; may be 0.
    pub width: usize,
    /// Hidden width H.
    pub hidden: usize,
    /// [G * H, E]
    pub weight_ih: &'a [f32],
    /// [G * H, H]
    pub weight_hh: &'a [f32],
    /// [T, B, slot, H]: the start of the sums.
    pub start: &'a [f32],
    /// [T, B, E]
    pub x: &'a [f32],
    /// The number format of the operands of products.
    pub products: Products,
    /// True for the order of AMX, with bf16 values.
    pub tiles: bool,
}

/// The results of a forward pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// [T + 1, B, H]
    pub h: Vec<f32>,
    /// [T + 1, B, H]: c of an LSTM.
    pub c: Vec<f32>,
    /// [T, B, slot, H]
    pub gates: Vec<f32>,
    /// [T, B, H]: tanh(c') of an LSTM, r h of a GRU with reset before the product.
    pub extra: Vec<f32>,
}

/// The results of a backward pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deltas {
    /// [T, B, slot, H]
    pub gates: Vec<f32>,
    /// [B, H]: gradient of the first c, or the part of the gradient of the first h that does not go
    /// through the deltas.
    pub carry: Vec<f32>,
}

/// The place of a value: token (t, row) and unit.
#[derive(Clone, Copy)]
struct UnitPlace {
    token: usize,
    unit: usize,
}

impl ReferenceCell<'_> {
    fn each(&self, t: usize) -> impl Iterator<Item = UnitPlace> + use<> {
        let (rows, hidden) = (self.rows, self.hidden);
        (0..rows * hidden).map(move |i| UnitPlace { token: t * rows + i / hidden, unit: i % hidden })
    }
    fn place(&self, at: UnitPlace) -> usize {
        at.token * self.hidden + at.unit
    }
    fn slot(&self, at: UnitPlace, slots: usize, slot: usize) -> usize {
        (at.token * slots + slot) * self.hidden + at.unit
    }
    fn chain(&self, sum: f32, a: &[f32], b: &[f32]) -> f32 {
        if self.tiles { chain_by_tiles(sum, a, b) } else { chain_of(self.products, sum, a, b) }
    }
    fn input(&self, at: UnitPlace, gate: usize, sum: f32) -> f32 {
        let row = gate * self.hidden + at.unit;
        let weights = &self.weight_ih[row * self.width..][..self.width];
        self.chain(sum, &self.x[at.token * self.width..][..self.width], weights)
    }
    fn recurrent(&self, h: &[f32], at: UnitPlace, gate: usize, sum: f32) -> f32 {
        let row = gate * self.hidden + at.unit;
        let weights = &self.weight_hh[row * self.hidden..][..self.hidden];
        self.chain(sum, &h[at.token * self.hidden..][..self.hidden], weights)
    }
    /// Adds delta R: blocks of sixteen units, in a block the gates (slot, gate), in a gate the
    /// units.
    fn back(
        &self,
        deltas: &[f32],
        slots: usize,
        gates: &[(usize, usize)],
        at: UnitPlace,
        mut sum: f32,
    ) -> f32 {
        let row = &deltas[at.token * slots * self.hidden..][..slots * self.hidden];
        let (mut values, mut weights) = (Vec::new(), Vec::new());
        for block in (0..self.hidden).step_by(16) {
            for (slot, gate) in gates {
                let units = block..(block + 16).min(self.hidden);
                let weight = |unit| self.weight_hh[(gate * self.hidden + unit) * self.hidden + at.unit];
                let first = slot * self.hidden;
                values.extend_from_slice(&row[first + units.start..first + units.end]);
                weights.extend(units.map(weight));
                if !self.tiles {
                    sum = self.chain(sum, &values, &weights);
                    values.clear();
                    weights.clear();
                    continue;
                }
                // Each block fills a whole group of sixteen.
                values.resize(values.len().next_multiple_of(16), 0.0);
                weights.resize(values.len(), 0.0);
            }
        }
        self.chain(sum, &values, &weights)
    }
    fn trace(&self, h: &[f32], c: &[f32], slots: usize) -> Trace {
        let step = self.rows * self.hidden;
        let grown = |first: &[f32]| [first, &vec![0.0; self.steps * first.len()]].concat();
        let gates = vec![0.0; self.steps * slots * step];
        Trace { h: grown(h), c: grown(c), gates, extra: vec![0.0; self.steps * step] }
    }
    /// Returns the same unit one step later.
    fn next(&self, at: UnitPlace) -> UnitPlace {
        UnitPlace { token: at.token + self.rows, ..at }
    }
    /// Returns the gradient of h' from above, from `carry`, and from the deltas of the next step.
    fn dh(
        &self,
        from: (&[f32], Option<&[f32]>),
        deltas: &[f32],
        gates: &[(usize, usize)],
        at: UnitPlace,
    ) -> f32 {
        let slots = deltas.len() / (self.steps * self.rows * self.hidden);
        let carried = from.1.map(|carry| carry[self.place(self.row(at))]);
        // Adding -0 changes nothing. Adding 0 would turn -0 into 0.
        let sum = from.0[self.place(at)] + carried.unwrap_or(-0.0);
        if at.token / self.rows + 1 == self.steps {
            return sum;
        }
        self.back(deltas, slots, gates, self.next(at), sum)
    }
    fn row(&self, at: UnitPlace) -> UnitPlace {
        UnitPlace { token: at.token % self.rows, ..at }
    }
}

/// Returns y (1 - y).
fn bell(y: f32) -> f32 {
    y * (1.0 - y)
}

/// Returns 1 - y^2.
fn dome(y: f32) -> f32 {
    (-y).mul_add(y, 1.0)
}

/// The forward pass of [`crate::lstm`].
pub fn lstm_forward(cell: &ReferenceCell<'_>, h: &[f32], c: &[f32]) -> Trace {
    let mut trace = cell.trace(h, c, 4);
    for t in 0..cell.steps {
        for at in cell.each(t) {
            let sum = |gate| cell.input(at, gate, cell.start[cell.slot(at, 4, gate)]);
            let sum = |gate| cell.recurrent(&trace.h, at, gate, sum(gate));
            let [i, f, g, o] = [sigmoid(sum(0)), sigmoid(sum(1)), tanh(sum(2)), sigmoid(sum(3))];
            let c = f.mul_add(trace.c[cell.place(at)], i * g);
            for (slot, value) in [i, f, g, o].into_iter().enumerate() {
                trace.gates[cell.slot(at, 4, slot)] = value;
            }
            trace.extra[cell.place(at)] = tanh(c);
            trace.c[cell.place(cell.next(at))] = c;
            trace.h[cell.place(cell.next(at))] = o * tanh(c);
        }
    }
    trace
}

/// The backward pass of [`crate::lstm`]. `dc` is the gradient of the last c.
pub fn lstm_backward(cell: &ReferenceCell<'_>, trace: &Trace, dh: &[f32], dc: &[f32]) -> Deltas {
    let mut deltas = Deltas { gates: trace.gates.clone(), carry: dc.to_vec() };
    for t in (0..cell.steps).rev() {
        for at in cell.each(t) {
            let dh = cell.dh((dh, None), &deltas.gates, &[(0, 0), (1, 1), (2, 2), (3, 3)], at);
            let [i, f, g, o] = [0, 1, 2, 3].map(|slot| trace.gates[cell.slot(at, 4, slot)]);
            let (c, tanh_c) = (trace.c[cell.place(at)], trace.extra[cell.place(at)]);
            let carry = &mut deltas.carry[cell.place(cell.row(at))];
            let dc = *carry + dh * o * dome(tanh_c);
            *carry = dc * f;
            let moved = [dc * g * bell(i), dc * c * bell(f), dc * i * dome(g), dh * tanh_c * bell(o)];
            for (slot, value) in moved.into_iter().enumerate() {
                deltas.gates[cell.slot(at, 4, slot)] = value;
            }
        }
    }
    deltas
}

/// The forward pass of [`crate::gru`] with reset after; slots n, r, z, R_n h + b_hn.
pub fn gru_after_forward(cell: &ReferenceCell<'_>, h: &[f32]) -> Trace {
    let mut trace = cell.trace(h, &[], 4);
    for t in 0..cell.steps {
        for at in cell.each(t) {
            let start = |slot| cell.start[cell.slot(at, 4, slot)];
            let both = |slot, gate| cell.recurrent(&trace.h, at, gate, cell.input(at, gate, start(slot)));
            let (r, z) = (sigmoid(both(1, 0)), sigmoid(both(2, 1)));
            let n_hidden = cell.recurrent(&trace.h, at, 2, start(3));
            let n = tanh(r.mul_add(n_hidden, cell.input(at, 2, start(0))));
            for (slot, value) in [n, r, z, n_hidden].into_iter().enumerate() {
                trace.gates[cell.slot(at, 4, slot)] = value;
            }
            trace.h[cell.place(cell.next(at))] = z.mul_add(trace.h[cell.place(at)] - n, n);
        }
    }
    trace.extra.clear();
    trace
}

/// The backward pass of [`crate::gru`] with reset after.
pub fn gru_after_backward(cell: &ReferenceCell<'_>, trace: &Trace, dh: &[f32], carry: &[f32]) -> Deltas {
    let mut deltas = Deltas { gates: trace.gates.clone(), carry: carry.to_vec() };
    for t in (0..cell.steps).rev() {
        for at in cell.each(t) {
            let gates = &[(1, 0), (2, 1), (3, 2)];
            let dh = cell.dh((dh, Some(&deltas.carry)), &deltas.gates, gates, at);
            let [n, r, z, n_hidden] = [0, 1, 2, 3].map(|slot| trace.gates[cell.slot(at, 4, slot)]);
            let dn = dh * (1.0 - z) * dome(n);
            let dz = dh * (trace.h[cell.place(at)] - n) * bell(z);
            deltas.carry[cell.place(cell.row(at))] = dh * z;
            for (slot, value) in [dn, dn * n_hidden * bell(r), dz, dn * r].into_iter().enumerate() {
                deltas.gates[cell.slot(at, 4, slot)] = value;
            }
        }
    }
    deltas
}

/// The forward pass of [`crate::gru`] with reset before; slots n, r, z.
pub fn gru_before_forward(cell: &ReferenceCell<'_>, h: &[f32]) -> Trace {
    let mut trace = cell.trace(h, &[], 3);
    for t in 0..cell.steps {
        for at in cell.each(t) {
            let sum = |slot, gate| cell.input(at, gate, cell.start[cell.slot(at, 3, slot)]);
            let both = |slot, gate| cell.recurrent(&trace.h, at, gate, sum(slot, gate));
            let (r, z) = (sigmoid(both(1, 0)), sigmoid(both(2, 1)));
            trace.gates[cell.slot(at, 3, 1)] = r;
            trace.gates[cell.slot(at, 3, 2)] = z;
            trace.extra[cell.place(at)] = r * trace.h[cell.place(at)];
        }
        for at in cell.each(t) {
            let sum = cell.input(at, 2, cell.start[cell.slot(at, 3, 0)]);
            let n = tanh(cell.recurrent(&trace.extra, at, 2, sum));
            let z = trace.gates[cell.slot(at, 3, 2)];
            trace.gates[cell.slot(at, 3, 0)] = n;
            trace.h[cell.place(cell.next(at))] = z.mul_add(trace.h[cell.place(at)] - n, n);
        }
    }
    trace
}

/// The backward pass of [`crate::gru`] with reset before.
pub fn gru_before_backward(cell: &ReferenceCell<'_>, trace: &Trace, dh: &[f32], carry: &[f32]) -> Deltas {
    let mut deltas = Deltas { gates: trace.gates.clone(), carry: carry.to_vec() };
    for t in (0..cell.steps).rev() {
        for at in cell.each(t) {
            let dh = cell.dh((dh, Some(&deltas.carry)), &deltas.gates, &[(1, 0), (2, 1)], at);
            let [n, z] = [0, 2].map(|slot| trace.gates[cell.slot(at, 3, slot)]);
            let h = trace.h[cell.place(at)];
            deltas.gates[cell.slot(at, 3, 0)] = dh * (1.0 - z) * dome(n);
            deltas.gates[cell.slot(at, 3, 2)] = dh * (h - n) * bell(z);
            deltas.carry[cell.place(cell.row(at))] = dh * z;
        }
        for at in cell.each(t) {
            let d_reset_h = cell.back(&deltas.gates, 3, &[(0, 2)], at, 0.0);
            let r = trace.gates[cell.slot(at, 3, 1)];
            deltas.gates[cell.slot(at, 3, 1)] = d_reset_h * trace.h[cell.place(at)] * bell(r);
            let carry = &mut deltas.carry[cell.place(cell.row(at))];
            *carry = d_reset_h.mul_add(r, *carry);
        }
    }
    deltas
}

/// The forward pass of [`crate::rnn`]. No gates are kept.
pub fn rnn_forward(cell: &ReferenceCell<'_>, activation: Activation, h: &[f32]) -> Trace {
    let mut trace = Trace { gates: Vec::new(), extra: Vec::new(), ..cell.trace(h, &[], 0) };
    for t in 0..cell.steps {
        for at in cell.each(t) {
            let sum = cell.input(at, 0, cell.start[cell.place(at)]);
            let sum = cell.recurrent(&trace.h, at, 0, sum);
            trace.h[cell.place(cell.next(at))] = match activation {
                Activation::Tanh => tanh(sum),
                // The processors' maximum of 0 and the sum: for two zeros, and for NaN, the sum.
                Activation::Relu if 0.0 > sum => 0.0,
                Activation::Relu => sum,
                Activation::Sigmoid => sigmoid(sum),
                Activation::Identity => sum,
            };
        }
    }
    trace
}

/// The backward pass of [`crate::rnn`].
pub fn rnn_backward(cell: &ReferenceCell<'_>, activation: Activation, trace: &Trace, dh: &[f32]) -> Deltas {
    let mut deltas = vec![0.0; dh.len()];
    for t in (0..cell.steps).rev() {
        for at in cell.each(t) {
            let dh = cell.dh((dh, None), &deltas, &[(0, 0)], at);
            let h = trace.h[cell.place(cell.next(at))];
            deltas[cell.place(at)] = match activation {
                Activation::Tanh => dh * dome(h),
                Activation::Relu if h > 0.0 => dh,
                Activation::Relu => 0.0,
                Activation::Sigmoid => dh * bell(h),
                Activation::Identity => dh,
            };
        }
    }
    Deltas { gates: deltas, carry: Vec::new() }
}

//! One layer's window, forward alone and forward with backward: the recurrent product and the
//! gates.

use crate::isa;
use crate::measure::{Group, Peaks, Work};
use crate::values::{assert_close, numbers};
use criterion::Criterion;
use std::ops::Range;
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::pass::{BackwardWindow, ForwardWindow};
use unrolled_kernels::reference::{self, Deltas, ReferenceCell, Trace};
use unrolled_kernels::rnn::{self, Activation};
use unrolled_kernels::team::WindowPass;
use unrolled_kernels::{Input, WindowShape, gru, lstm};

#[derive(Clone, Copy, Debug, PartialEq)]
enum CellKind {
    Rnn,
    Lstm,
    GruAfter,
    GruBefore,
}

const KINDS: [CellKind; 4] = [CellKind::Rnn, CellKind::Lstm, CellKind::GruAfter, CellKind::GruBefore];
/// (H, B, T)
const SHAPES: [(usize, usize, usize); 3] = [(100, 200, 5), (128, 50, 10), (512, 50, 3)];
/// Number of batch rows that are compared with the reference. Rows do not depend on each other.
const CHECKED: usize = 2;
/// The kernels approximate exponentials, and errors go through T steps.
const TOLERANCE: f32 = 2e-5;

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    for (hidden, rows, steps) in SHAPES {
        let name = format!("cells {hidden}, {rows} rows x {steps} steps");
        let mut group = Group::new(criterion, peaks, &name);
        let window = WindowShape { steps, rows, hidden, keep: true, active: &[] };
        for kind in KINDS {
            let products = (2 * kind.gates() * hidden * hidden * rows * steps) as f64;
            let prepare = || CellBench::checked(kind, window);
            group.time(&format!("{kind:?}/forward"), Work::of(products), prepare, CellBench::forward);
            // Backward, the last step multiplies no deltas of a next step. The candidate of
            // `GruBefore` does not need them.
            let spared = if kind == CellKind::GruBefore { 2.0 / 3.0 } else { 1.0 };
            let both = products * (2.0 - spared / steps as f64);
            group.time(&format!("{kind:?}/forward, backward"), Work::of(both), prepare, |layer| {
                layer.forward();
                layer.backward();
            });
        }
    }
}

impl CellKind {
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm => 4,
            Self::GruAfter | Self::GruBefore => 3,
        }
    }

    /// Returns the slots of a stored row.
    fn stored(self) -> usize {
        if self == Self::GruAfter { 4 } else { self.gates() }
    }

    /// Returns the slots that `weight_hh` feeds, in one product or two.
    fn slots(self, hidden: usize) -> Vec<Slots> {
        match self {
            Self::Rnn => vec![rnn::slots(hidden)],
            Self::Lstm => vec![lstm::slots(hidden)],
            Self::GruAfter => vec![gru::slots_after_hidden(hidden)],
            Self::GruBefore => vec![gru::slots_before_gates(hidden), gru::slots_before_candidate(hidden)],
        }
    }

    /// Returns the panels of each product.
    fn panels(self, hidden: usize) -> Vec<Panels> {
        match self {
            Self::Rnn => vec![Panels::plain(hidden)],
            Self::GruBefore => {
                vec![Panels::gates(&gru::slots_before_gates(hidden)), Panels::one_gate(hidden, 2)]
            }
            _ => self.slots(hidden).iter().map(Panels::gates).collect(),
        }
    }
}

/// Weights and buffers of one layer that starts from zero and gets the same bias at every step.
struct CellBench {
    kind: CellKind,
    window: WindowShape<'static>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    panels: Vec<Panels>,
    packed: Vec<Vec<f32>>,
    plain: Panels,
    packed_t: Vec<Vec<f32>>,
    pieces: Vec<Vec<Range<usize>>>,
    h: Vec<f32>,
    c: Vec<f32>,
    gates: Vec<f32>,
    extra: Vec<f32>,
    dh: Vec<f32>,
    carry: Vec<f32>,
}

impl CellBench {
    fn new(kind: CellKind, window: WindowShape<'static>) -> Self {
        let hidden = window.hidden;
        let scale = 1.0 / (hidden as f32).sqrt();
        let weight: Vec<f32> = numbers(kind.gates() * hidden * hidden, 1).iter().map(|w| w * scale).collect();
        let (panels, plain) = (kind.panels(hidden), Panels::plain(hidden));
        let pack = |panels: &Panels| {
            let mut packed = vec![0.0; panels.len(hidden)];
            panels.pack(isa(), &weight, hidden, &mut packed);
            packed
        };
        let pack_transposed = |slots: &Slots| {
            let mut packed = vec![0.0; plain.len(slots.depth())];
            plain.pack_transposed(isa(), &weight, hidden, slots, &mut packed);
            packed
        };
        let slots = kind.slots(hidden);
        let (step, stored) = (window.step(), kind.stored());
        let grown = vec![0.0; (window.steps + 1) * step];
        let dh = numbers(window.steps * window.rows * hidden, 3);
        Self {
            kind,
            window,
            bias: store(&numbers(stored * hidden, 2), stored, hidden),
            packed: panels.iter().map(pack).collect(),
            packed_t: slots.iter().map(pack_transposed).collect(),
            pieces: slots.iter().map(Slots::pieces).collect(),
            h: grown.clone(),
            c: grown,
            gates: vec![0.0; window.steps * window.rows * stored * padded(hidden)],
            extra: vec![0.0; window.steps * step],
            dh: store(&dh, 1, hidden),
            carry: vec![0.0; step],
            weight,
            panels,
            plain,
        }
    }

    fn forward(&mut self) {
        let (window, h, gates) = (self.window, &mut self.h[..], &mut self.gates[..]);
        let input = Input { start: &self.bias, ids: None, dense: None };
        let pass = ForwardWindow { window, input, recurrent: &self.packed[0], h, room: &mut [] };
        match self.kind {
            CellKind::Rnn => {
                let (activation, panels) = (Activation::Tanh, &self.panels[0]);
                rnn::RnnForward { pass, activation, panels }.run_on(isa());
            }
            CellKind::Lstm => {
                let (c, tanh_c) = (&mut self.c[..], &mut self.extra[..]);
                lstm::LstmForward { pass, c, gates, tanh_c }.run_on(isa());
            }
            CellKind::GruAfter => gru::GruAfterForward { pass, gates }.run_on(isa()),
            CellKind::GruBefore => {
                let (candidate, candidate_panels) = (&self.packed[1], &self.panels[1]);
                let reset_h = &mut self.extra[..];
                gru::GruBeforeForward { pass, candidate, candidate_panels, reset_h, gates }.run_on(isa());
            }
        }
    }

    fn backward(&mut self) {
        self.carry.fill(0.0);
        let (window, panels, gates) = (self.window, &self.plain, &mut self.gates[..]);
        let (recurrent, pieces, dh) = (&self.packed_t[0], &self.pieces[0], &self.dh[..]);
        let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room: &mut [] };
        let (h, carry) = (&self.h[..], &mut self.carry[..]);
        match self.kind {
            CellKind::Rnn => rnn::RnnBackward { pass, activation: Activation::Tanh, h }.run_on(isa()),
            CellKind::Lstm => {
                let (c, tanh_c) = (&self.c[..], &self.extra[..]);
                lstm::LstmBackward { pass, c, tanh_c, dc: carry }.run_on(isa());
            }
            CellKind::GruAfter => gru::GruAfterBackward { pass, h, carry }.run_on(isa()),
            CellKind::GruBefore => {
                let (candidate, candidate_pieces) = (&self.packed_t[1], &self.pieces[1]);
                gru::GruBeforeBackward { pass, candidate, candidate_pieces, h, carry }.run_on(isa());
            }
        }
    }

    /// Returns a layer whose first rows have the states and deltas of the reference.
    fn checked(kind: CellKind, window: WindowShape<'static>) -> Self {
        let mut layer = Self::new(kind, window);
        let (hidden, stored) = (window.hidden, kind.stored());
        let dh = layer.first_rows(&layer.dh, 1);
        let (trace, deltas) = layer.reference(&dh);
        layer.forward();
        assert_close(&layer.first_rows(&layer.h, 1), &trace.h, TOLERANCE, &format!("{kind:?} {hidden}: h"));
        layer.backward();
        let found = layer.first_rows(&layer.gates, stored);
        assert_close(&found, &deltas.gates, TOLERANCE, &format!("{kind:?} {hidden}: deltas"));
        layer
    }

    /// Returns the first rows of each step of [_, B, stored], as [_, CHECKED, slot, H].
    fn first_rows(&self, values: &[f32], slots: usize) -> Vec<f32> {
        let hidden = self.window.hidden;
        let width = slots * padded(hidden);
        let steps = values.chunks_exact(width * self.window.rows);
        let rows = steps.flat_map(|step| step.chunks_exact(width).take(CHECKED));
        rows.flat_map(|row| unstore(row, slots, hidden)).collect()
    }

    fn reference(&self, dh: &[f32]) -> (Trace, Deltas) {
        let (steps, hidden, stored) = (self.window.steps, self.window.hidden, self.kind.stored());
        let start = unstore(&self.bias, stored, hidden).repeat(steps * CHECKED);
        let cell = ReferenceCell {
            steps,
            rows: CHECKED,
            width: 0,
            hidden,
            weight_ih: &[],
            weight_hh: &self.weight,
            start: &start,
            x: &[],
            products: unrolled_kernels::Products::F32,
            tiles: false,
        };
        let zero = vec![0.0; CHECKED * hidden];
        match self.kind {
            CellKind::Rnn => {
                let trace = reference::rnn_forward(&cell, Activation::Tanh, &zero);
                let deltas = reference::rnn_backward(&cell, Activation::Tanh, &trace, dh);
                (trace, deltas)
            }
            CellKind::Lstm => {
                let trace = reference::lstm_forward(&cell, &zero, &zero);
                let deltas = reference::lstm_backward(&cell, &trace, dh, &zero);
                (trace, deltas)
            }
            CellKind::GruAfter => {
                let trace = reference::gru_after_forward(&cell, &zero);
                let deltas = reference::gru_after_backward(&cell, &trace, dh, &zero);
                (trace, deltas)
            }
            CellKind::GruBefore => {
                let trace = reference::gru_before_forward(&cell, &zero);
                let deltas = reference::gru_before_backward(&cell, &trace, dh, &zero);
                (trace, deltas)
            }
        }
    }
}

/// Converts [M, slot, H] to stored rows [M, block, slot, 16].
fn store(plain: &[f32], slots: usize, hidden: usize) -> Vec<f32> {
    let mut stored = vec![0.0; plain.len() / hidden * padded(hidden)];
    for (i, value) in plain.iter().enumerate() {
        stored[place(i, slots, hidden)] = *value;
    }
    stored
}

/// The inverse of [`store`].
fn unstore(stored: &[f32], slots: usize, hidden: usize) -> Vec<f32> {
    let count = stored.len() / padded(hidden) * hidden;
    (0..count).map(|i| stored[place(i, slots, hidden)]).collect()
}

/// Returns the place of value i of [M, slot, H] in stored rows.
fn place(i: usize, slots: usize, hidden: usize) -> usize {
    let (row, slot, unit) = (i / (slots * hidden), i / hidden % slots, i % hidden);
    row * slots * padded(hidden) + (unit / 16 * slots + slot) * 16 + unit % 16
}

//! A layer's window in plain layouts, and one way to run every cell on it.

use crate::harness::{Numbers, Shifted, store, unstore};
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::reference::{self, Deltas, ReferenceCell, Trace};
use unrolled_kernels::rnn::{self, Activation};
use unrolled_kernels::{DenseInput, Input, Isa, WindowShape, gru, lstm};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellKind {
    Lstm,
    GruAfter,
    GruBefore,
    Rnn(Activation),
}

pub const KINDS: [CellKind; 7] = [
    CellKind::Lstm,
    CellKind::GruAfter,
    CellKind::GruBefore,
    CellKind::Rnn(Activation::Tanh),
    CellKind::Rnn(Activation::Relu),
    CellKind::Rnn(Activation::Sigmoid),
    CellKind::Rnn(Activation::Identity),
];

impl CellKind {
    /// (gates of the weights, slots of a stored row)
    pub fn gates(self) -> (usize, usize) {
        match self {
            Self::Lstm => (4, 4),
            Self::GruAfter => (3, 4),
            Self::GruBefore => (3, 3),
            Self::Rnn(_) => (1, 1),
        }
    }
}

/// A layer's window in plain layouts.
#[derive(Clone, Debug)]
pub struct CellCase {
    pub kind: CellKind,
    pub window: WindowShape<'static>,
    /// Active rows of each step, empty for all; `window` has none.
    pub active: Vec<u32>,
    /// E, 0 for no dense input.
    pub width: usize,
    /// Floats that every buffer is shifted by.
    pub offset: usize,
    pub weight_ih: Vec<f32>,
    pub weight_hh: Vec<f32>,
    /// [D, slot, H]
    pub table: Vec<f32>,
    pub ids: Option<Vec<u32>>,
    pub x: Vec<f32>,
    pub h: Vec<f32>,
    pub c: Vec<f32>,
    pub dh: Vec<f32>,
    pub carry: Vec<f32>,
}

/// The sizes that a case is made from.
#[derive(Clone, Copy, Debug)]
pub struct CaseSizes {
    pub steps: usize,
    pub rows: usize,
    pub hidden: usize,
    pub width: usize,
    /// Rows of a table, 0 for a bias.
    pub table: usize,
    pub keep: bool,
    pub offset: usize,
    pub seed: u64,
}

impl CellCase {
    pub fn new(kind: CellKind, sizes: CaseSizes) -> Self {
        let CaseSizes { steps, rows, hidden, width, table, keep, offset, seed } = sizes;
        let (gates, slots) = kind.gates();
        let mut n = Numbers(seed);
        let scale = 1.0 / (hidden as f32).sqrt();
        let mut weights = |columns| n.floats(gates * hidden * columns).iter().map(|w| w * scale).collect();
        let (weight_ih, weight_hh) = (weights(width), weights(hidden));
        let tokens = steps * rows;
        Self {
            kind,
            window: WindowShape { steps, rows, hidden, keep, active: &[] },
            active: Vec::new(),
            width,
            offset,
            weight_ih,
            weight_hh,
            table: n.floats(table.max(1) * slots * hidden),
            ids: (table > 0).then(|| n.ids(tokens, table)),
            x: n.floats(tokens * width),
            h: n.floats(rows * hidden),
            c: n.floats(if kind == CellKind::Lstm { rows * hidden } else { 0 }),
            dh: n.floats(tokens * hidden),
            carry: n.floats(if matches!(kind, CellKind::Rnn(_)) { 0 } else { rows * hidden }),
        }
    }

    /// Some tokens of the window, [T, B] restricted to steps and rows.
    pub fn part(&self, steps: core::ops::Range<usize>, rows: core::ops::Range<usize>) -> Self {
        let (old, hidden) = (self.window, self.window.hidden);
        fn tokens<A: Clone>(
            all: &[A],
            old: WindowShape<'_>,
            (steps, rows): (core::ops::Range<usize>, core::ops::Range<usize>),
        ) -> Vec<A> {
            let each = all.len() / (old.steps * old.rows);
            let token = |t: usize| &all[(t * old.rows + rows.start) * each..][..rows.len() * each];
            steps.flat_map(|t| token(t).to_vec()).collect()
        }
        let state = |v: &[f32]| {
            if v.is_empty() { Vec::new() } else { v[rows.start * hidden..rows.end * hidden].to_vec() }
        };
        let both = (steps.clone(), rows.clone());
        Self {
            window: WindowShape { steps: steps.len(), rows: rows.len(), ..old },
            ids: self.ids.as_ref().map(|ids| tokens(ids, old, both.clone())),
            x: tokens(&self.x, old, both.clone()),
            dh: tokens(&self.dh, old, both.clone()),
            h: state(&self.h),
            c: state(&self.c),
            carry: state(&self.carry),
            ..self.clone()
        }
    }

    /// The tokens that remain when row `b` ends after `lengths[b]` steps, longest first; h, c and carry stay.
    pub fn ragged(&self, lengths: &[usize]) -> Self {
        let (steps, rows) = (self.window.steps, self.window.rows);
        let going = |t: usize| lengths.iter().take_while(|length| **length > t).count();
        let tokens: Vec<usize> = (0..steps).flat_map(|t| (0..going(t)).map(move |b| t * rows + b)).collect();
        fn pick<A: Clone>(all: &[A], count: usize, tokens: &[usize]) -> Vec<A> {
            let each = all.len() / count;
            tokens.iter().flat_map(|m| all[m * each..][..each].to_vec()).collect()
        }
        let count = steps * rows;
        Self {
            active: (0..steps).map(|t| going(t) as u32).collect(),
            ids: self.ids.as_ref().map(|ids| pick(ids, count, &tokens)),
            x: pick(&self.x, count, &tokens),
            dh: pick(&self.dh, count, &tokens),
            ..self.clone()
        }
    }

    fn sizes(&self) -> WindowShape<'_> {
        WindowShape { active: &self.active, ..self.window }
    }

    /// [T, B, slot, H]
    fn start(&self) -> Vec<f32> {
        let row = self.kind.gates().1 * self.window.hidden;
        let token = |m| self.ids.as_ref().map_or(0, |ids| ids[m] as usize);
        let tokens = 0..self.window.steps * self.window.rows;
        tokens.flat_map(|m| self.table[token(m) * row..][..row].to_vec()).collect()
    }

    fn cell<'a>(&'a self, start: &'a [f32]) -> ReferenceCell<'a> {
        ReferenceCell {
            steps: self.window.steps,
            rows: self.window.rows,
            width: self.width,
            hidden: self.window.hidden,
            weight_ih: &self.weight_ih,
            weight_hh: &self.weight_hh,
            start,
            x: &self.x,
        }
    }

    pub fn twin_forward(&self) -> Trace {
        let start = self.start();
        let cell = self.cell(&start);
        match self.kind {
            CellKind::Lstm => reference::lstm_forward(&cell, &self.h, &self.c),
            CellKind::GruAfter => reference::gru_after_forward(&cell, &self.h),
            CellKind::GruBefore => reference::gru_before_forward(&cell, &self.h),
            CellKind::Rnn(activation) => reference::rnn_forward(&cell, activation, &self.h),
        }
    }

    pub fn twin_backward(&self, trace: &Trace) -> Deltas {
        let cell = self.cell(&[]);
        match self.kind {
            CellKind::Lstm => reference::lstm_backward(&cell, trace, &self.dh, &self.carry),
            CellKind::GruAfter => reference::gru_after_backward(&cell, trace, &self.dh, &self.carry),
            CellKind::GruBefore => reference::gru_before_backward(&cell, trace, &self.dh, &self.carry),
            CellKind::Rnn(activation) => reference::rnn_backward(&cell, activation, trace, &self.dh),
        }
    }

    fn stored(&self, plain: &[f32], slots: usize) -> Shifted {
        Shifted::new(&store(plain, slots, self.window.hidden, 0.0), self.offset)
    }

    fn pack(&self, isa: Isa, panels: &Panels, weight: &[f32], columns: usize) -> Shifted {
        let mut packed = Shifted::new(&vec![f32::NAN; panels.len(columns)], self.offset);
        panels.pack(isa, weight, columns, packed.get_mut());
        packed
    }

    fn pack_transposed(&self, isa: Isa, slots: &Slots) -> Shifted {
        let hidden = self.window.hidden;
        let panels = Panels::plain(hidden);
        let mut packed = Shifted::new(&vec![f32::NAN; panels.len(slots.depth())], self.offset);
        panels.pack_transposed(isa, &self.weight_hh, hidden, slots, packed.get_mut());
        packed
    }

    /// The panels of (weight_ih, its second set, weight_hh, its second set).
    fn panels(&self) -> [Panels; 4] {
        let hidden = self.window.hidden;
        let none = Panels::plain(0);
        match self.kind {
            CellKind::Lstm => {
                let panels = Panels::gates(&lstm::slots(hidden));
                [panels.clone(), none.clone(), panels, none]
            }
            CellKind::GruAfter => [
                Panels::gates(&gru::slots_after_input(hidden)),
                none.clone(),
                Panels::gates(&gru::slots_after_hidden(hidden)),
                none,
            ],
            CellKind::GruBefore => {
                let gates = Panels::gates(&gru::slots_before_gates(hidden));
                let candidate = Panels::one_gate(hidden, 2);
                [gates.clone(), candidate.clone(), gates, candidate]
            }
            CellKind::Rnn(_) => [Panels::plain(hidden), none.clone(), Panels::plain(hidden), none],
        }
    }

    /// Runs the kernel; everything comes back in plain layouts, and padding of h, c and r h must be zero.
    pub fn forward(&self, isa: Isa) -> Trace {
        let (window, hidden, slots) = (self.sizes(), self.window.hidden, self.kind.gates().1);
        let [ih, ih_second, hh, hh_second] = self.panels();
        let dense_weights = self.pack(isa, &ih, &self.weight_ih, self.width);
        let second = self.pack(isa, &ih_second, &self.weight_ih, self.width);
        let recurrent = self.pack(isa, &hh, &self.weight_hh, hidden);
        let candidate = self.pack(isa, &hh_second, &self.weight_hh, hidden);
        // Rows of x are two floats further apart than they need be.
        let stride = self.width + 2;
        let mut x = Shifted::new(&vec![f32::NAN; window.tokens() * stride], self.offset);
        if self.width > 0 {
            for (to, from) in x.get_mut().chunks_exact_mut(stride).zip(self.x.chunks_exact(self.width)) {
                to[..self.width].copy_from_slice(from);
            }
        }
        let dense = DenseInput {
            values: x.get(),
            stride,
            width: self.width,
            weights: dense_weights.get(),
            second: second.get(),
        };
        let table = self.stored(&self.table, slots);
        let dense = (self.width > 0).then_some(dense);
        let input = Input { start: table.get(), ids: self.ids.as_deref(), dense };

        let vector = padded(hidden);
        let kept = window.kept_tokens() * vector;
        let grow = |first: &[f32], tokens: usize| {
            let first = store(first, 1, hidden, 0.0);
            let rest = vec![f32::NAN; tokens * vector];
            Shifted::new(&[first, rest].concat(), self.offset)
        };
        let mut h = grow(&self.h, window.tokens());
        let mut c = grow(&self.c, if window.keep { window.tokens() } else { 0 });
        let mut gates = Shifted::new(&vec![f32::NAN; kept * slots], self.offset);
        // Where a step is overwritten by the next, rows without any step leave theirs as it was.
        let untouched = if window.keep || self.active.is_empty() { f32::NAN } else { 0.0 };
        let mut extra = Shifted::new(&vec![untouched; kept], self.offset);
        let (h_out, gates_out) = (h.get_mut(), gates.get_mut());
        match self.kind {
            CellKind::Lstm => lstm::LstmForward {
                window,
                input,
                recurrent: recurrent.get(),
                h: h_out,
                c: c.get_mut(),
                gates: gates_out,
                tanh_c: extra.get_mut(),
            }
            .run_on(isa),
            CellKind::GruAfter => {
                gru::GruAfterForward {
                    window,
                    input,
                    recurrent: recurrent.get(),
                    h: h_out,
                    gates: gates_out,
                }
                .run_on(isa);
            }
            CellKind::GruBefore => gru::GruBeforeForward {
                window,
                input,
                recurrent: recurrent.get(),
                candidate: candidate.get(),
                candidate_panels: &hh_second,
                h: h_out,
                reset_h: extra.get_mut(),
                gates: gates_out,
            }
            .run_on(isa),
            CellKind::Rnn(activation) => {
                let recurrent = recurrent.get();
                rnn::RnnForward { window, activation, input, recurrent, panels: &hh, h: h_out }.run_on(isa);
            }
        }
        let plain = |stored: &Shifted| unstore(stored.get(), 1, hidden, true);
        let is_rnn = matches!(self.kind, CellKind::Rnn(_));
        Trace {
            h: plain(&h),
            c: if self.kind == CellKind::Lstm { plain(&c) } else { Vec::new() },
            gates: if is_rnn { Vec::new() } else { unstore(gates.get(), slots, hidden, false) },
            extra: match self.kind {
                CellKind::Lstm | CellKind::GruBefore => plain(&extra),
                _ => Vec::new(),
            },
        }
    }

    /// Runs the kernel's backward pass on a trace; padding of deltas must be zero.
    pub fn backward(&self, isa: Isa, trace: &Trace) -> Deltas {
        let (window, hidden, slots) = (self.sizes(), self.window.hidden, self.kind.gates().1);
        let panels = &Panels::plain(hidden);
        let [h, c, extra] = [&trace.h, &trace.c, &trace.extra].map(|plain| self.stored(plain, 1));
        let (h, c, extra) = (h.get(), c.get(), extra.get());
        let is_rnn = matches!(self.kind, CellKind::Rnn(_));
        let gates_in = if is_rnn { vec![f32::NAN; self.dh.len()] } else { trace.gates.clone() };
        let mut gates = Shifted::new(&store(&gates_in, slots, hidden, 0.5), self.offset);
        let dh = self.stored(&self.dh, 1);
        let dh = dh.get();
        let mut carry = self.stored(&self.carry, 1);
        match self.kind {
            CellKind::Lstm => {
                let slots = lstm::slots(hidden);
                let recurrent = self.pack_transposed(isa, &slots);
                lstm::LstmBackward {
                    window,
                    recurrent: recurrent.get(),
                    panels,
                    pieces: &slots.pieces(),
                    c,
                    tanh_c: extra,
                    dh,
                    dc: carry.get_mut(),
                    gates: gates.get_mut(),
                }
                .run_on(isa);
            }
            CellKind::GruAfter => {
                let slots = gru::slots_after_hidden(hidden);
                let recurrent = self.pack_transposed(isa, &slots);
                gru::GruAfterBackward {
                    window,
                    recurrent: recurrent.get(),
                    panels,
                    pieces: &slots.pieces(),
                    h,
                    dh,
                    carry: carry.get_mut(),
                    gates: gates.get_mut(),
                }
                .run_on(isa);
            }
            CellKind::GruBefore => {
                let (slots, candidate) =
                    (gru::slots_before_gates(hidden), gru::slots_before_candidate(hidden));
                let (recurrent, last) =
                    (self.pack_transposed(isa, &slots), self.pack_transposed(isa, &candidate));
                gru::GruBeforeBackward {
                    window,
                    recurrent: recurrent.get(),
                    candidate: last.get(),
                    panels,
                    pieces: &slots.pieces(),
                    candidate_pieces: &candidate.pieces(),
                    h,
                    dh,
                    carry: carry.get_mut(),
                    gates: gates.get_mut(),
                }
                .run_on(isa);
            }
            CellKind::Rnn(activation) => {
                let slots = rnn::slots(hidden);
                let recurrent = self.pack_transposed(isa, &slots);
                rnn::RnnBackward {
                    window,
                    activation,
                    recurrent: recurrent.get(),
                    panels,
                    pieces: &slots.pieces(),
                    h,
                    dh,
                    deltas: gates.get_mut(),
                }
                .run_on(isa);
            }
        }
        Deltas {
            gates: unstore(gates.get(), slots, hidden, true),
            carry: unstore(carry.get(), 1, hidden, true),
        }
    }
}

//! The kernels of every cell on a case. Results come back in plain layouts.

use crate::cases::{CellCase, CellKind};
use crate::harness::{Shifted, store, unstore};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::{Panels, Slots, padded};
use unrolled_kernels::pass::{BackwardWindow, ForwardWindow};
use unrolled_kernels::reference::{Deltas, Trace};
use unrolled_kernels::team::{AnyTeam, Seat, WindowPass};
use unrolled_kernels::{DenseInput, Input, Isa, gru, lstm, rnn};

/// The panels of `weight_ih` and `weight_hh`, each with a second set for cells of two phases.
struct CasePanels {
    input: [Panels; 2],
    recurrent: [Panels; 2],
}

impl CasePanels {
    fn new(kind: CellKind, hidden: usize) -> Self {
        let none = Panels::plain(0);
        let one =
            |input, recurrent| Self { input: [input, none.clone()], recurrent: [recurrent, none.clone()] };
        match kind {
            CellKind::Lstm => {
                let panels = Panels::gates(&lstm::slots(hidden));
                one(panels.clone(), panels)
            }
            CellKind::GruAfter => one(
                Panels::gates(&gru::slots_after_input(hidden)),
                Panels::gates(&gru::slots_after_hidden(hidden)),
            ),
            CellKind::GruBefore => {
                let both = [Panels::gates(&gru::slots_before_gates(hidden)), Panels::one_gate(hidden, 2)];
                Self { input: both.clone(), recurrent: both }
            }
            CellKind::Rnn(_) => one(Panels::plain(hidden), Panels::plain(hidden)),
        }
    }
}

/// The buffers of a forward pass.
struct ForwardBuffers {
    h: Shifted,
    c: Shifted,
    gates: Shifted,
    extra: Shifted,
}

impl ForwardBuffers {
    fn new(case: &CellCase) -> Self {
        let (window, hidden, slots) = (case.shape(), case.window.hidden, case.kind.gates().1);
        let vector = padded(hidden);
        let kept = window.kept_tokens() * vector;
        let grow = |first: &[f32], tokens: usize| {
            let first = store(first, 1, hidden, 0.0);
            let rest = vec![f32::NAN; tokens * vector];
            Shifted::new(&[first, rest].concat(), case.offset)
        };
        // If each step overwrites the one before, rows without any step leave theirs unchanged.
        let untouched = if window.keep || case.active.is_empty() { f32::NAN } else { 0.0 };
        Self {
            h: grow(&case.h, window.tokens()),
            c: grow(&case.c, if window.keep { window.tokens() } else { 0 }),
            gates: Shifted::new(&vec![f32::NAN; kept * slots], case.offset),
            extra: Shifted::new(&vec![untouched; kept], case.offset),
        }
    }

    /// Returns the results. Padding of h, c and r h must be zero if the case is finite.
    fn trace(&self, case: &CellCase) -> Trace {
        let (hidden, slots) = (case.window.hidden, case.kind.gates().1);
        let plain = |stored: &Shifted| unstore(stored.get(), 1, hidden, case.is_finite());
        let is_rnn = matches!(case.kind, CellKind::Rnn(_));
        Trace {
            h: plain(&self.h),
            c: if case.kind == CellKind::Lstm { plain(&self.c) } else { Vec::new() },
            gates: if is_rnn { Vec::new() } else { unstore(self.gates.get(), slots, hidden, false) },
            extra: match case.kind {
                CellKind::Lstm | CellKind::GruBefore => plain(&self.extra),
                _ => Vec::new(),
            },
        }
    }
}

/// Runs a small product, as a thread may do while it waits for others. It has other tiles.
fn other_product(isa: Isa) {
    let (panels, bias, piece, mut out) = (Panels::plain(1), [0.5; 16], 0..1, [0.0; 48]);
    let mut weights = vec![0.0; panels.len(isa.words(1))];
    panels.pack(isa, &[2.0], 1, &mut weights);
    let (x, pieces) = (&[1.0, 2.0, 3.0], core::slice::from_ref(&piece));
    let (panels, weights, start, out_row) = (&panels, &weights, Start::Bias(&bias), &mut out);
    Affine { rows: 3, x, x_stride: 1, pieces, panels, weights, start, out: out_row }.run_on(isa);
    assert_eq!([out[0], out[16], out[32]], [2.5, 4.5, 6.5]);
}

/// Computes a window on one thread, or on a team of several.
fn run<W: WindowPass + Sync>(pass: W, isa: Isa, members: usize) {
    if members == 1 {
        return pass.run_on(isa);
    }
    let mut seats = vec![Seat::default(); members];
    let idle = |_| {
        if isa.has_tiles() {
            other_product(isa);
        }
        std::thread::yield_now();
    };
    let team = pass.team(isa, &mut seats);
    std::thread::scope(|scope| {
        (1..members).for_each(|_| _ = scope.spawn(|| team.attend(&idle)));
        assert_eq!(team.lead(&|_| false, &idle), members);
    });
}

impl CellCase {
    fn is_finite(&self) -> bool {
        self.h.iter().chain(&self.x).all(|value| value.abs() < f32::MAX)
    }

    fn stored(&self, plain: &[f32], slots: usize) -> Shifted {
        Shifted::new(&store(plain, slots, self.window.hidden, 0.0), self.offset)
    }

    fn pack(&self, isa: Isa, panels: &Panels, weight: &[f32], columns: usize) -> Shifted {
        let mut packed = Shifted::new(&vec![f32::NAN; panels.len(isa.words(columns))], self.offset);
        panels.pack(isa, weight, columns, packed.get_mut());
        packed
    }

    fn pack_transposed(&self, isa: Isa, slots: &Slots) -> Shifted {
        let hidden = self.window.hidden;
        let panels = Panels::plain(hidden);
        let mut packed = Shifted::new(&vec![f32::NAN; panels.len(isa.slot_words(slots))], self.offset);
        panels.pack_transposed(isa, &self.weight_hh, hidden, slots, packed.get_mut());
        packed
    }

    /// The dense input in rows of `stride` floats, two more than needed.
    fn spread_input(&self, stride: usize) -> Shifted {
        let mut x = Shifted::new(&vec![f32::NAN; self.shape().tokens() * stride], self.offset);
        if self.width > 0 {
            for (to, from) in x.get_mut().chunks_exact_mut(stride).zip(self.x.chunks_exact(self.width)) {
                to[..self.width].copy_from_slice(from);
            }
        }
        x
    }

    /// Runs the kernel.
    pub fn forward(&self, isa: Isa) -> Trace {
        let (panels, stride) = (CasePanels::new(self.kind, self.window.hidden), self.width + 2);
        let [weights, second] =
            panels.input.each_ref().map(|panels| self.pack(isa, panels, &self.weight_ih, self.width));
        let (x, table) = (self.spread_input(stride), self.stored(&self.table, self.kind.gates().1));
        let (weights, second) = (weights.get(), second.get());
        let dense = DenseInput { values: x.get(), stride, width: self.width, weights, second };
        let dense = (self.width > 0).then_some(dense);
        let input = Input { start: table.get(), ids: self.ids.as_deref(), dense };
        let mut buffers = ForwardBuffers::new(self);
        self.run_forward(isa, &panels.recurrent, input, &mut buffers);
        buffers.trace(self)
    }

    fn run_forward(&self, isa: Isa, panels: &[Panels; 2], input: Input<'_>, buffers: &mut ForwardBuffers) {
        let [recurrent, candidate] =
            panels.each_ref().map(|panels| self.pack(isa, panels, &self.weight_hh, self.window.hidden));
        let (window, recurrent, candidate) = (self.shape(), recurrent.get(), candidate.get());
        let ForwardBuffers { h, c, gates, extra } = buffers;
        let (h, c, gates, extra) = (h.get_mut(), c.get_mut(), gates.get_mut(), extra.get_mut());
        let room = &mut vec![f32::NAN; isa.forward_room(window.rows, window.hidden, self.width)];
        let pass = ForwardWindow { window, input, recurrent, h, room };
        let members = self.members;
        match self.kind {
            CellKind::Lstm => {
                run(lstm::LstmForward { pass, c, gates, tanh_c: extra }, isa, members);
            }
            CellKind::GruAfter => run(gru::GruAfterForward { pass, gates }, isa, members),
            CellKind::GruBefore => {
                let candidate_panels = &panels[1];
                let reset_h = extra;
                let pass = gru::GruBeforeForward { pass, candidate, candidate_panels, reset_h, gates };
                run(pass, isa, members);
            }
            CellKind::Rnn(activation) => {
                let panels = &panels[0];
                run(rnn::RnnForward { pass, activation, panels }, isa, members);
            }
        }
    }

    /// Runs the kernel's backward pass on a trace. Padding of deltas must be zero.
    pub fn backward(&self, isa: Isa, trace: &Trace) -> Deltas {
        let (hidden, slots) = (self.window.hidden, self.kind.gates().1);
        let is_rnn = matches!(self.kind, CellKind::Rnn(_));
        let gates = if is_rnn { vec![f32::NAN; self.dh.len()] } else { trace.gates.clone() };
        let mut gates = Shifted::new(&store(&gates, slots, hidden, 0.5), self.offset);
        let mut carry = self.stored(&self.carry, 1);
        self.run_backward(isa, trace, gates.get_mut(), carry.get_mut());
        Deltas {
            gates: unstore(gates.get(), slots, hidden, self.is_finite()),
            carry: unstore(carry.get(), 1, hidden, self.is_finite()),
        }
    }

    /// The slots that `weight_hh` feeds: one set, or two for cells of two phases.
    fn recurrent_slots(&self) -> [Slots; 2] {
        let hidden = self.window.hidden;
        match self.kind {
            CellKind::Lstm => [lstm::slots(hidden), Slots::plain(0)],
            CellKind::GruAfter => [gru::slots_after_hidden(hidden), Slots::plain(0)],
            CellKind::GruBefore => [gru::slots_before_gates(hidden), gru::slots_before_candidate(hidden)],
            CellKind::Rnn(_) => [rnn::slots(hidden), Slots::plain(0)],
        }
    }

    fn run_backward(&self, isa: Isa, trace: &Trace, gates: &mut [f32], carry: &mut [f32]) {
        let (window, panels) = (self.shape(), &Panels::plain(self.window.hidden));
        let [h, c, extra] = [&trace.h, &trace.c, &trace.extra].map(|plain| self.stored(plain, 1));
        let (h, c, tanh_c, dh) = (h.get(), c.get(), extra.get(), self.stored(&self.dh, 1));
        let (dh, slots) = (dh.get(), self.recurrent_slots());
        let [recurrent, candidate] = slots.each_ref().map(|slots| self.pack_transposed(isa, slots));
        let (recurrent, candidate) = (recurrent.get(), candidate.get());
        let [pieces, candidate_pieces] = &slots.each_ref().map(Slots::pieces);
        let multiplied = slots[0].gates.len();
        let room = &mut vec![f32::NAN; isa.backward_room(window.rows, window.hidden, multiplied)];
        let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room };
        let members = self.members;
        match self.kind {
            CellKind::Lstm => {
                run(lstm::LstmBackward { pass, c, tanh_c, dc: carry }, isa, members);
            }
            CellKind::GruAfter => {
                run(gru::GruAfterBackward { pass, h, carry }, isa, members);
            }
            CellKind::GruBefore => {
                let pass = gru::GruBeforeBackward { pass, candidate, candidate_pieces, h, carry };
                run(pass, isa, members);
            }
            CellKind::Rnn(activation) => {
                run(rnn::RnnBackward { pass, activation, h }, isa, members);
            }
        }
    }
}

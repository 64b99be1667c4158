//! The GRU with reset after or before the recurrent product; equations in
//! [`unrolled_kernels::gru`].

use super::buffers::{Extras, View};
use super::crew::Crew;
use super::kernels::{CellKernels, CellWeights, Recurrent, RecurrentInput};
use unrolled_kernels::Input;
use unrolled_kernels::gru::{
    GruAfterBackward, GruAfterForward, GruBeforeBackward, GruBeforeForward, slots_after_hidden,
    slots_after_input, slots_before_candidate, slots_before_gates, slots_before_input,
};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::pass::{BackwardWindow, ForwardWindow};

/// The kernels of the GRU with reset after the product, as in PyTorch.
#[derive(Debug)]
pub(crate) struct GruAfterKernels {
    pub(crate) hidden: usize,
}

impl CellKernels for GruAfterKernels {
    fn input_slots(&self) -> Slots {
        slots_after_input(self.hidden)
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![Panels::gates(&slots_after_input(self.hidden))]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let slots = slots_after_hidden(self.hidden);
        let panels = Panels::gates(&slots);
        let (rows, depth) = (0..3 * self.hidden, self.hidden);
        vec![Recurrent { slots, panels, rows, depth, source: RecurrentInput::Hidden }]
    }

    fn extras(&self) -> Extras {
        Extras { carry: true, ..Extras::default() }
    }

    fn forward(&self, on: Crew<'_>, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>) {
        let View { window, h, gates, room, seats, .. } = view;
        let pass = ForwardWindow { window, input, recurrent: &weights.recurrent[0], h, room };
        on.run(GruAfterForward { pass, gates }, seats);
    }

    fn backward(&self, on: Crew<'_>, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>) {
        let View { window, h, gates, carry, room, seats, .. } = view;
        let (recurrent, panels, pieces) = (&weights.recurrent_t[0], weights.units, &weights.pieces[0]);
        let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room };
        on.run(GruAfterBackward { pass, h, carry }, seats);
    }
}

/// The kernels of the GRU with reset before the product, as in TensorFlow 1.
#[derive(Debug)]
pub(crate) struct GruBeforeKernels {
    hidden: usize,
    candidate: Panels,
}

impl GruBeforeKernels {
    /// Returns the kernels for H units.
    pub(crate) fn new(hidden: usize) -> Self {
        Self { hidden, candidate: Panels::one_gate(hidden, 2) }
    }
}

impl CellKernels for GruBeforeKernels {
    fn input_slots(&self) -> Slots {
        slots_before_input(self.hidden)
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![Panels::gates(&slots_before_gates(self.hidden)), self.candidate.clone()]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let (gates, candidate) = (slots_before_gates(self.hidden), slots_before_candidate(self.hidden));
        let (two, three) = (2 * self.hidden, 3 * self.hidden);
        vec![
            Recurrent {
                panels: Panels::gates(&gates),
                slots: gates,
                rows: 0..two,
                depth: self.hidden,
                source: RecurrentInput::Hidden,
            },
            Recurrent {
                panels: self.candidate.clone(),
                slots: candidate,
                rows: two..three,
                depth: self.hidden,
                source: RecurrentInput::ResetHidden,
            },
        ]
    }

    fn extras(&self) -> Extras {
        Extras { carry: true, reset_h: true, ..Extras::default() }
    }

    fn forward(&self, on: Crew<'_>, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>) {
        let View { window, h, gates, reset_h, room, seats, .. } = view;
        let pass = ForwardWindow { window, input, recurrent: &weights.recurrent[0], h, room };
        let (candidate, candidate_panels) = (&weights.recurrent[1], &self.candidate);
        on.run(GruBeforeForward { pass, candidate, candidate_panels, reset_h, gates }, seats);
    }

    fn backward(&self, on: Crew<'_>, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>) {
        let View { window, h, gates, carry, room, seats, .. } = view;
        let (recurrent, panels, pieces) = (&weights.recurrent_t[0], weights.units, &weights.pieces[0]);
        let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room };
        let (candidate, candidate_pieces) = (&weights.recurrent_t[1], &weights.pieces[1]);
        on.run(GruBeforeBackward { pass, candidate, candidate_pieces, h, carry }, seats);
    }
}

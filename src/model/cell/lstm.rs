//! The LSTM; equations in [`unrolled_kernels::lstm`].

use super::buffers::{Extras, View};
use super::crew::Crew;
use super::kernels::{CellKernels, CellWeights, Recurrent, RecurrentInput};
use unrolled_kernels::Input;
use unrolled_kernels::lstm::{LstmBackward, LstmForward, slots};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::pass::{BackwardWindow, ForwardWindow};

/// The kernels of the LSTM.
#[derive(Debug)]
pub(crate) struct LstmKernels {
    pub(crate) hidden: usize,
}

impl CellKernels for LstmKernels {
    fn input_slots(&self) -> Slots {
        slots(self.hidden)
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![Panels::gates(&slots(self.hidden))]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let slots = slots(self.hidden);
        let panels = Panels::gates(&slots);
        let (rows, depth) = (0..4 * self.hidden, self.hidden);
        vec![Recurrent { slots, panels, rows, depth, source: RecurrentInput::Hidden }]
    }

    fn extras(&self) -> Extras {
        Extras { cell_state: true, tanh_c: true, carry: true, ..Extras::default() }
    }

    fn forward(&self, on: Crew<'_>, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>) {
        let View { window, h, c, gates, tanh_c, room, seats, .. } = view;
        let pass = ForwardWindow { window, input, recurrent: &weights.recurrent[0], h, room };
        on.run(LstmForward { pass, c, gates, tanh_c }, seats);
    }

    fn backward(&self, on: Crew<'_>, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>) {
        let View { window, c, gates, tanh_c, carry, room, seats, .. } = view;
        let (recurrent, panels, pieces) = (&weights.recurrent_t[0], weights.units, &weights.pieces[0]);
        let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room };
        on.run(LstmBackward { pass, c, tanh_c, dc: carry }, seats);
    }
}

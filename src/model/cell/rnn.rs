//! The vanilla RNN; equations in [`unrolled_kernels::rnn`].

use super::buffers::{Extras, View};
use super::crew::Crew;
use super::kernels::{CellKernels, CellWeights, Recurrent, RecurrentInput};
use crate::settings;
use unrolled_kernels::Input;
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::pass::{BackwardWindow, ForwardWindow};
use unrolled_kernels::rnn::{Activation, RnnBackward, RnnForward, slots};

/// The kernels of the vanilla RNN.
#[derive(Debug)]
pub(crate) struct RnnKernels {
    hidden: usize,
    activation: Activation,
    panels: Panels,
}

impl RnnKernels {
    /// Returns the kernels for H units.
    pub(crate) fn new(hidden: usize, activation: settings::Activation) -> Self {
        let activation = match activation {
            settings::Activation::Tanh => Activation::Tanh,
            settings::Activation::Relu => Activation::Relu,
            settings::Activation::Sigmoid => Activation::Sigmoid,
            settings::Activation::Identity => Activation::Identity,
        };
        Self { hidden, activation, panels: Panels::plain(hidden) }
    }
}

impl CellKernels for RnnKernels {
    fn input_slots(&self) -> Slots {
        slots(self.hidden)
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![self.panels.clone()]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let (slots, panels) = (slots(self.hidden), self.panels.clone());
        let (rows, depth) = (0..self.hidden, self.hidden);
        vec![Recurrent { slots, panels, rows, depth, source: RecurrentInput::Hidden }]
    }

    fn extras(&self) -> Extras {
        Extras::default()
    }

    fn forward(&self, on: Crew<'_>, weights: &CellWeights<'_>, input: Input<'_>, view: View<'_>) {
        let View { window, h, room, seats, .. } = view;
        let pass = ForwardWindow { window, input, recurrent: &weights.recurrent[0], h, room };
        on.run(RnnForward { pass, activation: self.activation, panels: &self.panels }, seats);
    }

    fn backward(&self, on: Crew<'_>, weights: &CellWeights<'_>, dh: &[f32], view: View<'_>) {
        let View { window, h, gates, room, seats, .. } = view;
        let (recurrent, panels, pieces) = (&weights.recurrent_t[0], weights.units, &weights.pieces[0]);
        let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room };
        on.run(RnnBackward { pass, activation: self.activation, h }, seats);
    }
}

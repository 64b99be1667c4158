//! The LSTM; equations in [`unrolled_kernels::lstm`].

use super::{Buffers, Cell, CellWeights, Extras, Recurrent, Source};
use unrolled_kernels::lstm::{Backward, Forward, slots};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::{Input, Isa, Window};

/// Long short-term memory.
#[derive(Debug)]
pub(crate) struct Lstm {
    pub(crate) hidden: usize,
}

impl Cell for Lstm {
    fn input_slots(&self) -> Slots {
        slots(self.hidden)
    }

    fn input_panels(&self) -> Vec<Panels> {
        vec![Panels::gates(&slots(self.hidden))]
    }

    fn recurrent(&self) -> Vec<Recurrent> {
        let slots = slots(self.hidden);
        let panels = Panels::gates(&slots);
        vec![Recurrent { slots, panels, rows: 0..4 * self.hidden, source: Source::Hidden }]
    }

    fn extras(&self) -> Extras {
        Extras { cell_state: true, extra: true, carry: true }
    }

    fn forward(&self, isa: Isa, weights: &CellWeights<'_>, input: Input<'_>, buffers: &mut Buffers) {
        let Buffers { window, active, h, c, gates, extra, .. } = buffers;
        let window = Window { active, ..*window };
        Forward { window, input, recurrent: &weights.recurrent[0], h, c, gates, tanh_c: extra }.run_on(isa);
    }

    fn backward(&self, isa: Isa, weights: &CellWeights<'_>, dh: &[f32], buffers: &mut Buffers) {
        let Buffers { window, active, c, gates, extra, carry, .. } = buffers;
        carry.fill(0.0);
        let kernel = Backward {
            window: Window { active, ..*window },
            recurrent: &weights.recurrent_t[0],
            panels: weights.units,
            pieces: &weights.pieces[0],
            c,
            tanh_c: extra,
            dh,
            dc: carry,
            gates,
        };
        kernel.run_on(isa);
    }
}

//! Cells: the gates of a layer, the slots that its weights feed, and the kernels that compute a
//! window.
//!
//! A cell says where its matrices' outputs go ([`unrolled_kernels::pack::Slots`]) and how its
//! kernels need them packed. Packing, bias sums, products with the layers below and the gradients
//! of all weights follow from that. They are written once, in [`crate::exec`].

mod buffers;
mod crew;
mod extended;
mod gru;
mod kernels;
mod lstm;
mod rnn;

pub(crate) use buffers::{BufferWidths, Buffers, RoomWidths, resize};
pub(crate) use crew::{Crew, Together};
pub(crate) use kernels::{CellKernels, CellWeights, Plain, Recurrent, RecurrentInput};

use crate::settings::{self, Layer, Reset};

/// Returns the kernels of a layer's cell.
pub(crate) fn build(layer: &Layer) -> Box<dyn CellKernels> {
    let hidden = layer.hidden;
    if layer.is_extended() {
        return Box::new(extended::ExtendedLstmKernels::new(layer));
    }
    match (layer.cell, layer.reset) {
        (settings::Cell::Rnn, _) => Box::new(rnn::RnnKernels::new(hidden, layer.activation)),
        (settings::Cell::Lstm, _) => Box::new(lstm::LstmKernels { hidden }),
        (settings::Cell::Gru, Reset::After) => Box::new(gru::GruAfterKernels { hidden }),
        (settings::Cell::Gru, Reset::Before) => Box::new(gru::GruBeforeKernels::new(hidden)),
    }
}

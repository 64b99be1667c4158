//! The equations of the cells, as types.

mod cell_equations;
mod gru_after;
mod gru_before;
mod lstm;
mod rnn;

pub use cell_equations::{BiasVector, CellEquations};
pub use gru_after::GruAfterEquations;
pub use gru_before::GruBeforeEquations;
pub use lstm::LstmEquations;
pub use rnn::{RnnReluEquations, RnnTanhEquations};

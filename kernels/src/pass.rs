//! The passes over a window that all cells share.
//!
//! ```text
//! sum  = start + W x + R h                    forward: a tile, then the cell's own gates
//! sum  = dh + delta R of the next step        backward: a tile, then the cell's own deltas
//! ```
//!
//! 1. A pass goes step by step. A step goes tile by tile. A cell takes the sums of each tile, one
//!    vector of sixteen units after another: `gate_tile` for all gates of sixteen units,
//!    `unit_tile` for up to 64 units of one gate, `backward_tile` for gradients.
//! 2. A cell adds the arithmetic of its gates, and the buffers that only it has.

pub(crate) mod backward_tile;
mod backward_window;
mod forward_window;
pub(crate) mod gate_tile;
mod room;
pub(crate) mod step;
pub(crate) mod tile_products;
pub(crate) mod unit_tile;

pub(crate) use backward_window::{BackwardCell, BackwardPlaces, BackwardStep};
pub use backward_window::{BackwardWindow, OnePhaseBackward};
pub(crate) use forward_window::ForwardPlaces;
pub use forward_window::{ForwardWindow, OnePhaseForward};

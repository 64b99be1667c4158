//! Runs models: packed weights, layers, windows, gradients, and the public forms on top.
//!
//! An [`Engine`] is a model with its weights packed for the processor. Three views run it for
//! inference, and all give equal bits:
//!
//! - [`Plan`] (static): one shape of window, all buffers allocated ahead.
//! - [`Dynamic`]: any number of steps and rows at each call.
//! - [`Stream`]: one step at a time.
//!
//! [`Network`](crate::network::Network) and [`Training`](crate::train::Training) train one. A
//! window goes through all layers, each over all its steps, before the next window starts. Threads
//! divide rows or hidden units, never sums.
//!
//! The folders, in the order of the data; each file uses only those before it:
//!
//! - `state`, `masks`, `inputs`: states, dropout masks, and windows as callers give them.
//! - `weights`: the packed weights and the input table.
//! - `layer`: one layer with its dropout and skip connections.
//! - `head`: the linear layer on top, and the losses of tokens.
//! - `window`: rows, ragged rows, and their division among threads.
//! - `gradient`: the gradients of all weights.
//! - `run`: a window from inputs to outputs, losses or deltas.
//! - `engine`, `plan`, `dynamic`, `stream`: the public forms.

mod dynamic;
mod engine;
mod gradient;
mod head;
mod inference;
mod inputs;
mod layer;
mod masks;
mod plan;
mod run;
mod state;
mod stream;
mod weights;
mod window;

pub use dynamic::Dynamic;
pub use engine::{Engine, isa};
pub use inputs::{Inputs, Order, OutputSteps, Window};
pub use masks::{Dropout, Masks, Site};
pub use plan::Plan;
pub use state::{LayerState, State};
pub use stream::Stream;
pub use window::division::DivisionFigures;

pub(crate) use engine::detect;
pub(crate) use gradient::{Finished, starts};
pub(crate) use inputs::check_room;
pub(crate) use masks::MaskSource;
pub(crate) use run::{Executor, Goal, Pass};
pub(crate) use stream::LARGEST_TABLE;
pub(crate) use weights::{LogitBlocks, SMALL_VOCABULARY};
pub(crate) use window::activations::{Extent, WindowActivations};
pub(crate) use window::shard::Needs;

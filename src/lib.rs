//! Recurrent networks on the CPU: the data flow, from a text to new text.
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod checkpoint;
pub mod corpus;
mod error;
pub mod exec;
pub mod model;
mod optim;
mod parallel;
mod presets;
pub mod random;
pub mod sample;
pub mod schedule;
mod settings;
pub mod train;

pub use error::{Error, Result};
pub use presets::Preset;
pub use settings::*;

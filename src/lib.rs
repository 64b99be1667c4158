//! Trains and runs recurrent networks (RNN, LSTM, GRU) on the CPU: from a text to a model that writes such text.
//!
//! # The way of the data
//!
//! 1. A [`corpus::Corpus`] maps files into memory and finds their distinct symbols, the [`corpus::Vocabulary`]. The text
//!    stays where it is: [`corpus::Batches`] says which symbols make up window number i, T steps by B rows of ids and
//!    the ids that follow them, and [`corpus::Batch`] holds one.
//! 2. A [`model::Model`] is a shape and its parameters: one flat arena with a table of PyTorch's names. An id becomes a
//!    row of the first layer's table (embedded or one-hot), L layers of cells follow, and a linear head gives logits
//!    [T, B, V].
//! 3. [`exec`] runs it: a [`exec::Plan`] for one shape of window, [`exec::Dynamic`] for any, a [`exec::Stream`] symbol by
//!    symbol. The model is never written to; the [`exec::State`] is a value of its own, to be saved, cloned and set.
//! 4. [`train::Training`] goes forward, takes the softmax cross-entropy, goes backward through the T steps, clips, updates
//!    (Adam, Adagrad, RMSProp, SGD) and packs the weights anew: one [`step`](train::Training::step). Those with an update
//!    rule of their own take a [`network::Network`] and [`optim`], those with a loss of their own [`loss`].
//!    [`train::evaluate`] gives loss and accuracy on a part of a text.
//! 5. A [`checkpoint::Checkpoint`] is all of that as one safetensors file, which PyTorch can open and a run can continue
//!    from, to the same bits as if it had never stopped.
//! 6. A [`sample::Generator`] turns logits into text.
//! 7. Small models for real time have cells of [`fixed`] sizes, filled from such a file: one step, no allocation.
//! 8. A [`bench::Bench`] tells how fast all this is here, beside what the processor could do at most.
//!
//! [`Settings`] holds every choice, under the names of the command line; [`Error`] has one variant per cause.
//!
//! # An example
//!
//! ```
//! use unrolled::corpus::Corpus;
//! use unrolled::sample::{Generator, Sampling};
//! use unrolled::train::Training;
//! use unrolled::{ModelSettings, RunSettings, ScheduleSettings, Settings, Unit};
//!
//! # fn main() -> unrolled::Result<()> {
//! let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(40), Unit::Char)?;
//! let settings = Settings {
//!     model: ModelSettings::gru(32),
//!     schedule: ScheduleSettings::cosine(2e-2),
//!     run: RunSettings { batch: 8, steps: 12, max_steps: Some(60), epochs: 100.0, ..RunSettings::default() },
//!     ..Settings::default()
//! };
//! let mut training = Training::new(corpus, settings, None)?;
//! let first = training.step()?.loss;
//! while !training.is_done() {
//!     training.step()?;
//! }
//! let evaluation = training.evaluate()?.expect("a tenth of the text is held out");
//! assert!(evaluation.loss < 0.3 * first);
//!
//! let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
//! let mut generator = Generator::new(training.model().clone(), training.vocabulary(), sampling, 0)?;
//! generator.prompt("the cat ")?;
//! let ids: Vec<u32> = (0..10).map(|_| generator.next_id()).collect();
//! assert_eq!(training.vocabulary().decode(&ids), "sat on the");
//! # Ok(())
//! # }
//! ```
//!
//! # The promise on numbers
//!
//! For given settings and text the trained parameters are equal, bit for bit, for every number of threads, in static and
//! dynamic mode, on AVX2 and AVX-512; and a row's logits depend neither on the batch it sits in nor on being streamed. The
//! portable instruction set agrees to about 1e-6 of a gradient. The environment variable `UNROLLED_ISA` (`portable`,
//! `avx2`, `avx512`) forces one; [`exec::isa`] tells which runs.
//!
//! # Threads
//!
//! All models, trainings and evaluations of a process that ask for the same number of threads share them, however many
//! there are; the threads end with their last user. Several threads of the caller may run models at the same time: as many
//! windows as there are threads run at once, and the others wait. After a `fork` the child runs inherited models on the
//! calling thread, and new ones on threads of its own.
//!
//! # Features
//!
//! A program that links the library writes `default-features = false` and adds the features that it needs:
//!
//! | feature | what it adds |
//! |---|---|
//! | none | models, training on text or token ids in memory, inference, checkpoints, sampling, losses, optimizers |
//! | `files` | corpora in memory-mapped files and from standard input |
//! | `folders` | `files`, and corpora in folders, with patterns and `.gitignore` files |
//! | `compression` | `files`, and text in gzip, zstd, bzip2 and xz files |
//! | `encodings` | `files`, and text in other encodings than UTF-8 |
//! | `cli` (default) | all of these, and the command line |
//!
//! A file that needs a missing feature is [`Error::Feature`].
//!
//! In all documentation T is steps, B batch rows, V symbols of the vocabulary, E input width, H hidden width, L layers and
//! G gates per unit (RNN 1, GRU 3, LSTM 4). Arrays are row-major f32 unless said; losses are in nats per symbol.
#![warn(missing_docs)]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod aligned;
pub mod bench;
pub mod checkpoint;
pub mod corpus;
mod custom_cell;
mod error;
pub mod exec;
pub mod fixed;
pub mod loss;
pub mod model;
pub mod network;
pub mod optim;
mod parallel;
mod phases;
mod presets;
mod progress;
pub mod random;
pub mod sample;
pub mod schedule;
mod settings;
pub mod tensorflow;
pub mod train;

pub use error::{CheckpointError, Error, Result};
pub use presets::Preset;
pub use settings::*;

// Runs the Rust programs of the README as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

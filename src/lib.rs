//! Trains and runs recurrent networks (RNN, LSTM, GRU) on the CPU.
//!
//! # Data flow
//!
//! 1. A [`corpus::Corpus`] maps text files into memory and finds their symbols, the
//!    [`corpus::Vocabulary`]. [`corpus::Batches`] cuts the corpus into windows of T steps by B
//!    batch rows of ids and targets.
//! 2. [`Settings`] are all settings of a run, in groups: [`ModelSettings`], [`OptimizerSettings`],
//!    [`ScheduleSettings`], [`DataSettings`] and [`RunSettings`]. They have the names of the
//!    command line. [`Preset`] has the settings of published programs.
//! 3. A [`model::Model`] is a configuration and its parameters: an embedding, a one-hot input or
//!    input vectors; L recurrent layers, which may be bidirectional; and a linear head with O
//!    outputs. [`Model::new`](model::Model::new) creates a model of symbols,
//!    [`Model::of_layers`](model::Model::of_layers) a model of vectors.
//! 4. An [`exec::Engine`] is a model with its weights packed for the processor. [`exec::Plan`] runs
//!    windows of one shape, [`exec::Dynamic`] windows of any shape, and [`exec::Stream`] single
//!    steps. The [`exec::State`] of a model is separate: it can be saved, cloned and set.
//! 5. [`train::Training`] trains a language model on a corpus. [`train::evaluate`] computes its
//!    loss and accuracy. [`train::Trainer`] trains a model on caller-owned windows, with any
//!    [`loss::Loss`] of a [`loss::Objective`].
//! 6. [`network::Network`] runs the parts of a training step one by one, for callers with their own
//!    training loop: the forward pass, and the backward pass from the caller's gradient of the
//!    outputs. [`optim::Optimizer`] clips gradients and updates parameters.
//! 7. A [`checkpoint::Checkpoint`] is a whole run in one safetensors file, which PyTorch can open.
//!    A resumed run gives the same bits as an uninterrupted one. [`checkpoint::TensorFile`] and
//!    [`checkpoint::StateDict`] read models from PyTorch, and [`tensorflow`] from TensorFlow.
//!    Module `convert` (feature `convert`) reads and writes ONNX and RTNeural's JSON.
//! 8. A [`sample::Generator`] generates text with a trained model.
//! 9. [`fixed`] runs small models of fixed sizes in real time, without allocation.
//! 10. A [`bench::Bench`] measures the speed on this machine, and compares it with the peak of the
//!     processor.
//!
//! [`Error`] has one variant for each cause.
//!
//! # Example
//!
//! Train a character model for 60 steps, evaluate it and generate text:
//!
//! ```
//! use unrolled::corpus::Corpus;
//! use unrolled::sample::{Generator, Sampling};
//! use unrolled::train::Training;
//! use unrolled::{ModelSettings, RunSettings, ScheduleSettings, Settings, Unit};
//!
//! # fn main() -> unrolled::Result<()> {
//! let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(40), Unit::Char)?;
//! let run = RunSettings { batch: 8, steps: 12, max_steps: Some(60), ..RunSettings::default() };
//! let settings = Settings {
//!     model: ModelSettings::gru(32),
//!     schedule: ScheduleSettings::cosine(2e-2),
//!     run: RunSettings { epochs: 100.0, ..run },
//!     ..Settings::default()
//! };
//! let mut training = Training::new(corpus, settings, None)?;
//! let first = training.step()?.loss;
//! while !training.is_done() {
//!     training.step()?;
//! }
//! let evaluation = training.evaluate()?.expect("a tenth of the text is the validation split");
//! assert!(evaluation.loss < 0.3 * first);
//!
//! let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
//! let (model, vocabulary) = (training.model().clone(), training.vocabulary());
//! let mut generator = Generator::new(model, vocabulary, sampling, 0)?;
//! generator.prompt("the cat ")?;
//! let ids: Vec<u32> = (0..10).map(|_| generator.next_id()).collect();
//! assert_eq!(vocabulary.decode(&ids), "sat on the");
//! # Ok(())
//! # }
//! ```
//!
//! # Reproducible results
//!
//! For given settings and a given corpus, the trained parameters are the same bits:
//!
//! - for every number of threads,
//! - in static and in dynamic mode,
//! - on the SIMD backends AVX2 and AVX-512.
//!
//! The logits of a batch row do not depend on the other rows of the batch, nor on the number of
//! steps of a window. On the portable SIMD backend, gradients differ by about 1e-6 of their value.
//! The environment variable `UNROLLED_ISA` (`portable`, `avx2`, `avx512`, `avx512bf16`, `amx`,
//! `amx-model`) forces a backend; [`exec::isa`] returns its name.
//!
//! # Precision
//!
//! [`Precision::Bf16`] rounds the operands of products (inputs, states, weights, deltas) to
//! bfloat16, once each. Sums, gates, losses, gradients, moments, parameters and checkpoints are
//! f32, as in [`Precision::F32`]. [`RunSettings::precision`] sets it for a run,
//! [`exec::Engine::with_precision`] for inference, [`network::Network::with_precision`] and
//! [`train::TrainerSettings::precision`] for other training. Results are the same bits on AVX2,
//! AVX-512 and AVX-512 BF16; AMX adds in another order.
//!
//! [`Precision::Int8`] is for inference. [`model::Model::quantize`] rounds weights to 8-bit integers
//! with one scale for each row, and [`checkpoint::Checkpoint::quantize`] stores them in a quarter of
//! the size. Inputs and states are quantized step by step. Sums are integers, so results are the same
//! bits on AVX2 and AVX-512.
//!
//! # Denormal numbers
//!
//! In training and inference denormal numbers (below 1.2e-38) count as zero, as operands and as
//! results, because many processors are slow with them. This holds on all threads, on every SIMD
//! backend, in custom cells ([`network::RnnCell`]), and for the losses of [`loss`]. Each call
//! restores the floating-point mode of the caller. [`unrolled_kernels::denormals`] explains the
//! mode and runs other code in it. It needs x86-64 or AArch64; elsewhere nothing changes.
//! Initialization, sampling and files do not use it.
//!
//! # Threads
//!
//! 1. All models of a process with the same number of threads share one thread pool. The pool ends
//!    when the last of these models is dropped.
//! 2. Several threads of the caller may run models at the same time. At most as many windows as the
//!    pool has threads run at once; the others wait.
//! 3. After a `fork`, the child process runs inherited models on the calling thread, and new models
//!    on a new thread pool.
//!
//! # Features
//!
//! A program that links the library uses `default-features = false` and adds the features that it
//! needs:
//!
//! | feature | what it adds |
//! |---|---|
//! | none | models, training on text or token ids in memory, inference, checkpoints, sampling, losses, optimizers |
//! | `files` | corpora in memory-mapped files and from standard input |
//! | `folders` | `files`, and corpora in folders, with patterns and `.gitignore` files |
//! | `compression` | `files`, and text in gzip, zstd, bzip2 and xz files |
//! | `encodings` | `files`, and text in other encodings than UTF-8 |
//! | `convert` | models from and to ONNX and RTNeural's JSON |
//! | `mpi` | training on many machines over MPI; building needs an MPI library and libclang |
//! | `cli` (default) | all of these but `mpi`, and the command line |
//!
//! Opening a file that needs a missing feature returns [`Error::Feature`].
//!
//! # Letters
//!
//! T is the number of steps, B of batch rows, V of symbols of the vocabulary, E the input width, H
//! hidden units, L layers, O outputs and G gates per unit (RNN 1, GRU 3, LSTM 4). Arrays are
//! row-major f32 unless stated otherwise. Losses are in nats per symbol.
#![warn(missing_docs)]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod aligned;
pub mod bench;
pub mod checkpoint;
#[cfg(feature = "convert")]
pub mod convert;
pub mod corpus;
mod custom_cell;
mod device;
mod error;
pub mod exec;
pub mod fixed;
pub mod loss;
pub mod model;
#[cfg(feature = "mpi")]
pub mod mpi;
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

// The same for the page about linking.
#[cfg(all(doctest, feature = "convert"))]
#[doc = include_str!("../docs/linking.md")]
struct Linking;

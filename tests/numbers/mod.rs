//! The numbers of the engine: compared with other frameworks, with derivatives, and between all
//! ways to run a model.

mod allocations;
mod bf16_gradients;
mod bidirectional_errors;
mod bidirectional_gradients;
mod bidirectional_layers;
mod custom_cells;
mod denormals;
mod determinism;
mod divergence;
mod divided_phases;
mod divided_windows;
mod engines;
mod evaluation;
mod extend;
mod fine_tune;
mod fixed_sizes;
mod fixture;
mod fixture_differences;
mod frameworks;
mod gradients;
mod input_table;
mod invalid_calls;
mod invalid_input;
mod invalid_training;
mod last_step;
mod layer_fixture;
mod layers;
mod long_runs;
mod losses;
mod memory;
mod model_export;
mod objectives;
mod optimizers;
mod packed;
mod precisions;
mod python;
mod quantized;
mod ragged;
mod ragged_gradients;
mod reference_model;
mod resume;
mod row_independence;
mod simd_backends;
mod stacks;
mod state_dict;
mod stream_rows;
mod tensor_files;
mod tensorflow_training;
mod thread_stress;
mod threads;
mod trainer_checkpoints;
mod vector_windows;
mod vectors;

use std::sync::Arc;
use unrolled::corpus::{Batch, Corpus};
use unrolled::exec::{Dropout, State, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::{Model, Parameters};
use unrolled::network::Network;
use unrolled::{
    Activation, Cell, DataSettings, Init, InputKind, ModelSettings, Precision, Reset, Result, RunSettings,
    Schedule, ScheduleSettings, Settings, Unit,
};

/// The tolerance for results of another framework: 1e-5 of the value for the roundings of a few
/// hundred f32 operations, and 1e-6 for values that nearly cancel. PyTorch in f32 uses a fifth of
/// it against its own f64 (tests/fixtures/README.md).
fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 + 1e-5 * expected.abs()
}

fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let mut largest = 0.0f64;
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!(close(found.into(), expected.into()), "{what}[{i}]: found {found}, expected {expected}");
        largest = largest.max((f64::from(found) - f64::from(expected)).abs());
    }
    fixture_differences::record(what, largest);
}

/// Returns the bits, which `==` on floats does not compare (0 and -0, NaN).
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every cell with all of its forms.
fn cells() -> [Settings; 7] {
    let of = |cell, activation, reset| Settings {
        model: ModelSettings { cell, activation, reset, ..ModelSettings::default() },
        ..Settings::default()
    };
    [
        of(Cell::Rnn, Activation::Tanh, Reset::After),
        of(Cell::Rnn, Activation::Relu, Reset::After),
        of(Cell::Rnn, Activation::Sigmoid, Reset::After),
        of(Cell::Rnn, Activation::Identity, Reset::After),
        of(Cell::Lstm, Activation::Tanh, Reset::After),
        of(Cell::Gru, Activation::Tanh, Reset::After),
        of(Cell::Gru, Activation::Tanh, Reset::Before),
    ]
}

/// Every cell with one and two layers, one-hot and embedded.
fn models() -> Vec<Settings> {
    let shapes =
        [1, 2].into_iter().flat_map(|layers| [(layers, InputKind::OneHot), (layers, InputKind::Embedding)]);
    let with = |cell: &Settings, (layers, input)| Settings {
        model: ModelSettings { layers, input, ..cell.model.clone() },
        ..cell.clone()
    };
    shapes.flat_map(|shape| cells().map(|cell| with(&cell, shape))).collect()
}

fn label(settings: &Settings) -> String {
    let ModelSettings { cell, activation, reset, layers, input, hidden, dropout, .. } = settings.model;
    let names = [cell.name(), activation.name(), reset.name(), input.name()].join(" ");
    format!("{names}, L {layers}, H {hidden}, dropout {dropout}")
}

/// Pseudo-random numbers below `end`.
fn noise(seed: u32, end: u32) -> impl Iterator<Item = u32> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x % end
    })
}

fn ids(seed: u32, count: usize, vocabulary: usize) -> Vec<u32> {
    noise(seed, vocabulary as u32).take(count).collect()
}

fn batch(steps: usize, rows: usize, vocabulary: usize) -> Batch {
    let (inputs, targets) = (ids(3, steps * rows, vocabulary), ids(4, steps * rows, vocabulary));
    Batch { steps, rows, inputs, targets, fresh: true }
}

/// A text of `count` symbols, 40 of them different.
fn text(count: usize) -> Corpus {
    let symbol = |id: u32| char::from(b'0' + id as u8);
    Corpus::from_text(noise(7, 40).take(count).map(symbol).collect::<String>(), Unit::Char).unwrap()
}

/// Settings of a run that threads divide, and that is small enough for hundreds of runs.
fn run_of(model: &Settings, dropout: f32) -> Settings {
    Settings {
        model: ModelSettings { hidden: 48, embedding: Some(20), dropout, ..model.model.clone() },
        schedule: ScheduleSettings { kind: Schedule::Constant, ..model.schedule.clone() },
        data: DataSettings { val_fraction: 0.0, ..model.data.clone() },
        run: RunSettings { batch: 7, steps: 30, max_steps: Some(12), epochs: 100.0, ..model.run.clone() },
        ..model.clone()
    }
}

/// The same run with products in bf16.
fn in_bf16(settings: Settings) -> Settings {
    Settings { run: RunSettings { precision: Precision::Bf16, ..settings.run }, ..settings }
}

/// A run whose weights, states and gradients underflow.
fn underflowing(model: &Settings, scale: f32) -> Settings {
    let mut settings = run_of(model, 0.0);
    settings.model.init = Init::Normal;
    settings.model.init_scale = Some(scale);
    settings.model.forget_bias = 0.0;
    settings.schedule.learning_rate = 1e-30;
    settings
}

/// Losses and gradients of batches of ids.
trait Differentiate {
    /// Returns the mean loss of a batch whose rows have `lengths`, and computes the gradient.
    fn run(&mut self, batch: &Batch, lengths: Option<&[usize]>, initial: Option<&State>) -> Result<f64>;

    /// The same with dropout.
    fn run_with_dropout(
        &mut self,
        batch: &Batch,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
        dropout: Dropout,
    ) -> Result<f64>;
}

impl Differentiate for Network {
    fn run(&mut self, batch: &Batch, lengths: Option<&[usize]>, initial: Option<&State>) -> Result<f64> {
        let Batch { steps, rows, inputs, targets, .. } = batch;
        let window = Window { lengths, initial, ..Window::new(*steps, *rows, inputs) };
        self.differentiate(&window, &Objective::new(Loss::CROSS_ENTROPY, targets))
    }

    fn run_with_dropout(
        &mut self,
        batch: &Batch,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
        dropout: Dropout,
    ) -> Result<f64> {
        let Batch { steps, rows, inputs, targets, .. } = batch;
        let dropout = Some(dropout);
        let window = Window { lengths, initial, dropout, ..Window::new(*steps, *rows, inputs) };
        self.differentiate(&window, &Objective::new(Loss::CROSS_ENTROPY, targets))
    }
}

/// The mean loss of a batch, its gradient, and the state after it.
fn gradients(
    model: impl Into<Arc<Model>>,
    batch: &Batch,
    initial: Option<&State>,
    threads: Option<usize>,
) -> Result<(f64, Parameters, State)> {
    let mut network = Network::new(model, threads)?;
    let loss = network.run(batch, None, initial)?;
    Ok((loss, network.gradient().clone(), network.state()))
}

fn model(settings: &Settings, vocabulary: usize) -> Arc<Model> {
    Arc::new(Model::new(&settings.model, vocabulary, settings.run.seed).unwrap())
}

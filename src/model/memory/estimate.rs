//! Estimates the peak memory of training, evaluations and windows, buffer by buffer.
//!
//! The sizes in floats, with P parameters, T steps, B batch rows, N = T B tokens, V symbols, O
//! outputs, D distinct symbols of a window, and for each layer G gates, H units, a state of S and
//! inputs of E values. `~` rounds up to a multiple of 16.
//!
//! ```text
//! parameters   P (2 + moments + log2 K)                 parameters, gradient, moments, sums of K windows
//! packed       ~H G (E + S), and ~E G H + ~S G H        weights, for both passes; half in bf16
//! table        D (2 slots ~H + E), + D (slots ~H + ~E)  input table, its gradient; with embedding
//! window       N (~S + ~H + slots ~H + ~H + options)    h, c, gates, tanh c; layer gradients
//! head         N ~O, or K (~O + 2 ~P)                   outputs; or blocks of K tokens
//! evaluation   an input table, and a window of 16 rows that keeps no gates
//! sample       packed weights, and an input table of all symbols up to 4 Mi floats
//! ```
//!
//! 1. An evaluation and the sample after it run one after the other. The larger of them counts,
//!    plus the part of the smaller one that the allocator keeps.
//! 2. A checkpoint is written from the tensors in place, so only its header needs memory.
//! 3. Not counted: the corpus (see [`Corpus::memory`](crate::corpus::Corpus::memory)) and mapped
//!    files.

use super::layer_sizes::{LayerSizes, WindowUse, padded, slots};
use crate::exec::{LARGEST_TABLE, LogitBlocks, SMALL_VOCABULARY};
use crate::train::sum_tree::waiting_sums;
use crate::{Exchange, Layer, Precision, Settings, model::ModelConfig, optim::moments_of};
use std::borrow::Cow;

/// Bytes of the process itself: code, the allocator, tables of the kernels.
const PROCESS: f64 = 8.0 * 1024.0 * 1024.0;
/// Bytes of freed memory that the allocator keeps.
const KEPT: f64 = 8.0 * 1024.0 * 1024.0;
/// Batch rows of an evaluation.
const STREAMS: f64 = crate::train::EVALUATION_STREAMS as f64;
/// Bytes of a token besides its vectors: ids and targets (also of the batch), the loss, a flag.
const TOKEN: f64 = 4.0 * 5.0 + 9.0;

/// Returns the peak of two uses of memory, one after the other.
fn in_turn(one: f64, other: f64) -> f64 {
    one.max(other) + one.min(other).min(KEPT)
}

/// Bytes by purpose. In f64, because they may exceed every integer type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Parameters, and all buffers with their layout.
    pub(crate) parameters: f64,
    /// Packed weights.
    pub(crate) packed: f64,
    /// The input table and its gradient.
    pub(crate) table: f64,
    /// Activations of a window.
    pub(crate) window: f64,
    /// An evaluation and a sample.
    pub(crate) evaluation: f64,
}

impl Estimate {
    /// Estimates training on V = `vocabulary` symbols.
    pub(crate) fn of_training(settings: &Settings, vocabulary: usize) -> Self {
        let sizes = ModelSizes::of_settings(settings, vocabulary, settings.run.precision);
        let moments = moments_of(&settings.optimizer).len() as f64;
        let rounded = if settings.run.exchange == Exchange::Bf16 { 1.0 } else { 0.0 };
        let sums = f64::from(waiting_sums(settings.run.accumulate)) + rounded;
        let [forward, backward] = sizes.packed();
        let (steps, rows) = (settings.run.steps as f64, settings.run.batch as f64);
        let dropout = settings.model.stack().iter().any(Layer::drops);
        Self {
            parameters: 4.0 * (2.0 + moments + sums) * sizes.parameters,
            packed: 4.0 * (forward + backward),
            table: 4.0 * (sizes.table(steps * rows) + sizes.table_gradient(steps * rows)),
            window: sizes.window(steps, rows, WindowUse { backward: true, dropout }),
            evaluation: in_turn(sizes.evaluation(steps, STREAMS), sizes.sample()),
        }
    }

    /// Estimates an evaluation of `rows` streams in windows of `steps` steps. It has the
    /// checkpoint, including moments, and the model in memory. The precision may be any, so weights
    /// count as f32.
    pub(crate) fn of_evaluation(settings: &Settings, vocabulary: usize, [steps, rows]: [usize; 2]) -> Self {
        let sizes = ModelSizes::of_settings(settings, vocabulary, Precision::F32);
        Self {
            parameters: 4.0 * (2.0 + moments_of(&settings.optimizer).len() as f64) * sizes.parameters,
            packed: 4.0 * sizes.packed()[0],
            table: 0.0,
            window: 0.0,
            evaluation: sizes.evaluation(steps as f64, rows as f64),
        }
    }

    /// Returns the bytes of all buffers.
    pub(crate) fn allocated(&self) -> f64 {
        self.parameters + self.packed + self.table + self.window + self.evaluation
    }

    /// Returns the bytes of the whole process.
    pub(crate) fn total(&self) -> f64 {
        PROCESS + self.allocated()
    }
}

/// Returns the bytes of a window of T = `steps` steps by B = `rows` rows for training.
pub(super) fn training_window(config: &ModelConfig, [steps, rows]: [usize; 2]) -> f64 {
    let uses = WindowUse { backward: true, dropout: false };
    ModelSizes::of_config(config).window(steps as f64, rows as f64, uses)
}

/// Returns the bytes of packed weights and a window of T = `steps` steps by B = `rows` rows for
/// inference.
pub(super) fn inference_plan(config: &ModelConfig, [steps, rows]: [usize; 2]) -> f64 {
    let sizes = ModelSizes::of_config(config);
    4.0 * sizes.packed()[0] + sizes.evaluation(steps as f64, rows as f64)
}

/// Sizes of a model's buffers.
struct ModelSizes<'a> {
    config: Cow<'a, ModelConfig>,
    /// Number of layers for each layer of `config`, which lists only the first thousands of equal
    /// layers.
    repeats: f64,
    /// Floats of a packed weight.
    share: f64,
    parameters: f64,
    vocabulary: f64,
    outputs: f64,
    /// Width of the embedding; 0 without an embedding.
    embedding: f64,
}

impl<'a> ModelSizes<'a> {
    fn of_settings(settings: &Settings, vocabulary: usize, precision: Precision) -> Self {
        let config = ModelConfig::unchecked(&settings.model, vocabulary);
        let repeats = match settings.model.stack.is_empty() {
            true => settings.model.layers as f64 / config.stack.len().max(1) as f64,
            false => 1.0,
        };
        let share = if precision == Precision::Bf16 { 0.5 } else { 1.0 };
        Self { share, ..Self::new(Cow::Owned(config), repeats) }
    }

    fn of_config(config: &'a ModelConfig) -> Self {
        Self::new(Cow::Borrowed(config), 1.0)
    }

    fn new(config: Cow<'a, ModelConfig>, repeats: f64) -> Self {
        let embedding = config.embedding.filter(|_| config.reads_symbols());
        Self {
            repeats,
            share: 1.0,
            parameters: config.estimated_count() * repeats,
            vocabulary: config.vocabulary as f64,
            outputs: config.outputs as f64,
            embedding: embedding.unwrap_or(0) as f64,
            config,
        }
    }

    /// Returns a sum over all layers.
    fn layers(&self, size: impl Fn(&LayerSizes<'_>) -> f64) -> f64 {
        let config = &*self.config;
        let sizes = |(l, layer)| LayerSizes::new(layer, config.input_width(l), l == 0 && config.gathers());
        self.repeats * config.stack.iter().enumerate().map(sizes).map(|layer| size(&layer)).sum::<f64>()
    }

    /// Returns the floats of the weights packed for the forward pass, and for the backward pass.
    fn packed(&self) -> [f64; 2] {
        let (width, outputs) = (self.config.stack_width() as f64, self.outputs);
        let head = [padded(outputs) * width, padded(width) * outputs];
        let layers = |pass: usize| self.layers(|layer| layer.packed(self.embedding, self.share)[pass]);
        [0, 1].map(|pass| layers(pass) + self.share * head[pass])
    }

    /// Returns the number of symbols with a row in the input table of a window of `tokens` tokens.
    fn symbols(&self, tokens: f64) -> f64 {
        let v = self.vocabulary;
        match v <= (SMALL_VOCABULARY as f64).max(tokens) {
            true => v,
            // The expected number of distinct values among `tokens` uniform draws.
            false => v * -(-tokens / v).exp_m1(),
        }
    }

    /// Returns the floats of a row of the input table; 0 without a table.
    fn table_width(&self) -> f64 {
        match self.config.stack.first().filter(|_| self.config.gathers()) {
            Some(layer) => slots(layer) * padded(layer.hidden as f64),
            None => 0.0,
        }
    }

    fn table(&self, tokens: f64) -> f64 {
        if self.table_width() == 0.0 {
            return 0.0;
        }
        self.symbols(tokens) * (self.table_width() + self.embedding)
    }

    fn table_gradient(&self, tokens: f64) -> f64 {
        match (self.table_width(), self.embedding) {
            (0.0, embedding) => self.vocabulary * padded(embedding),
            (width, 0.0) => self.symbols(tokens) * width,
            (width, embedding) => self.symbols(tokens) * (2.0 * width + padded(embedding)),
        }
    }

    /// Returns the bytes of a window's activations.
    fn window(&self, steps: f64, rows: f64, uses: WindowUse) -> f64 {
        let tokens = steps * rows;
        let layers = self.layers(|layer| layer.window(steps, rows, uses));
        let inputs = if self.config.gathers() { 0.0 } else { padded(self.config.input_width(0) as f64) };
        let gradients = if uses.backward { 2.0 * self.widest() + self.widest_direction() } else { 0.0 };
        4.0 * (layers + self.head(tokens, uses) + tokens * (inputs + gradients)) + TOKEN * tokens
    }

    /// Returns the floats of the head's buffers.
    fn head(&self, tokens: f64, uses: WindowUse) -> f64 {
        let (outputs, inputs) = (padded(self.outputs), padded(self.config.stack_width() as f64));
        match LogitBlocks::default().room(self.config.outputs, tokens as usize) {
            0 => tokens * outputs,
            block => block as f64 * (outputs + inputs * if uses.backward { 2.0 } else { 1.0 }),
        }
    }

    /// Returns the width of the widest gradient between two layers.
    fn widest(&self) -> f64 {
        let width = |(l, layer): (usize, &Layer)| {
            let inputs = if l == 0 && self.config.gathers() { 0 } else { self.config.input_width(l) };
            inputs.max(layer.output_size()) as f64
        };
        self.config.stack.iter().enumerate().map(width).fold(0.0, |most, width| padded(width).max(most))
    }

    /// Returns the width of the widest gradient of one direction of a bidirectional layer.
    fn widest_direction(&self) -> f64 {
        let both = self.config.stack.iter().filter(|layer| layer.bidirectional);
        both.fold(0.0, |most: f64, layer| most.max(padded(layer.direction_size() as f64)))
    }

    /// Returns the bytes of an evaluation without its packed weights.
    fn evaluation(&self, steps: f64, rows: f64) -> f64 {
        4.0 * self.table(steps * rows) + self.window(steps, rows, WindowUse::INFERENCE)
    }

    /// Returns the bytes of a sample.
    fn sample(&self) -> f64 {
        let all = self.vocabulary * self.table_width();
        let table = if all <= LARGEST_TABLE as f64 { all } else { self.table_width() };
        4.0 * (self.packed()[0] + table) + self.window(1.0, 1.0, WindowUse::INFERENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Plan;
    use crate::{Cell, ModelSettings, model::Model};
    use allocation_counter::measure;

    fn model(outputs: usize) -> Model {
        let settings = ModelSettings { cell: Cell::Gru, hidden: 160, ..ModelSettings::default() };
        Model::of_vectors(&settings.on_vectors(48, outputs), 1).unwrap()
    }

    /// Returns the bytes of a plan and one window. The counter counts the calling thread only.
    fn measured(model: Model, [steps, rows]: [usize; 2]) -> f64 {
        let inputs = vec![0.5; steps * rows * model.config().input_width(0)];
        let mut outputs = vec![0.0; steps * rows * model.config().output_width()];
        let used = measure(|| {
            let mut plan = Plan::new(model, steps, rows, Some(1)).unwrap();
            plan.forward(&inputs, &mut outputs).unwrap();
        });
        used.bytes_max as f64
    }

    #[test]
    fn the_head_of_a_model_of_vectors_is_counted() {
        for (outputs, shape) in [(3, [64, 32]), (900, [64, 32]), (3500, [64, 32]), (3500, [4, 8])] {
            let model = model(outputs);
            let estimated = inference_plan(model.config(), shape);
            let found = measured(model, shape);
            let ratio = estimated / found;
            assert!((0.9..1.1).contains(&ratio), "{outputs} outputs, {shape:?}: {ratio}");
        }
    }

    #[test]
    fn both_directions_of_a_layer_are_counted() {
        let both = |layer| Layer { bidirectional: true, ..layer };
        let stack = [both(Layer { projection: Some(40), ..Layer::lstm(96) }), both(Layer::gru(64))];
        let model = Model::of_layers(&stack, 48, 3, 1).unwrap();
        for shape in [[64, 32], [4, 8]] {
            let estimated = inference_plan(model.config(), shape);
            let ratio = estimated / measured(model.clone(), shape);
            assert!((0.9..1.1).contains(&ratio), "{shape:?}: {ratio}");
        }
    }

    #[test]
    fn a_head_counts_its_outputs_and_not_the_vocabulary() {
        let estimate = |outputs| {
            let settings = ModelSettings { hidden: 8, outputs, ..ModelSettings::default() };
            training_window(&ModelConfig::new(&settings, 500).unwrap(), [10, 10])
        };
        assert_eq!(estimate(Some(500)), estimate(None));
        assert_eq!(estimate(None) - estimate(Some(100)), 4.0 * 100.0 * (512.0 - 112.0));
    }
}

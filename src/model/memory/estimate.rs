//! How much memory a training run takes at its peak, counted buffer by buffer.
//!
//! With P parameters, T steps, B rows, N = T B tokens, V symbols, and for each layer G gates, H units, a state of S, and
//! inputs of E values, in floats (`~` rounds up to a multiple of 16):
//!
//! ```text
//! arenas       P (2 + moments + 1 with accumulate)         parameters, gradient, moments, sum of gradients
//! packed       ~H G (E + S), and ~E G H + ~S G H          weights for the forward pass, and transposed for the way back
//! table        D (2 slots ~H + E), + D (slots ~H + ~E)    rows of the D symbols and their gradient; with an embedding
//! window       N (~S + ~H + slots ~H + ~H + options)      h, c, gates, tanh c; two gradients going down
//! head         N ~V, or K (~V + 2 ~P) where the head goes by blocks of K tokens (`exec/head.rs`)
//! evaluation   the table, and a window of 16 rows of which gates are not kept
//! sample       weights packed once more for the forward pass, and a table of all symbols up to 4 Mi floats
//! ```
//!
//! An evaluation and the sample after it follow each other, so the larger of them counts, and of the smaller one what the
//! allocator does not give back to the system. A checkpoint is written from where
//! the tensors lie and takes no more than its header. Not counted: the text, which [`Corpus::memory`](crate::corpus::Corpus::memory)
//! gives, and what stays in mapped files.

use crate::exec::LogitBlocks;
use crate::{Cell, InputKind, Layer, Reset, Settings, model::ModelConfig, optim::moments_of};

/// Bytes of the process itself: code, the allocator, tables of the kernels.
const PROCESS: f64 = 8.0 * 1024.0 * 1024.0;
/// Bytes that the allocator keeps of what was freed.
const KEPT: f64 = 8.0 * 1024.0 * 1024.0;
/// Rows of an evaluation.
const STREAMS: f64 = crate::train::EVALUATION_STREAMS as f64;
/// A vocabulary up to this size has a row in the table for each symbol.
const SMALL_VOCABULARY: f64 = 1024.0;
/// Floats of the largest table that a sample makes.
const LARGEST_TABLE: f64 = (1 << 22) as f64;
/// Bytes of a token beside its vectors: ids, targets and the batch's, the loss, whether it was right.
const TOKEN: f64 = 4.0 * 5.0 + 9.0;

/// Rounds up to whole vectors.
fn padded(units: f64) -> f64 {
    (units / 16.0).ceil() * 16.0
}

/// Bytes of what follows each other.
fn in_turn(one: f64, other: f64) -> f64 {
    one.max(other) + one.min(other).min(KEPT)
}

/// Bytes, by what they are for. In f64, so that absurd sizes have an estimate too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Parameters and everything of their size.
    pub(crate) arenas: f64,
    /// Weights as the kernels read them.
    pub(crate) packed: f64,
    /// The input table and its gradient.
    pub(crate) table: f64,
    /// Activations of a window.
    pub(crate) window: f64,
    /// An evaluation and a sample.
    pub(crate) between: f64,
}

impl Estimate {
    /// Of training with these settings on V = `vocabulary` symbols.
    pub(crate) fn of_training(settings: &Settings, vocabulary: usize) -> Self {
        let shape = Shape::new(settings, vocabulary);
        let moments = moments_of(&settings.optimizer).len() as f64;
        let sums = if settings.run.accumulate > 1 { 1.0 } else { 0.0 };
        let [forward, backward] = shape.packed();
        let (steps, rows) = (settings.run.steps as f64, settings.run.batch as f64);
        let drops = settings.model.stack().iter().any(Layer::drops);
        Self {
            arenas: 4.0 * (2.0 + moments + sums) * shape.parameters,
            packed: 4.0 * (forward + backward),
            table: 4.0 * (shape.table(steps * rows) + shape.table_gradient(steps * rows)),
            window: shape.window(steps, rows, Purpose { keep: true, drops }),
            between: in_turn(shape.evaluation(steps, STREAMS), shape.sample()),
        }
    }

    /// Of an evaluation alone, of `rows` streams in windows of `steps` steps. It holds the checkpoint, moments included, and
    /// the model made from it.
    pub(crate) fn of_evaluation(settings: &Settings, vocabulary: usize, [steps, rows]: [usize; 2]) -> Self {
        let shape = Shape::new(settings, vocabulary);
        Self {
            arenas: 4.0 * (2.0 + moments_of(&settings.optimizer).len() as f64) * shape.parameters,
            packed: 4.0 * shape.packed()[0],
            table: 0.0,
            window: 0.0,
            between: shape.evaluation(steps as f64, rows as f64),
        }
    }

    /// What is allocated.
    pub(crate) fn allocated(&self) -> f64 {
        self.arenas + self.packed + self.table + self.window + self.between
    }

    /// What the process takes, itself included.
    pub(crate) fn total(&self) -> f64 {
        PROCESS + self.allocated()
    }
}

/// Bytes that T = `steps` steps of B = `rows` rows of a stack take, with all that is kept for the way back.
pub(super) fn window_of(config: &ModelConfig, [steps, rows]: [usize; 2]) -> f64 {
    Shape::of(config, 1.0).window(steps as f64, rows as f64, Purpose { keep: true, drops: false })
}

/// Bytes that windows of T = `steps` steps of B = `rows` rows take after training, packed weights included.
pub(super) fn plan_of(config: &ModelConfig, [steps, rows]: [usize; 2]) -> f64 {
    let shape = Shape::of(config, 1.0);
    4.0 * shape.packed()[0] + shape.evaluation(steps as f64, rows as f64)
}

/// What a window is run for: see [`crate::exec`].
#[derive(Clone, Copy)]
struct Purpose {
    /// Everything is kept for the way back.
    keep: bool,
    drops: bool,
}

/// A model's sizes.
struct Shape<'a> {
    config: std::borrow::Cow<'a, ModelConfig>,
    /// Layers for each of those listed: of many equal ones only the first few thousand are.
    listed: f64,
    parameters: f64,
    vocabulary: f64,
    /// Width of the embedding; 0 without.
    embedding: f64,
}

impl<'a> Shape<'a> {
    fn new(settings: &Settings, vocabulary: usize) -> Self {
        let config = ModelConfig::unchecked(&settings.model, vocabulary);
        let listed = match settings.model.stack.is_empty() {
            true => settings.model.layers as f64 / config.stack.len().max(1) as f64,
            false => 1.0,
        };
        let embedding = if settings.model.input == InputKind::Embedding { config.embedding } else { None };
        Self {
            listed,
            parameters: config.estimated_count() * listed,
            vocabulary: vocabulary as f64,
            embedding: embedding.unwrap_or(0) as f64,
            config: std::borrow::Cow::Owned(config),
        }
    }

    fn of(config: &'a ModelConfig, listed: f64) -> Self {
        let embedding = config.embedding.filter(|_| config.has_head()).unwrap_or(0) as f64;
        let (parameters, vocabulary) = (config.estimated_count() * listed, config.vocabulary as f64);
        Self { config: std::borrow::Cow::Borrowed(config), listed, parameters, vocabulary, embedding }
    }

    /// Adds up the layers.
    fn layers(&self, of: impl Fn(&Widths<'_>) -> f64) -> f64 {
        let config = &*self.config;
        let widths = |(l, layer)| Widths::new(layer, config.input_width(l), l == 0 && config.gathers());
        self.listed * config.stack.iter().enumerate().map(widths).map(|widths| of(&widths)).sum::<f64>()
    }

    /// Floats of the packed weights: for the forward pass, and beside them for the way back.
    fn packed(&self) -> [f64; 2] {
        let (out, v) = (self.config.stack_width() as f64, self.vocabulary);
        let head = [padded(v) * out, padded(out) * v];
        [0, 1].map(|way| self.layers(|layer| layer.packed(self.embedding)[way]) + head[way])
    }

    /// Symbols that have a row in the table of a window of `tokens` tokens.
    fn symbols(&self, tokens: f64) -> f64 {
        let v = self.vocabulary;
        match v <= SMALL_VOCABULARY.max(tokens) {
            true => v,
            // As many as differ among that many draws of equal chance.
            false => v * -(-tokens / v).exp_m1(),
        }
    }

    /// Floats in a row of the table; 0 without one.
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

    /// Bytes of a window's activations.
    fn window(&self, steps: f64, rows: f64, purpose: Purpose) -> f64 {
        let tokens = steps * rows;
        let layers = self.layers(|layer| layer.window(steps, rows, purpose));
        let read = if self.config.has_head() && self.config.gathers() { 0.0 } else { padded(self.read()) };
        let down = if purpose.keep { 2.0 * self.widest() } else { 0.0 };
        4.0 * (layers + self.head(tokens, purpose) + tokens * (read + down)) + TOKEN * tokens
    }

    /// Floats of the head's buffers.
    fn head(&self, tokens: f64, purpose: Purpose) -> f64 {
        let (row, vector) = (padded(self.vocabulary), padded(self.config.stack_width() as f64));
        match LogitBlocks::default().room(self.vocabulary as usize, tokens as usize) {
            0 => tokens * row,
            block => block as f64 * (row + vector * if purpose.keep { 2.0 } else { 1.0 }),
        }
    }

    /// Width of what the first layer reads.
    fn read(&self) -> f64 {
        self.config.embedding.map_or(self.vocabulary, |width| width as f64)
    }

    /// The widest vector whose gradient goes down.
    fn widest(&self) -> f64 {
        let gathers = self.config.has_head() && self.config.gathers();
        let of = |(l, layer): (usize, &Layer)| {
            let read = if l == 0 && gathers { 0 } else { self.config.input_width(l) };
            read.max(layer.output_size()) as f64
        };
        self.config.stack.iter().enumerate().map(of).fold(0.0, |most, width| padded(width).max(most))
    }

    /// Bytes of an evaluation beside the weights.
    fn evaluation(&self, steps: f64, rows: f64) -> f64 {
        let purpose = Purpose { keep: false, drops: false };
        4.0 * self.table(steps * rows) + self.window(steps, rows, purpose)
    }

    /// Bytes of a sample.
    fn sample(&self) -> f64 {
        let all = self.vocabulary * self.table_width();
        let table = if all <= LARGEST_TABLE { all } else { self.table_width() };
        let purpose = Purpose { keep: false, drops: false };
        4.0 * (self.packed()[0] + table) + self.window(1.0, 1.0, purpose)
    }
}

/// Gate vectors in a stored row: a GRU whose reset gate comes after the product also stores the product.
fn slots(layer: &Layer) -> f64 {
    let apart = layer.cell == Cell::Gru && layer.reset == Reset::After && layer.custom.is_none();
    layer.gates() as f64 + if apart { 1.0 } else { 0.0 }
}

/// One layer's sizes.
struct Widths<'a> {
    layer: &'a Layer,
    gates: f64,
    hidden: f64,
    state: f64,
    cell: f64,
    inputs: f64,
    outputs: f64,
    gathered: bool,
    /// Inputs of a highway's gates.
    mixed: f64,
    /// Floats of a custom cell's variables.
    variables: f64,
}

impl<'a> Widths<'a> {
    fn new(layer: &'a Layer, inputs: usize, gathered: bool) -> Self {
        let custom = layer.custom.as_ref().and_then(|custom| custom.cell());
        let size = |shape: Vec<usize>| shape.into_iter().map(|n| n as f64).product::<f64>();
        let variables = custom.map(|cell| cell.variables(inputs)).unwrap_or_default();
        let [state, cell] = layer.state_size().map(|width| width as f64);
        Self {
            gates: layer.gates() as f64,
            hidden: layer.hidden as f64,
            outputs: layer.output_size() as f64,
            mixed: layer.highway.gates() as f64 * inputs as f64,
            variables: variables.into_iter().map(|variable| size(variable.shape)).sum(),
            inputs: inputs as f64,
            state,
            cell,
            gathered,
            layer,
        }
    }

    /// Floats of the packed weights, forward and back. A custom cell has copies of its variables, and of their gradient.
    fn packed(&self, embedding: f64) -> [f64; 2] {
        let Self { gates, hidden, state, inputs, mixed, variables, .. } = *self;
        let depth = if self.gathered { embedding } else { inputs };
        let read = if self.layer.custom.is_some() { 0.0 } else { depth };
        let projection = self.layer.projection.unwrap_or(0) as f64;
        let forward =
            padded(hidden) * gates * (read + state) + padded(projection) * hidden + padded(mixed) * inputs;
        let back = gates * hidden * (padded(read) + padded(state))
            + padded(hidden) * projection
            + padded(inputs) * mixed;
        [forward + variables, back + variables]
    }

    /// Floats of a window: those of the cell, and those of what is around it, as `exec` makes them.
    fn window(&self, steps: f64, rows: f64, purpose: Purpose) -> f64 {
        let tokens = steps * rows;
        let kept = if purpose.keep { tokens } else { rows };
        (rows + tokens) * padded(self.state)
            + if purpose.keep { rows + tokens } else { rows } * padded(self.cell)
            + kept * self.cell_vectors(purpose.keep)
            + rows * 2.0 * padded(self.hidden)
            + tokens * self.around(purpose)
    }

    /// Floats of a token in the cell's buffers beside h and c.
    fn cell_vectors(&self, keep: bool) -> f64 {
        let (layer, h) = (self.layer, padded(self.hidden));
        if let Some(cell) = layer.custom.as_ref().and_then(|custom| custom.cell()) {
            return cell.kept_size(self.inputs as usize) as f64;
        }
        let before = layer.cell == Cell::Gru && layer.reset == Reset::Before;
        let extra = if layer.cell == Cell::Lstm || before { h } else { 0.0 };
        if !layer.is_extended() {
            return slots(layer) * h + extra;
        }
        let terms = match (layer.peepholes, layer.layer_norm) {
            (true, _) => (if layer.coupled { 2.0 } else { 3.0 }) * h,
            (_, true) => 10.0 * h,
            _ => 0.0,
        };
        let norm = if layer.layer_norm { 5.0 * h + 16.0 } else { 0.0 };
        let back = if keep { terms + padded(self.state) } else { 0.0 };
        slots(layer) * h + extra + h + norm + back
    }

    /// Floats of a token around the cell: masks, and what they and residual or highway connections change.
    fn around(&self, Purpose { keep, drops }: Purpose) -> f64 {
        let (layer, [state, cell, inputs, outputs]) =
            (self.layer, [self.state, self.cell, self.inputs, self.outputs].map(padded));
        let dropped = |share: f32| drops && share < 1.0;
        let apart = layer.custom.is_some() || layer.zones_out() || dropped(layer.state_keep_prob);
        let raw = apart && layer.custom.is_none() && keep;
        let drops_cell = layer.drop_cell_state && dropped(layer.state_keep_prob);
        let mixes = self.mixed > 0.0;
        let parts = [
            (apart, outputs),
            (raw, state),
            (raw && (layer.zoneout_cell > 0.0 || drops_cell), cell),
            (dropped(layer.input_keep_prob), 2.0 * inputs),
            (drops, outputs),
            (dropped(layer.state_keep_prob), state),
            (drops_cell, cell),
            (layer.zoneout > 0.0, state),
            (layer.zoneout_cell > 0.0, cell),
            (drops || layer.residual || mixes, outputs),
            (mixes, padded(self.mixed)),
            (keep && (layer.residual || mixes), inputs),
        ];
        parts.into_iter().filter(|(used, _)| *used).map(|(_, floats)| floats).sum()
    }
}

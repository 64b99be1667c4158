//! Every option of a training run, in one flat table: the names of the command line, of `config.toml` and of the
//! configuration that a checkpoint carries.

mod choices;
pub(crate) mod decimal;
mod difference;
mod encoding;
mod id_width;
mod layer;
mod validate;

pub use choices::*;
pub use difference::Difference;
pub use encoding::Encoding;
pub use id_width::IdWidth;
pub use layer::{Highway, Layer, Variational};
use serde::{Deserialize, Serialize};

/// Everything that decides what a training run computes, except the text itself.
///
/// Serialised with the command line's names (`learning-rate`, `val-fraction`, ...); an unknown key is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The recurrent cell.
    pub cell: Cell,
    /// The squashing function of a vanilla RNN; ignored by the other cells.
    pub activation: Activation,
    /// Where a GRU applies its reset gate; ignored by the other cells.
    pub reset: Reset,
    /// Added to the bias of an LSTM's forget gate; ignored by the other cells.
    #[serde(with = "decimal")]
    pub forget_bias: f32,
    /// When that is done.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub forget_bias_at: ForgetBiasAt,
    /// Added to the initial biases of a GRU's gates r and z (TensorFlow's start at 1).
    #[serde(skip_serializing_if = "layer::is_default", with = "decimal")]
    pub gate_bias: f32,
    /// Two bias vectors a layer as in PyTorch, or one.
    pub bias: Bias,
    /// The distribution that weights are drawn from.
    pub init: Init,
    /// Half-width (uniform), gain (glorot, orthogonal) or standard deviation (normal); the scheme's own when absent.
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub init_scale: Option<f32>,
    /// Hidden width H of each layer.
    pub hidden: usize,
    /// Stacked layers L.
    pub layers: usize,
    /// Layers of different kinds, widths and options, from the input up. When there are any, they replace `cell`, `hidden`,
    /// `layers` and what belongs to them (`activation`, `reset`, `forget-bias`, `dropout`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Layer>,
    /// How symbols enter the first layer.
    pub input: InputKind,
    /// Width of the embedding; the hidden width when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// Batch rows B.
    pub batch: usize,
    /// Windows whose mean gradient makes one optimiser step, one after the other: a larger batch in the same memory.
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Steps T of truncated backpropagation through time.
    pub steps: usize,
    /// How windows are cut from the text.
    pub windows: Windows,
    /// Passes over the training part; may be a fraction.
    pub epochs: f64,
    /// Upper bound on optimiser steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Upper bound on symbols trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u64>,
    /// The update rule.
    pub optimizer: OptimizerKind,
    /// The step size at the schedule's start.
    pub learning_rate: f64,
    /// How the learning rate moves over the run.
    pub schedule: Schedule,
    /// Cosine: the share of the learning rate that is left at the end.
    pub cosine_floor: f64,
    /// Steps over which the learning rate rises linearly from zero.
    pub warmup_steps: u64,
    /// Epoch decay: the factor applied after each epoch.
    pub epoch_decay: f64,
    /// Epoch decay: epochs at the full rate before the first factor is applied.
    pub epoch_decay_after: u64,
    /// Epoch decay: epochs from one factor to the next.
    pub epoch_decay_every: u64,
    /// Adam: decay of the first moment.
    pub beta1: f64,
    /// Adam: decay of the second moment.
    pub beta2: f64,
    /// Adam, Adagrad, RMSProp: the small constant in the divisor. The optimiser's own default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// RMSProp: decay of the mean square.
    pub decay: f64,
    /// SGD and RMSProp: momentum.
    pub momentum: f64,
    /// SGD with momentum: Nesterov's form (`use_nesterov`).
    #[serde(skip_serializing_if = "layer::is_default")]
    pub nesterov: bool,
    /// RMSProp: the mean gradient is taken off the mean square (`centered`).
    #[serde(skip_serializing_if = "layer::is_default")]
    pub centered: bool,
    /// AdamW: what is taken off each parameter, times the learning rate. On all parameters, as PyTorch's does.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub weight_decay: f64,
    /// Adagrad: where the accumulator starts (0.1 when absent). RMSProp: where the mean square starts (1 when absent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_accumulator: Option<f64>,
    /// How the losses of a window become the number that is minimised.
    pub loss_reduction: Reduction,
    /// Share of each target that is spread over all symbols while training (`label_smoothing`); evaluations know nothing of it.
    #[serde(skip_serializing_if = "layer::is_default", with = "decimal")]
    pub label_smoothing: f32,
    /// Gradient clipping threshold; 0 switches it off.
    #[serde(with = "decimal")]
    pub clip: f32,
    /// What the threshold applies to.
    pub clip_mode: ClipMode,
    /// Share of activations dropped between layers and before the head.
    #[serde(with = "decimal")]
    pub dropout: f32,
    /// Share of the text held out for validation.
    pub val_fraction: f64,
    /// Share of the text held out for a final test.
    pub test_fraction: f64,
    /// Optimiser steps between evaluations; about ten a run when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<u64>,
    /// Symbols of the validation part that an evaluation while training reads; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_symbols: Option<u64>,
    /// Evaluations without a lower validation loss after which the run ends; it does not when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// What a symbol is.
    pub unit: Unit,
    /// Number of bits of an id in the files of a corpus, with unit `ids`.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub id_width: IdWidth,
    /// What to do with bytes that are not UTF-8.
    pub invalid: Invalid,
    /// What to do with symbols that a given vocabulary lacks. When absent they are an error, or become new symbols of a model
    /// that [`Training::fine_tune`](crate::train::Training::fine_tune) starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// The encoding of the text, which is decoded as it is opened. When absent: UTF-8, or what a byte-order mark says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Below folders, only files that one of these patterns names, as in a `.gitignore`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Below folders, no file that one of these patterns names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Below folders, also files that a `.gitignore` or `.ignore` names.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub no_ignore: bool,
    /// Whether the documents of the text (its files, or what `document_marker` ends) are shuffled, each as a whole, by the
    /// seed.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub shuffle_documents: bool,
    /// What stands between one file of the text and the next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub separator: String,
    /// The text at the end of each document within a file; when empty, each file is one document. It is a part of the text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub document_marker: String,
    /// Where the held-out parts begin.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub split_by: SplitBy,
    /// How the window runs. Changes no bit of the result.
    pub mode: Mode,
    /// Where all randomness starts.
    pub seed: u64,
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cell: Cell::Lstm,
            activation: Activation::Tanh,
            reset: Reset::After,
            forget_bias: 1.0,
            forget_bias_at: ForgetBiasAt::Initial,
            gate_bias: 0.0,
            bias: Bias::Double,
            init: Init::Uniform,
            init_scale: None,
            hidden: 256,
            layers: 1,
            stack: Vec::new(),
            input: InputKind::Embedding,
            embedding: None,
            batch: 32,
            accumulate: 1,
            steps: 64,
            windows: Windows::Stream,
            epochs: 1.0,
            max_steps: None,
            max_chars: None,
            optimizer: OptimizerKind::Adam,
            learning_rate: 4e-3,
            schedule: Schedule::Cosine,
            cosine_floor: 0.05,
            warmup_steps: 50,
            epoch_decay: 0.97,
            epoch_decay_after: 10,
            epoch_decay_every: 1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: None,
            decay: 0.9,
            momentum: 0.0,
            nesterov: false,
            centered: false,
            weight_decay: 0.0,
            initial_accumulator: None,
            loss_reduction: Reduction::Mean,
            label_smoothing: 0.0,
            clip: 5.0,
            clip_mode: ClipMode::Norm,
            dropout: 0.0,
            val_fraction: 0.1,
            test_fraction: 0.0,
            eval_every: None,
            eval_symbols: None,
            patience: None,
            unit: Unit::Char,
            id_width: IdWidth::Bits16,
            invalid: Invalid::Error,
            unknown: None,
            encoding: None,
            include: Vec::new(),
            exclude: Vec::new(),
            no_ignore: false,
            shuffle_documents: false,
            separator: String::new(),
            document_marker: String::new(),
            split_by: SplitBy::Tail,
            mode: Mode::Static,
            seed: 1,
        }
    }
}

impl Settings {
    /// The layers of the model: `stack`, or else `layers` times the cell of the flat settings.
    pub fn stack(&self) -> Vec<Layer> {
        if self.stack.is_empty() { Layer::of(self) } else { self.stack.clone() }
    }

    /// These settings with the model of others: all keys that fix the shape and meaning of trained weights, and the unit. A run
    /// that starts from a trained model has such settings; what is left is free.
    #[must_use]
    pub fn with_model_of(&self, other: &Self) -> Self {
        let Self { cell, activation, reset, forget_bias, forget_bias_at, gate_bias, .. } = *other;
        let Self { bias, hidden, layers, input, embedding, unit, .. } = *other;
        let model =
            Self { cell, activation, reset, forget_bias, forget_bias_at, gate_bias, bias, ..self.clone() };
        Self { hidden, layers, stack: other.stack.clone(), input, embedding, unit, ..model }
    }

    /// Gives the custom cells of a configuration that was read from a file, which has their names alone.
    pub fn resolve(&mut self, cells: &[crate::model::CustomCell]) {
        self.stack
            .iter_mut()
            .filter_map(|layer| layer.custom.as_mut())
            .for_each(|custom| custom.resolve(cells));
    }
}

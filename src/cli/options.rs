//! The flags that change a run's settings. Each is optional: what is not given stays with the configuration file,
//! the preset, or the default.

use super::numbers::{number, recorded, single, whole};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde::Serialize;
use unrolled::{
    Activation, Bias, Cell, ClipMode, Encoding, Error, ForgetBiasAt, Init, InputKind, Invalid, Layer, Mode,
    OptimizerKind, Reset, Schedule, SplitBy, Unit, Unknown, Windows,
};

fn one_of(names: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

/// The widths of ids in files.
pub(super) fn id_width() -> impl TypedValueParser<Value = u32> {
    one_of(&["16", "32"]).map(|bits| bits.parse().unwrap_or_default())
}

/// Flags named like the keys of `config.toml`.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettingsFlags {
    /// The recurrent cell [default: lstm]
    #[arg(long, value_parser = one_of(Cell::NAMES), help_heading = "Model")]
    pub cell: Option<String>,
    /// Squashing function of --cell rnn [default: tanh]
    #[arg(long, value_parser = one_of(Activation::NAMES), help_heading = "Model")]
    pub activation: Option<String>,
    /// Where --cell gru applies its reset gate [default: after]
    #[arg(long, value_parser = one_of(Reset::NAMES), help_heading = "Model")]
    pub reset: Option<String>,
    /// Number added to the bias of the forget gate of --cell lstm [default: 1]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Model")]
    pub forget_bias: Option<f64>,
    /// When --forget-bias is added: once to the initial bias, or each time the model runs, as in TensorFlow [default: initial]
    #[arg(long, value_parser = one_of(ForgetBiasAt::NAMES), help_heading = "Model")]
    pub forget_bias_at: Option<String>,
    /// Number added to the initial biases of the gates of --cell gru; TensorFlow uses 1 [default: 0]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Model")]
    pub gate_bias: Option<f64>,
    /// PyTorch's two bias vectors, or one as in TensorFlow [default: double]
    #[arg(long, value_parser = one_of(Bias::NAMES), help_heading = "Model")]
    pub bias: Option<String>,
    /// Distribution of the initial weights [default: uniform]
    #[arg(long, value_parser = one_of(Init::NAMES), help_heading = "Model")]
    pub init: Option<String>,
    /// Scale of --init: half-width (uniform), gain (glorot, orthogonal) or standard deviation (normal) [default: that of the scheme;
    /// 1/sqrt(hidden) for uniform]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Model")]
    pub init_scale: Option<f64>,
    /// Hidden units of each layer [default: 256]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Model")]
    pub hidden: Option<u32>,
    /// Number of stacked layers [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Model")]
    pub layers: Option<u32>,
    /// How symbols enter the first layer [default: embedding]
    #[arg(long, value_parser = one_of(InputKind::NAMES), help_heading = "Model")]
    pub input: Option<String>,
    /// Width of the embedding [default: the hidden width]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Model")]
    pub embedding: Option<u32>,
    /// One layer with all its options, as a line of TOML: --layer 'cell = "lstm", hidden = 128, peepholes = true'. Given once for
    /// each layer, from the input up; it replaces --cell, --hidden, --layers and what belongs to them
    #[arg(
        long = "layer",
        value_name = "TOML",
        value_parser = layer,
        conflicts_with_all = ["cell", "hidden", "layers", "activation", "reset", "forget_bias", "forget_bias_at", "gate_bias", "dropout"],
        help_heading = "Model"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Layer>,
    /// Share of activations that training drops between layers and before the head [default: 0]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Model")]
    pub dropout: Option<f64>,

    /// Batch rows [default: 32]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Training")]
    pub batch: Option<u32>,
    /// Number of windows whose mean gradient makes one step: a larger batch in the same memory [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Training")]
    pub accumulate: Option<u32>,
    /// Steps of truncated backpropagation through time [default: 64]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Training")]
    pub steps: Option<u32>,
    /// How windows are cut from the text [default: stream]
    #[arg(long, value_parser = one_of(Windows::NAMES), help_heading = "Training")]
    pub windows: Option<String>,
    /// Passes over the training part. The run ends at the first of --epochs, --max-steps and --max-chars [default: 1]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Training")]
    pub epochs: Option<f64>,
    /// Most optimiser steps
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub max_steps: Option<u64>,
    /// Most symbols to train on
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub max_chars: Option<u64>,
    /// The update rule, in TensorFlow 1's form (adamw in PyTorch's) [default: adam]
    #[arg(long, value_parser = one_of(OptimizerKind::NAMES), help_heading = "Training")]
    pub optimizer: Option<String>,
    /// Momentum of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Training")]
    pub momentum: Option<f64>,
    /// Weight decay of adamw [default: 0]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// Learning rate at the start of the schedule [default: 0.004]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Training")]
    pub learning_rate: Option<f64>,
    /// How the learning rate moves over the run [default: cosine]
    #[arg(long, value_parser = one_of(Schedule::NAMES), help_heading = "Training")]
    pub schedule: Option<String>,
    /// Share of each target that training spreads over all symbols [default: 0]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Training")]
    pub label_smoothing: Option<f64>,
    /// Threshold of gradient clipping; 0 switches clipping off [default: 5]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Training")]
    pub clip: Option<f64>,
    /// What --clip limits: the norm of the whole gradient, or each value [default: norm]
    #[arg(long, value_parser = one_of(ClipMode::NAMES), help_heading = "Training")]
    pub clip_mode: Option<String>,
    /// Optimiser steps between evaluations [default: about ten a run]
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub eval_every: Option<u64>,
    /// Number of symbols of the validation part that an evaluation reads [default: all]
    #[arg(long, value_name = "N", value_parser = recorded(2), help_heading = "Training")]
    pub eval_symbols: Option<u64>,
    /// End the run after N evaluations without a lower validation loss
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub patience: Option<u64>,
    /// How a window runs; changes no bit of the result [default: static]
    #[arg(long, value_parser = one_of(Mode::NAMES), help_heading = "Training")]
    pub mode: Option<String>,
    /// Seed of all random numbers [default: 1]
    #[arg(long, value_name = "N", value_parser = recorded(0), help_heading = "Training")]
    pub seed: Option<u64>,

    /// Share of the text held out for validation [default: 0.1]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Text")]
    pub val_fraction: Option<f64>,
    /// Share of the text held out for a final test [default: 0]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Text")]
    pub test_fraction: Option<f64>,
    /// What a symbol is: a character, a byte, or a token id of your own tokenizer [default: char]
    #[arg(long, value_parser = one_of(Unit::NAMES), help_heading = "Text")]
    pub unit: Option<String>,
    /// Number of bits of an id in the files, with --unit ids: 16 or 32, in little-endian order [default: 16]
    #[arg(long, value_name = "BITS", value_parser = id_width(), help_heading = "Text")]
    pub id_width: Option<u32>,
    /// What to do with bytes that are not UTF-8, or not in the --encoding [default: error]
    #[arg(long, value_parser = one_of(Invalid::NAMES), help_heading = "Text")]
    pub invalid: Option<String>,
    /// What to do with symbols that --vocabulary or --init-from lacks: refuse the text, leave them out, or read U+FFFD in their
    /// place (a space where the vocabulary has no U+FFFD) [default: error; with --init-from new symbols are learnt]
    #[arg(long, value_parser = one_of(Unknown::NAMES), help_heading = "Text")]
    pub unknown: Option<String>,
    /// Encoding of the text, by its WHATWG label (utf-16le, windows-1252, shift_jis, gbk, koi8-r) [default: utf-8, or as a
    /// byte-order mark says]
    #[arg(long, value_name = "NAME", value_parser = encoding, help_heading = "Text")]
    pub encoding: Option<String>,
    /// Below folders, only files of this pattern, as in a .gitignore (`*.c`, `src/**/*.rs`); may be given again
    #[arg(long, value_name = "GLOB", help_heading = "Text")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Below folders, no file of this pattern; may be given again
    #[arg(long, value_name = "GLOB", help_heading = "Text")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Below folders, also files that a .gitignore or .ignore names
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Text")]
    pub no_ignore: Option<bool>,
    /// Shuffle the documents (files, or what --document-marker ends), each as a whole, by the seed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Text")]
    pub shuffle_documents: Option<bool>,
    /// What stands between one file and the next; \n, \t, \r, \0 and \\ are what they are in C [default: nothing]
    #[arg(long, value_name = "TEXT", value_parser = unescaped, help_heading = "Text")]
    pub separator: Option<String>,
    /// What ends each document within a file, such as '<|endoftext|>' or '\n\n': it stays in the text; escapes as for
    /// --separator [default: each file is one document]
    #[arg(long, value_name = "TEXT", value_parser = unescaped, help_heading = "Text")]
    pub document_marker: Option<String>,
    /// Where the held-out parts begin [default: tail]
    #[arg(long, value_parser = one_of(SplitBy::NAMES), help_heading = "Text")]
    pub split_by: Option<String>,
}

/// The inside of an inline table.
pub(super) fn layer(text: &str) -> Result<Layer, String> {
    let table: toml::Table = toml::from_str(&format!("layer = {{ {text} }}")).map_err(|_| {
        "found something else than a list of name = value; as in: cell = \"gru\", hidden = 96".to_owned()
    })?;
    let layer = table.get("layer").cloned().unwrap_or(toml::Value::Boolean(false));
    layer.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// The name of an encoding, whichever of its labels is given.
pub(super) fn encoding(label: &str) -> Result<String, String> {
    match Encoding::new(label) {
        Ok(encoding) => Ok(encoding.into()),
        Err(Error::Setting { expected, .. }) => Err(expected),
        Err(error) => Err(error.to_string()),
    }
}

/// A text with the escapes of C.
fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('0') => '\0',
                Some('\\') => '\\',
                other => {
                    let found = other.map_or("nothing".to_owned(), |c| format!("{c:?}"));
                    return Err(format!(
                        "after a backslash found {found}, expected n, t, r, 0 or a backslash"
                    ));
                }
            },
            c => c,
        });
    }
    Ok(out)
}

/// The value that clap has checked already.
pub(super) fn unknown(name: &str) -> Unknown {
    match name {
        "skip" => Unknown::Skip,
        "replace" => Unknown::Replace,
        _ => Unknown::Error,
    }
}

impl SettingsFlags {
    /// The flags that were given, by their names.
    pub fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("flags are strings and numbers within TOML's range")
    }
}

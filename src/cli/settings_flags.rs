//! The flags for all settings of a run. A flag that is not given leaves the setting to the
//! configuration file, the preset or the default.

use super::{
    number_args::{number, recorded, single, whole},
    value_args::{encoding, id_width, layer, unescaped},
};
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use unrolled::{
    Activation, Bias, Cell, ClipMode, Exchange, ForgetBiasAt, Init, InputKind, Invalid, Layer, Mode,
    OptimizerKind, Precision, Reduction, Reset, Schedule, SplitBy, Unit, Unknown, Windows,
};

fn one_of(names: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

/// The flags of the settings, each named like its key in `config.toml`.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettingsFlags {
    /// Recurrent cell [default: lstm]
    #[arg(long, value_parser = one_of(Cell::NAMES), help_heading = "Model")]
    pub cell: Option<String>,
    /// Hidden units of each layer [default: 256]
    #[arg(short = 'H', long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Model")]
    pub hidden: Option<u32>,
    /// Number of stacked layers [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Model")]
    pub layers: Option<u32>,
    /// Input of the first layer [default: embedding]
    #[arg(long, value_parser = one_of(InputKind::NAMES), help_heading = "Model")]
    pub input: Option<String>,
    /// Width of the embedding [default: the width of the first layer]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Model")]
    pub embedding: Option<u32>,
    /// Share of the outputs of each layer that training drops [default: 0]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Model")]
    pub dropout: Option<f64>,
    /// Activation of --cell rnn [default: tanh]
    #[arg(long, value_parser = one_of(Activation::NAMES), hide_short_help = true, help_heading = "Model")]
    pub activation: Option<String>,
    /// Where --cell gru applies the reset gate [default: after]
    #[arg(long, value_parser = one_of(Reset::NAMES), hide_short_help = true, help_heading = "Model")]
    pub reset: Option<String>,
    /// Number added to the bias of the forget gate of --cell lstm [default: 1]
    #[arg(long, value_name = "F", value_parser = single, hide_short_help = true, help_heading = "Model")]
    pub forget_bias: Option<f64>,
    /// When --forget-bias is added: once to the initial bias, or each time the model runs, as in
    /// TensorFlow [default: initial]
    #[arg(long, value_parser = one_of(ForgetBiasAt::NAMES), hide_short_help = true, help_heading = "Model")]
    pub forget_bias_at: Option<String>,
    /// Number added to the initial biases of the gates r and z of --cell gru; 1 in TensorFlow
    /// [default: 0]
    #[arg(long, value_name = "F", value_parser = single, hide_short_help = true, help_heading = "Model")]
    pub gate_bias: Option<f64>,
    /// Two bias vectors per layer as in PyTorch, or one as in TensorFlow [default: double]
    #[arg(long, value_parser = one_of(Bias::NAMES), hide_short_help = true, help_heading = "Model")]
    pub bias: Option<String>,
    /// Distribution of the initial weights [default: uniform]
    #[arg(long, value_parser = one_of(Init::NAMES), hide_short_help = true, help_heading = "Model")]
    pub init: Option<String>,
    /// Scale of --init: half-width (uniform), gain (glorot, orthogonal) or standard deviation
    /// (normal) [default: 1/sqrt(hidden) for uniform, 1 for glorot and orthogonal, 0.01 for normal]
    #[arg(long, value_name = "F", value_parser = single, hide_short_help = true, help_heading = "Model")]
    pub init_scale: Option<f64>,
    /// One layer with all its options, as a line of TOML: --layer 'cell = "lstm", hidden = 128,
    /// peepholes = true'. Repeat it for each layer, from the input to the output. Replaces --cell,
    /// --hidden, --layers and the other flags of a layer. In a file: [[stack]]
    #[arg(
        long = "layer",
        value_name = "TOML",
        value_parser = layer,
        conflicts_with_all = ["cell", "hidden", "layers", "activation", "reset", "forget_bias", "forget_bias_at", "gate_bias", "dropout"],
        hide_short_help = true,
        help_heading = "Model"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Layer>,

    /// Update rule, in the form of TensorFlow 1; adamw in the form of PyTorch [default: adam]
    #[arg(long, value_parser = one_of(OptimizerKind::NAMES), help_heading = "Optimizer")]
    pub optimizer: Option<String>,
    /// Threshold of gradient clipping; 0 switches clipping off [default: 5]
    #[arg(long, value_name = "F", value_parser = single, help_heading = "Optimizer")]
    pub clip: Option<f64>,
    /// Quantity that --clip limits: the norm of the whole gradient, or each value [default: norm]
    #[arg(long, value_parser = one_of(ClipMode::NAMES), help_heading = "Optimizer")]
    pub clip_mode: Option<String>,
    /// Weight decay of adamw [default: 0]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Optimizer")]
    pub weight_decay: Option<f64>,
    /// Momentum of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Optimizer")]
    pub momentum: Option<f64>,
    /// Nesterov's form of momentum for sgd [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true, help_heading = "Optimizer")]
    pub nesterov: Option<bool>,
    /// Decay of adam's and adamw's first moment [default: 0.9]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Optimizer")]
    pub beta1: Option<f64>,
    /// Decay of adam's and adamw's second moment [default: 0.999]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Optimizer")]
    pub beta2: Option<f64>,
    /// Small constant in the divisor of adam, adamw, adagrad and rmsprop [default: 1e-8 for adam
    /// and adamw, 1e-10 for rmsprop, 0 for adagrad]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Optimizer")]
    pub epsilon: Option<f64>,
    /// Decay of rmsprop's mean square [default: 0.9]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Optimizer")]
    pub decay: Option<f64>,
    /// Subtract the square of the mean gradient from rmsprop's mean square [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true, help_heading = "Optimizer")]
    pub centered: Option<bool>,
    /// Initial value of adagrad's accumulator or rmsprop's mean square [default: 0.1 for adagrad, 1
    /// for rmsprop]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Optimizer")]
    pub initial_accumulator: Option<f64>,

    /// Full learning rate, which the schedule changes over the run [default: 0.004]
    #[arg(long, visible_alias = "lr", value_name = "F", value_parser = number, help_heading = "Learning rate")]
    pub learning_rate: Option<f64>,
    /// How the learning rate changes over the run [default: cosine]
    #[arg(long, value_parser = one_of(Schedule::NAMES), help_heading = "Learning rate")]
    pub schedule: Option<String>,
    /// Steps over which the learning rate of --schedule cosine rises from zero; a tenth of a
    /// shorter run [default: 50]
    #[arg(long, value_name = "N", value_parser = recorded(0), help_heading = "Learning rate")]
    pub warmup_steps: Option<u64>,
    /// Share of the learning rate that is left at the end of --schedule cosine [default: 0.05]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Learning rate")]
    pub cosine_floor: Option<f64>,
    /// Factor that --schedule epoch-decay multiplies the learning rate by [default: 0.97]
    #[arg(long, value_name = "F", value_parser = number, hide_short_help = true, help_heading = "Learning rate")]
    pub epoch_decay: Option<f64>,
    /// Epochs before --schedule epoch-decay first multiplies the learning rate [default: 10]
    #[arg(long, value_name = "N", value_parser = recorded(0), hide_short_help = true, help_heading = "Learning rate")]
    pub epoch_decay_after: Option<u64>,
    /// Epochs between two multiplications of --schedule epoch-decay [default: 1]
    #[arg(long, value_name = "N", value_parser = recorded(1), hide_short_help = true, help_heading = "Learning rate")]
    pub epoch_decay_every: Option<u64>,

    /// Number of batch rows of a window [default: 32]
    #[arg(short, long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Training")]
    pub batch: Option<u32>,
    /// Number of steps of a window, for truncated backpropagation through time [default: 64]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Training")]
    pub steps: Option<u32>,
    /// Passes over the training split. The run ends at the limit that is reached first: --epochs,
    /// --max-steps or --max-chars [default: 1]
    #[arg(short, long, value_name = "F", value_parser = number, help_heading = "Training")]
    pub epochs: Option<f64>,
    /// Maximum number of optimizer steps
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub max_steps: Option<u64>,
    /// Maximum number of symbols to train on
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub max_chars: Option<u64>,
    /// Windows per optimizer step, each with streams of its own; their gradients are averaged: a
    /// larger batch in the same memory, or divided among processes [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), help_heading = "Training")]
    pub accumulate: Option<u32>,
    /// How windows are cut from the training split: streams that carry their state, random windows,
    /// or windows shifted by one symbol [default: stream]
    #[arg(long, value_parser = one_of(Windows::NAMES), help_heading = "Training")]
    pub windows: Option<String>,
    /// Optimizer steps between evaluations [default: about 10 evaluations a run, fewer if they
    /// would take over a tenth of the time]
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub eval_every: Option<u64>,
    /// Symbols of the validation split that each evaluation reads [default: all, or fewer if they
    /// would take over a tenth of the time]
    #[arg(long, value_name = "N", value_parser = recorded(2), help_heading = "Training")]
    pub eval_symbols: Option<u64>,
    /// End the run after N evaluations without a lower validation loss
    #[arg(long, value_name = "N", value_parser = recorded(1), help_heading = "Training")]
    pub patience: Option<u64>,
    /// Random seed [default: 1]
    #[arg(short, long, value_name = "N", value_parser = recorded(0), help_heading = "Training")]
    pub seed: Option<u64>,
    /// Share of each target that training spreads over all symbols [default: 0]
    #[arg(long, value_name = "F", value_parser = single, hide_short_help = true, help_heading = "Training")]
    pub label_smoothing: Option<f64>,
    /// How the losses of a window are reduced: mean over steps and rows, or sum over steps and mean
    /// over rows [default: mean]
    #[arg(long, value_parser = one_of(Reduction::NAMES), hide_short_help = true, help_heading = "Training")]
    pub loss_reduction: Option<String>,
    /// The numbers that the processes of a run send each other: as they are (f32), or gradients and
    /// changes of parameters rounded (bf16) [default: f32]
    #[arg(long, value_parser = one_of(Exchange::NAMES), hide_short_help = true, help_heading = "Training")]
    pub exchange: Option<String>,
    /// Number format of the operands of products: f32, or bf16, which is faster on processors with
    /// AVX-512 BF16. Sums, gradients and parameters are always f32 [default: f32]
    #[arg(long, value_parser = one_of(Precision::TRAINED), help_heading = "Training")]
    pub precision: Option<String>,
    /// Allocate the buffers once for one window shape (static), or as each window needs (dynamic);
    /// both give the same bits [default: static]
    #[arg(long, value_parser = one_of(Mode::NAMES), hide_short_help = true, help_heading = "Training")]
    pub mode: Option<String>,

    /// Share of the corpus held out for validation [default: 0.1]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Corpus")]
    pub val_fraction: Option<f64>,
    /// Share of the corpus held out for a final test [default: 0]
    #[arg(long, value_name = "F", value_parser = number, help_heading = "Corpus")]
    pub test_fraction: Option<f64>,
    /// Kind of symbols: characters, bytes, or token ids of your own tokenizer [default: char]
    #[arg(long, value_parser = one_of(Unit::NAMES), help_heading = "Corpus")]
    pub unit: Option<String>,
    /// With --unit ids: number of bits of an id in the files, 16 or 32, in little-endian order
    /// [default: 16]
    #[arg(long, value_name = "BITS", value_parser = id_width(), help_heading = "Corpus")]
    pub id_width: Option<u32>,
    /// In folders, read only the files that match this .gitignore pattern (`*.c`, `src/**/*.rs`);
    /// may be given again [default: all]
    #[arg(long, value_name = "GLOB", help_heading = "Corpus")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// In folders, skip the files that match this .gitignore pattern; may be given again [default:
    /// none]
    #[arg(long, value_name = "GLOB", help_heading = "Corpus")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// In folders, also read the files that a .gitignore or .ignore excludes [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true, help_heading = "Corpus")]
    pub no_ignore: Option<bool>,
    /// Treatment of bytes that are not UTF-8, or not in the --encoding [default: error]
    #[arg(long, value_parser = one_of(Invalid::NAMES), hide_short_help = true, help_heading = "Corpus")]
    pub invalid: Option<String>,
    /// Treatment of symbols that are not in the vocabulary of --vocabulary or --init-from: error,
    /// skip them, or replace them by U+FFFD (by a space if the vocabulary has no U+FFFD) [default:
    /// error; with --init-from they become new symbols]
    #[arg(long, value_parser = one_of(Unknown::NAMES), hide_short_help = true, help_heading = "Corpus")]
    pub unknown: Option<String>,
    /// Encoding of the corpus by its WHATWG label: utf-16le, windows-1252, shift_jis, gbk, koi8-r,
    /// ... [default: utf-8, or that of a byte-order mark]
    #[arg(long, value_name = "NAME", value_parser = encoding, hide_short_help = true, help_heading = "Corpus")]
    pub encoding: Option<String>,
    /// Shuffle the documents (files, or sections that end with --document-marker) by the random
    /// seed [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true, help_heading = "Corpus")]
    pub shuffle_documents: Option<bool>,
    /// Text inserted between two files; escapes as in C: \n, \t, \r, \0, \\ [default: nothing]
    #[arg(long, value_name = "TEXT", value_parser = unescaped, hide_short_help = true, help_heading = "Corpus")]
    pub separator: Option<String>,
    /// Text that ends each document within a file, such as '<|endoftext|>' or '\n\n'; it is part of
    /// the corpus; escapes as for --separator [default: each file is one document]
    #[arg(long, value_name = "TEXT", value_parser = unescaped, hide_short_help = true, help_heading = "Corpus")]
    pub document_marker: Option<String>,
    /// Where the validation and test splits begin: at a symbol, or at a document [default: tail]
    #[arg(long, value_parser = one_of(SplitBy::NAMES), hide_short_help = true, help_heading = "Corpus")]
    pub split_by: Option<String>,
}

impl SettingsFlags {
    /// Returns the flags that were given, by their keys.
    pub fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("flags are strings and numbers within TOML's range")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config_file::{ConfigFile, LIBRARY_ONLY};
    use clap::{CommandFactory, Parser};
    use unrolled::Settings;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: SettingsFlags,
    }

    #[test]
    fn every_key_has_a_flag_and_every_flag_a_key() {
        let command = Flags::command();
        let mut flags: Vec<_> = command.get_opts().filter_map(|flag| flag.get_long()).collect();
        let keys = Settings::keys()
            .filter(|key| !LIBRARY_ONLY.contains(key))
            .map(|key| if key == "stack" { "layer" } else { key });
        let mut keys: Vec<_> = keys.collect();
        flags.sort_unstable();
        keys.sort_unstable();
        assert_eq!(flags, keys);
    }

    /// Returns the default in the help of a flag.
    fn stated(flag: &clap::Arg) -> Option<String> {
        let help = flag.get_long_help().or(flag.get_help())?.to_string();
        Some(help.split_once("[default: ")?.1.split([']', ';']).next()?.to_owned())
    }

    #[test]
    fn the_help_states_the_defaults() {
        let defaults = crate::cli::settings_table::table_of(&Settings::default()).expect("a table");
        let command = Flags::command();
        for (key, value) in &defaults {
            let flag = command.get_opts().find(|flag| flag.get_long() == Some(key.as_str())).expect("a flag");
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let stated = stated(flag).unwrap_or_else(|| panic!("{key} states no default"));
            assert_eq!(stated, value.trim_end_matches(".0"), "{key}");
        }
    }

    #[test]
    fn flags_become_settings() {
        let arguments = "x --init-scale 0.5 --max-steps 7 --invalid skip --lr 0.25 -s 9223372036854775807 --nesterov --momentum \
                         0.5 --optimizer sgd --beta1 0.5 --warmup-steps 0 --loss-reduction sum-steps";
        let flags = Flags::try_parse_from(arguments.split_whitespace()).expect("valid").settings;
        let settings = ConfigFile::default().settings(None, &flags).expect("valid");
        assert_eq!((settings.run.seed, settings.run.max_steps), (i64::MAX as u64, Some(7)));
        assert_eq!((settings.model.init_scale, settings.schedule.learning_rate), (Some(0.5), 0.25));
        assert!(settings.optimizer.nesterov && settings.optimizer.beta1 == 0.5);
        assert_eq!((settings.schedule.warmup_steps, settings.run.loss_reduction.name()), (0, "sum-steps"));
    }
}

//! Named settings of published programs, for comparisons with these programs.

use crate::{
    Activation, Bias, Cell, ClipMode, DataSettings, ForgetBiasAt, Init, InputKind, ModelSettings,
    OptimizerSettings, Reduction, RunSettings, Schedule, ScheduleSettings, Settings, Windows,
};

/// A named set of [`Settings`].
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// The name, the value of `--preset`.
    pub name: &'static str,
    /// A description in one sentence.
    pub summary: &'static str,
    /// The source of the settings.
    pub source: &'static str,
    /// The remaining differences between a run and the original program; empty if there are none.
    pub deviations: &'static str,
    /// The settings.
    pub settings: Settings,
}

impl Preset {
    /// The names of all presets, in the order of [`Preset::all`].
    pub const NAMES: &'static [&'static str] =
        &["default", "lecture", "lecture-deep", "min-char-rnn", "char-rnn", "torch-rnn"];

    /// Returns all presets. The first one has the default settings.
    pub fn all() -> Vec<Self> {
        vec![standard(), lecture(), lecture_deep(), min_char_rnn(), char_rnn(), torch_rnn()]
    }

    /// Returns the preset with a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|preset| preset.name == name)
    }
}

impl Settings {
    /// Returns the settings of the preset `name`; `None` if it does not exist.
    ///
    /// ```
    /// let settings = unrolled::Settings::preset("char-rnn").expect("a preset of this crate");
    /// assert_eq!((settings.model.layers, settings.model.hidden), (2, 128));
    /// ```
    pub fn preset(name: &str) -> Option<Self> {
        Preset::find(name).map(|preset| preset.settings)
    }
}

fn standard() -> Preset {
    Preset {
        name: "default",
        summary: "One LSTM layer of 256 with Adam and a cosine schedule: a good model of a book after one epoch.",
        source: "this project",
        deviations: "",
        settings: Settings::default(),
    }
}

fn lecture() -> Preset {
    Preset {
        name: "lecture",
        summary: "The first program of the lecture: a vanilla RNN over windows of five symbols, with Adagrad.",
        source: "S. Eum, Practical Machine Learning, Lecture 11: TensorFlow - RNN/LSTM/GRU implementation; \
                 BasicRNNCell, static_rnn, AdagradOptimizer(1e-4)",
        deviations: "TensorFlow draws the input and recurrent weights as one matrix; here each has its own Glorot range.",
        settings: Settings {
            model: ModelSettings {
                cell: Cell::Rnn,
                activation: Activation::Tanh,
                bias: Bias::Single,
                init: Init::Glorot,
                hidden: 100,
                input: InputKind::OneHot,
                ..ModelSettings::default()
            },
            optimizer: OptimizerSettings {
                initial_accumulator: Some(0.1),
                clip: 0.0,
                ..OptimizerSettings::adagrad()
            },
            schedule: ScheduleSettings::constant(1e-4),
            run: RunSettings { batch: 200, steps: 5, windows: Windows::Sliding, ..RunSettings::default() },
            ..Settings::default()
        },
    }
}

fn lecture_deep() -> Preset {
    Preset {
        name: "lecture-deep",
        summary: "The deep program of the lecture: an embedding and three LSTM layers of 100 with dropout, and Adam.",
        source: "S. Eum, Practical Machine Learning, Lecture 11: TensorFlow - RNN/LSTM/GRU implementation; \
                 MultiRNNCell of LSTMCell, AdamOptimizer(1e-3)",
        deviations: "TensorFlow draws all gates of a layer as one matrix; here each gate has its own Glorot range. \
                     The embedding starts from Keras's uniform distribution.",
        settings: Settings {
            model: ModelSettings {
                cell: Cell::Lstm,
                forget_bias: 1.0,
                forget_bias_at: ForgetBiasAt::RunTime,
                bias: Bias::Single,
                init: Init::Glorot,
                hidden: 100,
                layers: 3,
                input: InputKind::Embedding,
                embedding: Some(100),
                dropout: 0.2,
                ..ModelSettings::default()
            },
            optimizer: OptimizerSettings { clip: 0.0, ..OptimizerSettings::adam() },
            schedule: ScheduleSettings::constant(1e-3),
            run: RunSettings { batch: 200, steps: 5, windows: Windows::Stream, ..RunSettings::default() },
            ..Settings::default()
        },
    }
}

fn min_char_rnn() -> Preset {
    Preset {
        name: "min-char-rnn",
        summary: "The character model in 100 lines of NumPy: one stream, one vanilla RNN, Adagrad at 0.1.",
        source: "Andrej Karpathy, min-char-rnn.py (2015)",
        deviations: "The original trains until it is stopped; here the run ends after one epoch by default.",
        settings: Settings {
            model: ModelSettings {
                cell: Cell::Rnn,
                activation: Activation::Tanh,
                bias: Bias::Single,
                init: Init::Normal,
                init_scale: Some(0.01),
                hidden: 100,
                input: InputKind::OneHot,
                ..ModelSettings::default()
            },
            optimizer: OptimizerSettings {
                // The original divides by sqrt(memory + 1e-8): here the accumulator starts at 1e-8.
                initial_accumulator: Some(1e-8),
                epsilon: Some(0.0),
                clip: 5.0,
                clip_mode: ClipMode::Value,
                ..OptimizerSettings::adagrad()
            },
            schedule: ScheduleSettings::constant(0.1),
            data: DataSettings { val_fraction: 0.0, ..DataSettings::default() },
            run: RunSettings {
                batch: 1,
                steps: 25,
                windows: Windows::Stream,
                loss_reduction: Reduction::SumSteps,
                ..RunSettings::default()
            },
        },
    }
}

fn char_rnn() -> Preset {
    Preset {
        name: "char-rnn",
        summary: "The original program in Lua: two LSTM layers of 128 with one-hot input, and RMSProp.",
        source: "Andrej Karpathy, char-rnn (2015), train.lua and model/LSTM.lua",
        deviations: "Each layer has one bias; the original has one in each of its two products. \
                     The state starts from zero at each epoch; the original carries it over. RMSProp's \
                     epsilon of 1e-8 outside the root is 1e-16 inside it. The \
                     forget bias is added to the uniform draw instead of replacing it.",
        settings: Settings {
            model: ModelSettings {
                cell: Cell::Lstm,
                forget_bias: 1.0,
                bias: Bias::Single,
                init: Init::Uniform,
                init_scale: Some(0.08),
                hidden: 128,
                layers: 2,
                input: InputKind::OneHot,
                ..ModelSettings::default()
            },
            optimizer: OptimizerSettings {
                decay: 0.95,
                initial_accumulator: Some(0.0),
                epsilon: Some(1e-16),
                clip: 5.0,
                clip_mode: ClipMode::Value,
                ..OptimizerSettings::rmsprop()
            },
            schedule: ScheduleSettings {
                learning_rate: 2e-3,
                kind: Schedule::EpochDecay,
                epoch_decay: 0.97,
                epoch_decay_after: 10,
                epoch_decay_every: 1,
                warmup_steps: 0,
                ..ScheduleSettings::default()
            },
            data: DataSettings { val_fraction: 0.05, ..DataSettings::default() },
            run: RunSettings {
                batch: 50,
                steps: 50,
                windows: Windows::Stream,
                epochs: 50.0,
                loss_reduction: Reduction::SumSteps,
                ..RunSettings::default()
            },
        },
    }
}

fn torch_rnn() -> Preset {
    Preset {
        name: "torch-rnn",
        summary: "The faster successor in Lua: an embedding of 64, two LSTM layers of 128, Adam with a learning rate that is \
                  halved every five epochs.",
        source: "Justin Johnson, torch-rnn (2016), train.lua, LanguageModel.lua and LSTM.lua",
        deviations: "All weights are drawn with the first layer's scale, 1/sqrt(64 + 128); the original uses 1/sqrt(256) \
                     for the second layer, 1 for the embedding and a uniform distribution for the head. The original \
                     clears Adam's moments whenever it halves the learning rate.",
        settings: Settings {
            model: ModelSettings {
                cell: Cell::Lstm,
                forget_bias: 1.0,
                bias: Bias::Single,
                init: Init::Normal,
                init_scale: Some(0.0722),
                hidden: 128,
                layers: 2,
                input: InputKind::Embedding,
                embedding: Some(64),
                ..ModelSettings::default()
            },
            optimizer: OptimizerSettings {
                clip: 5.0,
                clip_mode: ClipMode::Value,
                ..OptimizerSettings::adam()
            },
            schedule: ScheduleSettings {
                learning_rate: 2e-3,
                kind: Schedule::EpochDecay,
                epoch_decay: 0.5,
                // The original halves the rate at the start of epoch 5: four epochs have the full
                // rate.
                epoch_decay_after: 4,
                epoch_decay_every: 5,
                warmup_steps: 0,
                ..ScheduleSettings::default()
            },
            data: DataSettings { val_fraction: 0.1, test_fraction: 0.1, ..DataSettings::default() },
            run: RunSettings {
                batch: 50,
                steps: 50,
                windows: Windows::Stream,
                epochs: 50.0,
                ..RunSettings::default()
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_match_the_presets() {
        let names: Vec<_> = Preset::all().iter().map(|preset| preset.name).collect();
        assert_eq!(names, Preset::NAMES);
        assert_eq!(Settings::preset("default"), Some(Settings::default()));
        assert_eq!(Settings::preset("no-such"), None);
    }

    #[test]
    fn only_the_default_has_a_warmup() {
        for preset in Preset::all().iter().skip(1) {
            assert_eq!(preset.settings.schedule.warmup_steps, 0, "{}", preset.name);
            assert_ne!(preset.settings.schedule.kind, Schedule::Cosine, "{}", preset.name);
        }
    }

    #[test]
    fn texts_are_single_lines() {
        for preset in Preset::all() {
            for text in [preset.summary, preset.source, preset.deviations] {
                assert!(!text.contains('\n') && !text.contains("  "), "{}: {text:?}", preset.name);
            }
        }
    }
}

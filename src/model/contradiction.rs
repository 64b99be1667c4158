//! The settings in which two models differ, so that weights of one are not weights of the other.

use super::ModelConfig;
use crate::{ForgetBiasAt, SettingDifference, Settings};

/// Keys of a layer that may differ: they affect only dropout in training, or the initial weights.
const FREE: [&str; 9] = [
    "input-keep-prob",
    "output-keep-prob",
    "state-keep-prob",
    "drop-cell-state",
    "keep-hidden-state",
    "variational",
    "dropout-seed",
    "input-size",
    "gate-bias",
];

impl Settings {
    /// Returns the first setting that contradicts weights trained with the settings `trained`;
    /// `None` if a run may start from these weights. Settings of dropout and of initial weights may
    /// differ.
    pub fn contradiction(&self, trained: &Self) -> Option<SettingDifference> {
        if self.data.unit != trained.data.unit {
            let [found, expected] = [self, trained].map(|settings| settings.data.unit.name().to_owned());
            return Some(SettingDifference { key: "unit".to_owned(), found, expected });
        }
        ModelConfig::unchecked(&self.model, 1).contradiction(&ModelConfig::unchecked(&trained.model, 1))
    }
}

impl ModelConfig {
    /// Returns the first setting that differs from the model `expected`; `None` if both compute the
    /// same outside of training. Settings of dropout and of initial weights may differ.
    pub(crate) fn contradiction(&self, expected: &Self) -> Option<SettingDifference> {
        let shown = |width: Option<usize>| width.map_or("none".to_owned(), |width| width.to_string());
        let inputs = |config: &Self| shown(config.embedding.filter(|_| !config.reads_symbols()));
        let of_model = [
            ("inputs", inputs(self), inputs(expected)),
            ("vocabulary", self.vocabulary.to_string(), expected.vocabulary.to_string()),
            ("outputs", self.outputs.to_string(), expected.outputs.to_string()),
            ("layers", self.stack.len().to_string(), expected.stack.len().to_string()),
            ("bias", self.bias.name().to_owned(), expected.bias.name().to_owned()),
        ];
        let different = |(key, found, expected): (&str, String, String)| {
            (found != expected).then(|| SettingDifference { key: key.to_owned(), found, expected })
        };
        of_model
            .into_iter()
            .find_map(different)
            .or_else(|| self.layer_contradiction(expected))
            .or_else(|| different(("embedding", shown(self.embedding), shown(expected.embedding))))
    }

    fn layer_contradiction(&self, expected: &Self) -> Option<SettingDifference> {
        let layers = self.stack.iter().zip(&expected.stack).enumerate();
        layers
            .flat_map(|(number, (found, expected))| {
                let run_time = found.forget_bias_at == ForgetBiasAt::RunTime || found.layer_norm;
                let counts = move |key: &str| !FREE.contains(&key) && (key != "forget-bias" || run_time);
                let name = move |difference: SettingDifference| SettingDifference {
                    key: format!("layer {number}: {}", difference.key),
                    ..difference
                };
                let all = found.differences(expected).into_iter();
                all.filter(move |difference| counts(&difference.key)).map(name)
            })
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Layer, ModelSettings, RunSettings, ScheduleSettings};

    fn contradiction(found: &Settings, expected: &Settings) -> Option<String> {
        let config = |settings| ModelConfig::unchecked(settings, 9);
        let difference = config(&found.model).contradiction(&config(&expected.model))?;
        Some(format!("{} {} {}", difference.key, difference.found, difference.expected))
    }

    #[test]
    fn only_settings_of_dropout_and_initial_weights_may_differ() {
        let base = Settings {
            model: ModelSettings { hidden: 8, ..ModelSettings::default() },
            ..Settings::default()
        };
        let same = |change: Settings| assert_eq!(contradiction(&change, &base), None);
        same(Settings {
            model: ModelSettings { dropout: 0.5, init_scale: Some(0.3), ..base.model.clone() },
            schedule: ScheduleSettings { learning_rate: 1.0, ..base.schedule.clone() },
            ..base.clone()
        });
        same(Settings {
            model: ModelSettings { forget_bias: 3.0, embedding: Some(8), ..base.model.clone() },
            ..base.clone()
        });
        same(Settings {
            model: ModelSettings {
                stack: vec![Layer { input_keep_prob: 0.5, ..Layer::lstm(8) }],
                ..base.model.clone()
            },
            ..base.clone()
        });
        let differing = |change: Settings| contradiction(&change, &base).unwrap();
        assert_eq!(
            differing(Settings { model: ModelSettings { hidden: 9, ..base.model.clone() }, ..base.clone() }),
            "layer 0: hidden 9 8"
        );
        assert_eq!(
            differing(Settings { model: ModelSettings { layers: 2, ..base.model.clone() }, ..base.clone() }),
            "layers 2 1"
        );
        assert_eq!(
            differing(Settings { model: base.model.clone().on_vectors(8, 9), ..base.clone() }),
            "inputs 8 none"
        );
        assert_eq!(
            differing(Settings {
                model: ModelSettings { embedding: Some(3), ..base.model.clone() },
                ..base.clone()
            }),
            "embedding 3 8"
        );
        assert_eq!(
            differing(Settings {
                model: ModelSettings { cell: Cell::Gru, ..base.model.clone() },
                ..base.clone()
            }),
            "layer 0: cell gru lstm"
        );
        let stack = vec![Layer { residual: true, ..Layer::lstm(8) }];
        assert_eq!(
            differing(Settings { model: ModelSettings { stack, ..base.model.clone() }, ..base.clone() }),
            "layer 0: residual true the default"
        );
    }

    #[test]
    fn the_model_of_other_settings_replaces_the_own() {
        let model = Settings {
            model: ModelSettings { hidden: 9, layers: 3, cell: Cell::Gru, ..ModelSettings::default() },
            run: RunSettings { batch: 7, ..RunSettings::default() },
            ..Settings::default()
        };
        let own = Settings {
            model: ModelSettings { dropout: 0.5, ..ModelSettings::default() },
            run: RunSettings { batch: 5, ..RunSettings::default() },
            ..Settings::default()
        };
        let both = own.with_model_of(&model);
        assert_eq!((both.model.hidden, both.model.layers, both.model.cell), (9, 3, Cell::Gru));
        assert_eq!((both.run.batch, both.model.dropout), (5, 0.5));
        assert_eq!(contradiction(&both, &model), None);
    }
}

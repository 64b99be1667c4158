//! Every option of a training run, in groups. Files and flags have one flat table of keys: the names of the command line, of
//! `config.toml` and of the configuration that a checkpoint carries.

mod choices;
mod data;
pub(crate) mod decimal;
mod difference;
mod encoding;
mod id_width;
mod keys;
mod layer;
mod model;
mod optimizer;
mod range;
mod run;
mod schedule;
mod validate;

pub use choices::*;
pub use data::DataSettings;
pub use difference::Difference;
pub use encoding::Encoding;
pub use id_width::IdWidth;
pub use layer::{Highway, Layer, Variational};
pub use model::ModelSettings;
pub use optimizer::OptimizerSettings;
pub use run::RunSettings;
pub use schedule::ScheduleSettings;
use serde::Serialize;

/// Everything that decides what a training run computes, except the text itself.
///
/// Serialized as one flat table with the command line's names (`learning-rate`, `val-fraction`, ...); an unknown key is refused.
///
/// ```
/// use unrolled::{ModelSettings, RunSettings, ScheduleSettings, Settings};
///
/// let settings = Settings {
///     model: ModelSettings::gru(32),
///     schedule: ScheduleSettings::constant(1e-3),
///     run: RunSettings { batch: 8, max_steps: Some(60), ..RunSettings::default() },
///     ..Settings::default()
/// };
/// settings.validate()?;
/// # Ok::<(), unrolled::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    /// The shape of the model and how its parameters start.
    #[serde(flatten)]
    pub model: ModelSettings,
    /// How a gradient moves the parameters.
    #[serde(flatten)]
    pub optimizer: OptimizerSettings,
    /// The learning rate over the run.
    #[serde(flatten)]
    pub schedule: ScheduleSettings,
    /// How files become symbols, and which of them are held out.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Windows, length, evaluation and random seed.
    #[serde(flatten)]
    pub run: RunSettings,
}

impl Settings {
    /// These settings with the model of others: all keys that fix the shape and meaning of trained weights, and the unit. A run
    /// that starts from a trained model has such settings; what is left is free.
    #[must_use]
    pub fn with_model_of(&self, other: &Self) -> Self {
        let ModelSettings { init, init_scale, dropout, .. } = self.model;
        let model = ModelSettings { init, init_scale, dropout, ..other.model.clone() };
        let data = DataSettings { unit: other.data.unit, ..self.data.clone() };
        Self { model, data, ..self.clone() }
    }
}

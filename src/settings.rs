//! All settings of a training run, in groups. Configuration files, checkpoints and the command line
//! have them as one flat table of keys.

mod choices;
mod data;
pub(crate) mod decimal;
mod defaults;
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
pub use difference::SettingDifference;
pub use encoding::Encoding;
pub use id_width::IdWidth;
pub use layer::{Highway, Layer, Variational};
pub use model::ModelSettings;
pub use optimizer::OptimizerSettings;
pub use run::RunSettings;
pub use schedule::ScheduleSettings;
use serde::Serialize;

/// All settings that determine the result of a training run, apart from the corpus.
///
/// Serialized as one flat table with the names of the command line (`learning-rate`,
/// `val-fraction`, ...). An unknown key is an error.
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
    /// Shape and initialization of the model.
    #[serde(flatten)]
    pub model: ModelSettings,
    /// Update rule and gradient clipping.
    #[serde(flatten)]
    pub optimizer: OptimizerSettings,
    /// Learning rate over the run.
    #[serde(flatten)]
    pub schedule: ScheduleSettings,
    /// How files become symbols, and the sizes of the held-out splits.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Windows, length, evaluation and random seed of the run.
    #[serde(flatten)]
    pub run: RunSettings,
}

impl Settings {
    /// Returns these settings with the model of `other`: all keys that determine the shape and the
    /// meaning of trained weights, and `unit`. A run that starts from a trained model needs them;
    /// all other settings are free.
    #[must_use]
    pub fn with_model_of(&self, other: &Self) -> Self {
        let ModelSettings { init, init_scale, dropout, .. } = self.model;
        let model = ModelSettings { init, init_scale, dropout, ..other.model.clone() };
        let data = DataSettings { unit: other.data.unit, ..self.data.clone() };
        Self { model, data, ..self.clone() }
    }
}

//! Learning rate over a run.

use super::{
    Schedule,
    decimal::Number,
    range::{count, positive, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// Learning rate over a run. The formulas are in [`schedule`](mod@crate::schedule).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ScheduleSettings {
    /// Full learning rate, above 0. Default 0.004.
    pub learning_rate: f64,
    /// Learning rate schedule. Default `cosine`.
    #[serde(rename = "schedule")]
    pub kind: Schedule,
    /// Learning rate at the end as a share of the full learning rate, from 0 to 1. Default 0.05.
    /// Schedule `cosine` only.
    pub cosine_floor: f64,
    /// Number of steps over which the learning rate rises linearly from zero; a tenth of a shorter
    /// run. Default 50. Schedule `cosine` only.
    pub warmup_steps: u64,
    /// Factor that the learning rate is multiplied by, above 0. Default 0.97. Schedule
    /// `epoch-decay` only.
    pub epoch_decay: f64,
    /// Number of epochs before the first multiplication. Default 10. Schedule `epoch-decay` only.
    pub epoch_decay_after: u64,
    /// Number of epochs between two multiplications, at least 1. Default 1. Schedule `epoch-decay`
    /// only.
    pub epoch_decay_every: u64,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            learning_rate: 4e-3,
            kind: Schedule::Cosine,
            cosine_floor: 0.05,
            warmup_steps: 50,
            epoch_decay: 0.97,
            epoch_decay_after: 10,
            epoch_decay_every: 1,
        }
    }
}

impl ScheduleSettings {
    /// Returns a constant learning rate.
    pub fn constant(learning_rate: f64) -> Self {
        Self { learning_rate, kind: Schedule::Constant, warmup_steps: 0, ..Self::default() }
    }

    /// Returns half a cosine from `learning_rate` to a twentieth of it, with the default warm-up.
    pub fn cosine(learning_rate: f64) -> Self {
        Self { learning_rate, kind: Schedule::Cosine, ..Self::default() }
    }

    /// Checks each value.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid setting, its value and its
    /// range.
    pub fn validate(&self) -> Result<()> {
        positive("learning-rate", self.learning_rate)?;
        let share = self.cosine_floor;
        let expected = "give the share of the learning rate that is left at the end, from 0 to 1";
        require((0.0..=1.0).contains(&share), "cosine-floor", Number(share), expected)?;
        positive("epoch-decay", self.epoch_decay)?;
        count("epoch-decay-every", self.epoch_decay_every)
    }
}

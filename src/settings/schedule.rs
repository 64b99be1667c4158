//! The learning rate over a run.

use super::{
    Schedule,
    decimal::Number,
    range::{count, positive, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// The learning rate over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ScheduleSettings {
    /// The step size at the schedule's start.
    pub learning_rate: f64,
    /// How the learning rate moves over the run.
    #[serde(rename = "schedule")]
    pub kind: Schedule,
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
    /// A learning rate that never moves.
    pub fn constant(learning_rate: f64) -> Self {
        Self { learning_rate, kind: Schedule::Constant, warmup_steps: 0, ..Self::default() }
    }

    /// Half a cosine from `learning_rate` down to a twentieth of it, after the default warm-up.
    pub fn cosine(learning_rate: f64) -> Self {
        Self { learning_rate, kind: Schedule::Cosine, ..Self::default() }
    }

    /// Checks every value by itself.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first setting that is invalid, what was found, and the range.
    pub fn validate(&self) -> Result<()> {
        positive("learning-rate", self.learning_rate)?;
        let share = self.cosine_floor;
        let expected = "give the share of the learning rate that is left at the end, from 0 to 1";
        require((0.0..=1.0).contains(&share), "cosine-floor", Number(share), expected)?;
        positive("epoch-decay", self.epoch_decay)?;
        count("epoch-decay-every", self.epoch_decay_every)
    }
}

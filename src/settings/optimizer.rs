//! How a gradient moves the parameters: the update rule and gradient clipping.

use super::{
    ClipMode, OptimizerKind, decimal,
    decimal::{Number, shortest},
    layer,
    range::{below_one, not_negative, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// How a gradient moves the parameters: the update rule and gradient clipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OptimizerSettings {
    /// The update rule.
    #[serde(rename = "optimizer")]
    pub kind: OptimizerKind,
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
    /// Gradient clipping threshold; 0 switches it off.
    #[serde(with = "decimal")]
    pub clip: f32,
    /// What the threshold applies to.
    pub clip_mode: ClipMode,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: None,
            decay: 0.9,
            momentum: 0.0,
            nesterov: false,
            centered: false,
            weight_decay: 0.0,
            initial_accumulator: None,
            clip: 5.0,
            clip_mode: ClipMode::Norm,
        }
    }
}

impl OptimizerSettings {
    /// Adam, with its usual constants.
    pub fn adam() -> Self {
        Self { kind: OptimizerKind::Adam, ..Self::default() }
    }

    /// Adam with `weight_decay` apart from the gradient.
    pub fn adamw(weight_decay: f64) -> Self {
        Self { kind: OptimizerKind::Adamw, weight_decay, ..Self::default() }
    }

    /// Adagrad.
    pub fn adagrad() -> Self {
        Self { kind: OptimizerKind::Adagrad, ..Self::default() }
    }

    /// RMSProp, without momentum.
    pub fn rmsprop() -> Self {
        Self { kind: OptimizerKind::Rmsprop, ..Self::default() }
    }

    /// Gradient descent with this momentum; 0 for none.
    pub fn sgd(momentum: f64) -> Self {
        Self { kind: OptimizerKind::Sgd, momentum, ..Self::default() }
    }

    /// Checks every value by itself and against the others.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first setting that is invalid, what was found, and the range.
    pub fn validate(&self) -> Result<()> {
        below_one("beta1", self.beta1)?;
        below_one("beta2", self.beta2)?;
        not_negative("epsilon", self.epsilon.unwrap_or(0.0))?;
        below_one("decay", self.decay)?;
        below_one("momentum", self.momentum)?;
        not_negative("initial-accumulator", self.initial_accumulator.unwrap_or(0.0))?;
        not_negative("weight-decay", self.weight_decay)?;
        let kind = self.kind;
        let only = |name, wanted: bool, of: OptimizerKind| {
            let expected = format!("it is an option of {}, and the optimizer is {}", of.name(), kind.name());
            require(!wanted || kind == of, name, wanted, &expected)
        };
        only("nesterov", self.nesterov, OptimizerKind::Sgd)?;
        only("centered", self.centered, OptimizerKind::Rmsprop)?;
        let decays = self.weight_decay != 0.0 && kind != OptimizerKind::Adamw;
        require(
            !decays,
            "weight-decay",
            Number(self.weight_decay),
            "it is an option of adamw; leave it out, or take that optimizer",
        )?;
        let still = self.nesterov && self.momentum == 0.0;
        require(!still, "nesterov", true, "it needs a momentum above 0")?;
        self.validate_divisor()?;
        let clip = self.clip;
        require(
            clip >= 0.0 && clip.is_finite(),
            "clip",
            Number(shortest(clip)),
            "give a finite number above 0, or 0 for no clipping",
        )
    }

    /// A gradient that was always zero must not be divided by zero: that of a symbol's row before it is first read.
    fn validate_divisor(&self) -> Result<()> {
        let vanishes = |value: Option<f64>| value.is_some_and(|value| value as f32 == 0.0);
        match self.kind {
            OptimizerKind::Sgd => Ok(()),
            OptimizerKind::Adagrad => {
                let expected = "without an epsilon Adagrad divides by its root; give a number above 0";
                let holds = self.epsilon.unwrap_or(0.0) as f32 > 0.0 || !vanishes(self.initial_accumulator);
                require(holds, "initial-accumulator", 0, expected)
            }
            OptimizerKind::Adam | OptimizerKind::Adamw | OptimizerKind::Rmsprop => {
                let expected = "a gradient of zero would be divided by it; give a number above 0";
                require(!vanishes(self.epsilon), "epsilon", 0, expected)
            }
        }
    }
}

//! Update rule and gradient clipping.

use super::{
    ClipMode, OptimizerKind, decimal,
    decimal::{Number, shortest},
    defaults,
    range::{below_one, not_negative, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// Update rule and gradient clipping. The equations are in [`optim`](crate::optim).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OptimizerSettings {
    /// Update rule of the parameters. Default `adam`.
    #[serde(rename = "optimizer")]
    pub kind: OptimizerKind,
    /// Decay of the first moment, from 0 to below 1. Default 0.9. Adam and AdamW only.
    pub beta1: f64,
    /// Decay of the second moment, from 0 to below 1. Default 0.999. Adam and AdamW only.
    pub beta2: f64,
    /// Small constant in the divisor, at least 0. Default 1e-8 (Adam, AdamW), 1e-10 (RMSProp) or 0
    /// (Adagrad). Not for SGD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Decay of the mean square, from 0 to below 1. Default 0.9. RMSProp only.
    pub decay: f64,
    /// Momentum, from 0 to below 1. Default 0. SGD and RMSProp only.
    pub momentum: f64,
    /// True for Nesterov's form of momentum (`use_nesterov`). Default false. SGD with momentum
    /// only.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub nesterov: bool,
    /// True if the square of the mean gradient is subtracted from the mean square (`centered`).
    /// Default false. RMSProp only.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub centered: bool,
    /// Decoupled weight decay of all parameters, at least 0, as in PyTorch: each step subtracts
    /// learning rate x weight decay x parameter. Default 0. AdamW only.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub weight_decay: f64,
    /// Initial value of Adagrad's accumulator or of RMSProp's mean square, at least 0. Default 0.1
    /// (Adagrad) or 1 (RMSProp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_accumulator: Option<f64>,
    /// Gradient clipping threshold, above 0; 0 for no clipping. Default 5.
    #[serde(with = "decimal")]
    pub clip: f32,
    /// Quantity that `clip` limits: the global norm of the gradient, or each of its elements.
    /// Default `norm`.
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
    /// Returns Adam with its usual constants.
    pub fn adam() -> Self {
        Self { kind: OptimizerKind::Adam, ..Self::default() }
    }

    /// Returns Adam with decoupled weight decay.
    pub fn adamw(weight_decay: f64) -> Self {
        Self { kind: OptimizerKind::Adamw, weight_decay, ..Self::default() }
    }

    /// Returns Adagrad.
    pub fn adagrad() -> Self {
        Self { kind: OptimizerKind::Adagrad, ..Self::default() }
    }

    /// Returns RMSProp without momentum.
    pub fn rmsprop() -> Self {
        Self { kind: OptimizerKind::Rmsprop, ..Self::default() }
    }

    /// Returns gradient descent with a momentum; 0 for none.
    pub fn sgd(momentum: f64) -> Self {
        Self { kind: OptimizerKind::Sgd, momentum, ..Self::default() }
    }

    /// Checks each value, and combinations of values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid setting, its value and its
    /// range.
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
            let expected = format!("it applies to {} only, and the optimizer is {}", of.name(), kind.name());
            require(!wanted || kind == of, name, wanted, &expected)
        };
        only("nesterov", self.nesterov, OptimizerKind::Sgd)?;
        only("centered", self.centered, OptimizerKind::Rmsprop)?;
        let decays = self.weight_decay != 0.0 && kind != OptimizerKind::Adamw;
        require(
            !decays,
            "weight-decay",
            Number(self.weight_decay),
            "it applies to adamw only; leave it out, or use that optimizer",
        )?;
        let still = self.nesterov && self.momentum == 0.0;
        require(!still, "nesterov", true, "it requires a momentum above 0")?;
        self.validate_divisor()?;
        let clip = self.clip;
        require(
            clip >= 0.0 && clip.is_finite(),
            "clip",
            Number(shortest(clip)),
            "give a finite number above 0, or 0 for no clipping",
        )
    }

    /// Checks that no division by zero is possible: the gradient of an embedding row is zero until
    /// its symbol is first read.
    fn validate_divisor(&self) -> Result<()> {
        // The kernels take denormal numbers for zero (see `unrolled_kernels::denormals`).
        let vanishes = |value: f64| (value as f32) < f32::MIN_POSITIVE;
        let [epsilon, accumulator] = [self.epsilon.unwrap_or(1.0), self.initial_accumulator.unwrap_or(1.0)];
        match self.kind {
            OptimizerKind::Sgd => Ok(()),
            OptimizerKind::Adagrad => {
                let expected =
                    "without an epsilon Adagrad divides by its root; give a number of at least 1.2e-38";
                let divides = vanishes(accumulator) && vanishes(self.epsilon.unwrap_or(0.0));
                require(!divides, "initial-accumulator", Number(accumulator), expected)
            }
            OptimizerKind::Adam | OptimizerKind::Adamw | OptimizerKind::Rmsprop => {
                let expected = "a gradient of zero would be divided by it; give a number of at least 1.2e-38";
                require(!vanishes(epsilon), "epsilon", Number(epsilon), expected)
            }
        }
    }
}

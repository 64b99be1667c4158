//! The loss of a training step, with its targets and their weights.

use crate::exec::{OutputSteps, Window, check_room};
use crate::model::ModelConfig;
use crate::{Error, Result};

/// The loss of one token, computed from the outputs of the model's head.
///
/// All losses except cross-entropy are the mean over the O outputs of the token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Softmax cross-entropy with one class id for each token, in nats
    /// ([`torch.nn.CrossEntropyLoss`](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)).
    CrossEntropy {
        /// Share of each target that is spread over all classes; 0 for none.
        label_smoothing: f32,
    },
    /// Binary cross-entropy of logits with targets from 0 to 1, in nats
    /// ([`torch.nn.BCEWithLogitsLoss`](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)).
    BinaryCrossEntropy,
    /// `(y - t)^2`
    /// ([`torch.nn.MSELoss`](https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html)).
    MeanSquared,
    /// `|y - t|`
    /// ([`torch.nn.L1Loss`](https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html)).
    MeanAbsolute,
    /// `(y - t)^2 / 2` up to the distance delta, then `delta (|y - t| - delta / 2)`
    /// ([`torch.nn.HuberLoss`](https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html)).
    Huber {
        /// The distance where the loss becomes linear, above 0.
        delta: f32,
    },
}

impl Loss {
    /// Plain softmax cross-entropy.
    pub const CROSS_ENTROPY: Self = Self::CrossEntropy { label_smoothing: 0.0 };

    /// The loss of one output `y` with the target `t`, and its derivative by `y`.
    pub(crate) fn of_output(self, y: f64, t: f64) -> (f64, f64) {
        let distance = y - t;
        match self {
            Self::MeanSquared => (distance * distance, 2.0 * distance),
            Self::MeanAbsolute => (distance.abs(), if distance == 0.0 { 0.0 } else { distance.signum() }),
            Self::Huber { delta } => {
                let delta = f64::from(delta);
                match distance.abs() {
                    near if near <= delta => (0.5 * distance * distance, distance),
                    far => (delta * (far - 0.5 * delta), delta * distance.signum()),
                }
            }
            // Softplus of -|y| keeps every exponential at most 1.
            Self::BinaryCrossEntropy => {
                let exponential = libm::exp(-y.abs());
                let sigmoid =
                    if y >= 0.0 { 1.0 / (1.0 + exponential) } else { exponential / (1.0 + exponential) };
                (y.max(0.0) - y * t + libm::log1p(exponential), sigmoid - t)
            }
            Self::CrossEntropy { .. } => unreachable!("cross-entropy has one target for all outputs"),
        }
    }

    /// Returns true if an output counts as right for the accuracy: the side of 0.5 that a
    /// probability is on.
    pub(crate) fn is_right(self, y: f32, t: f32) -> bool {
        self == Self::BinaryCrossEntropy && (y > 0.0) == (t > 0.5)
    }

    /// Returns true if the targets are class ids.
    pub(crate) fn takes_ids(self) -> bool {
        matches!(self, Self::CrossEntropy { .. })
    }

    fn check(self) -> Result<()> {
        match self {
            Self::CrossEntropy { label_smoothing } if !(0.0..1.0).contains(&label_smoothing) => {
                let expected = "give a number of at least 0 and below 1";
                Err(Error::setting("label-smoothing", label_smoothing, expected))
            }
            Self::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => {
                Err(Error::setting("delta", delta, "give a finite number above 0"))
            }
            _ => Ok(()),
        }
    }
}

/// The targets of a window's tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Targets<'a> {
    /// One class id for each token.
    Ids(&'a [u32]),
    /// O values for each token.
    Values(&'a [f32]),
}

impl<'a> From<&'a [u32]> for Targets<'a> {
    fn from(ids: &'a [u32]) -> Self {
        Self::Ids(ids)
    }
}

impl<'a> From<&'a [f32]> for Targets<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::Values(values)
    }
}

impl<'a> From<&'a Vec<u32>> for Targets<'a> {
    fn from(ids: &'a Vec<u32>) -> Self {
        Self::Ids(ids)
    }
}

impl<'a> From<&'a Vec<f32>> for Targets<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Self::Values(values)
    }
}

/// A loss and its targets. The value of a window is the weighted mean over the tokens that have an
/// output: `sum(w loss) / sum(w)`, which is the plain mean without weights.
///
/// ```
/// use unrolled::exec::{OutputSteps, Window};
/// use unrolled::loss::{Loss, Objective};
///
/// let inputs = vec![0.0; 5 * 2 * 3]; // [T, B, E] = [5, 2, 3]
/// let window = Window { output_steps: OutputSteps::Last, ..Window::new(5, 2, &inputs) };
/// let classes = [0, 2]; // one for each row
/// let objective = Objective::new(Loss::CROSS_ENTROPY, &classes[..]);
/// # let _ = (window, objective);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective<'a> {
    /// The loss of a token.
    pub loss: Loss,
    /// The targets, [T, B] or [T, B, O] in the order of the window; `[B]` or [B, O] if it has
    /// outputs for the last step only. Targets of padding are not read.
    pub targets: Targets<'a>,
    /// A weight of at least 0 for each target; `None`: all weigh 1.
    pub weights: Option<&'a [f32]>,
}

impl<'a> Objective<'a> {
    /// A loss with targets that all weigh 1.
    pub fn new(loss: Loss, targets: impl Into<Targets<'a>>) -> Self {
        Self { loss, targets: targets.into(), weights: None }
    }

    /// Returns the sum of the weights of all tokens with a target, or an error that names the first
    /// field which does not fit the window or the model.
    pub(crate) fn check(&self, window: &Window<'_>, config: &ModelConfig) -> Result<f64> {
        self.loss.check()?;
        let outputs = config.outputs;
        if outputs == 0 {
            return Err(Error::batch("a model without a head", "a model with a linear head"));
        }
        let tokens = window.output_tokens();
        match (self.targets, self.loss.takes_ids()) {
            (Targets::Ids(ids), true) => {
                check_room(ids.len(), tokens, 1, "targets")?;
                check_classes(ids, outputs, window)?;
            }
            (Targets::Values(values), false) => check_room(values.len(), tokens, outputs, "target values")?,
            (Targets::Ids(_), false) => return Err(Error::batch("class ids as targets", "values")),
            (Targets::Values(_), true) => {
                return Err(Error::batch("values as targets", "one class id for each token"));
            }
        }
        if window.lengths.is_some_and(|lengths| lengths.iter().all(|length| *length == 0)) {
            let found = format!("{} rows of length 0", window.rows);
            return Err(Error::batch(found, "at least one row with a step"));
        }
        self.check_weights(tokens, window)
    }

    /// Returns the sum of the weights of all tokens with a target.
    fn check_weights(&self, tokens: usize, window: &Window<'_>) -> Result<f64> {
        let weights = self.weights.unwrap_or_default();
        if self.weights.is_some() {
            check_room(weights.len(), tokens, 1, "weights")?;
        }
        if let Some(weight) = weights.iter().find(|weight| !(**weight >= 0.0 && weight.is_finite())) {
            return Err(Error::batch(format!("the weight {weight}"), "finite weights of at least 0"));
        }
        match self.total_weight(window) {
            total if total > 0.0 => Ok(total),
            _ => Err(Error::batch("weights of 0 alone", "at least one weight above 0")),
        }
    }

    /// The sum of the weights of all tokens with a target, or their number: in f64, in the order of
    /// the targets.
    fn total_weight(&self, window: &Window<'_>) -> f64 {
        let weight = |index: usize| self.weights.map_or(1.0, |weights| f64::from(weights[index]));
        let counts = places(window).enumerate().filter(|(_, place)| counts(window, *place));
        counts.fold(0.0, |sum, (index, _)| sum + weight(index))
    }
}

/// The step (`None`: the last one) and the row of each target.
fn places(window: &Window<'_>) -> impl Iterator<Item = (Option<usize>, usize)> {
    let is_last = window.output_steps == OutputSteps::Last;
    let last = (0..if is_last { window.rows } else { 0 }).map(|row| (None, row));
    last.chain(window.places().filter(move |_| !is_last).map(|(step, row)| (Some(step), row)))
}

/// Returns true if the target of a step and a row belongs to a token, not to padding.
fn counts(window: &Window<'_>, (step, row): (Option<usize>, usize)) -> bool {
    window.has(step.unwrap_or(0), row)
}

fn check_classes(ids: &[u32], outputs: usize, window: &Window<'_>) -> Result<()> {
    if ids.iter().all(|id| (*id as usize) < outputs) {
        return Ok(());
    }
    let beyond =
        |(id, place): &(&u32, (Option<usize>, usize))| **id as usize >= outputs && counts(window, *place);
    let Some((id, (step, row))) = ids.iter().zip(places(window)).find(beyond) else { return Ok(()) };
    let at = step.map_or_else(String::new, |step| format!("step {step} of "));
    let found = format!("the id {id} among its targets at {at}row {row}");
    Err(Error::batch(found, format!("ids below {outputs}")))
}

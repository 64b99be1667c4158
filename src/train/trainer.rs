//! Training on windows that the caller brings: vectors or ids, with any loss.

use crate::exec::{State, Window};
use crate::loss::Objective;
use crate::model::Model;
use crate::network::{Measure, Network};
use crate::optim::Optimizer;
use crate::schedule::learning_rate;
use crate::{Error, OptimizerSettings, Result, Schedule, ScheduleSettings};
use std::sync::Arc;

/// The choices of a [`Trainer`].
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerSettings {
    /// The update rule, and the clipping of the gradient: by the global norm over all parameters,
    /// or by value.
    pub optimizer: OptimizerSettings,
    /// The learning rate of each step.
    pub schedule: ScheduleSettings,
    /// Total steps of the run. A cosine schedule needs it.
    pub total_steps: Option<u64>,
    /// Steps of one epoch. A schedule with decay per epoch needs it.
    pub steps_per_epoch: Option<u64>,
    /// Number of threads; all cores if `None`.
    pub threads: Option<usize>,
}

impl Default for TrainerSettings {
    /// Adam with a constant learning rate of 1e-3.
    fn default() -> Self {
        Self::adam(1e-3)
    }
}

impl TrainerSettings {
    /// Adam with a constant learning rate.
    pub fn adam(learning_rate: f64) -> Self {
        Self {
            optimizer: OptimizerSettings::adam(),
            schedule: ScheduleSettings::constant(learning_rate),
            total_steps: None,
            steps_per_epoch: None,
            threads: None,
        }
    }

    fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        self.schedule.validate()?;
        let missing = |name, schedule: &str| {
            let expected = format!("give a number: the {schedule} schedule depends on it");
            Err(Error::Setting { name, found: "nothing".to_owned(), expected })
        };
        match self.schedule.kind {
            Schedule::Cosine if self.total_steps.is_none() => missing("total-steps", "cosine"),
            Schedule::EpochDecay if self.steps_per_epoch.is_none() => {
                missing("steps-per-epoch", "epoch-decay")
            }
            _ => Ok(()),
        }
    }
}

/// The report of one step of a [`Trainer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainerStep {
    /// Number of the step, counted from 1.
    pub step: u64,
    /// The loss before the step.
    pub loss: f64,
    /// The global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
}

/// Trains a model on windows of vectors or ids that the caller brings. It owns the model, the
/// optimizer and the schedule.
///
/// ```
/// use unrolled::exec::Window;
/// use unrolled::loss::{Loss, Objective};
/// use unrolled::model::Model;
/// use unrolled::train::{Trainer, TrainerSettings};
/// use unrolled::ModelSettings;
///
/// # fn main() -> unrolled::Result<()> {
/// // Predict the next value of a sine: 1 input, 16 LSTM units, 1 output.
/// let sine: Vec<f32> = (0..41).map(|t| (t as f32 * 0.3).sin()).collect();
/// let model = Model::of_vectors(&ModelSettings::lstm(16).on_vectors(1, 1), 1)?;
/// let mut trainer = Trainer::new(model, TrainerSettings::adam(1e-2))?;
/// let (window, objective) = (Window::new(40, 1, &sine[..40]), Objective::new(Loss::MeanSquared, &sine[1..]));
/// let first = trainer.step(&window, &objective)?.loss;
/// for _ in 0..60 {
///     trainer.step(&window, &objective)?;
/// }
/// assert!(trainer.evaluate(&window, &objective)?.loss < first / 10.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trainer {
    network: Network,
    optimizer: Optimizer,
    settings: TrainerSettings,
}

impl Trainer {
    /// Takes a model to train.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that is out of range, or that the schedule needs and is
    /// `None`; otherwise as for [`Network::new`].
    pub fn new(model: impl Into<Arc<Model>>, settings: TrainerSettings) -> Result<Self> {
        settings.validate()?;
        let network = Network::new(model, settings.threads)?;
        let parameters = network.model().parameters().values.len();
        let optimizer = Optimizer::new(&settings.optimizer, parameters, settings.threads)?;
        Ok(Self { network, optimizer, settings })
    }

    /// Runs one step: loss, gradient, clipping, update. The window starts from `window.initial`, or
    /// from zero.
    ///
    /// # Errors
    /// As for [`Network::differentiate`]; [`Error::NotFinite`] if the loss or the gradient is not
    /// finite. The parameters are then as before the step.
    pub fn step(&mut self, window: &Window<'_>, objective: &Objective<'_>) -> Result<TrainerStep> {
        let Self { network, optimizer, settings } = self;
        let loss = network.differentiate(window, objective)?;
        let (step, clip) = (optimizer.steps() + 1, settings.optimizer.clip);
        let learning_rate = learning_rate(
            &settings.schedule,
            step - 1,
            settings.total_steps.unwrap_or(u64::MAX),
            settings.steps_per_epoch.unwrap_or(u64::MAX),
        );
        let not_finite = |gradient_norm| Error::NotFinite { step, loss, gradient_norm, learning_rate, clip };
        if !loss.is_finite() {
            return Err(not_finite(f64::NAN));
        }
        let (parameters, gradient) = network.parameters_and_gradient();
        let gradient_norm = optimizer.step(learning_rate, gradient, parameters);
        match gradient_norm.is_finite() {
            true => Ok(TrainerStep { step, loss, gradient_norm, learning_rate }),
            false => Err(not_finite(gradient_norm)),
        }
    }

    /// Computes the loss and the accuracy of a window.
    ///
    /// # Errors
    /// As for [`Network::evaluate`].
    pub fn evaluate(&mut self, window: &Window<'_>, objective: &Objective<'_>) -> Result<Measure> {
        self.network.evaluate(window, objective)
    }

    /// Runs a window and writes the outputs of the model.
    ///
    /// # Errors
    /// As for [`Network::forward`].
    pub fn forward(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<()> {
        self.network.forward(window, outputs)
    }

    /// The state after the last window, to be the initial state of the next one.
    pub fn state(&self) -> State {
        self.network.state()
    }

    /// Number of steps done.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// The settings.
    pub fn settings(&self) -> &TrainerSettings {
        &self.settings
    }

    /// The model as it is now. A clone of the `Arc` stays as it is; the trainer then copies the
    /// model at its next step.
    pub fn model(&self) -> &Arc<Model> {
        self.network.model()
    }

    /// Takes the model out.
    pub fn into_model(self) -> Model {
        self.network.into_model()
    }
}

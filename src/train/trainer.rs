//! Training on caller-owned windows of vectors or ids, with any loss.

use crate::checkpoint::{Checkpoint, Snapshot};
use crate::corpus::Vocabulary;
use crate::exec::{State, Window};
use crate::loss::Objective;
use crate::model::Model;
use crate::network::{Measure, Network};
use crate::optim::Optimizer;
use crate::progress::Progress;
use crate::schedule::learning_rate;
use crate::{
    DataSettings, Error, OptimizerSettings, Precision, Result, RunSettings, Schedule, ScheduleSettings,
    Settings,
};
use std::{path::Path, sync::Arc};

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
    /// The number format of the operands of products.
    pub precision: Precision,
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
            precision: Precision::F32,
            threads: None,
        }
    }

    fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        self.schedule.validate()?;
        let missing = |name, schedule: &str| {
            let expected = format!("give a number: the {schedule} schedule depends on it");
            Err(Error::setting(name, "nothing", expected))
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

/// Trains a model on caller-owned windows of vectors or ids, with any loss. It owns the model, the
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
/// let window = Window::new(40, 1, &sine[..40]);
/// let objective = Objective::new(Loss::MeanSquared, &sine[1..]);
/// let first = trainer.step(&window, &objective)?.loss;
/// for _ in 0..60 {
///     trainer.step(&window, &objective)?;
/// }
/// assert!(trainer.evaluate(&window, &objective)?.loss < first / 10.0);
/// # Ok(())
/// # }
/// ```
///
/// With products in bf16:
///
/// ```
/// use unrolled::train::{Trainer, TrainerSettings};
/// use unrolled::{ModelSettings, Precision, model::Model};
///
/// let model = Model::new(&ModelSettings::gru(16), 5, 1)?;
/// let settings = TrainerSettings { precision: Precision::Bf16, ..TrainerSettings::adam(1e-2) };
/// let trainer = Trainer::new(model, settings)?;
/// assert_eq!(trainer.settings().precision, Precision::Bf16);
/// # Ok::<(), unrolled::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    network: Network,
    optimizer: Optimizer,
    settings: TrainerSettings,
}

impl Trainer {
    /// Creates a trainer for a model.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid setting, or for a missing one that the schedule needs; as
    /// for [`Network::new`].
    pub fn new(model: impl Into<Arc<Model>>, settings: TrainerSettings) -> Result<Self> {
        settings.validate()?;
        let network = Network::with_precision(model, settings.precision, settings.threads)?;
        let parameters = network.model().parameters().values.len();
        let optimizer = Optimizer::new(&settings.optimizer, parameters, settings.threads)?;
        Ok(Self { network, optimizer, settings })
    }

    /// Continues a run from a checkpoint of [`Trainer::save`], after the last step in it. With the
    /// settings of that trainer, further steps give the same bits as without the interruption. The
    /// learning rate, its schedule and the precision may differ.
    ///
    /// # Errors
    /// As for [`Trainer::new`]; [`Error::Tensor`] for a checkpoint that lacks the optimizer's
    /// moments, or has those of another update rule.
    pub fn resume(checkpoint: &Checkpoint, settings: TrainerSettings) -> Result<Self> {
        let mut trainer = Self::new(checkpoint.model()?, settings)?;
        let moments = checkpoint.moments.iter().map(|(name, values)| (name.as_str(), values.as_slice()));
        trainer.optimizer.restore(checkpoint.progress.step, moments)?;
        Ok(trainer)
    }

    /// Returns a checkpoint in the format of [`Training`](super::Training), with a copy of the
    /// model, of the optimizer's moments and of the number of steps. The vocabulary of a model of
    /// symbols has ids.
    ///
    /// # Errors
    /// [`Error::Setting`] for more than 2^32 - 1 symbols.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let (settings, vocabulary, progress) = self.description()?;
        let moments = self.optimizer.moments();
        Ok(Checkpoint {
            settings,
            vocabulary,
            parameters: self.network.model().parameters().clone(),
            moments: moments.map(|(name, values)| (name.to_owned(), values.to_vec())).collect(),
            state: None,
            progress,
            quantized: false,
        })
    }

    /// Writes a checkpoint atomically: a failed write leaves the old file as it was. Parameters and
    /// moments are written without copies in memory.
    ///
    /// # Errors
    /// As for [`Trainer::checkpoint`] and [`Checkpoint::save`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let (settings, vocabulary, progress) = self.description()?;
        let snapshot = Snapshot {
            settings: &settings,
            vocabulary: &vocabulary,
            parameters: self.network.model().parameters(),
            moments: self.optimizer.moments().collect(),
            state: None,
            progress: &progress,
            quantized: false,
        };
        snapshot.save(path)
    }

    /// Returns the settings, the vocabulary and the progress in a checkpoint of this run.
    fn description(&self) -> Result<(Settings, Vocabulary, Progress)> {
        let config = self.network.model().config();
        let vocabulary = match config.vocabulary {
            0 => Vocabulary::none(),
            symbols => Vocabulary::of_ids(symbols)?,
        };
        let TrainerSettings { optimizer, schedule, total_steps, precision, .. } = self.settings.clone();
        let data = DataSettings { unit: vocabulary.unit(), ..DataSettings::default() };
        let run = RunSettings { precision, ..RunSettings::default() };
        let settings = Settings { model: config.settings(), optimizer, schedule, data, run };
        let total_steps = total_steps.unwrap_or(0);
        let progress = Progress { step: self.steps(), total_steps, ..Progress::default() };
        Ok((settings, vocabulary, progress))
    }

    /// Runs one step: loss, gradient, clipping, update. The window starts from `window.initial`, or
    /// from zero.
    ///
    /// # Errors
    /// As for [`Network::differentiate`]; [`Error::NotFinite`] if the loss or the gradient is not
    /// finite. The parameters are then as before the step.
    pub fn step(&mut self, window: &Window<'_>, objective: &Objective<'_>) -> Result<TrainerStep> {
        let (threads, work) = self.network.threads(window.steps.saturating_mul(window.rows));
        threads.adapt(work, || self.run_step(window, objective))
    }

    fn run_step(&mut self, window: &Window<'_>, objective: &Objective<'_>) -> Result<TrainerStep> {
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

    /// Returns the state after the last window, which can be the initial state of the next one.
    pub fn state(&self) -> State {
        self.network.state()
    }

    /// Returns the number of steps done.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Returns the settings.
    pub fn settings(&self) -> &TrainerSettings {
        &self.settings
    }

    /// Returns the current model. A clone of the `Arc` keeps its values: the next step then
    /// copies the model.
    pub fn model(&self) -> &Arc<Model> {
        self.network.model()
    }

    /// Returns the model and drops the trainer.
    pub fn into_model(self) -> Model {
        self.network.into_model()
    }
}

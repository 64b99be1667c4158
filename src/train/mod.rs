//! Training runs: steps, evaluations, checkpoints, and the learning-rate range test.

mod carried;
mod divide;
mod evaluate;
mod evaluation_plan;
mod gradient_sums;
mod range_test;
mod ranks;
mod records;
mod report;
mod resume;
mod run_length;
mod snapshot;
mod start;
mod step;
pub(crate) mod sum_tree;
mod trainer;
mod training_threads;

pub use crate::progress::{Change, Progress, Record, SinceLog};
pub use evaluate::{EVALUATION_STREAMS, EvaluationOptions, evaluate, evaluate_on, evaluate_with};
pub use range_test::{RangeTest, Trial, steepest};
pub use ranks::Ranks;
#[cfg(feature = "mpi")]
pub(crate) use ranks::parts;
pub use report::{Evaluation, Logged, StepReport};
pub use run_length::Bound;
pub use trainer::{Trainer, TrainerSettings, TrainerStep};
pub use training_threads::TrainingThreads;

use crate::corpus::{Batch, Batches, Corpus, Split, Vocabulary};
use crate::exec::{DivisionFigures, Engine, Executor, Needs};
use crate::model::{Model, check_bytes, memory_needed};
use crate::optim::UpdateRule;
use crate::phases::Phases;
use crate::{Error, Layer, Mode, Result, RunSettings, Settings};
use carried::CarriedStates;
use divide::Divided;
pub use divide::ExchangeTimes;
use gradient_sums::GradientSums;
use std::ops::Range;
use std::sync::{Arc, atomic::AtomicBool};

/// A training run in memory: the corpus, the model, the optimizer, and the progress.
#[derive(Debug)]
pub struct Training {
    settings: Settings,
    corpus: Corpus,
    split: Split,
    batches: Batches,
    batch: Batch,
    /// The number of the window that `batch` holds, if any.
    filled: Option<u64>,
    engine: Engine,
    optimizer: UpdateRule,
    executor: Executor,
    /// The windows of each step that this process runs.
    own: Range<u64>,
    /// The processes that run the other windows.
    divided: Option<Box<Divided>>,
    gradient: Vec<f32>,
    /// The sums of the gradients of a step with several windows.
    sums: GradientSums,
    /// Interrupts a step or an evaluation if it is set.
    interrupt: Arc<AtomicBool>,
    /// The carried states of a step with several windows.
    carried: CarriedStates,
    /// Buffer for the sums of the norm.
    squares: Vec<f64>,
    /// Buffer for the parameters before an update that is rounded.
    before: Vec<f32>,
    progress: Progress,
}

/// Returns true if training draws dropout or zoneout masks.
fn has_dropout(model: &Model) -> bool {
    model.config().stack.iter().any(Layer::drops)
}

/// Checks that the settings have the unit of the corpus. A checkpoint with another unit could not
/// be resumed.
fn check_unit(corpus: &Corpus, settings: &Settings) -> Result<()> {
    let (unit, found) = (corpus.vocabulary().unit(), settings.data.unit);
    if unit == found {
        return Ok(());
    }
    let expected = format!("the vocabulary of {} has the unit {}; set the same", corpus.name(), unit.name());
    Err(Error::setting("unit", found.name(), expected))
}

impl Training {
    /// Creates a run at step 0, without its total steps.
    fn assemble(
        corpus: Corpus,
        settings: Settings,
        model: Model,
        optimizer: UpdateRule,
        threads: Option<usize>,
    ) -> Result<Self> {
        settings.validate()?;
        check_unit(&corpus, &settings)?;
        model.config().check_predicts_symbols()?;
        check_bytes(memory_needed(&settings, corpus.vocabulary().len()) + corpus.memory() as f64)?;
        if corpus.len() < 2 {
            let (purpose, advice) = (format!("training on {}", corpus.name()), "name a longer text");
            return Err(Error::TooFewSymbols { found: corpus.len(), needed: 2, purpose, advice });
        }
        let split =
            corpus.split(settings.data.split_by, settings.data.val_fraction, settings.data.test_fraction)?;
        let RunSettings { windows, batch, steps, seed, accumulate, .. } = settings.run;
        let batches = Batches::accumulated(split.train.clone(), windows, (batch, accumulate), steps, seed)?;
        let needs = Needs { backward: true, dropout: has_dropout(&model) };
        let parameters = model.parameters().values.len();
        let engine = Engine::for_training(model, settings.run.precision, threads)?;
        let executor = match settings.run.mode {
            Mode::Static => Executor::shaped(engine.weights(), [steps, batch], needs, engine.pool()),
            Mode::Dynamic => Executor::new(engine.weights(), needs),
        };
        let gradient = vec![0.0; parameters];
        let sums = GradientSums::new(settings.run.accumulate, settings.run.exchange);
        let carried = CarriedStates::new(&settings.run);
        let (batch, progress) = (Batch::default(), Progress::default());
        Ok(Self {
            own: 0..settings.run.accumulate as u64,
            settings,
            corpus,
            split,
            batches,
            batch,
            filled: None,
            engine,
            optimizer,
            executor,
            divided: None,
            gradient,
            sums,
            interrupt: Arc::default(),
            carried,
            squares: Vec::new(),
            before: Vec::new(),
            progress,
        })
    }

    /// Times the phases of each step from now on.
    pub(crate) fn time_phases(&mut self) -> Phases {
        let weights = self.engine.weights_mut();
        weights.phases = Phases::new(weights.layers.len());
        weights.phases.clone()
    }

    /// Returns the figures of the division of the last window.
    pub(crate) fn division_figures(&self) -> DivisionFigures {
        self.executor.division_figures(self.engine.weights())
    }

    /// Returns the number of symbols that had a row in the last window's input table.
    pub(crate) fn table_symbols(&self) -> usize {
        self.executor.table_symbols()
    }

    /// Returns the progress of the run.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Returns the settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the current model.
    pub fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// Returns the vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.corpus.vocabulary()
    }

    /// Returns the corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.engine.threads()
    }
}

#[cfg(test)]
#[allow(dead_code)] // the tests of the library use some of it
#[path = "../../tests/library/local_ranks.rs"]
mod local_ranks;
#[cfg(test)]
mod tests;

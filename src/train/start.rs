//! How a run begins: from drawn weights, from a model, or from another run's checkpoint.

use super::{Progress, Training};
use crate::checkpoint::Checkpoint;
use crate::corpus::Corpus;
use crate::model::{Model, ModelConfig, check_memory};
use crate::optim::UpdateRule;
use crate::{Difference, Error, Result, Settings};

impl Training {
    /// Starts a run on `threads` threads, or all cores.
    ///
    /// # Errors
    /// A setting out of its range, more memory than there is, a text too short for one batch, or a text of another unit than
    /// the settings'.
    pub fn new(corpus: Corpus, settings: Settings, threads: Option<usize>) -> Result<Self> {
        let symbols = corpus.vocabulary().len();
        settings.validate()?;
        check_memory(&settings, symbols)?;
        let model = Model::new(&settings.model, symbols, settings.run.seed)?;
        Self::from_model(corpus, settings, model, threads)
    }

    /// Starts a run from a given model: its weights, with a new optimiser and at step 0. What training drops may be other than
    /// the model's (`dropout`, `input-keep-prob`, ...). [`Training::fine_tune`] also takes a text with new symbols.
    ///
    /// # Errors
    /// As for [`Training::new`], and [`Error::OtherModel`] names the first setting that the model contradicts.
    pub fn from_model(
        corpus: Corpus,
        settings: Settings,
        model: Model,
        threads: Option<usize>,
    ) -> Result<Self> {
        let config = ModelConfig::new(&settings.model, corpus.vocabulary().len())?;
        let model = match *model.config() == config {
            true => model,
            false => reshaped(model, config)?,
        };
        let optimizer = UpdateRule::new(&settings.optimizer, model.parameters().values.len());
        let mut training = Self::assemble(corpus, settings, model, optimizer, threads)?;
        let (total_steps, corpus_fingerprint) = (training.total_steps(), training.corpus.fingerprint());
        training.progress = Progress { total_steps, corpus_fingerprint, ..Progress::default() };
        training.plan_evaluations();
        Ok(training)
    }

    /// Starts a run from the weights of another run: fine-tuning. The settings' model must be the checkpoint's
    /// ([`Settings::with_model_of`] makes it so); all other settings are free. The text's vocabulary must have all symbols of the
    /// checkpoint's ([`Corpus::with_vocabulary`], [`Vocabulary::union`](crate::corpus::Vocabulary::union)); symbols that the
    /// checkpoint lacks get new weights, as [`Model::grown`] says.
    ///
    /// ```
    /// use unrolled::{ModelSettings, RunSettings, Settings, Unit, corpus::Corpus, train::Training};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// let run = RunSettings { batch: 2, steps: 4, ..RunSettings::default() };
    /// let settings = Settings { model: ModelSettings::lstm(8), run, ..Settings::default() };
    /// let first = Corpus::from_text("to be or not to be ".repeat(9), Unit::Char)?;
    /// let trained = Training::new(first, settings, Some(1))?.checkpoint();
    ///
    /// let text = Corpus::from_text("that is the question! ".repeat(9), trained.settings.data.unit)?;
    /// let both = trained.vocabulary.union(text.vocabulary())?;
    /// let run = RunSettings { batch: 3, steps: 5, ..RunSettings::default() };
    /// let mut settings = Settings { run, ..Settings::default() }.with_model_of(&trained.settings);
    /// settings.model.dropout = 0.1;
    /// let run = Training::fine_tune(text.with_vocabulary(&both)?, &trained, settings, Some(1))?;
    /// assert!(run.vocabulary().len() > trained.vocabulary.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Training::from_model`], and [`Error::Setting`] for a text whose vocabulary lacks a symbol of the checkpoint's.
    pub fn fine_tune(
        corpus: Corpus,
        checkpoint: &Checkpoint,
        settings: Settings,
        threads: Option<usize>,
    ) -> Result<Self> {
        let model = checkpoint.model()?;
        let symbols = corpus.vocabulary().len();
        let places = checkpoint.vocabulary.places_in(corpus.vocabulary())?;
        let config = ModelConfig::new(&settings.model, places.len())?;
        check_same(&config, model.config())?;
        let model = match symbols == places.len() {
            true => model,
            false => {
                check_memory(&settings, symbols)?;
                model.grown(&settings.model, &places, symbols, settings.run.seed)?
            }
        };
        Self::from_model(corpus, settings, model, threads)
    }
}

/// The same parameters in a model that drops other shares while it is trained.
fn reshaped(model: Model, config: ModelConfig) -> Result<Model> {
    check_same(&config, model.config())?;
    Model::with_parameters(config, model.parameters().clone())
}

fn check_same(config: &ModelConfig, model: &ModelConfig) -> Result<()> {
    match config.contradiction(model) {
        None => Ok(()),
        Some(Difference { key, found, expected }) => Err(Error::OtherModel { key, found, expected }),
    }
}

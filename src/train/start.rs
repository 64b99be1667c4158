//! Starts a run: from initial weights, from a model, or from the checkpoint of another run.

use super::{Progress, Training};
use crate::checkpoint::Checkpoint;
use crate::corpus::Corpus;
use crate::model::{Model, ModelConfig, check_memory};
use crate::optim::UpdateRule;
use crate::{Error, Result, SettingDifference, Settings};

impl Training {
    /// Starts a run on `threads` threads, or all cores if `None`.
    ///
    /// # Errors
    /// 1. [`Error::Setting`] for an invalid setting, or a corpus with another unit than the
    ///    settings.
    /// 2. [`Error::Memory`] and [`Error::Allocation`] for a run that needs more memory than is
    ///    available.
    /// 3. [`Error::TooFewSymbols`] for a corpus that is too short for one batch.
    pub fn new(corpus: Corpus, settings: Settings, threads: Option<usize>) -> Result<Self> {
        let symbols = corpus.vocabulary().len();
        settings.validate()?;
        check_memory(&settings, symbols)?;
        let model = Model::new(&settings.model, symbols, settings.run.seed)?;
        Self::from_model(corpus, settings, model, threads)
    }

    /// Starts a run at step 0 with the weights of a model and a new optimizer. Settings of dropout
    /// (`dropout`, `input-keep-prob`, ...) may differ from the model's. [`Training::fine_tune`]
    /// also accepts a corpus with new symbols.
    ///
    /// # Errors
    /// As for [`Training::new`]; [`Error::OtherModel`] names the first setting that contradicts the
    /// model.
    pub fn from_model(
        corpus: Corpus,
        settings: Settings,
        model: Model,
        threads: Option<usize>,
    ) -> Result<Self> {
        model.check_trainable()?;
        let config = ModelConfig::new(&settings.model, corpus.vocabulary().len())?;
        let model = match *model.config() == config {
            true => model,
            false => with_dropout_of(config, model)?,
        };
        let optimizer = UpdateRule::new(&settings.optimizer, model.parameters().values.len());
        let mut training = Self::assemble(corpus, settings, model, optimizer, threads)?;
        let (total_steps, corpus_fingerprint) = (training.total_steps(), training.corpus.fingerprint());
        training.progress = Progress { total_steps, corpus_fingerprint, ..Progress::default() };
        training.plan_evaluations();
        Ok(training)
    }

    /// Starts a run with the weights of another run (fine-tuning).
    ///
    /// 1. The model of the settings must be the model of the checkpoint:
    ///    [`Settings::with_model_of`] sets it. All other settings are free.
    /// 2. The vocabulary of the corpus must contain the vocabulary of the checkpoint: see
    ///    [`Corpus::with_vocabulary`] and [`Vocabulary::union`](crate::corpus::Vocabulary::union).
    ///    New symbols get new weights, as in [`Model::grown`].
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
    /// let unit = trained.settings.data.unit;
    /// let text = Corpus::from_text("that is the question! ".repeat(9), unit)?;
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
    /// As for [`Training::from_model`]; [`Error::Setting`] if the vocabulary of the corpus lacks a
    /// symbol of the checkpoint.
    pub fn fine_tune(
        corpus: Corpus,
        checkpoint: &Checkpoint,
        settings: Settings,
        threads: Option<usize>,
    ) -> Result<Self> {
        let model = checkpoint.model()?;
        model.check_trainable()?;
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

/// Returns the model with the dropout settings of `config`.
fn with_dropout_of(config: ModelConfig, model: Model) -> Result<Model> {
    check_same(&config, model.config())?;
    Model::with_parameters(config, model.parameters().clone())
}

fn check_same(config: &ModelConfig, model: &ModelConfig) -> Result<()> {
    match config.contradiction(model) {
        None => Ok(()),
        Some(SettingDifference { key, found, expected }) => Err(Error::OtherModel { key, found, expected }),
    }
}

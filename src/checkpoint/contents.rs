//! The content of a checkpoint.

use crate::{
    Result, Settings,
    corpus::{CorpusOptions, Vocabulary},
    exec::State,
    model::{Model, ModelConfig, Parameters},
    progress::Progress,
};

/// The content of a checkpoint file: a run that can be continued, or a trained model alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The run's settings.
    pub settings: Settings,
    /// Symbols in id order; [`Vocabulary::none`] for a model of vectors.
    pub vocabulary: Vocabulary,
    /// The parameters, under their PyTorch names.
    pub parameters: Parameters,
    /// The optimizer's moments by name (`m`, `v`, `accumulator`, ...; without dots), each with the
    /// layout of the parameters. Empty in a checkpoint without training state.
    pub moments: Vec<(String, Vec<f32>)>,
    /// The recurrent state that the next window starts from, with B rows.
    pub state: Option<State>,
    /// The progress of the run.
    pub progress: Progress,
}

impl Checkpoint {
    /// Builds the model.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the parameters, which are public, do not fit the
    /// settings.
    pub fn model(&self) -> Result<Model> {
        let config = ModelConfig::of(&self.settings.model, self.vocabulary.len())?;
        Model::with_parameters(config, self.parameters.clone())
    }

    /// Returns this checkpoint without the optimizer's moments and the carried state, as
    /// [`Checkpoint::save_model`] writes it.
    pub fn without_training_state(self) -> Self {
        Self { moments: Vec::new(), state: None, ..self }
    }

    /// Returns the options to open the corpus of the run again: those of its settings, with its
    /// vocabulary.
    pub fn text_options(&self) -> CorpusOptions<'_> {
        let Settings { data, run, .. } = &self.settings;
        CorpusOptions { vocabulary: Some(&self.vocabulary), ..CorpusOptions::of(data, run.seed) }
    }
}

//! The content of a checkpoint.

use crate::{
    Precision, Result, Settings,
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
    /// True if the weight matrices are quantized ([`Checkpoint::quantize`]). A file then stores them
    /// as 8-bit integers. Such a checkpoint has no training state.
    pub quantized: bool,
}

impl Checkpoint {
    /// Builds the model.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the parameters, which are public, do not fit the
    /// settings.
    pub fn model(&self) -> Result<Model> {
        let config = ModelConfig::of(&self.settings.model, self.vocabulary.len())?;
        let model = Model::with_parameters(config, self.parameters.clone())?;
        if self.quantized { model.quantize() } else { Ok(model) }
    }

    /// Returns the precision to run its model in: int8 if it is quantized, and otherwise the one that
    /// it was trained in. Pass it to [`Engine::with_precision`](crate::exec::Engine::with_precision);
    /// `Engine::new` runs a model that is not quantized in f32.
    pub fn precision(&self) -> Precision {
        if self.quantized { Precision::Int8 } else { self.settings.run.precision }
    }

    /// Returns the checkpoint of the quantized model ([`Model::quantize`]), without training state.
    /// Its file has about a quarter of the size of a file of the model alone. It runs wherever a
    /// checkpoint runs, but cannot be trained.
    ///
    /// # Errors
    /// As for [`Checkpoint::model`] and [`Model::quantize`].
    pub fn quantize(&self) -> Result<Self> {
        let (moments, state) = (Vec::new(), None);
        let parameters = self.model()?.quantize()?.into_parameters();
        let (settings, vocabulary) = (self.settings.clone(), self.vocabulary.clone());
        let progress = self.progress.clone();
        Ok(Self { settings, vocabulary, parameters, moments, state, progress, quantized: true })
    }

    /// Returns this checkpoint with f32 weights: those of a quantized checkpoint keep their values,
    /// but a file stores them as f32, and training may start from them.
    pub fn dequantized(self) -> Self {
        Self { quantized: false, ..self }
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

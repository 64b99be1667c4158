//! `LanguageModel`: a trained model of text.

use crate::errors::{invalid, raise};
use crate::settings;
use pyo3::exceptions::PyFileNotFoundError;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::{Corpus, CorpusOptions, Vocabulary};
use unrolled::exec::Engine;
use unrolled::model::Model;
use unrolled::sample::{Generator, Sampling};
use unrolled::train::{EVALUATION_STREAMS, EvaluationOptions, evaluate_on};
use unrolled::{DataSettings, Precision, Settings};

/// The checkpoints of a run folder: the one with the lowest validation loss, and the last one.
pub const BEST: &str = "best.safetensors";
pub const LAST: &str = "checkpoint.safetensors";

/// Number of symbols that are drawn between two looks at signals.
const SYMBOLS: usize = 64;

/// A trained model of text: the native part of `unrolled.LanguageModel`.
#[pyclass(frozen, module = "unrolled._unrolled")]
pub struct LanguageModel {
    engine: Engine,
    vocabulary: Vocabulary,
    settings: Settings,
}

impl LanguageModel {
    pub fn of(
        model: impl Into<Arc<Model>>,
        vocabulary: Vocabulary,
        settings: Settings,
        (precision, threads): (Precision, Option<usize>),
    ) -> PyResult<Self> {
        let engine = Engine::with_precision(model, precision, threads).map_err(raise)?;
        Ok(Self { engine, vocabulary, settings })
    }

    /// Opens another text with the vocabulary of the model.
    fn open(&self, paths: &[PathBuf]) -> unrolled::Result<Corpus> {
        let DataSettings { encoding, separator, document_marker, invalid, unit, id_width, .. } =
            self.settings.data.clone();
        let read = DataSettings {
            encoding,
            separator,
            document_marker,
            invalid,
            unit,
            id_width,
            ..Default::default()
        };
        let options = CorpusOptions::of(&read, self.settings.run.seed);
        CorpusOptions { vocabulary: Some(&self.vocabulary), ..options }.open(paths)
    }
}

#[pymethods]
impl LanguageModel {
    /// Loads a checkpoint, or the best or last one of a run folder. Without a precision it has that
    /// of the run, and int8 if it is quantized.
    #[new]
    fn new(py: Python<'_>, path: PathBuf, threads: Option<usize>, precision: Option<&str>) -> PyResult<Self> {
        let precision = precision.map(settings::precision).transpose()?;
        let file = find(&path)?;
        let loaded = py.detach(|| {
            let checkpoint = Checkpoint::load(&file)?;
            Ok((checkpoint.model()?, checkpoint))
        });
        let (model, checkpoint) = loaded.map_err(raise)?;
        let precision = precision.unwrap_or(checkpoint.precision());
        let Checkpoint { vocabulary, settings, .. } = checkpoint;
        Self::of(model, vocabulary, settings, (precision, threads))
    }

    /// Draws text.
    #[pyo3(signature = (prompt, length, temperature, top_k, top_p, seed, stop))]
    #[allow(clippy::too_many_arguments)] // the arguments of Python
    fn sample(
        &self,
        py: Python<'_>,
        prompt: &str,
        length: usize,
        temperature: f32,
        top_k: Option<usize>,
        top_p: Option<f32>,
        seed: u64,
        stop: Option<&str>,
    ) -> PyResult<String> {
        if stop == Some("") {
            return Err(invalid("an empty stop", "a text, or None"));
        }
        let sampling = Sampling { temperature, top_k, top_p, seed };
        let generator = Generator::of(&self.engine, &self.vocabulary, sampling, 0);
        let mut generator = generator.map_err(raise)?;
        py.detach(|| generator.prompt(prompt)).map_err(raise)?;
        let (mut ids, mut text) = (Vec::new(), Vec::new());
        let stop = stop.map(str::as_bytes);
        while ids.len() < length {
            let most = length.min(ids.len() + SYMBOLS);
            let stopped = py.detach(|| {
                while ids.len() < most {
                    ids.push(generator.next_id());
                    self.vocabulary.write(ids[ids.len() - 1], &mut text);
                    if stop.is_some_and(|stop| text.ends_with(stop)) {
                        return true;
                    }
                }
                false
            });
            py.check_signals()?;
            if stopped {
                break;
            }
        }
        Ok(self.vocabulary.decode(&ids))
    }

    /// Computes the loss on a text, and returns it as JSON.
    fn evaluate(&self, py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<String> {
        let evaluation = py.detach(|| {
            let corpus = self.open(&paths)?;
            let (range, streams) = (0..corpus.len(), EVALUATION_STREAMS);
            evaluate_on(&self.engine, &corpus, EvaluationOptions { range, streams, top_k: None })
        });
        json(&evaluation.map_err(raise)?)
    }

    /// The number format of the operands of products.
    #[getter]
    fn precision(&self) -> &'static str {
        self.engine.precision().name()
    }

    /// The settings of the run, as JSON.
    fn settings(&self) -> PyResult<String> {
        json(&self.settings)
    }

    /// The number of symbols of the vocabulary.
    #[getter]
    fn symbols(&self) -> usize {
        self.vocabulary.len()
    }

    /// The number of parameters.
    #[getter]
    fn parameters(&self) -> usize {
        self.engine.model().parameters().layout.count()
    }
}

/// Returns a value as JSON.
pub fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| crate::errors::Error::new_err(error.to_string()))
}

/// Returns the checkpoint file of a path: itself, or the best or last one of a run folder.
fn find(path: &Path) -> PyResult<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = [BEST, LAST].map(|name| path.join(name)).into_iter().find(|file| file.exists());
    file.ok_or_else(|| {
        let message = format!(
            "{}: found no {LAST}, so this is not a run folder; unrolled.train(.., out=..) writes one",
            path.display()
        );
        PyFileNotFoundError::new_err(message)
    })
}

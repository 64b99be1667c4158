//! `Model`: any model of the library, from tensors or from a file. `unrolled.convert` makes them.

use crate::arrays::{Array, Floats, array};
use crate::errors::{invalid, raise};
use crate::settings;
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use std::path::PathBuf;
use unrolled::checkpoint::Checkpoint;
use unrolled::convert::{self, Options};
use unrolled::corpus::Vocabulary;
use unrolled::exec::{Dynamic, Engine, Inputs, Order, Window};
use unrolled::model::{self, ModelConfig, Parameters};
use unrolled::train::Progress;
use unrolled::{Settings, Unit};

/// A model with its input, layers and head.
#[pyclass(frozen, module = "unrolled._unrolled")]
pub struct Model {
    engine: Engine,
    checkpoint: Checkpoint,
    /// True if the source returns only the outputs of the last step.
    last_step: bool,
}

/// The names and shapes of parameters.
type Layout = Vec<(String, Vec<usize>)>;

#[pymethods]
impl Model {
    /// Makes a model of `symbols` symbols (0 for a model of vectors) from settings and tensors by
    /// name. `settings` is a JSON object.
    #[new]
    fn new(settings: &str, symbols: usize, tensors: Vec<(String, Bound<'_, PyAny>)>) -> PyResult<Self> {
        let (settings, config) = configuration(settings, symbols)?;
        let mut parameters = Parameters::zeros(config.layout());
        for (name, values) in &tensors {
            let values = Floats::of(name, values)?;
            let Some(entry) = parameters.layout.find(name).cloned() else {
                let known: Vec<&str> =
                    parameters.layout.entries().iter().map(|entry| entry.name.as_str()).collect();
                return Err(invalid(format!("a tensor {name}"), known.join(", ")));
            };
            values.check_shape(name, &entry.shape)?;
            parameters.values[entry.range].copy_from_slice(values.values());
        }
        let vocabulary = match symbols {
            0 => Vocabulary::none(),
            symbols => Vocabulary::of_ids(symbols).map_err(raise)?,
        };
        let progress = Progress::default();
        let (moments, state) = (Vec::new(), None);
        Self::of(
            Checkpoint { settings, vocabulary, parameters, moments, state, progress, quantized: false },
            false,
        )
    }

    /// Loads a model from a checkpoint, a `state_dict` in safetensors, ONNX, or RTNeural's JSON.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, ignore: Vec<String>) -> PyResult<Self> {
        let options = Options { ignore: &ignore, ..Options::default() };
        let loaded = py.detach(|| {
            let converted = convert::load_with(&path, &options)?;
            Ok((converted.checkpoint()?, converted.last_step))
        });
        let (checkpoint, last_step) = loaded.map_err(raise)?;
        Self::of(checkpoint, last_step)
    }

    /// Runs the model from the zero state: ids [T, B], or vectors [T, B, E]; the first two sizes are
    /// swapped with `batch_first`. Returns the outputs.
    fn forward<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        batch_first: bool,
    ) -> PyResult<Array<'py>> {
        let order = if batch_first { Order::BatchMajor } else { Order::TimeMajor };
        if let Ok(ids) = x.cast::<PyArrayDyn<u32>>() {
            let ids = ids.readonly();
            let values = ids.as_slice().map_err(|_| invalid("ids in another order", "a row-major array"))?;
            return self.run(py, (ids.shape(), Inputs::Ids(values)), order);
        }
        let x = Floats::of("x", x)?;
        self.run(py, (x.shape(), Inputs::Vectors(x.values())), order)
    }

    /// Writes a checkpoint.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.checkpoint.save_model(&path)).map_err(raise)
    }

    /// The names and shapes of the parameters.
    fn names(&self) -> Layout {
        names(&self.checkpoint.parameters.layout)
    }

    /// Copies of the parameters, in the order of `names`.
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Vec<Array<'py>>> {
        let copy = |(entry, values): (&model::TensorEntry, &[f32])| array(py, &entry.shape, values.to_vec());
        self.checkpoint.parameters.iter().map(copy).collect()
    }

    /// True if the source returns only the outputs of the last step. The model returns all steps.
    #[getter]
    fn last_step(&self) -> bool {
        self.last_step
    }

    /// Width of the input vectors; 0 for a model of symbols.
    #[getter]
    fn input_size(&self) -> usize {
        let config = self.engine.model().config();
        if config.reads_symbols() { 0 } else { config.input_width(0) }
    }

    /// Width of the outputs.
    #[getter]
    fn output_size(&self) -> usize {
        self.engine.model().config().output_width()
    }

    /// Number of symbols; 0 for a model of vectors.
    #[getter]
    fn symbols(&self) -> usize {
        self.engine.model().config().vocabulary
    }
}

impl Model {
    fn of(checkpoint: Checkpoint, last_step: bool) -> PyResult<Self> {
        let engine = Engine::new(checkpoint.model().map_err(raise)?, None).map_err(raise)?;
        Ok(Self { engine, checkpoint, last_step })
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        (shape, inputs): (&[usize], Inputs<'_>),
        order: Order,
    ) -> PyResult<Array<'py>> {
        let config = self.engine.model().config();
        let (first, second) = match (shape, inputs) {
            (&[first, second], Inputs::Ids(_)) => (first, second),
            (&[first, second, found], Inputs::Vectors(_)) if found == config.input_width(0) => {
                (first, second)
            }
            _ if config.reads_symbols() => {
                return Err(invalid(format!("x of shape {shape:?}"), "[T, B] symbols"));
            }
            _ => {
                let expected = format!("[T, B, E] with E = {}", config.input_width(0));
                return Err(invalid(format!("x of shape {shape:?}"), expected));
            }
        };
        let (steps, rows) = if order == Order::TimeMajor { (first, second) } else { (second, first) };
        let width = config.output_width();
        let window = Window { order, ..Window::new(steps, rows, inputs) };
        let mut outputs = vec![0.0; steps * rows * width];
        let ran = py.detach(|| Dynamic::of(&self.engine).forward_window(&window, &mut outputs));
        ran.map_err(raise)?;
        array(py, &[first, second, width], outputs)
    }
}

/// Reads settings, and the configuration of their model.
fn configuration(settings: &str, symbols: usize) -> PyResult<(Settings, ModelConfig)> {
    let mut settings = settings::read(settings)?;
    let config = match symbols {
        0 => ModelConfig::of_vectors(&settings.model),
        symbols => ModelConfig::new(&settings.model, symbols),
    };
    if symbols > 0 {
        settings.data.unit = Unit::Ids;
    }
    Ok((settings, config.map_err(raise)?))
}

fn names(layout: &model::ParameterLayout) -> Layout {
    layout.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
}

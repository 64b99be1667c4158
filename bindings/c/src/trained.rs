//! The network behind an `unrolled_rnn`.

use crate::description::Description;
use crate::states;
use crate::status::{Failure, unrolled_status};
use crate::window_memory::LargestWindow;
use std::ffi::CString;
use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::convert;
use unrolled::corpus::Vocabulary;
use unrolled::exec::{Dropout, Window};
use unrolled::model::{Model, ModelConfig};
use unrolled::network::Network;
use unrolled::{DataSettings, ModelSettings, Precision, RunSettings, Settings};

/// A network to train, and what its next call needs.
pub(crate) struct Trained {
    pub(crate) network: Network,
    settings: ModelSettings,
    seed: u64,
    pub(crate) largest: LargestWindow,
    /// The names of the tensors, in the order of the arena.
    pub(crate) names: Vec<CString>,
    /// Floats of the state of one row.
    pub(crate) state_width: usize,
    /// True if layers drop and zone out.
    pub(crate) training: bool,
    /// Number of windows that went forward in training, for their masks.
    windows: u64,
    /// T and B of the last window that went forward, until its backward pass.
    pub(crate) last: Option<[usize; 2]>,
}

impl Trained {
    pub(crate) fn new(description: Description) -> Result<Self, Failure> {
        let Description { model: settings, seed, precision, threads } = description;
        let model = Model::of_vectors(&settings, seed)?;
        Self::of(Network::with_precision(model, precision, threads)?, settings, seed)
    }

    /// Takes the model of a file.
    pub(crate) fn load(
        path: &Path,
        seed: u64,
        precision: Precision,
        threads: Option<usize>,
    ) -> Result<Self, Failure> {
        let model = convert::load(path)?.model;
        let symbols = model.config().vocabulary;
        if symbols > 0 {
            let text = format!("path: found a model of {symbols} symbols, expected a model of vectors");
            return Err(Failure::argument(text));
        }
        let settings = model.config().settings();
        Self::of(Network::with_precision(model, precision, threads)?, settings, seed)
    }

    fn of(network: Network, settings: ModelSettings, seed: u64) -> Result<Self, Failure> {
        let model = network.model();
        let names = model.parameters().layout.entries().iter().map(|entry| CString::new(entry.name.as_str()));
        let names = names.collect::<Result<_, _>>().map_err(|error| Failure::argument(error.to_string()))?;
        let state_width = states::width(model.config());
        let largest = LargestWindow::default();
        Ok(Self {
            network,
            settings,
            seed,
            largest,
            names,
            state_width,
            training: true,
            windows: 0,
            last: None,
        })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.network.model().config()
    }

    /// Runs a window forward.
    pub(crate) fn forward(
        &mut self,
        [steps, batch]: [usize; 2],
        (x, lengths): (&[f32], Option<&[usize]>),
        initial: Option<&[f32]>,
        y: &mut [f32],
    ) -> Result<(), Failure> {
        let initial = initial.map(|floats| states::given(self.config(), batch, floats));
        let (seed, step) = (self.seed, self.windows);
        let dropout = self.training.then_some(Dropout { probability: 0.0, seed, step });
        let dropout = dropout.filter(|_| self.drops());
        let window = Window { lengths, initial: initial.as_ref(), dropout, ..Window::new(steps, batch, x) };
        self.network.parameters_and_gradient(); // the caller may have changed the parameters
        self.network.forward(&window, y)?;
        self.windows += u64::from(self.training);
        self.last = Some([steps, batch]);
        Ok(())
    }

    /// Returns whether a layer draws masks in training.
    fn drops(&self) -> bool {
        self.config().stack.iter().any(|layer| {
            let kept = [layer.input_keep_prob, layer.output_keep_prob, layer.state_keep_prob];
            kept.iter().any(|kept| *kept < 1.0) || layer.zoneout > 0.0 || layer.zoneout_cell > 0.0
        })
    }

    fn checkpoint(&self) -> Checkpoint {
        let vocabulary = Vocabulary::none();
        let settings = Settings {
            model: self.settings.clone(),
            data: DataSettings { unit: vocabulary.unit(), ..DataSettings::default() },
            run: RunSettings {
                seed: self.seed,
                precision: self.network.precision(),
                ..RunSettings::default()
            },
            ..Settings::default()
        };
        let parameters = self.network.model().parameters().clone();
        Checkpoint {
            settings,
            vocabulary,
            parameters,
            moments: Vec::new(),
            state: None,
            progress: Default::default(),
            quantized: false,
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        for (entry, values) in self.network.model().parameters().iter() {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                let text = format!(
                    "tensor {}: found {value}, expected finite numbers; nothing was written",
                    entry.name
                );
                return Err(Failure::new(unrolled_status::UNROLLED_NOT_FINITE, text));
            }
        }
        Ok(self.checkpoint().save_model(path)?)
    }
}

//! Reads reference fixtures: files with results of other frameworks.

use safetensors::{SafeTensors, tensor::Dtype};
use std::{collections::HashMap, fs, path::PathBuf};
use unrolled::corpus::Batch;
use unrolled::exec::{LayerState, State};
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::{ModelSettings, RunSettings, Settings};

/// One file; tests/fixtures/README.md describes its content.
pub struct Fixture {
    pub name: String,
    pub settings: Settings,
    pub symbols: usize,
    /// The metadata, including `config`.
    pub words: HashMap<String, String>,
    floats: HashMap<String, Vec<f32>>,
    integers: HashMap<String, Vec<u32>>,
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

impl Fixture {
    /// Loads all files whose name starts with one of `prefixes`.
    pub fn all(prefixes: &[&str]) -> Vec<Self> {
        let entries =
            fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries
            .filter_map(|file| file.strip_suffix(".safetensors").map(str::to_owned))
            .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        names.sort();
        names.iter().map(|name| Self::load(name)).collect()
    }

    pub fn load(name: &str) -> Self {
        let bytes = fs::read(folder().join(format!("{name}.safetensors"))).unwrap();
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1;
        let words = metadata.metadata().clone().unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let (mut floats, mut integers) = (HashMap::new(), HashMap::new());
        for (name, view) in tensors.tensors() {
            let data = view.data();
            if view.dtype() == Dtype::F32 {
                let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
                floats.insert(name, data.chunks_exact(4).map(value).collect());
            } else {
                let value = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap()) as u32;
                integers.insert(name, data.chunks_exact(8).map(value).collect());
            }
        }
        let symbols = words.get("symbols").map_or(0, |symbols| symbols.parse().unwrap());
        let settings = serde_json::from_str(&words["config"]).expect("the project's own configuration names");
        Self { name: name.to_owned(), settings, symbols, words, floats, integers }
    }

    pub fn floats(&self, name: &str) -> &[f32] {
        self.floats.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    pub fn find(&self, name: &str) -> Option<&[f32]> {
        self.floats.get(name).map(Vec::as_slice)
    }

    pub fn ids(&self, name: &str) -> &[u32] {
        &self.integers[name]
    }

    pub fn config(&self) -> ModelConfig {
        ModelConfig::new(&self.settings.model, self.symbols).unwrap()
    }

    /// The parameters. The file has them under the same names.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::zeros(self.config().layout());
        let names: Vec<String> = parameters.iter().map(|(entry, _)| entry.name.clone()).collect();
        for name in names {
            parameters.get_mut(&name).unwrap().copy_from_slice(self.floats(&name));
        }
        parameters
    }

    pub fn model(&self) -> Model {
        Model::with_parameters(self.config(), self.parameters()).unwrap()
    }

    /// `h0` and `c0`, or `h_n` and `c_n`: [L, B, H].
    pub fn state(&self, [h, c]: [&str; 2]) -> State {
        let Settings {
            model: ModelSettings { layers, hidden, .. },
            run: RunSettings { batch: rows, .. },
            ..
        } = self.settings;
        let part = |values: &[f32], layer: usize| values[layer * rows * hidden..][..rows * hidden].to_vec();
        let layer = |l| LayerState {
            h: part(self.floats(h), l),
            c: self.find(c).map_or(Vec::new(), |values| part(values, l)),
        };
        State { rows, layers: (0..layers).map(layer).collect() }
    }

    pub fn batch(&self) -> Batch {
        let RunSettings { steps, batch: rows, .. } = self.settings.run;
        let (inputs, targets) = (self.ids("inputs").to_vec(), self.ids("targets").to_vec());
        Batch { steps, rows, inputs, targets, fresh: true }
    }
}

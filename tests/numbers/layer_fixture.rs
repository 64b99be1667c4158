//! Reference fixtures of layers, and TensorFlow's weights under the project's names.

use super::fixture::folder;
use safetensors::{SafeTensors, tensor::Dtype};
use std::{collections::HashMap, fs};
use unrolled::Bias;
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::network::{Layer, LayerState, Masks, Site, State};
use unrolled::tensorflow::copy_layer;

/// One file; tests/fixtures/README.md describes its content.
pub struct LayerFixture {
    pub name: String,
    /// The configuration, as JSON.
    pub config: String,
    floats: HashMap<String, (Vec<usize>, Vec<f32>)>,
    integers: HashMap<String, Vec<usize>>,
}

impl LayerFixture {
    pub fn load(name: &str) -> Self {
        let bytes = fs::read(folder().join(format!("{name}.safetensors"))).unwrap();
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1;
        let config = metadata.metadata().clone().unwrap()["config"].clone();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let (mut floats, mut integers) = (HashMap::new(), HashMap::new());
        for (name, view) in tensors.tensors() {
            if view.dtype() == Dtype::F32 {
                let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
                let values = view.data().chunks_exact(4).map(value).collect();
                floats.insert(name, (view.shape().to_vec(), values));
            } else {
                let value = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap()) as usize;
                integers.insert(name, view.data().chunks_exact(8).map(value).collect());
            }
        }
        Self { name: name.to_owned(), config, floats, integers }
    }

    pub fn find(&self, name: &str) -> Option<&[f32]> {
        self.floats.get(name).map(|(_, values)| &values[..])
    }

    pub fn get(&self, name: &str) -> &[f32] {
        self.find(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    pub fn ids(&self, name: &str) -> &[usize] {
        &self.integers[name]
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.floats[name].0
    }

    pub fn lengths(&self) -> Option<&[usize]> {
        self.integers.get("lengths").map(Vec::as_slice)
    }

    /// The states `initial.PLACE`, `final.PLACE` and so on of a stack of `layers`. The names of a
    /// single layer have no number.
    pub fn state(&self, what: &str, place: &str, layers: usize) -> State {
        let part = |l: usize, part: &str| {
            let number = if layers == 1 { String::new() } else { format!("{l}.") };
            self.find(&format!("{what}.{place}{number}{part}")).unwrap_or_default().to_vec()
        };
        let layers = (0..layers).map(|l| LayerState { h: part(l, "h"), c: part(l, "c") }).collect();
        State { rows: self.shape("inputs")[1], layers }
    }

    /// A state of PyTorch: `h0` and `c0`, `h_n` and `c_n`, or their gradients, [L or 2 L, B, width].
    pub fn pytorch_state(&self, [h, c]: [&str; 2]) -> State {
        let [layers, rows] = [self.shape(h)[0], self.shape(h)[1]];
        let part = |name: &str, layer: usize| {
            let values = self.find(name).unwrap_or_default();
            values[layer * values.len() / layers..(layer + 1) * values.len() / layers].to_vec()
        };
        State { rows, layers: (0..layers).map(|l| LayerState { h: part(h, l), c: part(c, l) }).collect() }
    }

    /// The weights of a stack, each layer's after its prefix; with `grad.` before the names, the
    /// gradients.
    pub fn parameters(&self, before: &str, config: &ModelConfig, stack: &[(&str, Layer)]) -> Parameters {
        let mut parameters = Parameters::zeros(config.layout());
        for (l, (prefix, _)) in stack.iter().enumerate() {
            let get = |name: &str| self.find(&format!("{before}{prefix}{name}"));
            copy_layer(config, l, &mut parameters, &get).unwrap();
        }
        parameters
    }

    /// Builds the model of a stack.
    pub fn model(&self, stack: &[(&str, Layer)]) -> Model {
        let layers: Vec<Layer> = stack.iter().map(|(_, layer)| layer.clone()).collect();
        let config = ModelConfig::of_stack(&layers, self.shape("inputs")[2], Bias::Single).unwrap();
        let parameters = self.parameters("", &config, stack);
        Model::with_parameters(config, parameters).unwrap()
    }

    /// The masks of a stack of `layers` under TensorFlow's names: `mask.N.output`, or `mask.output`
    /// around a whole stack.
    pub fn masks(&self, layers: usize) -> Masks {
        let [steps, rows] = [self.shape("inputs")[0], self.shape("inputs")[1]];
        let mut masks = Masks::default();
        let sites = [
            ("output", Site::Output),
            ("input", Site::Input),
            ("state.h", Site::State),
            ("state.c", Site::CellState),
            ("h", Site::Zoneout),
            ("c", Site::ZoneoutCell),
        ];
        for l in 0..layers {
            for (name, site) in sites {
                let part = name.strip_prefix("state.");
                let whole = match (name, l) {
                    ("input", 0) => Some("mask.input".to_owned()),
                    ("output", _) if l + 1 == layers => Some("mask.output".to_owned()),
                    _ => part.map(|part| format!("mask.state.{l}.{part}")),
                };
                let own = if layers == 1 { format!("mask.{name}") } else { format!("mask.{l}.{name}") };
                let names = [Some(own), whole];
                let Some(name) = names.into_iter().flatten().find(|name| self.floats.contains_key(name))
                else {
                    continue;
                };
                let mask = self.get(&name);
                let same = self.shape(&name).len() == 2;
                masks.set(l, site, if same { mask.repeat(steps * rows) } else { mask.to_vec() });
            }
        }
        masks
    }
}

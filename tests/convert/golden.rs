//! A file of another program, with inputs and outputs that the program computed.

use std::path::{Path, PathBuf};
use unrolled::checkpoint::TensorFile;
use unrolled::convert::{Converted, Options, load_with};
use unrolled::exec::{LayerState, Order, State, Window};
use unrolled::model::Model;
use unrolled::network::Network;

/// The folder of the files.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/convert")
}

/// The names of all files with outputs, with their endings.
pub fn names() -> Vec<String> {
    let names = std::fs::read_dir(folder()).expect("the fixtures");
    let names = names.map(|entry| entry.expect("a file").file_name().into_string().expect("a name"));
    let mut names: Vec<String> = names.collect();
    let golden = |name: &str| {
        let Some((stem, ending)) = name.rsplit_once('.') else { return false };
        let is_model = matches!(ending, "onnx" | "json" | "safetensors") && !stem.ends_with(".golden");
        is_model && folder().join(format!("{stem}.golden.safetensors")).exists()
    };
    names.retain(|name| golden(name));
    names.sort();
    names
}

/// The inputs and outputs of one file.
pub struct Golden {
    tensors: TensorFile,
    name: String,
}

impl Golden {
    pub fn of(name: &str) -> Self {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let path = folder().join(format!("{stem}.golden.safetensors"));
        Self { tensors: TensorFile::load(&path).expect("a golden"), name: name.to_owned() }
    }

    pub fn path(&self) -> PathBuf {
        folder().join(&self.name)
    }

    /// Reads the file, with the options that its name needs.
    pub fn load(&self) -> unrolled::Result<Converted> {
        load(&self.path())
    }

    fn order(&self) -> Order {
        match self.tensors.metadata().get("axes").map(String::as_str) {
            Some("BT") => Order::BatchMajor,
            _ => Order::TimeMajor,
        }
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.find(name).map(|tensor| tensor.shape.clone())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let shape = self.shape(name).expect("a tensor");
        self.tensors.floats(name, &shape).expect("floats")
    }

    /// The steps and batch rows of the inputs.
    pub fn size(&self) -> [usize; 2] {
        let shape = self.shape("input.0").expect("inputs");
        match self.order() {
            Order::TimeMajor | Order::Packed => [shape[0], shape[1]],
            Order::BatchMajor => [shape[1], shape[0]],
        }
    }

    /// The states [layers, B, H] in the tensors that start with `start`, from number 1 on.
    fn state(&self, start: &str, model: &Model, rows: usize) -> Option<State> {
        let read = |number: usize| {
            let name = format!("{start}.{number}");
            self.shape(&name).filter(|shape| shape.len() == 3).map(|_| self.floats(&name))
        };
        let (h, c) = (read(1)?, read(2).unwrap_or_default());
        let (mut at, mut layers) = ([0, 0], Vec::new());
        for direction in model.config().directions() {
            let widths = model.config().state_size(direction.layer);
            let mut part = |values: &[f32], which: usize| {
                let from = at[which];
                at[which] += rows * widths[which];
                values.get(from..at[which]).unwrap_or_default().to_vec()
            };
            layers.push(LayerState { h: part(&h, 0), c: part(&c, 1) });
        }
        Some(State { layers, rows })
    }

    /// Reads integers, which are I64 or I32.
    fn ids(&self, name: &str) -> Vec<u32> {
        let bytes = std::fs::read(self.tensors.path()).expect("a file");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let tensor = file.tensor(name).expect("integers");
        match tensor.dtype() {
            safetensors::Dtype::I32 => {
                tensor.data().as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
            }
            _ => tensor.data().as_chunks().0.iter().map(|b| u64::from_le_bytes(*b) as u32).collect(),
        }
    }

    /// Runs a model on the inputs, and compares its outputs and states.
    pub fn compare(&self, model: &Model, last_step: bool) {
        let [steps, rows] = self.size();
        let initial = self.state("input", model, rows);
        let (vectors, ids);
        let inputs = match model.config().reads_symbols() {
            true => {
                ids = self.ids("input.0");
                (&ids[..]).into()
            }
            false => {
                vectors = self.floats("input.0");
                (&vectors[..]).into()
            }
        };
        let lengths = self.shape("input.1").filter(|shape| shape.len() == 1).map(|_| self.ids("input.1"));
        let lengths: Option<Vec<usize>> = lengths.map(|ids| ids.iter().map(|id| *id as usize).collect());
        let window = Window {
            lengths: lengths.as_deref(),
            steps,
            rows,
            inputs,
            order: self.order(),
            initial: initial.as_ref(),
            ..Window::new(0, 0, inputs)
        };
        let width = model.config().output_width();
        let mut outputs = vec![0.0; steps * rows * width];
        let mut network = Network::new(model.clone(), Some(1)).expect("a network");
        network.forward(&window, &mut outputs).expect("a window");
        let place = |step: usize, row: usize| match self.order() {
            Order::TimeMajor | Order::Packed => step * rows + row,
            Order::BatchMajor => row * steps + step,
        };
        if last_step {
            outputs = (0..rows)
                .flat_map(|row| outputs[place(steps - 1, row) * width..][..width].to_vec())
                .collect();
        }
        assert_close(&self.name, &outputs, &self.floats("output.0"));
        if let Some(expected) = self.state("output", model, rows) {
            for (found, expected) in network.state().layers.iter().zip(&expected.layers) {
                assert_close(&self.name, &found.h, &expected.h);
                assert_close(&self.name, &found.c, &expected.c);
            }
        }
    }
}

/// Reads a file, with the options that its name needs.
pub fn load(path: &Path) -> unrolled::Result<Converted> {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let activation = name.contains("state-rnn").then_some(unrolled::Activation::Tanh);
    load_with(path, &Options { activation, ..Options::default() })
}

/// Compares results of float32 with results of float64: a few hundred roundings, and values that
/// nearly cancel.
pub fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - f64::from(*expected)).abs();
        let allowed = 1e-6 + 1e-5 * f64::from(expected.abs());
        assert!(difference <= allowed, "{what}[{index}]: found {found}, expected {expected}");
    }
}

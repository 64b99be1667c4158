//! Layers that other frameworks computed: their files, and TensorFlow's weights under the project's names.

use super::golden::folder;
use safetensors::{SafeTensors, tensor::Dtype};
use std::{collections::HashMap, fs};
use unrolled::model::{Layout, Model, Parameters};
use unrolled::rnn::{Highway, Layer, LayerState, Masks, Site, State};
use unrolled::{Bias, Cell, Reset, Settings};

/// One file: see the README of tests/goldens.
pub struct Case {
    pub name: String,
    floats: HashMap<String, (Vec<usize>, Vec<f32>)>,
    integers: HashMap<String, Vec<usize>>,
}

impl Case {
    pub fn load(name: &str) -> Self {
        let bytes = fs::read(folder().join(format!("{name}.safetensors"))).unwrap();
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
        Self { name: name.to_owned(), floats, integers }
    }

    pub fn find(&self, name: &str) -> Option<&[f32]> {
        self.floats.get(name).map(|(_, values)| &values[..])
    }

    pub fn get(&self, name: &str) -> &[f32] {
        self.find(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.floats[name].0
    }

    pub fn lengths(&self) -> Option<&[usize]> {
        self.integers.get("lengths").map(Vec::as_slice)
    }

    /// The states `initial.PLACE`, `final.PLACE` and so on of a stack of `layers`: of one layer there is no number.
    pub fn state(&self, what: &str, place: &str, layers: usize) -> State {
        let part = |l: usize, part: &str| {
            let number = if layers == 1 { String::new() } else { format!("{l}.") };
            self.find(&format!("{what}.{place}{number}{part}")).unwrap_or_default().to_vec()
        };
        let layers = (0..layers).map(|l| LayerState { h: part(l, "h"), c: part(l, "c") }).collect();
        State { rows: self.shape("inputs")[1], layers }
    }

    /// The weights of a stack (or, with `grad.` before their names, the gradients), each layer's after its prefix.
    pub fn parameters(&self, before: &str, layout: &Layout, stack: &[(&str, Layer)]) -> Parameters {
        let mut parameters = Parameters::zeros(layout.clone());
        for (l, (prefix, layer)) in stack.iter().enumerate() {
            let get = |name: &str| self.find(&format!("{before}{prefix}{name}"));
            let mut put = |name: &str, values: &[f32]| {
                let name = format!("rnn.{name}_l{l}");
                let to = parameters.get_mut(&name).unwrap_or_else(|| panic!("no {name}"));
                to.copy_from_slice(values);
            };
            put_layer(layer, &get, &mut put);
        }
        parameters
    }

    /// The model of a stack.
    pub fn model(&self, stack: &[(&str, Layer)]) -> Model {
        let layers: Vec<Layer> = stack.iter().map(|(_, layer)| layer.clone()).collect();
        let settings = Settings { bias: Bias::Single, ..Settings::default() };
        let inputs = self.shape("inputs")[2];
        let model = Model::of_stack(&layers, inputs, &settings).unwrap();
        let parameters = self.parameters("", &model.parameters().layout, stack);
        Model::with_parameters(model.config().clone(), parameters).unwrap()
    }

    /// The masks of a stack of `layers`, as `mask.N.output` or, around a whole stack, `mask.output`; in TensorFlow's names.
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

/// Rows `rows` of a TensorFlow kernel [inputs, gates * H], transposed, in our order of gates: ours number g is theirs
/// number `gates[g]`.
fn transposed(kernel: &[f32], rows: std::ops::Range<usize>, gates: &[usize], hidden: usize) -> Vec<f32> {
    let width = gates.len() * hidden;
    let column = |gate: usize, unit: usize| {
        rows.clone().map(move |row| kernel[row * width + gate * hidden + unit]).collect::<Vec<f32>>()
    };
    gates.iter().flat_map(|gate| (0..hidden).flat_map(move |unit| column(*gate, unit))).collect()
}

fn ordered(bias: &[f32], gates: &[usize], hidden: usize) -> Vec<f32> {
    gates.iter().flat_map(|gate| &bias[gate * hidden..][..hidden]).copied().collect()
}

type Get<'a> = &'a dyn Fn(&str) -> Option<&'a [f32]>;

fn put_layer(layer: &Layer, get: Get<'_>, put: &mut dyn FnMut(&str, &[f32])) {
    let (hidden, state) = (layer.hidden, layer.output_size());
    if layer.cell == Cell::Gru && layer.reset == Reset::Before && get("gates/kernel").is_some() {
        put_gru(hidden, get, put);
    } else {
        let gates: &[usize] = match (layer.cell, layer.coupled, get("recurrent_kernel").is_some()) {
            (Cell::Rnn, ..) => &[0],
            (Cell::Lstm, true, _) => &[1, 0, 2],
            (Cell::Lstm, false, false) => &[0, 2, 1, 3],
            (Cell::Lstm, false, true) => &[0, 1, 2, 3],
            (Cell::Gru, ..) => &[1, 0, 2],
        };
        let kernel = get("kernel").or(get("W")).unwrap();
        let rows = kernel.len() / (gates.len() * hidden);
        match get("recurrent_kernel") {
            Some(recurrent) => {
                put("weight_ih", &transposed(kernel, 0..rows, gates, hidden));
                put("weight_hh", &transposed(recurrent, 0..hidden, gates, hidden));
            }
            None => {
                put("weight_ih", &transposed(kernel, 0..rows - state, gates, hidden));
                put("weight_hh", &transposed(kernel, rows - state..rows, gates, hidden));
            }
        }
        match get("bias").or(get("B")) {
            Some(both) if both.len() > gates.len() * hidden => {
                let (input, recurrent) = both.split_at(gates.len() * hidden);
                put("bias_ih", &ordered(input, gates, hidden));
                put("bias_hh", &ordered(recurrent, gates, hidden));
            }
            Some(bias) => put("bias_ih", &ordered(bias, gates, hidden)),
            None => {}
        }
    }
    put_options(layer, get, put);
}

fn put_gru(hidden: usize, get: Get<'_>, put: &mut dyn FnMut(&str, &[f32])) {
    let (gates, candidate) = (get("gates/kernel").unwrap(), get("candidate/kernel").unwrap());
    let inputs = candidate.len() / hidden - hidden;
    let both = |rows: std::ops::Range<usize>| {
        [transposed(gates, rows.clone(), &[0, 1], hidden), transposed(candidate, rows, &[0], hidden)].concat()
    };
    put("weight_ih", &both(0..inputs));
    put("weight_hh", &both(inputs..inputs + hidden));
    put("bias_ih", &[get("gates/bias").unwrap(), get("candidate/bias").unwrap()].concat());
}

fn put_options(layer: &Layer, get: Get<'_>, put: &mut dyn FnMut(&str, &[f32])) {
    let joined =
        |names: &[&str]| names.iter().flat_map(|name| get(name).unwrap()).copied().collect::<Vec<f32>>();
    if let Some(width) = layer.projection {
        put("weight_hr", &transposed(get("projection/kernel").unwrap(), 0..layer.hidden, &[0], width));
    }
    if layer.peepholes && layer.coupled {
        put("weight_peephole", &joined(&["W_F_diag", "W_O_diag"]));
    } else if layer.peepholes {
        put("weight_peephole", &joined(&["w_i_diag", "w_f_diag", "w_o_diag"]));
    }
    if layer.layer_norm {
        let of = |part: &str| {
            let gates = ["input", "forget", "transform", "output", "state"];
            let names: Vec<String> = gates.iter().map(|gate| format!("{gate}/{part}")).collect();
            joined(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        put("norm_weight", &of("gamma"));
        put("norm_bias", &of("beta"));
    }
    if layer.highway != Highway::Off {
        let gates: &[&str] =
            if layer.highway == Highway::Coupled { &["carry"] } else { &["carry", "transform"] };
        let width = get("carry_b").unwrap().len();
        let weight = |gate: &&str| transposed(get(&format!("{gate}_w")).unwrap(), 0..width, &[0], width);
        put("highway_weight", &gates.iter().flat_map(weight).collect::<Vec<f32>>());
        put(
            "highway_bias",
            &gates.iter().flat_map(|gate| get(&format!("{gate}_b")).unwrap()).copied().collect::<Vec<_>>(),
        );
    }
}

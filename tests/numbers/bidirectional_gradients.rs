//! Gradients of bidirectional layers, compared with numerical derivatives.

use super::bidirectional_layers::{
    INPUTS, LENGTHS, STEPS, both, inputs, layers, network, random, random_state, window,
};
use super::custom_cells::pair;
use super::{bits, ids};
use unrolled::exec::OutputSteps;
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::check_gradients;
use unrolled::network::{Dropout, Highway, Layer, LayerState, Network, State, Variational, Window};
use unrolled::{InputKind, ModelSettings};

/// A network with a window and the factors of its loss, the sum of all outputs and last states.
struct Sum {
    network: Network,
    inputs: Vec<f32>,
    initial: State,
    d_outputs: Vec<f32>,
    d_state: State,
    output_steps: OutputSteps,
}

impl Sum {
    fn new(network: Network, output_steps: OutputSteps) -> Self {
        let tokens = if output_steps == OutputSteps::Last { 1 } else { STEPS } * LENGTHS.len();
        let d_outputs = random(2, tokens * network.model().config().output_width());
        let [initial, d_state] = [20, 40].map(|seed| random_state(&network, seed));
        Self { network, inputs: inputs(), initial, d_outputs, d_state, output_steps }
    }

    fn forward(&mut self) -> f64 {
        let dropout = Some(Dropout { probability: 0.25, seed: 3, step: 4 });
        let (initial, output_steps) = (Some(&self.initial), self.output_steps);
        let window = Window { initial, dropout, output_steps, ..window(&self.inputs) };
        let mut outputs = vec![f32::NAN; self.d_outputs.len()];
        self.network.forward(&window, &mut outputs).unwrap();
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let states = self.network.state().layers;
        let last = states.iter().zip(&self.d_state.layers);
        dot(&outputs, &self.d_outputs) + last.map(|(a, b)| dot(&a.h, &b.h) + dot(&a.c, &b.c)).sum::<f64>()
    }

    /// Compares derivatives with central differences, extrapolated from two step sizes.
    fn compare(&mut self, what: &str, found: &[f32], of: impl Fn(&mut Self, usize) -> &mut f32) {
        for (i, found) in found.iter().enumerate() {
            let value = *of(self, i);
            let mut at = |distance: f32| {
                *of(self, i) = value + distance;
                self.forward()
            };
            let h = 1.0 / 64.0;
            let [near, far] = [h, 2.0 * h].map(|h| (at(h) - at(-h)) / f64::from(2.0 * h));
            *of(self, i) = value;
            let expected = (4.0 * near - far) / 3.0;
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference <= 3e-4 + 2e-3 * expected.abs(), "{what}[{i}]: {found}, expected {expected}");
        }
    }

    fn check(&mut self) {
        self.forward();
        let (d_outputs, d_state) = (self.d_outputs.clone(), self.d_state.clone());
        self.network.backward(&d_outputs, Some(&d_state)).unwrap();
        let gradient = self.network.gradient().clone();
        let (d_inputs, d_initial) = (self.network.d_inputs().to_vec(), self.network.d_initial().clone());
        for (entry, values) in gradient.iter() {
            let start = entry.range.start;
            self.compare(&entry.name, values, |sum, i| {
                &mut sum.network.parameters_and_gradient().0[start + i]
            });
        }
        self.compare("inputs", &d_inputs, |sum, i| &mut sum.inputs[i]);
        for (l, LayerState { h, c }) in d_initial.layers.iter().enumerate() {
            self.compare(&format!("h {l}"), h, |sum, i| &mut sum.initial.layers[l].h[i]);
            self.compare(&format!("c {l}"), c, |sum, i| &mut sum.initial.layers[l].c[i]);
        }
    }
}

/// Dropout is on: its masks are the same in every pass.
#[test]
fn gradients_match_differences_with_dropout() {
    for output_steps in [OutputSteps::Every, OutputSteps::Last] {
        Sum::new(network(&layers(), 1), output_steps).check();
    }
    let custom = [Layer::custom(pair(2)), Layer { coupled: true, ..Layer::lstm(3) }].map(both);
    Sum::new(network(&custom, 1), OutputSteps::Every).check();
    let dropped = Layer { state_keep_prob: 0.5, variational: Variational::PerRow, ..Layer::lstm(2) };
    let mixed = [Layer::gru(2), both(dropped), Layer { input_keep_prob: 0.5, ..Layer::rnn(3) }];
    Sum::new(network(&mixed, 1), OutputSteps::Every).check();
}

#[test]
fn the_gradient_checker_takes_bidirectional_layers() {
    let stacks = [
        vec![both(Layer { residual: true, ..Layer::rnn(3) }), Layer::gru(4)],
        vec![Layer::lstm(3), both(Layer { highway: Highway::Coupled, ..Layer::gru_before(3) })],
        vec![
            both(Layer { layer_norm: true, ..Layer::lstm(6) }),
            both(Layer { zoneout: 0.2, ..Layer::gru(2) }),
        ],
    ];
    for stack in stacks {
        let found = check_gradients(&stack, INPUTS, 5).unwrap();
        assert!(found.iter().any(|difference| difference.tensor.ends_with("_reverse")));
        for difference in found {
            assert!(difference.holds(), "{stack:?}: {difference:?}");
        }
    }
}

/// A first layer that reads symbols gets their embeddings, or one-hot vectors, as vectors.
#[test]
fn a_bidirectional_first_layer_reads_the_vectors_of_symbols() {
    const SYMBOLS: usize = 6;
    for input in [InputKind::Embedding, InputKind::OneHot] {
        let layers = [both(Layer::lstm(4)), Layer::gru(3)];
        let settings = ModelSettings::of_layers(layers.clone());
        let settings = ModelSettings { input, embedding: Some(5), outputs: Some(2), ..settings };
        let model = Model::new(&settings, SYMBOLS, 3).unwrap();
        let width = model.config().input_width(0);
        let on_vectors = ModelSettings { inputs: Some(width), embedding: None, ..settings };
        let mut copy = Model::of_vectors(&on_vectors, 3).unwrap();
        let mut parameters = copy.parameters().clone();
        for entry in copy.config().layout().entries() {
            let values = model.parameters().get(&entry.name).unwrap();
            parameters.get_mut(&entry.name).unwrap().copy_from_slice(values);
        }
        copy = Model::with_parameters(copy.config().clone(), parameters).unwrap();
        let symbols = ids(3, STEPS * LENGTHS.len(), SYMBOLS);
        let one_hot = |id: u32| (0..SYMBOLS as u32).map(|other| f32::from(u8::from(id == other))).collect();
        let vector = |id: &u32| -> Vec<f32> {
            let embedding = model.parameters().get("embedding.weight");
            embedding.map_or_else(|| one_hot(*id), |rows| rows[*id as usize * width..][..width].to_vec())
        };
        let vectors: Vec<f32> = symbols.iter().flat_map(vector).collect();
        let targets = random(4, STEPS * LENGTHS.len() * 2);
        let objective = Objective::new(Loss::MeanAbsolute, &targets[..]);
        let [mut by_id, mut by_vector] = [model.clone(), copy].map(|m| Network::new(m, Some(1)).unwrap());
        let window = Window { lengths: Some(&LENGTHS), ..Window::new(STEPS, LENGTHS.len(), &symbols) };
        let found = by_id.differentiate(&window, &objective).unwrap();
        let window = Window { inputs: (&vectors[..]).into(), ..window };
        assert_eq!(found, by_vector.differentiate(&window, &objective).unwrap());
        for (entry, values) in by_vector.gradient().iter() {
            assert_eq!(bits(values), bits(by_id.gradient().get(&entry.name).unwrap()), "{}", entry.name);
        }
        let Some(gradient) = by_id.gradient().get("embedding.weight") else { continue };
        let mut expected = vec![0.0; SYMBOLS * width];
        for (id, d_vector) in symbols.iter().zip(by_vector.d_inputs().chunks(width)) {
            let to = &mut expected[*id as usize * width..][..width];
            to.iter_mut().zip(d_vector).for_each(|(to, from)| *to += from);
        }
        assert_eq!(bits(gradient), bits(&expected));
    }
}

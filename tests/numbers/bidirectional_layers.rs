//! Bidirectional layers, compared with PyTorch and with pairs of networks.

use super::layer_fixture::LayerFixture;
use super::layers::{assert_gradients, assert_state, batch_major};
use super::{assert_close, bits, noise};
use allocation_counter::measure;
use unrolled::checkpoint::TensorFile;
use unrolled::exec::OutputSteps;
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::network::{Bidirectional, Dropout, Layer, Merge, Network, Order, State, Window};
use unrolled::{Activation, Bias, ModelSettings};

pub const STEPS: usize = 5;
pub const LENGTHS: [usize; 4] = [3, 5, 0, 1];
pub const INPUTS: usize = 3;

pub fn random(seed: u32, count: usize) -> Vec<f32> {
    noise(seed, 2001).take(count).map(|n| n as f32 / 1000.0 - 1.0).collect()
}

pub fn both(layer: Layer) -> Layer {
    Layer { bidirectional: true, ..layer }
}

pub fn model(layers: &[Layer]) -> Model {
    Model::of_layers(layers, INPUTS, None, 1).unwrap()
}

pub fn network(layers: &[Layer], threads: usize) -> Network {
    Network::new(model(layers), Some(threads)).unwrap()
}

pub fn random_state(network: &Network, seed: u32) -> State {
    let mut state = network.zero_state(LENGTHS.len());
    for (i, layer) in (0..).zip(&mut state.layers) {
        layer.h = random(seed + 2 * i, layer.h.len());
        layer.c = random(seed + 2 * i + 1, layer.c.len());
    }
    state
}

/// A window of rows of different lengths.
pub fn window(inputs: &[f32]) -> Window<'_> {
    Window { lengths: Some(&LENGTHS), ..Window::new(STEPS, LENGTHS.len(), inputs) }
}

pub fn inputs() -> Vec<f32> {
    random(1, STEPS * LENGTHS.len() * INPUTS)
}

/// Bidirectional layers of three kinds with options.
pub fn layers() -> [Layer; 3] {
    [
        Layer { projection: Some(3), peepholes: true, ..Layer::lstm(4) },
        Layer::gru_before(5),
        Layer { activation: Activation::Sigmoid, ..Layer::rnn(4) },
    ]
    .map(both)
}

/// Fixtures of PyTorch's modules with two layers, and their layer.
fn cases() -> [(&'static str, Layer); 7] {
    [
        ("torch-bidirectional-rnn", Layer::rnn(9)),
        ("torch-bidirectional-lstm", Layer::lstm(7)),
        ("torch-bidirectional-gru", Layer::gru(9)),
        ("torch-bidirectional-lstm-lengths", Layer::lstm(7)),
        ("torch-bidirectional-gru-lengths", Layer::gru(9)),
        ("torch-bidirectional-projected-lstm-lengths", Layer { projection: Some(4), ..Layer::lstm(7) }),
        ("torch-bidirectional-projected-lstm-bare", Layer { projection: Some(4), ..Layer::lstm(7) }),
    ]
}

/// Loads the weights as from a file of the module.
fn load(name: &str, layer: &Layer) -> Model {
    let path = super::fixture::folder().join(format!("{name}.safetensors"));
    let file = TensorFile::load(&path).unwrap();
    let config = ModelConfig::of_stack(&[(); 2].map(|()| both(layer.clone())), 5, Bias::Double).unwrap();
    let is_weight = |name: &&str| name.starts_with("weight_") || name.starts_with("bias_");
    file.names().filter(|name| !is_weight(name)).for_each(|name| file.ignore(name).unwrap());
    let model = file.rnn("", &config).unwrap();
    file.finish().unwrap();
    model
}

/// Reads PyTorch's gradients of all parameters. A module without biases has none of biases, which
/// are then taken from `found`.
fn gradients(case: &LayerFixture, found: &Parameters) -> Parameters {
    let mut gradients = found.clone();
    for entry in found.layout.entries() {
        let values = case.find(&entry.name.replace("rnn.", "grad."));
        let without = case.name.ends_with("bare") && entry.name.contains("bias");
        assert_eq!(values.is_none(), without, "{}", entry.name);
        gradients
            .get_mut(&entry.name)
            .unwrap()
            .copy_from_slice(values.unwrap_or(found.get(&entry.name).unwrap()));
    }
    gradients
}

fn check_against_pytorch(name: &str, layer: &Layer, order: Order, threads: usize) {
    let case = LayerFixture::load(name);
    let what = &format!("{name}, {order:?}, {threads} threads");
    let arranged = |values: &[f32]| match order {
        Order::TimeMajor | Order::Packed => values.to_vec(),
        Order::BatchMajor => batch_major(values, [6, 3]),
    };
    let mut network = Network::new(load(name, layer), Some(threads)).unwrap();
    assert_eq!(network.model().config().output_width(), case.shape("outputs")[2]);
    let (inputs, initial) = (arranged(case.get("inputs")), case.pytorch_state(["h0", "c0"]));
    let window =
        Window { order, lengths: case.lengths(), initial: Some(&initial), ..Window::new(6, 3, &inputs) };
    let mut outputs = vec![f32::NAN; case.get("outputs").len()];
    network.forward(&window, &mut outputs).unwrap();
    assert_close(&format!("{what}: outputs"), &outputs, &arranged(case.get("outputs")));
    assert_eq!(network.state().layers.len(), 4);
    assert_state(what, &network.state(), &case.pytorch_state(["h_n", "c_n"]));
    let d_state = case.pytorch_state(["cotangent.h_n", "cotangent.c_n"]);
    network.backward(&arranged(case.get("cotangent.outputs")), Some(&d_state)).unwrap();
    let d_inputs = &arranged(case.get("grad.inputs"));
    assert_close(&format!("{what}: gradient of inputs"), network.d_inputs(), d_inputs);
    let d_initial = &case.pytorch_state(["grad.h0", "grad.c0"]);
    assert_state(&format!("{what}: gradient"), network.d_initial(), d_initial);
    assert_gradients(what, network.gradient(), &gradients(&case, network.gradient()));
}

#[test]
pub fn bidirectional_layers_match_pytorch() {
    for (name, layer) in cases() {
        for (order, threads) in [(Order::TimeMajor, 1), (Order::BatchMajor, 1), (Order::TimeMajor, 2)] {
            check_against_pytorch(name, &layer, order, threads);
        }
    }
}

/// One direction of a bidirectional layer of a model, as a model of its own.
fn direction(model: &Model, layer: usize, end: &str) -> Model {
    let stack = [Layer { bidirectional: false, ..model.config().stack[layer].clone() }];
    let config = ModelConfig::of_stack(&stack, model.config().input_width(layer), Bias::Double).unwrap();
    let mut parameters = Parameters::zeros(config.layout());
    for entry in config.layout().entries() {
        let name = entry.name.replace("_l0", &format!("_l{layer}{end}"));
        parameters.get_mut(&entry.name).unwrap().copy_from_slice(model.parameters().get(&name).unwrap());
    }
    Model::with_parameters(config, parameters).unwrap()
}

/// Everything that a window leaves in pairs of networks, one pair for each layer of a model.
fn run_pairs(model: &Model, initial: &State, inputs: &[f32], d_outputs: &[f32], d_state: &State) -> Vec<u32> {
    let part = |state: &State, l: usize| State { rows: state.rows, layers: vec![state.layers[l].clone()] };
    let mut outputs = vec![inputs.to_vec()];
    let mut pairs: Vec<Bidirectional> = Vec::new();
    for layer in 0..model.config().stack.len() {
        let [forward, reverse] = ["", "_reverse"].map(|end| direction(model, layer, end));
        let mut pair = Bidirectional::new(forward, reverse, Merge::Concatenate, Some(1)).unwrap();
        let [forward, reverse] = [0, 1].map(|end| part(initial, 2 * layer + end));
        let mut now = vec![f32::NAN; STEPS * LENGTHS.len() * pair.output_size()];
        let window = Window { initial: Some(&forward), ..window(outputs.last().unwrap()) };
        pair.forward(&window, Some(&reverse), &mut now).unwrap();
        outputs.push(now);
        pairs.push(pair);
    }
    let mut d_outputs = d_outputs.to_vec();
    for (layer, pair) in pairs.iter_mut().enumerate().rev() {
        let parts = [0, 1].map(|end| part(d_state, 2 * layer + end));
        pair.backward(&d_outputs, parts.each_ref().map(Some)).unwrap();
        d_outputs = pair.d_inputs().to_vec();
    }
    let networks = || pairs.iter().flat_map(Bidirectional::directions);
    let mut left = [bits(outputs.last().unwrap()), bits(&d_outputs)].concat();
    networks().for_each(|network| left.extend(bits(&network.gradient().values)));
    for state in networks().map(Network::state).chain(networks().map(|n| n.d_initial().clone())) {
        left.extend([bits(&state.layers[0].h), bits(&state.layers[0].c)].concat());
    }
    left
}

/// The same of a network.
fn run(network: &mut Network, window: &Window<'_>, d_outputs: &[f32], d_state: &State) -> Vec<u32> {
    let mut outputs = vec![f32::NAN; d_outputs.len()];
    network.forward(window, &mut outputs).unwrap();
    network.backward(d_outputs, Some(d_state)).unwrap();
    let mut left = [bits(&outputs), bits(network.d_inputs()), bits(&network.gradient().values)].concat();
    for layer in network.state().layers.iter().chain(&network.d_initial().layers) {
        left.extend([bits(&layer.h), bits(&layer.c)].concat());
    }
    left
}

#[test]
fn the_bits_are_those_of_pairs_of_networks_on_any_number_of_threads() {
    let wide = [Layer::lstm(40), Layer::gru(24), Layer { residual: true, ..Layer::rnn(48) }].map(both);
    for layers in [layers(), wide] {
        let (inputs, first) = (inputs(), network(&layers, 1));
        let [initial, d_state] = [20, 40].map(|seed| random_state(&first, seed));
        let d_outputs = random(2, STEPS * LENGTHS.len() * first.model().config().output_width());
        let expected = run_pairs(first.model(), &initial, &inputs, &d_outputs, &d_state);
        for threads in 1..5 {
            let window = Window { initial: Some(&initial), ..window(&inputs) };
            let found = run(&mut network(&layers, threads), &window, &d_outputs, &d_state);
            assert!(found == expected, "{layers:?}, {threads} threads");
        }
    }
}

/// A layer that only reads forward may be below or above a bidirectional one.
#[test]
fn one_way_and_bidirectional_layers_mix() {
    let layers = [Layer::gru(4), both(Layer::lstm(5)), Layer { residual: true, ..Layer::rnn(10) }];
    let mut whole = network(&layers, 2);
    let config = whole.model().config();
    assert_eq!([0, 1, 2].map(|layer| config.input_width(layer)), [3, 4, 10]);
    let names: Vec<String> = config.directions().map(|direction| direction.to_string()).collect();
    assert_eq!(names, ["l0", "l1", "l1_reverse", "l2"]);
    let model = whole.model().clone();
    let mut ends = [0, 2].map(|layer| Network::new(direction(&model, layer, ""), Some(1)).unwrap());
    let [forward, reverse] = ["", "_reverse"].map(|end| direction(&model, 1, end));
    let mut pair = Bidirectional::new(forward, reverse, Merge::Concatenate, Some(1)).unwrap();
    let inputs = inputs();
    let [mut first, mut second, mut third] = [4, 10, 10].map(|width| vec![f32::NAN; 20 * width]);
    let mut found = third.clone();
    ends[0].forward(&window(&inputs), &mut first).unwrap();
    pair.forward(&window(&first), None, &mut second).unwrap();
    ends[1].forward(&window(&second), &mut third).unwrap();
    whole.forward(&window(&inputs), &mut found).unwrap();
    assert_eq!(bits(&found), bits(&third));
    let d_outputs = random(7, third.len());
    ends[1].backward(&d_outputs, None).unwrap();
    pair.backward(ends[1].d_inputs(), [None, None]).unwrap();
    ends[0].backward(pair.d_inputs(), None).unwrap();
    whole.backward(&d_outputs, None).unwrap();
    assert_eq!(bits(whole.d_inputs()), bits(ends[0].d_inputs()));
    for (name, network) in [("_l0", &ends[0]), ("_l1_reverse", &pair.directions()[1]), ("_l2", &ends[1])] {
        for (entry, values) in network.gradient().iter() {
            let own = whole.gradient().get(&entry.name.replace("_l0", name)).unwrap();
            assert_eq!(bits(own), bits(values), "{} {name}", entry.name);
        }
    }
}

#[test]
fn each_direction_draws_other_masks_and_parameters() {
    let layers = [(); 3].map(|()| both(Layer { output_keep_prob: 0.5, ..Layer::rnn(3) }));
    let mut network = network(&layers, 1);
    let names = ["l0", "l0_reverse", "l1", "l1_reverse", "l2", "l2_reverse"];
    let of = |place| network.model().parameters().get(&format!("rnn.weight_hh_{place}")).unwrap().to_vec();
    let drawn = names.map(of);
    assert!((0..6).all(|i| (0..i).all(|j| drawn[i] != drawn[j])));
    // Equal weights and inputs: the directions of the last layer differ by their masks alone.
    let entries = network.gradient().layout.entries().to_vec();
    let parameters = network.parameters_and_gradient().0;
    parameters.fill(0.0);
    for entry in entries.iter().filter(|entry| entry.name.contains("bias_ih")) {
        parameters[entry.range.clone()].fill(1.0);
    }
    let inputs = vec![0.5; 12 * INPUTS];
    let dropout = Some(Dropout { probability: 0.0, seed: 1, step: 1 });
    let mut outputs = vec![0.0; 12 * 6];
    network.forward(&Window { dropout, ..Window::new(1, 12, &inputs) }, &mut outputs).unwrap();
    assert!(outputs.chunks(6).any(|row| row[..3] != row[3..]));
    assert!(outputs.contains(&0.0));
}

/// The last outputs of the last layer: after the last step of each direction.
#[test]
fn the_last_output_has_read_the_whole_row_in_both_directions() {
    let inputs = inputs();
    let initial = random_state(&network(&layers(), 1), 9);
    for (order, threads) in [(Order::TimeMajor, 1), (Order::BatchMajor, 2)] {
        let [mut whole, mut last] = [(); 2].map(|()| network(&layers(), threads));
        let every = Window { order, initial: Some(&initial), ..window(&inputs) };
        let (mut outputs, mut ends) = (vec![f32::NAN; 20 * 8], vec![f32::NAN; 4 * 8]);
        whole.forward(&every, &mut outputs).unwrap();
        last.forward(&Window { output_steps: OutputSteps::Last, ..every }, &mut ends).unwrap();
        let (d_ends, mut d_outputs) = (random(5, 4 * 8), vec![0.0; 20 * 8]);
        for (row, length) in LENGTHS.into_iter().enumerate() {
            let end = &ends[row * 8..][..8];
            let Some(step) = length.checked_sub(1) else {
                assert_eq!(end, [0.0; 8]);
                continue;
            };
            let token = |step| if order == Order::TimeMajor { step * 4 + row } else { row * STEPS + step };
            let places = [token(step) * 8, token(0) * 8 + 4];
            for (half, place) in places.into_iter().enumerate() {
                assert_eq!(bits(&end[4 * half..][..4]), bits(&outputs[place..][..4]));
                d_outputs[place..][..4].copy_from_slice(&d_ends[row * 8 + 4 * half..][..4]);
            }
        }
        whole.backward(&d_outputs, None).unwrap();
        last.backward(&d_ends, None).unwrap();
        assert_eq!(bits(last.d_inputs()), bits(whole.d_inputs()));
        assert_eq!(bits(&last.gradient().values), bits(&whole.gradient().values));
        assert_eq!(last.state(), whole.state());
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    let mut network = network(&layers(), 1);
    let (inputs, mut all) = (inputs(), vec![0.0; 20 * 8]);
    network.forward(&Window { order: Order::BatchMajor, ..window(&inputs) }, &mut all).unwrap();
    let state = network.state();
    for (row, length) in LENGTHS.into_iter().enumerate().filter(|(_, length)| *length > 0) {
        let alone = &inputs[row * STEPS * INPUTS..][..length * INPUTS];
        let mut outputs = vec![0.0; length * 8];
        network.forward(&Window::new(length, 1, alone), &mut outputs).unwrap();
        assert_eq!(bits(&outputs), bits(&all[row * STEPS * 8..][..length * 8]));
        for (found, expected) in network.state().layers.iter().zip(&state.layers) {
            assert_eq!(found.h, expected.h[row * found.h.len()..][..found.h.len()]);
            assert_eq!(found.c, expected.c[row * found.c.len()..][..found.c.len()]);
        }
    }
}

#[test]
fn a_single_bias_gets_no_gradient() {
    let settings = ModelSettings::of_layers([Layer::lstm(3), Layer::lstm(3)].map(both));
    let settings = ModelSettings { bias: Bias::Single, ..settings.on_vectors(INPUTS, None) };
    let model = Model::of_vectors(&settings, 1).unwrap();
    let mut network = Network::new(model, Some(1)).unwrap();
    let (inputs, mut outputs) = (inputs(), vec![0.0; 20 * 6]);
    network.forward(&window(&inputs), &mut outputs).unwrap();
    network.backward(&outputs, None).unwrap();
    for (entry, values) in network.gradient().iter() {
        let constant = entry.name.contains("bias_hh");
        assert_eq!(values.iter().all(|value| *value == 0.0), constant, "{}", entry.name);
    }
}

/// Weight gradients on the portable SIMD backend allocate in `matrixmultiply`.
#[test]
fn passes_allocate_nothing_while_shapes_repeat() {
    if unrolled::exec::isa().unwrap() == "portable" {
        return;
    }
    let mut network = network(&[Layer::lstm(6), Layer::gru(5)].map(both), 1);
    let (inputs, mut outputs) = (inputs(), vec![0.0; 20 * 10]);
    let initial = random_state(&network, 9);
    let dropout = Some(Dropout { probability: 0.25, seed: 3, step: 4 });
    let mut step = || {
        for lengths in [None, Some(&LENGTHS[..])] {
            let window = Window { lengths, dropout, initial: Some(&initial), ..window(&inputs) };
            network.forward(&window, &mut outputs).unwrap();
            network.backward(&outputs, Some(&initial)).unwrap();
            network.parameters_and_gradient().0[0] += 0.1;
        }
    };
    step();
    step();
    assert_eq!(measure(step).count_total, 0);
}

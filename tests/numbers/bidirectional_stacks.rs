//! Bidirectional stacks, compared with PyTorch and with their parts.

use super::layer_fixture::LayerFixture;
use super::layers::{assert_gradients, assert_state, batch_major};
use super::{assert_close, bits, noise};
use allocation_counter::measure;
use unrolled::checkpoint::{TensorFile, save_state_dict};
use unrolled::exec::OutputSteps;
use unrolled::model::{Model, ParameterLayout, Parameters};
use unrolled::network::{Bidirectional, BidirectionalStack, Dropout, Layer, Merge, Order, State, Window};
use unrolled::{Activation, Bias, ModelSettings};

pub const STEPS: usize = 5;
pub const LENGTHS: [usize; 4] = [3, 5, 0, 1];
pub const INPUTS: usize = 3;

pub fn random(seed: u32, count: usize) -> Vec<f32> {
    noise(seed, 2001).take(count).map(|n| n as f32 / 1000.0 - 1.0).collect()
}

pub fn stack(layers: &[Layer], threads: usize) -> BidirectionalStack {
    let settings = ModelSettings::default();
    BidirectionalStack::of_layers(layers, INPUTS, &settings, 1, Some(threads)).unwrap()
}

pub fn random_state(stack: &BidirectionalStack, seed: u32) -> State {
    let mut state = stack.zero_state(LENGTHS.len());
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

/// Layers of three kinds with options.
pub fn layers() -> [Layer; 3] {
    [
        Layer { projection: Some(3), peepholes: true, ..Layer::lstm(4) },
        Layer::gru_before(5),
        Layer { activation: Activation::Sigmoid, ..Layer::rnn(4) },
    ]
}

/// Fixtures of PyTorch's modules with two layers, and their layer.
fn cases() -> [(&'static str, Layer); 6] {
    [
        ("torch-bidirectional-rnn", Layer::rnn(9)),
        ("torch-bidirectional-lstm", Layer::lstm(7)),
        ("torch-bidirectional-gru", Layer::gru(9)),
        ("torch-bidirectional-lstm-lengths", Layer::lstm(7)),
        ("torch-bidirectional-gru-lengths", Layer::gru(9)),
        ("torch-bidirectional-projected-lstm-lengths", Layer { projection: Some(4), ..Layer::lstm(7) }),
    ]
}

/// Loads the weights as from a file of the module.
fn load(name: &str, layer: &Layer, threads: usize) -> BidirectionalStack {
    let path = super::fixture::folder().join(format!("{name}.safetensors"));
    let file = TensorFile::load(&path).unwrap();
    let configs = BidirectionalStack::configs(&[layer.clone(), layer.clone()], 5, Bias::Double).unwrap();
    let is_weight = |name: &&str| name.starts_with("weight_") || name.starts_with("bias_");
    file.names().filter(|name| !is_weight(name)).for_each(|name| file.ignore(name).unwrap());
    let stack = BidirectionalStack::new(file.bidirectional("", &configs).unwrap(), Some(threads)).unwrap();
    file.finish().unwrap();
    stack
}

/// Reads the gradients of all parameters, and checks that PyTorch has no others.
fn gradients(case: &LayerFixture, layout: &ParameterLayout) -> Parameters {
    let mut gradients = Parameters::zeros(layout.clone());
    for entry in layout.entries() {
        let values = case.get(&format!("grad.{}", entry.name));
        gradients.get_mut(&entry.name).unwrap().copy_from_slice(values);
    }
    gradients
}

fn check_against_pytorch(name: &str, layer: &Layer, order: Order, threads: usize) {
    let case = LayerFixture::load(name);
    let what = &format!("{name}, {order:?}, {threads} threads");
    let arranged = |values: &[f32]| match order {
        Order::TimeMajor => values.to_vec(),
        Order::BatchMajor => batch_major(values, [6, 3]),
    };
    let mut stack = load(name, layer, threads);
    assert_eq!(stack.output_size(), case.shape("outputs")[2]);
    let (inputs, initial) = (arranged(case.get("inputs")), case.pytorch_state(["h0", "c0"]));
    let window =
        Window { order, lengths: case.lengths(), initial: Some(&initial), ..Window::new(6, 3, &inputs) };
    let mut outputs = vec![f32::NAN; case.get("outputs").len()];
    stack.forward(&window, &mut outputs).unwrap();
    assert_close(&format!("{what}: outputs"), &outputs, &arranged(case.get("outputs")));
    assert_eq!(stack.state().layers.len(), 4);
    assert_state(what, &stack.state(), &case.pytorch_state(["h_n", "c_n"]));
    let d_state = case.pytorch_state(["cotangent.h_n", "cotangent.c_n"]);
    stack.backward(&arranged(case.get("cotangent.outputs")), Some(&d_state)).unwrap();
    assert_close(
        &format!("{what}: gradient of inputs"),
        stack.d_inputs(),
        &arranged(case.get("grad.inputs")),
    );
    assert_state(
        &format!("{what}: gradient"),
        stack.d_initial(),
        &case.pytorch_state(["grad.h0", "grad.c0"]),
    );
    assert_gradients(what, stack.gradient(), &gradients(&case, &stack.gradient().layout));
}

#[test]
pub fn bidirectional_stacks_match_pytorch() {
    for (name, layer) in cases() {
        for (order, threads) in [(Order::TimeMajor, 1), (Order::BatchMajor, 1), (Order::TimeMajor, 2)] {
            check_against_pytorch(name, &layer, order, threads);
        }
    }
}

#[test]
fn parameters_have_the_names_and_the_order_of_pytorch() {
    let stack = load("torch-bidirectional-projected-lstm-lengths", &cases()[5].1, 1);
    let names: Vec<&str> = stack.parameters().iter().map(|(entry, _)| entry.name.as_str()).collect();
    let tensors = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"];
    let places = ["l0", "l0_reverse", "l1", "l1_reverse"];
    let expected = places.map(|place| tensors.map(|tensor| format!("{tensor}_{place}"))).concat();
    assert_eq!(names, expected);
}

/// The stack in parts: a pair of networks for each layer.
fn parts(stack: &BidirectionalStack, layers: &[Layer]) -> Vec<Bidirectional> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.safetensors");
    save_state_dict(&path, &[("", stack.parameters())]).unwrap();
    let configs = BidirectionalStack::configs(layers, INPUTS, Bias::Double).unwrap();
    let models = TensorFile::load(&path).unwrap().bidirectional("", &configs).unwrap();
    let pair = |[forward, backward]: [Model; 2]| {
        Bidirectional::new(forward, backward, Merge::Concatenate, Some(1)).unwrap()
    };
    models.into_iter().map(pair).collect()
}

#[test]
fn dropout_applies_to_the_outputs_of_each_layer_but_the_last() {
    let layers = [Layer::lstm(6), Layer::gru(6)];
    let mut stack = stack(&layers, 1);
    let mut parts = parts(&stack, &layers);
    let inputs = inputs();
    let dropout = Some(Dropout { probability: 0.5, seed: 7, step: 2 });
    let [mut plain, mut dropped, mut expected, mut found] = [(); 4].map(|()| vec![0.0; 20 * 12]);
    parts[0].forward(&window(&inputs), None, &mut plain).unwrap();
    parts[0].forward(&Window { dropout, ..window(&inputs) }, None, &mut dropped).unwrap();
    let kept = dropped.iter().zip(&plain).filter(|(dropped, _)| **dropped != 0.0);
    assert!(kept.clone().all(|(dropped, plain)| *dropped == 2.0 * plain));
    // 9 tokens of 12 values.
    assert!((30..78).contains(&kept.count()), "about half of 108 values are kept");
    parts[1].forward(&window(&dropped), None, &mut expected).unwrap();
    stack.forward(&Window { dropout, ..window(&inputs) }, &mut found).unwrap();
    assert_eq!(bits(&found), bits(&expected), "the second layer reads dropped outputs and drops none");
}

#[test]
fn each_direction_of_each_layer_draws_other_masks_and_parameters() {
    let layers = [(); 3].map(|()| Layer { output_keep_prob: 0.5, ..Layer::rnn(3) });
    let mut stack = stack(&layers, 1);
    let places = ["l0", "l0_reverse", "l1", "l1_reverse", "l2", "l2_reverse"];
    let drawn = places.map(|place| stack.parameters().get(&format!("weight_hh_{place}")).unwrap().to_vec());
    assert!((0..6).all(|i| (0..i).all(|j| drawn[i] != drawn[j])));
    // Equal weights and inputs: the layers of a pair differ by their masks alone.
    stack.parameters_and_gradient().0.fill(0.0);
    let names: Vec<_> = stack.parameters().layout.entries().to_vec();
    for entry in names.iter().filter(|entry| entry.name.starts_with("bias_ih")) {
        stack.parameters_and_gradient().0[entry.range.clone()].fill(1.0);
    }
    let inputs = vec![0.5; 12 * INPUTS];
    let dropout = Some(Dropout { probability: 0.0, seed: 1, step: 1 });
    let mut outputs = vec![0.0; 12 * 6];
    stack.forward(&Window { dropout, ..Window::new(1, 12, &inputs) }, &mut outputs).unwrap();
    assert!(outputs.chunks(6).any(|row| row[..3] != row[3..]));
    assert!(outputs.contains(&0.0), "the option of the last layer drops its outputs");
}

#[test]
fn the_output_of_the_last_step_is_that_of_the_whole_window() {
    let inputs = inputs();
    let initial = random_state(&stack(&layers(), 1), 9);
    for order in [Order::TimeMajor, Order::BatchMajor] {
        let [mut whole, mut last] = [(); 2].map(|()| stack(&layers(), 1));
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
            let token = if order == Order::TimeMajor { step * 4 + row } else { row * STEPS + step };
            assert_eq!(bits(end), bits(&outputs[token * 8..][..8]));
            d_outputs[token * 8..][..8].copy_from_slice(&d_ends[row * 8..][..8]);
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
    let mut stack = stack(&layers(), 1);
    let (inputs, mut all) = (inputs(), vec![0.0; 20 * 8]);
    stack.forward(&Window { order: Order::BatchMajor, ..window(&inputs) }, &mut all).unwrap();
    let state = stack.state();
    for (row, length) in LENGTHS.into_iter().enumerate().filter(|(_, length)| *length > 0) {
        let alone = &inputs[row * STEPS * INPUTS..][..length * INPUTS];
        let mut outputs = vec![0.0; length * 8];
        stack.forward(&Window::new(length, 1, alone), &mut outputs).unwrap();
        assert_eq!(bits(&outputs), bits(&all[row * STEPS * 8..][..length * 8]));
        for (found, expected) in stack.state().layers.iter().zip(&state.layers) {
            assert_eq!(found.h, expected.h[row * found.h.len()..][..found.h.len()]);
            assert_eq!(found.c, expected.c[row * found.c.len()..][..found.c.len()]);
        }
    }
}

#[test]
fn a_single_bias_gets_no_gradient() {
    let settings = ModelSettings { bias: Bias::Single, ..ModelSettings::default() };
    let layers = [Layer::lstm(3), Layer::lstm(3)];
    let mut stack = BidirectionalStack::of_layers(&layers, INPUTS, &settings, 1, Some(1)).unwrap();
    let (inputs, mut outputs) = (inputs(), vec![0.0; 20 * 6]);
    stack.forward(&window(&inputs), &mut outputs).unwrap();
    stack.backward(&outputs, None).unwrap();
    for (entry, values) in stack.gradient().iter() {
        let constant = entry.name.starts_with("bias_hh");
        assert_eq!(values.iter().all(|value| *value == 0.0), constant, "{}", entry.name);
    }
}

/// Weight gradients on the portable SIMD backend allocate in `matrixmultiply`.
#[test]
fn passes_allocate_nothing_while_shapes_repeat() {
    if unrolled::exec::isa().unwrap() == "portable" {
        return;
    }
    let mut stack = stack(&[Layer::lstm(6), Layer::gru(5)], 1);
    let (inputs, mut outputs) = (inputs(), vec![0.0; 20 * 10]);
    let initial = random_state(&stack, 9);
    let dropout = Some(Dropout { probability: 0.25, seed: 3, step: 4 });
    let mut step = || {
        for lengths in [None, Some(&LENGTHS[..])] {
            let window = Window { lengths, dropout, initial: Some(&initial), ..window(&inputs) };
            stack.forward(&window, &mut outputs).unwrap();
            stack.backward(&outputs, Some(&initial)).unwrap();
            stack.parameters_and_gradient().0[0] += 0.1;
        }
    };
    step();
    step();
    assert_eq!(measure(step).count_total, 0);
}

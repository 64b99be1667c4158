//! Layers, stacks and wrappers on vectors, compared with TensorFlow, Keras and PyTorch: outputs,
//! final states, and the gradients of every weight, of the inputs and of the initial state.

use super::assert_close;
use super::layer_fixture::LayerFixture;
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::network::{
    Bidirectional, Dropout, Highway, Layer, Merge, Network, Order, State, Variational, Window,
};
use unrolled::{Activation, ForgetBiasAt, Reset};

fn rnn(hidden: usize) -> Layer {
    Layer::rnn(hidden)
}

/// TensorFlow adds the forget bias at run time.
fn lstm(hidden: usize) -> Layer {
    Layer { forget_bias_at: ForgetBiasAt::RunTime, ..Layer::lstm(hidden) }
}

fn gru(hidden: usize) -> Layer {
    Layer::gru_before(hidden)
}

fn one(layer: Layer) -> Vec<(&'static str, Layer)> {
    vec![("", layer)]
}

fn stack<const N: usize>(layers: [Layer; N]) -> Vec<(&'static str, Layer)> {
    ["cell_0/", "cell_1/", "cell_2/"].into_iter().zip(layers).collect()
}

fn dropping(layer: Layer) -> Layer {
    Layer { input_keep_prob: 0.75, output_keep_prob: 0.625, state_keep_prob: 0.5, ..layer }
}

/// A file with one direction, and its stack.
type Case = (&'static str, Vec<(&'static str, Layer)>);

fn cells() -> Vec<Case> {
    let activation = |activation| one(Layer { activation, ..rnn(9) });
    let forget = |forget_bias| one(Layer { forget_bias, ..lstm(7) });
    let zoneout = |layer: Layer| Layer { zoneout: 0.25, ..layer };
    let zoned = || one(Layer { zoneout_cell: 0.5, ..zoneout(lstm(7)) });
    let peepholes = |layer: Layer| Layer { peepholes: true, ..layer };
    let projected = |width| Layer { projection: Some(width), ..lstm(7) };
    let coupled = || Layer { coupled: true, ..lstm(7) };
    let all = Layer {
        forget_bias: 2.5,
        cell_clip: Some(0.25),
        projection_clip: Some(0.125),
        ..peepholes(projected(4))
    };
    vec![
        ("tensorflow-cell-rnn-tanh", one(rnn(9))),
        ("tensorflow-cell-rnn-relu", activation(Activation::Relu)),
        ("tensorflow-cell-rnn-sigmoid", activation(Activation::Sigmoid)),
        ("tensorflow-cell-rnn-identity", activation(Activation::Identity)),
        ("tensorflow-cell-basic-lstm-forget0", forget(0.0)),
        ("tensorflow-cell-basic-lstm-forget1", forget(1.0)),
        ("tensorflow-cell-basic-lstm-forget2.5", forget(2.5)),
        ("tensorflow-cell-lstm-plain", one(lstm(7))),
        ("tensorflow-cell-lstm-forget0", forget(0.0)),
        ("tensorflow-cell-lstm-peepholes", one(peepholes(lstm(7)))),
        ("tensorflow-cell-lstm-cell-clip", one(Layer { cell_clip: Some(0.25), ..lstm(7) })),
        ("tensorflow-cell-lstm-proj", one(projected(4))),
        ("tensorflow-cell-lstm-proj-wide", one(projected(9))),
        ("tensorflow-cell-lstm-proj-clip", one(Layer { projection_clip: Some(0.125), ..projected(4) })),
        ("tensorflow-cell-lstm-all", one(all)),
        ("tensorflow-cell-cifg", one(coupled())),
        ("tensorflow-cell-cifg-peepholes", one(peepholes(coupled()))),
        ("tensorflow-cell-layer-norm-lstm", one(Layer { layer_norm: true, ..lstm(7) })),
        ("tensorflow-cell-gru", one(gru(9))),
        ("tensorflow-cell-zoneout-lstm-training", zoned()),
        ("tensorflow-cell-zoneout-lstm-inference", zoned()),
        ("tensorflow-cell-zoneout-gru-training", one(zoneout(gru(9)))),
        ("tensorflow-cell-zoneout-gru-inference", one(zoneout(gru(9)))),
        ("keras-cell-rnn", one(rnn(9))),
        ("keras-cell-lstm", forget(0.0)),
        ("keras-cell-gru-before", one(gru(9))),
    ]
}

fn stacks_and_connections() -> Vec<Case> {
    let residual = |layer: Layer| Layer { residual: true, ..layer };
    let highway = |layer: Layer| Layer { highway: Highway::Coupled, ..layer };
    let mixed = || stack([lstm(7), gru(9), rnn(5)]);
    vec![
        ("tensorflow-stack", mixed()),
        ("tensorflow-stack-lengths", mixed()),
        ("tensorflow-residual-lstm", one(residual(lstm(7)))),
        ("tensorflow-residual-gru-lengths", one(residual(gru(9)))),
        ("tensorflow-residual-stack", stack([lstm(7), residual(gru(7)), residual(rnn(7))])),
        ("tensorflow-highway-lstm", one(highway(lstm(7)))),
        ("tensorflow-highway-gru-uncoupled", one(Layer { highway: Highway::Separate, ..gru(9) })),
        ("tensorflow-highway-stack-lengths", stack([lstm(7), highway(rnn(7))])),
        ("tensorflow-lengths-rnn", one(rnn(9))),
        ("tensorflow-lengths-lstm", one(lstm(7))),
        ("tensorflow-lengths-lstm-short", one(lstm(7))),
        ("tensorflow-lengths-gru", one(gru(9))),
    ]
}

fn dropouts() -> Vec<Case> {
    let variational = |layer: Layer| Layer { variational: Variational::Shared, ..dropping(layer) };
    let whole = |layer: Layer| Layer { state_keep_prob: 0.5, variational: Variational::Shared, ..layer };
    vec![
        ("tensorflow-dropout-rnn-all", one(dropping(rnn(9)))),
        ("tensorflow-dropout-lstm-all", one(dropping(lstm(7)))),
        ("tensorflow-dropout-gru-all", one(dropping(gru(9)))),
        ("tensorflow-dropout-lstm-input", one(Layer { input_keep_prob: 0.75, ..lstm(7) })),
        ("tensorflow-dropout-lstm-output", one(Layer { output_keep_prob: 0.625, ..lstm(7) })),
        ("tensorflow-dropout-lstm-state", one(Layer { state_keep_prob: 0.5, ..lstm(7) })),
        (
            "tensorflow-dropout-lstm-filter",
            one(Layer { state_keep_prob: 0.5, drop_cell_state: true, ..lstm(7) }),
        ),
        ("tensorflow-dropout-lstm-lengths", one(dropping(lstm(7)))),
        ("tensorflow-dropout-lstm-variational", one(variational(lstm(7)))),
        ("tensorflow-dropout-lstm-variational-lengths", one(variational(lstm(7)))),
        ("tensorflow-dropout-gru-variational", one(variational(gru(9)))),
        (
            "tensorflow-dropout-stack-layers",
            stack([dropping(lstm(7)), Layer { output_keep_prob: 0.625, ..gru(9) }]),
        ),
        (
            "tensorflow-dropout-stack-whole",
            stack([
                Layer { input_keep_prob: 0.75, ..whole(lstm(7)) },
                Layer { output_keep_prob: 0.625, ..whole(gru(9)) },
            ]),
        ),
    ]
}

pub fn assert_state(what: &str, found: &State, expected: &State) {
    for (l, (found, expected)) in found.layers.iter().zip(&expected.layers).enumerate() {
        assert_close(&format!("{what}: h of layer {l}"), &found.h, &expected.h);
        assert_close(&format!("{what}: c of layer {l}"), &found.c, &expected.c);
    }
}

pub fn assert_gradients(what: &str, found: &Parameters, expected: &Parameters) {
    for ((entry, found), (_, expected)) in found.iter().zip(expected.iter()) {
        assert_close(&format!("{what}: gradient of {}", entry.name), found, expected);
    }
}

/// [T, B, width] to [B, T, width].
pub fn batch_major(values: &[f32], [steps, rows]: [usize; 2]) -> Vec<f32> {
    let width = values.len() / (steps * rows);
    let vector = |b: usize, t: usize| &values[(t * rows + b) * width..][..width];
    (0..rows).flat_map(|b| (0..steps).flat_map(move |t| vector(b, t))).copied().collect()
}

fn check(name: &str, layers: &[(&str, Layer)], order: Order, threads: usize) {
    let case = LayerFixture::load(name);
    let what = &format!("{name}, {order:?}, {threads} threads");
    let [steps, rows] = [case.shape("inputs")[0], case.shape("inputs")[1]];
    let arranged = |values: &[f32]| match order {
        Order::TimeMajor | Order::Packed => values.to_vec(),
        Order::BatchMajor => batch_major(values, [steps, rows]),
    };
    let (initial, inputs) = (case.state("initial", "", layers.len()), arranged(case.get("inputs")));
    let masks = case.masks(layers.len());
    let training = !name.ends_with("inference");
    let window = Window {
        order,
        lengths: case.lengths(),
        initial: Some(&initial),
        dropout: training.then_some(Dropout { probability: 0.0, seed: 1, step: 0 }),
        masks: Some(&masks),
        ..Window::new(steps, rows, &inputs)
    };
    let mut rnn = Network::new(case.model(layers), Some(threads)).unwrap();
    let mut outputs = vec![f32::NAN; case.get("outputs").len()];
    rnn.forward(&window, &mut outputs).unwrap();
    assert_close(&format!("{what}: outputs"), &outputs, &arranged(case.get("outputs")));
    assert_state(what, &rnn.state(), &case.state("final", "", layers.len()));
    let d_state = case.state("cotangent.final", "", layers.len());
    rnn.backward(&arranged(case.get("cotangent.outputs")), Some(&d_state)).unwrap();
    assert_close(&format!("{what}: gradient of inputs"), rnn.d_inputs(), &arranged(case.get("grad.inputs")));
    assert_state(
        &format!("{what}: gradient"),
        rnn.d_initial(),
        &case.state("grad.initial", "", layers.len()),
    );
    let expected = case.parameters("grad.", rnn.model().config(), layers);
    assert_gradients(what, rnn.gradient(), &expected);
}

#[test]
pub fn layers_stacks_and_wrappers_match_tensorflow() {
    for (name, layers) in [cells(), stacks_and_connections(), dropouts()].concat() {
        for (order, threads) in [(Order::TimeMajor, 1), (Order::BatchMajor, 1), (Order::TimeMajor, 2)] {
            check(name, &layers, order, threads);
        }
    }
}

#[test]
pub fn a_gru_with_reset_after_matches_keras() {
    let layer = Layer { reset: Reset::After, ..Layer::gru(9) };
    let case = LayerFixture::load("keras-cell-gru-after");
    let model = Model::of_layers(std::slice::from_ref(&layer), 5, None, 1).unwrap();
    let stack = [("", layer)];
    let parameters = case.parameters("", model.config(), &stack);
    let model = Model::with_parameters(model.config().clone(), parameters).unwrap();
    let mut rnn = Network::new(model, Some(1)).unwrap();
    let initial = case.state("initial", "", 1);
    let window = Window { initial: Some(&initial), ..Window::new(6, 3, case.get("inputs")) };
    let mut outputs = vec![f32::NAN; case.get("outputs").len()];
    rnn.forward(&window, &mut outputs).unwrap();
    assert_close(&format!("{}: outputs", case.name), &outputs, case.get("outputs"));
    rnn.backward(case.get("cotangent.outputs"), Some(&case.state("cotangent.final", "", 1))).unwrap();
    let expected = case.parameters("grad.", rnn.model().config(), &stack);
    assert_gradients("keras-cell-gru-after", rnn.gradient(), &expected);
    assert_close("keras-cell-gru-after: gradient of inputs", rnn.d_inputs(), case.get("grad.inputs"));
}

#[test]
pub fn the_static_form_takes_lists_and_one_shape() {
    let (case, layers) = (LayerFixture::load("tensorflow-stack-lengths"), stack([lstm(7), gru(9), rnn(5)]));
    let mut rnn = Network::planned(case.model(&layers), 6, 3, Some(1)).unwrap();
    let steps: Vec<&[f32]> = case.get("inputs").chunks(15).collect();
    let initial = case.state("initial", "", 3);
    let window =
        Window { lengths: case.lengths(), initial: Some(&initial), ..Window::new(6, 3, &[0.0f32; 0]) };
    let outputs = rnn.forward_list(&steps, &window).unwrap();
    assert_eq!(outputs.len(), 6);
    assert_close(&format!("{}: outputs", case.name), &outputs.concat(), case.get("outputs"));
    assert_state("tensorflow-stack-lengths: static", &rnn.state(), &case.state("final", "", 3));
    let error = rnn.forward_list(&steps[..5], &Window { lengths: None, ..window }).unwrap_err().to_string();
    assert!(error.contains("5 steps of 3 rows") && error.contains("6 steps of 3 rows"), "{error}");
}

#[test]
pub fn bidirectional_layers_match_tensorflow() {
    let cases = [
        ("tensorflow-bidirectional-lstm", lstm(7), lstm(7), Merge::Concatenate),
        ("tensorflow-bidirectional-lstm-sum", lstm(7), lstm(7), Merge::Sum),
        ("tensorflow-bidirectional-lstm-lengths", lstm(7), lstm(7), Merge::Concatenate),
        ("tensorflow-bidirectional-gru-sum-lengths", gru(9), gru(9), Merge::Sum),
        ("tensorflow-bidirectional-mixed", gru(9), lstm(7), Merge::Concatenate),
    ];
    for (name, forward, backward, merge) in cases {
        let case = LayerFixture::load(name);
        let stacks = [("fw/", forward), ("bw/", backward)].map(|layer| [layer]);
        let [fw, bw] = [0, 1].map(|direction| case.model(&stacks[direction]));
        let mut both = Bidirectional::new(fw, bw, merge, Some(1)).unwrap();
        for order in [Order::TimeMajor, Order::BatchMajor] {
            let arranged = |values: &[f32]| match order {
                Order::TimeMajor | Order::Packed => values.to_vec(),
                Order::BatchMajor => batch_major(values, [6, 3]),
            };
            let inputs = arranged(case.get("inputs"));
            let [initial_fw, initial_bw] = ["fw.", "bw."].map(|place| case.state("initial", place, 1));
            let window = Window {
                order,
                lengths: case.lengths(),
                initial: Some(&initial_fw),
                ..Window::new(6, 3, &inputs)
            };
            let mut outputs = vec![f32::NAN; case.get("outputs").len()];
            both.forward(&window, Some(&initial_bw), &mut outputs).unwrap();
            assert_close(&format!("{name}: outputs"), &outputs, &arranged(case.get("outputs")));
            let [d_fw, d_bw] = ["fw.", "bw."].map(|place| case.state("cotangent.final", place, 1));
            both.backward(&arranged(case.get("cotangent.outputs")), [Some(&d_fw), Some(&d_bw)]).unwrap();
            assert_close(
                &format!("{name}: gradient of inputs"),
                both.d_inputs(),
                &arranged(case.get("grad.inputs")),
            );
            for (direction, (rnn, place)) in both.directions().iter().zip(["fw.", "bw."]).enumerate() {
                let what = format!("{name}, {place}");
                assert_state(&what, &rnn.state(), &case.state("final", place, 1));
                assert_state(&what, rnn.d_initial(), &case.state("grad.initial", place, 1));
                let expected = case.parameters("grad.", rnn.model().config(), &stacks[direction]);
                assert_gradients(&what, rnn.gradient(), &expected);
            }
        }
    }
}

/// Reads a stack's parameters under PyTorch's names, with `before` before each.
fn from_pytorch(case: &LayerFixture, before: &str, config: &ModelConfig) -> Parameters {
    let mut parameters = Parameters::zeros(config.layout());
    let names: Vec<String> = parameters.iter().map(|(entry, _)| entry.name.clone()).collect();
    for name in names {
        let values = case.get(&format!("{before}{}", name.strip_prefix("rnn.").unwrap()));
        parameters.get_mut(&name).unwrap().copy_from_slice(values);
    }
    parameters
}

#[test]
pub fn a_projected_lstm_matches_pytorch() {
    let case = LayerFixture::load("torch-projected-lstm");
    let layer = Layer { projection: Some(4), ..Layer::lstm(7) };
    let model = Model::of_layers(&[layer.clone(), layer], 5, None, 1).unwrap();
    let parameters = from_pytorch(&case, "", model.config());
    let mut rnn =
        Network::new(Model::with_parameters(model.config().clone(), parameters).unwrap(), Some(1)).unwrap();
    let initial = case.pytorch_state(["h0", "c0"]);
    let window = Window { initial: Some(&initial), ..Window::new(6, 3, case.get("inputs")) };
    let mut outputs = vec![f32::NAN; case.get("outputs").len()];
    rnn.forward(&window, &mut outputs).unwrap();
    assert_close(&format!("{}: outputs", case.name), &outputs, case.get("outputs"));
    assert_state(&case.name, &rnn.state(), &case.pytorch_state(["h_n", "c_n"]));
    let d_state = case.pytorch_state(["cotangent.h_n", "cotangent.c_n"]);
    rnn.backward(case.get("cotangent.outputs"), Some(&d_state)).unwrap();
    assert_gradients(&case.name, rnn.gradient(), &from_pytorch(&case, "grad.", model.config()));
    assert_close(&format!("{}: inputs", case.name), rnn.d_inputs(), case.get("grad.inputs"));
    assert_state(&case.name, rnn.d_initial(), &case.pytorch_state(["grad.h0", "grad.c0"]));
}

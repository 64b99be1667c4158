//! Invalid input is an error before anything changes, and calls in any order work.

use unrolled::corpus::Corpus;
use unrolled::exec::{Inputs, OutputSteps};
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::network::{Bidirectional, CustomCell, Dropout, Layer, Masks, Merge, Network, Site, Window};
use unrolled::sample::{Generator, Sampling};
use unrolled::train::evaluate;
use unrolled::{ModelSettings, Unit};

fn model(layer: Layer) -> Model {
    Model::of_layers(&[layer], 3, None, 1).unwrap()
}

fn both() -> Bidirectional {
    Bidirectional::new(model(Layer::lstm(2)), model(Layer::lstm(2)), Merge::Sum, Some(1)).unwrap()
}

#[test]
fn both_directions_give_the_inputs_gradient_of_the_last_backward_pass() {
    let (mut both, inputs) = (both(), [0.5; 4 * 2 * 3]);
    let (mut short, mut long) = ([0.0; 2 * 2 * 2], [0.0; 4 * 2 * 2]);
    both.forward(&Window::new(2, 2, &inputs[..12]), None, &mut short).unwrap();
    assert!(both.d_inputs().is_empty(), "nothing went backward yet");
    both.backward(&short, [None, None]).unwrap();
    let gradient = both.d_inputs().to_vec();
    assert_eq!(gradient.len(), 12);
    // A forward pass of another shape does not change the gradient of the last backward pass.
    both.forward(&Window::new(4, 2, &inputs), None, &mut long).unwrap();
    assert_eq!(both.d_inputs(), gradient);
}

#[test]
fn a_wrong_state_leaves_both_directions_usable() {
    let (mut both, inputs) = (both(), [0.5; 2 * 2 * 3]);
    let mut outputs = [0.0; 2 * 2 * 2];
    both.forward(&Window::new(2, 2, &inputs), None, &mut outputs).unwrap();
    let other = both.directions()[1].zero_state(5);
    let message = both.backward(&outputs, [None, Some(&other)]).unwrap_err().to_string();
    assert!(message.contains("5 rows"), "{message}");
    both.backward(&outputs, [None, None]).unwrap();
}

#[test]
fn a_window_that_does_not_fit_is_an_error_and_uses_up_neither_direction() {
    let [mut found, mut untouched] = [both(), both()];
    let inputs = [0.5; 2 * 2 * 3];
    let (window, mut outputs) = (Window::new(2, 2, &inputs), [0.0; 2 * 2 * 2]);
    found.forward(&window, None, &mut outputs).unwrap();
    untouched.forward(&window, None, &mut outputs).unwrap();
    let states = found.directions().each_ref().map(Network::state);
    let (other, masks) = (found.directions()[1].zero_state(5), Masks::default());
    let wrong = [
        Window { inputs: Inputs::Vectors(&inputs[1..]), ..window },
        Window { inputs: Inputs::Ids(&[0; 4]), ..window },
        Window { masks: Some(&masks), ..window },
        Window { lengths: Some(&[3, 1]), ..window },
        Window { initial: Some(&other), ..window },
    ];
    for window in wrong {
        found.forward(&window, None, &mut outputs).unwrap_err();
    }
    let message = found.forward(&window, None, &mut outputs[1..]).unwrap_err().to_string();
    assert!(message.contains("found 7 outputs, expected 8"), "{message}");
    let last = Window { output_steps: OutputSteps::Last, ..window };
    let message = found.forward(&last, None, &mut outputs).unwrap_err().to_string();
    assert!(message.contains("found 8 outputs, expected 4"), "{message}");
    let message = found.forward(&window, Some(&other), &mut outputs).unwrap_err().to_string();
    assert!(message.contains("5 rows"), "{message}");
    assert_eq!(found.directions().each_ref().map(Network::state), states);
    found.backward(&outputs, [None, None]).unwrap();
    untouched.backward(&outputs, [None, None]).unwrap();
    assert_eq!(found.d_inputs(), untouched.d_inputs());
}

#[test]
fn a_direction_that_reads_symbols_is_an_error() {
    let symbols = || {
        let settings = ModelSettings { hidden: 2, embedding: Some(3), ..ModelSettings::default() };
        Model::new(&settings, 2, 1).unwrap()
    };
    let vectors = || model(Layer::lstm(2));
    for [forward, backward] in [[symbols(), vectors()], [vectors(), symbols()]] {
        let error = Bidirectional::new(forward, backward, Merge::Sum, Some(1)).unwrap_err().to_string();
        assert_eq!(error, "vocabulary = 2 is invalid: both directions read vectors");
    }
}

#[test]
fn a_stack_beyond_memory_or_an_invalid_scale_is_an_error() {
    let reason = |layer, settings: ModelSettings| {
        let settings = ModelSettings { stack: vec![layer], ..settings.on_vectors(3, None) };
        Model::of_vectors(&settings, 1).unwrap_err().to_string()
    };
    assert!(reason(Layer::lstm(1 << 21), ModelSettings::default()).contains("of memory"));
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let text =
            reason(Layer::gru(2), ModelSettings { init_scale: Some(scale), ..ModelSettings::default() });
        assert!(text.starts_with(&format!("init-scale = {scale} is invalid")), "{text}");
    }
}

#[test]
fn a_changed_configuration_is_checked_again() {
    type Change = fn(&mut ModelConfig);
    let changes: &[(&str, Change)] = &[
        ("input-keep-prob = NaN", |c| c.stack[0].input_keep_prob = f32::NAN),
        ("hidden = 0", |c| c.stack[0].hidden = 0),
        ("layers = 0", |c| c.stack.clear()),
        ("inputs = 0", |c| c.embedding = None),
        ("custom = mine", |c| c.stack[0].custom = Some(CustomCell::from("mine".to_owned()))),
    ];
    for (expected, change) in changes {
        let mut config = model(Layer::lstm(2)).config().clone();
        change(&mut config);
        let parameters = Parameters::zeros(model(Layer::lstm(2)).config().layout());
        let text = Model::with_parameters(config, parameters).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{expected} is invalid")), "{text}");
    }
}

#[test]
fn a_model_that_predicts_no_symbols_is_an_error_where_text_is_read_or_written() {
    let corpus = Corpus::from_text("the cat sat on the mat", Unit::Char).unwrap();
    let settings = ModelSettings { hidden: 3, ..ModelSettings::default() };
    let vectors = Model::of_vectors(&settings.clone().on_vectors(2, 10), 1).unwrap();
    let classes = Model::new(&ModelSettings { outputs: Some(4), ..settings.clone() }, 10, 1).unwrap();
    let trainer = "train with train::Trainer";
    for (model, found, expected) in [
        (model(Layer::lstm(2)), 0, "a model of vectors predicts no symbols; train it with train::Trainer"),
        (vectors, 10, "a model of vectors predicts no symbols; train it with train::Trainer"),
        (classes, 4, &format!("one output for each of 10 symbols; leave it out, or {trainer}")),
    ] {
        let expected = format!("outputs = {found} is invalid: {expected}");
        let message = evaluate(model.clone(), &corpus, 0..9, 1, Some(1)).unwrap_err().to_string();
        assert_eq!(message, expected);
        let message =
            Generator::new(model, corpus.vocabulary(), Sampling::default(), 0).unwrap_err().to_string();
        assert_eq!(message, expected);
    }
    let small = Model::new(&settings, 5, 1).unwrap();
    let message = evaluate(small, &corpus, 0..9, 1, Some(1)).unwrap_err().to_string();
    assert!(message.starts_with("vocabulary = 10 is invalid: the model has 5 symbols"), "{message}");
}

/// `dropout_state_filter_visitor` can keep h and drop c. Computes i, f, g, o of one unit in f64
/// with given masks.
#[test]
fn a_state_filter_can_drop_only_c() {
    let layer = Layer {
        state_keep_prob: 0.5,
        drop_cell_state: true,
        keep_hidden_state: true,
        forget_bias: 0.0,
        ..Layer::lstm(1)
    };
    let model = Model::of_layers(&[layer], 1, None, 1).unwrap();
    let get =
        |name: &str| model.parameters().get(name).unwrap().iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let [w, r, b, b2] = ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"].map(get);
    let (inputs, kept) = ([0.5f32, -1.0, 2.0, 0.25], [1.0f32, 0.0, 1.0, 1.0]);
    let (mut h, mut c, mut expected) = (0.0f64, 0.0f64, Vec::new());
    for (x, kept) in inputs.iter().zip(kept) {
        let a = |gate: usize| w[gate] * f64::from(*x) + r[gate] * h + b[gate] + b2[gate];
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        let (i, f, g, o) = (sigmoid(a(0)), sigmoid(a(1)), a(2).tanh(), sigmoid(a(3)));
        let next = f * c + i * g;
        h = o * next.tanh();
        c = next * f64::from(kept) / 0.5;
        expected.push(h as f32);
    }
    let mut masks = Masks::default();
    masks.set(0, Site::CellState, kept.to_vec());
    let dropout = Some(Dropout { probability: 0.0, seed: 1, step: 0 });
    let (mut rnn, mut outputs) = (Network::new(model, Some(1)).unwrap(), [0.0; 4]);
    rnn.forward(&Window { dropout, masks: Some(&masks), ..Window::new(4, 1, &inputs) }, &mut outputs)
        .unwrap();
    super::assert_close("outputs", &outputs, &expected);
    let state = rnn.state();
    super::assert_close("h", &state.layers[0].h, &[h as f32]);
    super::assert_close("c", &state.layers[0].c, &[c as f32]);
}

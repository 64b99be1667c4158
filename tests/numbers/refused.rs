//! What cannot work is told when the model is made or before anything is used up; and the order of calls breaks nothing.

use unrolled::corpus::Corpus;
use unrolled::exec::{Dynamic, Plan, Stream};
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::rnn::{Bidirectional, CustomCell, Dropout, Layer, Masks, Merge, Rnn, Site, Window};
use unrolled::train::{Differentiator, evaluate};
use unrolled::{ModelSettings, Unit};

fn model(layer: Layer) -> Model {
    Model::of_stack(&[layer], 3, &ModelSettings::default(), 1).unwrap()
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
    let gradient = both.d_inputs();
    assert_eq!(gradient.len(), 12);
    // Another window went forward, of another shape: the gradient is still that of the last backward pass.
    both.forward(&Window::new(4, 2, &inputs), None, &mut long).unwrap();
    assert_eq!(both.d_inputs(), gradient);
}

#[test]
fn a_state_that_does_not_fit_uses_up_neither_direction() {
    let (mut both, inputs) = (both(), [0.5; 2 * 2 * 3]);
    let mut outputs = [0.0; 2 * 2 * 2];
    both.forward(&Window::new(2, 2, &inputs), None, &mut outputs).unwrap();
    let other = both.directions()[1].zero_state(5);
    let message = both.backward(&outputs, [None, Some(&other)]).unwrap_err().to_string();
    assert!(message.contains("5 rows"), "{message}");
    both.backward(&outputs, [None, None]).unwrap();
}

#[test]
fn a_plan_without_steps_or_beyond_all_memory_is_refused_when_it_is_made() {
    let told =
        |steps, rows| Rnn::planned(model(Layer::lstm(2)), steps, rows, Some(1)).unwrap_err().to_string();
    assert!(told(0, 2).starts_with("steps = 0 cannot work"), "{}", told(0, 2));
    assert!(told(2, 0).starts_with("rows = 0 cannot work"), "{}", told(2, 0));
    for steps in [1 << 45, usize::MAX] {
        assert!(told(steps, 2).contains("lower hidden, layers, embedding, batch or steps"));
    }
}

#[test]
fn a_stack_beyond_all_memory_and_a_scale_that_is_none_are_refused() {
    let told =
        |layer, settings: ModelSettings| Model::of_stack(&[layer], 3, &settings, 1).unwrap_err().to_string();
    assert!(told(Layer::lstm(1 << 21), ModelSettings::default()).contains("of memory"));
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let text = told(Layer::gru(2), ModelSettings { init_scale: Some(scale), ..ModelSettings::default() });
        assert!(text.starts_with(&format!("init-scale = {scale} cannot work")), "{text}");
    }
}

#[test]
fn a_configuration_that_was_changed_is_checked_with_its_parameters() {
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
        assert!(text.starts_with(&format!("{expected} cannot work")), "{text}");
    }
}

#[test]
fn a_stack_by_itself_is_refused_where_symbols_come_in() {
    let (stack, expected) =
        (model(Layer::lstm(2)), "vocabulary = 0 cannot work: a stack by itself reads vectors");
    let told = [
        Plan::new(&stack, 3, 2, Some(1)).map(drop),
        Dynamic::new(&stack, Some(1)).map(drop),
        Stream::new(&stack).map(drop),
        Differentiator::new(stack.clone(), Some(1)).map(drop),
    ];
    for told in told.map(|told| told.unwrap_err().to_string()) {
        assert!(told.starts_with(expected), "{told}");
    }
    let corpus = Corpus::from_text("the cat sat on the mat", Unit::Char).unwrap();
    let small = Model::new(&ModelSettings { hidden: 3, ..ModelSettings::default() }, 5, 1).unwrap();
    for (model, known) in [(stack, 0), (small, 5)] {
        let told = evaluate(&model, &corpus, 0..9, 1, Some(1)).unwrap_err().to_string();
        assert!(told.starts_with(&format!("vocabulary = 10 cannot work: the model knows {known}")), "{told}");
    }
}

/// `dropout_state_filter_visitor` may keep h and drop c: i, f, g, o of one unit, in f64, from given masks.
#[test]
fn a_filter_may_drop_c_alone() {
    let layer = Layer {
        state_keep_prob: 0.5,
        drop_cell_state: true,
        keep_hidden_state: true,
        forget_bias: 0.0,
        ..Layer::lstm(1)
    };
    let model = Model::of_stack(&[layer], 1, &ModelSettings::default(), 1).unwrap();
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
    let (mut rnn, mut outputs) = (Rnn::new(model, Some(1)).unwrap(), [0.0; 4]);
    rnn.forward(&Window { dropout, masks: Some(&masks), ..Window::new(4, 1, &inputs) }, &mut outputs)
        .unwrap();
    super::assert_close("outputs", &outputs, &expected);
    let state = rnn.state();
    super::assert_close("h", &state.layers[0].h, &[h as f32]);
    super::assert_close("c", &state.layers[0].c, &[c as f32]);
}

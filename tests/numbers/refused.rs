//! What cannot work is told when the model is made or before anything is used up; and the order of calls breaks nothing.

use unrolled::Settings;
use unrolled::model::Model;
use unrolled::rnn::{Bidirectional, Layer, Merge, Rnn, Window};

fn model(layer: Layer) -> Model {
    Model::of_stack(&[layer], 3, &Settings::default()).unwrap()
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
    let told = |layer, settings| Model::of_stack(&[layer], 3, &settings).unwrap_err().to_string();
    assert!(told(Layer::lstm(1 << 21), Settings::default()).contains("of memory"));
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let text = told(Layer::gru(2), Settings { init_scale: Some(scale), ..Settings::default() });
        assert!(text.starts_with(&format!("init-scale = {scale} cannot work")), "{text}");
    }
}

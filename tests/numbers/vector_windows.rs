//! Windows of vectors: rows without steps, and invalid windows.

use unrolled::model::Model;
use unrolled::network::{Inputs, Layer, Masks, Network, Site, Window};

#[test]
fn a_window_of_rows_without_steps_carries_its_states_through() {
    for layer in [
        Layer::rnn(9),
        Layer::lstm(7),
        Layer::gru(9),
        Layer { projection: Some(4), zoneout: 0.25, ..Layer::lstm(7) },
    ] {
        let model = Model::of_layers(&[layer], 5, None, 1).unwrap();
        let mut network = Network::new(model, Some(2)).unwrap();
        let (inputs, mut initial) = ([1.0; 4 * 2 * 5], network.zero_state(2));
        initial.layers[0].h.fill(0.5);
        let window = Window { lengths: Some(&[0, 0]), initial: Some(&initial), ..Window::new(4, 2, &inputs) };
        let mut outputs = vec![1.0; 8 * network.model().config().output_width()];
        network.forward(&window, &mut outputs).unwrap();
        assert!(outputs.iter().all(|output| *output == 0.0));
        assert_eq!(network.state(), initial);
        network.backward(&outputs, Some(&initial)).unwrap();
        assert_eq!(*network.d_initial(), initial, "the gradient goes through as well");
        assert!(network.gradient().values.iter().all(|gradient| *gradient == 0.0));
    }
}

#[test]
fn invalid_windows_are_errors() {
    let model = Model::of_layers(&[Layer::lstm(7)], 5, None, 1).unwrap();
    let mut network = Network::new(model, Some(1)).unwrap();
    let inputs = [0.0; 30];
    let reason = |network: &mut Network, window: Window<'_>, outputs: usize| {
        network.forward(&window, &mut vec![0.0; outputs]).unwrap_err().to_string()
    };
    let good = Window::new(3, 2, &inputs);
    assert!(
        reason(&mut network, Window { inputs: Inputs::from(&inputs[1..]), ..good }, 42).contains("29 values")
    );
    assert!(reason(&mut network, good, 41).contains("41 outputs"));
    assert!(reason(&mut network, Window { steps: 0, ..good }, 0).contains("at least one token"));
    assert!(
        reason(&mut network, Window { lengths: Some(&[4, 1]), ..good }, 42).contains("the length 4 of row 0")
    );
    assert!(reason(&mut network, Window { lengths: Some(&[3]), ..good }, 42).contains("1 lengths"));
    let state = network.zero_state(3);
    assert!(reason(&mut network, Window { initial: Some(&state), ..good }, 42).contains("3 rows"));
    let mut masks = Masks::default();
    masks.set(0, Site::Output, vec![1.0; 41]);
    assert!(
        reason(&mut network, Window { masks: Some(&masks), ..good }, 42)
            .contains("41 values in the mask Output")
    );
    assert!(network.backward(&[0.0; 42], None).unwrap_err().to_string().contains("no window"));
    network.forward(&good, &mut [0.0; 42]).unwrap();
    assert!(network.backward(&[0.0; 41], None).unwrap_err().to_string().contains("41 gradients of outputs"));
}

//! Files of bidirectional layers, and what such layers cannot do: errors that change nothing.

use super::bidirectional_layers::{
    INPUTS, LENGTHS, STEPS, both, inputs, layers, model, network, random_state, window,
};
use super::{bits, text};
use std::fs;
use unrolled::checkpoint::{StateDict, TensorFile, save_state_dict};
use unrolled::exec::{Dynamic, Engine, Inputs, OutputSteps, Plan, Stream};
use unrolled::model::{Model, ModelConfig};
use unrolled::network::{Dropout, Layer, Window};
use unrolled::sample::{Generator, Sampling};
use unrolled::train::{Training, evaluate};
use unrolled::{Bias, ModelSettings, Settings};

#[test]
fn a_saved_state_dict_loads_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    let (model, layers) = (model(&layers()), layers());
    let member = model.parameters().member("rnn");
    save_state_dict(&path, &[("encoder", &member)]).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = TensorFile::load(&path).unwrap();
    assert!(file.find("encoder.weight_peephole_l0_reverse").is_some());
    let config = |layers: &[Layer], inputs| ModelConfig::of_stack(layers, inputs, Bias::Double).unwrap();
    assert_eq!(file.rnn("encoder", &config(&layers, INPUTS)).unwrap(), model);
    file.finish().unwrap();
    // Fewer layers than in the file, one direction, and another width.
    let fail = |config| TensorFile::load(&path).unwrap().rnn("encoder", &config).unwrap_err().to_string();
    let message = fail(config(&layers[..1], INPUTS));
    assert!(message.contains("no place in the model: encoder.bias_hh_l1 F32 [15], "), "{message}");
    let one_way = Layer { bidirectional: false, ..layers[0].clone() };
    let message = fail(config(&[one_way], INPUTS));
    assert!(message.contains("encoder.bias_hh_l0_reverse F32 [16]"), "{message}");
    let message = fail(config(&layers, INPUTS + 1));
    let expected = "tensor encoder.weight_ih_l0: found F32 [16, 3], expected F32 [16, 4]";
    assert!(message.contains(expected), "{message}");

    let mut damaged = model.parameters().clone();
    damaged.get_mut("rnn.bias_ih_l1_reverse").unwrap()[2] = f32::NAN;
    let message = save_state_dict(&path, &[("", &damaged)]).unwrap_err().to_string();
    assert_eq!(message, "tensor rnn.bias_ih_l1_reverse: found NaN, expected finite numbers");
    let message = save_state_dict(&path, &[("a", &member), ("a.", &member)]).unwrap_err().to_string();
    assert!(message.starts_with("tensor a.weight_ih_l0: found two tensors with this name"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "the old file stays");
}

#[test]
fn the_layers_of_a_file_are_found_from_its_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tagger.safetensors");
    let stack = [both(Layer { projection: Some(3), ..Layer::lstm(4) }), Layer::gru(5), both(Layer::gru(2))];
    let saved = Model::of_vectors(&ModelSettings::of_layers(stack).on_vectors(6, 3), 1).unwrap();
    save_state_dict(&path, &[("net", saved.parameters())]).unwrap();
    let members = StateDict {
        embedding: None,
        rnn: "net.rnn",
        head: Some("net.head"),
        vectors: true,
        ..StateDict::default()
    };
    let file = TensorFile::load(&path).unwrap();
    assert_eq!(file.model(&members).unwrap(), saved);
    file.finish().unwrap();
    // The forward direction of an encoder alone.
    save_state_dict(&path, &[("", model(&[both(Layer::gru(4))]).parameters())]).unwrap();
    let file = TensorFile::load(&path).unwrap();
    for tensor in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
        file.ignore(&format!("rnn.{tensor}_l0_reverse")).unwrap();
    }
    let forward = file.model(&StateDict { embedding: None, head: None, ..StateDict::default() }).unwrap();
    assert_eq!(forward, model(&[Layer::gru(4)]), "one seed draws both directions on their own");
}

#[test]
fn an_invalid_window_is_an_error_and_leaves_the_network_usable() {
    let [mut found, mut untouched] = [(); 2].map(|()| network(&layers(), 1));
    let (inputs, mut outputs) = (inputs(), vec![0.0; 20 * 8]);
    let initial = random_state(&found, 9);
    let valid = Window { initial: Some(&initial), ..window(&inputs) };
    for network in [&mut untouched, &mut found] {
        network.forward(&valid, &mut outputs).unwrap();
    }
    let state = found.state();
    let [mut fewer, mut narrow] = [initial.clone(), initial.clone()];
    fewer.layers.truncate(3);
    narrow.layers[5].h.pop();
    let wrong = [
        (Window { inputs: Inputs::Vectors(&inputs[1..]), ..valid }, "found 59 values, expected 60"),
        (Window { initial: Some(&found.zero_state(5)), ..valid }, "found 5 rows and 6 layers"),
        (Window { initial: Some(&fewer), ..valid }, "4 rows and 3 layers"),
        (Window { initial: Some(&narrow), ..valid }, "h of 15 and c of 0 values"),
        (Window { output_steps: OutputSteps::Last, ..valid }, "found 160 outputs, expected 32"),
        (
            Window { dropout: Some(Dropout { probability: 1.0, seed: 1, step: 1 }), ..valid },
            "dropout = 1 is invalid",
        ),
    ];
    for (window, expected) in wrong {
        let message = found.forward(&window, &mut outputs).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}, expected {expected}");
    }
    found.backward(&outputs, Some(&fewer)).unwrap_err();
    assert_eq!(found.state(), state);
    for network in [&mut untouched, &mut found] {
        network.backward(&outputs, Some(&initial)).unwrap();
    }
    assert_eq!(found.gradient(), untouched.gradient());
}

#[test]
fn a_connection_needs_inputs_as_wide_as_one_direction() {
    let layer = both(Layer { residual: true, ..Layer::gru(INPUTS) });
    Model::of_layers(std::slice::from_ref(&layer), INPUTS, None, 1).unwrap();
    let stack = [layer.clone(), layer];
    let message = Model::of_layers(&stack, INPUTS, None, 1).unwrap_err().to_string();
    let expected = "the layer has 6 inputs and 3 outputs in each direction, which must be equal";
    assert!(message.ends_with(expected), "{message}");
}

/// The windows of `Plan` and `Dynamic` are whole sequences, so no state carries over by itself.
#[test]
fn a_window_of_inference_starts_from_zero_or_from_the_given_state() {
    let engine = Engine::new(model(&layers()), Some(1)).unwrap();
    let (rows, inputs) = (LENGTHS.len(), inputs());
    let mut expected = vec![0.0; 20 * 8];
    let mut network = network(&layers(), 1);
    let initial = random_state(&network, 3);
    let whole = Window { lengths: None, ..window(&inputs) };
    network.forward(&whole, &mut expected).unwrap();
    let last = network.state();
    let mut from_state = expected.clone();
    network.forward(&Window { initial: Some(&initial), ..whole }, &mut from_state).unwrap();

    let mut plan = Plan::of(&engine, STEPS, rows).unwrap();
    let mut dynamic = Dynamic::of(&engine);
    let mut found = vec![0.0; 20 * 8];
    for _ in 0..2 {
        plan.forward(&inputs, &mut found).unwrap();
        assert_eq!(bits(&found), bits(&expected));
        assert_eq!(plan.state(), last);
        dynamic.forward(&inputs, rows, &mut found).unwrap();
        assert_eq!(bits(&found), bits(&expected));
        // Another number of steps, and other lengths.
        dynamic.forward(&inputs[..rows * INPUTS], rows, &mut found[..rows * 8]).unwrap();
        dynamic.forward_ragged(&inputs, &LENGTHS, &mut found).unwrap();
        assert_eq!(dynamic.state().unwrap().rows, rows);
        dynamic.set_state(&initial).unwrap();
        plan.set_state(&initial).unwrap();
        dynamic.forward(&inputs, rows, &mut found).unwrap();
        assert_eq!(bits(&found), bits(&from_state));
        plan.forward(&inputs, &mut found).unwrap();
        assert_eq!(bits(&found), bits(&from_state));
    }
}

#[test]
fn what_needs_layers_that_only_read_forward_refuses_others() {
    let engine = Engine::new(model(&layers()), Some(1)).unwrap();
    let streams = [Stream::of(&engine), Stream::of_rows(&engine, 2), Stream::new(model(&layers()))];
    for stream in streams {
        let message = stream.unwrap_err().to_string();
        let expected = "bidirectional = true is invalid: a stream runs one step at a time, and the reverse \
                        direction needs whole windows; run Plan or Dynamic";
        assert_eq!(message, expected);
    }
    let (corpus, model) = (text(400), ModelSettings::of_layers([both(Layer::gru(4))]));
    let expected = "bidirectional = true is invalid: its reverse direction would see the symbols to predict; \
                    leave it out, or train with train::Trainer";
    let vocabulary = corpus.vocabulary().clone();
    let tagger = Model::new(&model, vocabulary.len(), 1).unwrap();
    let refused = Generator::new(tagger.clone(), &vocabulary, Sampling::default(), 0).unwrap_err();
    assert_eq!(refused.to_string(), expected);
    let refused = evaluate(tagger, &corpus, 0..400, 1, Some(1)).unwrap_err();
    assert_eq!(refused.to_string(), expected);
    let settings = Settings { model, ..Settings::default() };
    let refused = Training::new(corpus, settings, Some(1)).unwrap_err();
    assert_eq!(refused.to_string(), expected);
}

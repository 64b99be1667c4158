//! Out and in again: the numbers have the same bits.

use super::golden::{Golden, load, names};
use std::path::Path;
use unrolled::convert::{Options, from_bytes, onnx, rtneural};
use unrolled::exec::{Inputs, Window};
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::network::Network;
use unrolled::{Activation, Bias, ForgetBiasAt, Layer, ModelSettings, Reset};

/// The outputs of a window of 5 steps by 3 rows.
fn outputs(model: &Model) -> Vec<u32> {
    let (config, tokens) = (model.config(), 15);
    let ids: Vec<u32> = (0..tokens).map(|token| (token * 7 % config.vocabulary.max(1)) as u32).collect();
    let count = tokens * config.input_width(0);
    let vectors: Vec<f32> = (0..count).map(|index| (index as f32 * 0.37).sin()).collect();
    let inputs = if config.reads_symbols() { Inputs::Ids(&ids) } else { Inputs::Vectors(&vectors) };
    let mut outputs = vec![0.0; tokens * config.output_width()];
    let mut network = Network::new(model.clone(), Some(1)).expect("a network");
    network.forward(&Window::new(5, 3, inputs), &mut outputs).expect("a window");
    outputs.iter().map(|value: &f32| value.to_bits()).collect()
}

fn again(bytes: Vec<u8>, name: &str) -> Model {
    from_bytes(bytes, Path::new(name), &Options::default()).expect("its own file").model
}

/// A model with random parameters everywhere, also in the biases.
fn model(stack: &[Layer], symbols: Option<(usize, bool)>, outputs: usize) -> Model {
    let (vocabulary, embedding) = match symbols {
        None => (0, Some(3)),
        Some((symbols, true)) => (symbols, Some(4)),
        Some((symbols, false)) => (symbols, None),
    };
    let config = ModelConfig { bias: Bias::Double, vocabulary, embedding, outputs, stack: stack.to_vec() };
    let mut parameters = Parameters::zeros(config.layout());
    let ranges: Vec<_> = parameters.layout.entries().iter().map(|entry| entry.range.clone()).collect();
    for (number, value) in ranges.into_iter().flatten().enumerate() {
        parameters.values[value] = (number as f32 * 0.7).sin() * 0.8;
    }
    Model::with_parameters(config, parameters).expect("parameters that fit")
}

#[test]
fn onnx_has_the_bits_of_the_model() {
    let rnn = |activation| Layer { activation, ..Layer::rnn(4) };
    let stacks: Vec<Vec<Layer>> = vec![
        vec![Layer::lstm(4), Layer::lstm(5)],
        vec![Layer::gru(4), Layer { reset: Reset::Before, ..Layer::gru(3) }],
        vec![
            rnn(Activation::Tanh),
            rnn(Activation::Relu),
            rnn(Activation::Sigmoid),
            rnn(Activation::Identity),
        ],
        vec![Layer { peepholes: true, ..Layer::lstm(4) }],
        vec![Layer::lstm(4), Layer { residual: true, ..Layer::gru(4) }],
        vec![Layer { bidirectional: true, ..Layer::lstm(4) }, Layer { bidirectional: true, ..Layer::gru(3) }],
        vec![Layer { residual: true, ..Layer::lstm(3) }],
        vec![Layer { forget_bias_at: ForgetBiasAt::RunTime, forget_bias: 0.5, ..Layer::lstm(4) }],
    ];
    for stack in &stacks {
        for (symbols, outputs_of) in [(None, 2), (None, 0), (Some((6, true)), 6), (Some((6, false)), 6)] {
            if stack[0].residual && symbols.is_some() {
                continue; // The input is 3 wide, and the layer too.
            }
            let model = model(stack, symbols, outputs_of);
            let read = again(onnx::to_bytes(&model).expect("ONNX"), "model.onnx");
            assert_eq!(outputs(&read), outputs(&model), "{stack:?}");
            let run_time = stack.iter().any(|layer| layer.forget_bias_at == ForgetBiasAt::RunTime);
            assert!(run_time || read.parameters() == model.parameters(), "{stack:?}");
        }
    }
}

/// One minus the forget gate is another float than the sigmoid of the negative sum.
#[test]
fn coupled_gates_become_four_gates() {
    for peepholes in [false, true] {
        let model = model(&[Layer { coupled: true, peepholes, ..Layer::lstm(4) }], None, 2);
        let read = again(onnx::to_bytes(&model).expect("ONNX"), "model.onnx");
        for (found, expected) in outputs(&read).into_iter().zip(outputs(&model)) {
            let (found, expected) = (f32::from_bits(found), f32::from_bits(expected));
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}

#[test]
fn rtneural_has_the_bits_of_the_model() {
    let dense = |units, activation| Layer { activation, ..Layer::rnn(units) };
    for stack in [
        vec![Layer::lstm(4)],
        vec![Layer::gru(4), Layer::lstm(3)],
        vec![dense(4, Activation::Relu), Layer::gru(3), dense(2, Activation::Sigmoid)],
        vec![Layer { forget_bias_at: ForgetBiasAt::RunTime, forget_bias: 0.5, ..Layer::lstm(4) }],
    ] {
        for outputs_of in [0, 2] {
            let mut model = model(&stack, None, outputs_of);
            // A linear layer is an RNN layer without recurrent weights.
            let mut parameters = model.parameters().clone();
            for (number, _) in stack.iter().enumerate().filter(|(_, layer)| layer.cell == unrolled::Cell::Rnn)
            {
                parameters.get_mut(&format!("rnn.weight_hh_l{number}")).expect("weights").fill(0.0);
            }
            model = Model::with_parameters(model.config().clone(), parameters).expect("as before");
            let json = rtneural::to_json(&model).expect("JSON");
            let read = again(json.clone().into_bytes(), "model.json");
            assert_eq!(outputs(&read), outputs(&model), "{stack:?}");
            assert_eq!(rtneural::to_json(&read).expect("JSON"), json);
        }
    }
}

#[test]
fn every_file_that_is_read_can_be_written_and_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in names() {
        let Ok(converted) = load(&Golden::of(&name).path()) else { continue };
        let path = folder.path().join("model.safetensors");
        converted.checkpoint().expect("a checkpoint").save(&path).expect("written");
        let saved = load(&path).expect("a checkpoint").model;
        assert_eq!(outputs(&saved), outputs(&converted.model), "{name}");
        let projected = converted.model.config().stack.iter().any(|layer| layer.projection.is_some());
        match onnx::to_bytes(&converted.model) {
            Ok(bytes) => assert_eq!(outputs(&again(bytes, "a.onnx")), outputs(&converted.model), "{name}"),
            Err(error) => assert!(projected, "{name}: {error}"),
        }
    }
}

#[test]
fn what_a_format_lacks_is_an_error() {
    let message =
        |layer: Layer| onnx::to_bytes(&model(&[layer], None, 2)).expect_err("an option").to_string();
    for (layer, option) in [
        (Layer { projection: Some(2), ..Layer::lstm(4) }, ": projection = 2"),
        (Layer { cell_clip: Some(1.0), ..Layer::lstm(4) }, ": cell-clip = 1.0"),
        (Layer { zoneout: 0.1, ..Layer::gru(4) }, ": zoneout = 0.1"),
        (Layer { layer_norm: true, dropout_seed: Some(3), ..Layer::lstm(4) }, ": layer-norm = true"),
        (
            Layer { bidirectional: true, residual: true, ..Layer::lstm(3) },
            " in a bidirectional layer: residual = true",
        ),
    ] {
        let message = message(layer);
        assert!(message.contains("layer 0 has an option that ONNX's operators lack"), "{message}");
        assert!(message.ends_with(option), "{message}");
    }
    let json = |model: &Model| rtneural::to_json(model).expect_err("not in the format").to_string();
    assert!(
        json(&model(&[Layer::rnn(4)], None, 2)).contains("layer 0 is an RNN, which RTNeural does not have")
    );
    assert!(json(&model(&[Layer::lstm(4)], Some((6, true)), 6)).contains("RTNeural's JSON has no embedding"));
    let both = Layer { bidirectional: true, ..Layer::lstm(4) };
    assert!(
        json(&model(&[both], None, 2)).contains("layer 0 has an option that RTNeural's JSON cannot hold")
    );
    let before = Layer { reset: Reset::Before, ..Layer::gru(4) };
    assert!(json(&model(&[before], None, 2)).contains("cannot hold: reset = before; expected a plain LSTM"));
    let dropout = ModelSettings { dropout: 0.5, ..ModelSettings::lstm(4).on_vectors(3, 2) };
    assert!(onnx::to_bytes(&Model::of_vectors(&dropout, 1).expect("a model")).is_ok());
}

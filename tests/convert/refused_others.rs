//! Files of RTNeural, GuitarML and PyTorch that are refused: the message names the layer, the key
//! or the tensor.

use super::golden::folder;
use serde_json::{Value, json};
use unrolled::checkpoint::{TensorFile, save_state_dict};
use unrolled::convert::{Converted, Format, Options, detect, from_bytes};
use unrolled::model::Model;
use unrolled::{Highway, Layer};

fn read_with(file: &Value, ignore: &[&str]) -> unrolled::Result<Converted> {
    let ignore: Vec<String> = ignore.iter().map(|name| (*name).to_owned()).collect();
    let bytes = serde_json::to_vec(file).expect("JSON");
    from_bytes(bytes, "amp.json".as_ref(), &Options { ignore: &ignore, ..Options::default() })
}

fn refused(file: &Value, expected: &str) {
    let message = read_with(file, &[]).expect_err(expected).to_string();
    let found = message.strip_prefix("cannot import amp.json: ").expect(&message);
    assert!(found.starts_with(expected), "found   {found}\nexpected {expected}");
    assert!(!message.contains('\n'));
}

fn fixture(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(name)).expect("a fixture")).expect("JSON")
}

fn changed(mut file: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut file);
    file
}

#[test]
fn layers_are_refused_by_name() {
    let lstm = || fixture("rtneural-lstm.json");
    for kind in ["conv1d", "prelu", "batchnorm", "unknown"] {
        let file = changed(lstm(), |file| file["layers"][0]["type"] = kind.into());
        refused(&file, &format!("layers.0 ({kind}): this kind of layer is not supported"));
    }
    let file = changed(lstm(), |file| file["layers"][0]["activation"] = "relu".into());
    refused(&file, "layers.0 (lstm): found an activation other than tanh");
    let file = changed(lstm(), |file| file["layers"][1]["activation"] = "softmax".into());
    refused(&file, "layers.1 (dense): activation softmax is not supported; --ignore layers.1.activation");
    assert!(read_with(&file, &["layers.1.activation"]).is_ok());
    let file = changed(lstm(), |file| file["layers"][0]["dilation"] = json!([2]));
    refused(
        &file,
        "layers.0 (lstm): key dilation is not supported; leave it out (--ignore layers.0.dilation)",
    );
    let file = changed(lstm(), |file| file["layers"][0]["shape"] = json!([null, null, 9]));
    refused(&file, "layers.0 (lstm): shape: expected a list that ends in 8");
    let file = changed(lstm(), |file| file["layers"][0]["shape"] = json!([null, null, 1e12]));
    refused(
        &file,
        "layers.0 (lstm): shape: found 1000000000000, expected a whole number from 0 to 1000000000",
    );
    let file = changed(lstm(), |file| file["layers"][0]["weights"] = json!([[[1.0]], [[1.0]]]));
    refused(&file, "layers.0 (lstm): found 2 arrays in weights, expected 3");
    let file = changed(lstm(), |file| file["layers"][0]["weights"][1] = json!([[1.0, 2.0, 3.0]]));
    refused(&file, "layers.0 (lstm): weights: found kernels [1, 32] and [1, 3]");
    let file = changed(lstm(), |file| file["in_shape"] = json!([null, null, 2]));
    refused(&file, "layers.0 reads 1 values, but the layer before returns 2");
    refused(&json!({"in_shape": [null, null, 1], "layers": []}), "found no recurrent layer");
    let file =
        changed(fixture("rtneural-gru.json"), |file| file["layers"][0]["weights"][2] = json!(vec![0.0; 15]));
    refused(&file, "layers.0 (gru): weights[2]: found shape [15], expected [2, 15]");
}

#[test]
fn keys_are_refused_by_name() {
    let lstm = || fixture("rtneural-lstm.json");
    let file = changed(lstm(), |file| file["out_gain"] = json!(-3.5));
    refused(
        &file,
        "key out_gain has no place in the model; apply it outside, and leave it out (--ignore out_gain)",
    );
    assert!(read_with(&file, &["out_gain"]).is_ok());
    let file = changed(lstm(), |file| file["bias_scale"] = json!([1]));
    refused(&file, "key bias_scale has no place in the model");
    let file = changed(lstm(), |file| {
        file["metadata"] = json!({"name": "amp"});
        file["in_gain"] = json!(0);
    });
    assert!(read_with(&file, &[]).is_ok());
    refused(&json!({"models": []}), "found no key layers or state_dict");
    let both = changed(lstm(), |file| file["state_dict"] = json!({}));
    refused(&both, "found both keys layers and state_dict");
}

#[test]
fn the_input_can_be_added_to_the_output() {
    let without = read_with(&fixture("rtneural-lstm.json"), &[]).expect("a model");
    let with = changed(fixture("rtneural-lstm.json"), |file| file["in_skip"] = json!(1));
    let with = read_with(&with, &[]).expect("a model");
    let step = |converted: Converted| {
        let mut stream = unrolled::exec::Stream::new(converted.model).expect("a stream");
        [0.5, -0.25, 0.125].map(|x: f32| stream.step(&[x][..]).expect("a step")[0])
    };
    for ((without, with), x) in step(without).iter().zip(step(with)).zip([0.5, -0.25, 0.125]) {
        assert!((without + x - with).abs() < 1e-6, "{without} + {x}, {with}");
    }
    let two = changed(fixture("rtneural-lstm.json"), |file| file["in_skip"] = json!(2));
    refused(&two, "in_skip = 2, expected at most the 1 inputs and the 1 outputs");
    let stack = changed(fixture("rtneural-stack.json"), |file| file["in_skip"] = json!(1));
    refused(&stack, "in_skip: found other layers, expected one LSTM, GRU or RNN");
}

#[test]
fn the_sizes_of_guitarml_are_checked() {
    let lstm = || fixture("guitarml-lstm.json");
    let file = changed(lstm(), |file| file["model_data"]["unit_type"] = "GRU".into());
    refused(&file, "model_data.unit_type is gru, but the tensors are of kind lstm");
    let file = changed(lstm(), |file| file["model_data"]["hidden_size"] = json!(9));
    refused(&file, "model_data.hidden_size = 9, but the tensors have 8");
    let file = changed(lstm(), |file| file["model_data"]["model"] = "ConvNet".into());
    refused(&file, "model_data.model: found Text(\"ConvNet\"), expected SimpleRNN");
    let file = changed(lstm(), |file| file["model_data"]["kernel"] = json!(3));
    refused(&file, "key model_data.kernel is not supported");
    let file = changed(lstm(), |file| file["state_dict"]["conv.weight"] = json!([[1.0]]));
    refused(&file, "tensor conv.weight [1, 1] has no place in the model");
    let file = changed(lstm(), |file| _ = file.as_object_mut().map(|file| file.remove("model_data")));
    refused(&file, "the key model_data is missing");
    let without = read_with(&lstm(), &["model_data.skip"]).expect("without the connection");
    assert_eq!(without.model.config().stack.len(), 1);
}

#[test]
fn invalid_json_is_an_error_with_its_place() {
    let read = |text: &str| {
        let found = from_bytes(text.as_bytes().to_vec(), "amp.json".as_ref(), &Options::default());
        found.expect_err(text).to_string()
    };
    assert!(read("{\"layers\": [").contains("its JSON is invalid: EOF while parsing a list at line 1"));
    assert!(read("{\"layers\": 3}").contains("invalid type: integer `3`, expected a list"));
    assert!(read("{\"layers\": [], \"layers\": []}").contains("found the key layers twice"));
    assert!(read("{\"a\": NaN}").contains("its JSON is invalid"));
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(&deep).contains("recursion limit exceeded"));
    let deep = format!("{{\"layers\": [{{\"weights\": [{}]}}]}}", "[".repeat(100_000));
    assert!(read(&deep).contains("found lists in more than 4 lists"));
}

#[test]
fn other_formats_are_named() {
    let named = |bytes: &[u8], name: &str| detect(bytes, name.as_ref()).expect_err(name).to_string();
    assert!(named(b"PK\x03\x04", "net.pt").contains("a pickle of Python objects"));
    assert!(named(b"PK\x03\x04", "net.keras").contains("a Keras model"));
    assert!(named(b"\x89HDF\r\n", "net.h5").contains("an HDF5 file"));
    assert!(
        named(b"once upon a time", "text.txt").contains("found another format, expected safetensors, ONNX")
    );
    let golden = std::fs::read(folder().join("torch-state-lstm2.safetensors")).expect("a fixture");
    assert_eq!(detect(&golden, "".as_ref()).expect("a format"), Format::StateDict);
}

#[test]
fn a_tensor_of_a_layer_is_no_embedding() {
    let layer = Layer { highway: Highway::Coupled, ..Layer::lstm(3) };
    let model = Model::of_layers(&[layer.clone(), layer], 3, None, 1).expect("a model");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    save_state_dict(&path, &[("", model.parameters())]).expect("written");
    let message = unrolled::convert::load(&path).expect_err("a highway").to_string();
    assert!(message.contains("tensor rnn.highway_"), "{message}");
    assert!(message.contains("has no place in the model, nor have 3 more; leave it out"), "{message}");
}

#[test]
fn an_rnn_in_a_state_dict_needs_its_activation() {
    let path = folder().join("torch-state-rnn-embedding.safetensors");
    let message = unrolled::convert::load(&path).expect_err("no activation").to_string();
    assert!(message.contains("no shape tells its activation; give --activation tanh or relu"), "{message}");
    let onnx = folder().join("onnx-states.onnx");
    let options = Options { reset: Some(unrolled::Reset::Before), ..Options::default() };
    let message = unrolled::convert::load_with(&onnx, &options).expect_err("an option").to_string();
    assert!(
        message.contains("reset is for a PyTorch state_dict, and this is ONNX; leave it out"),
        "{message}"
    );
}

/// A device has no end.
#[cfg(unix)]
#[test]
fn a_device_is_no_file() {
    let path = std::path::Path::new("/dev/zero");
    let expected = "cannot read /dev/zero: a device; name a file on a disk";
    assert_eq!(unrolled::convert::load(path).expect_err("no end").to_string(), expected);
    assert_eq!(TensorFile::load(path).expect_err("no end").to_string(), expected);
}

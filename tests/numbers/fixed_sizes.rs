//! Cells of fixed sizes from files: PyTorch's outputs, the bits of the other ways to run, and files
//! that do not fit.

use super::fixture::{Fixture, folder};
use super::{assert_close, bits, ids};
use std::path::Path;
use unrolled::checkpoint::TensorFile;
use unrolled::exec::Stream;
use unrolled::fixed::{Gru, Linear, Lstm, Pipeline, Stage};
use unrolled::train::Training;
use unrolled::{InputKind, ModelSettings, Settings};

fn fixture(name: &str) -> (Fixture, TensorFile) {
    let file = TensorFile::load(&folder().join(format!("{name}.safetensors"))).unwrap();
    (Fixture::load(name), file)
}

/// Returns the model's outputs for the fixture's signal, one sample at a time.
fn answers(model: &mut impl Stage<Input = [f32; 1], Output = [f32; 1]>, fixture: &Fixture) -> Vec<f32> {
    fixture.floats("signal").iter().map(|&x| model.step(&[x])[0]).collect()
}

#[test]
pub fn an_lstm_with_a_head_has_pytorchs_outputs() {
    let (fixture, file) = fixture("torch-fixed-lstm-h16");
    let cell: Lstm<1, 16> = file.cell("rnn", 0).unwrap();
    let head: Linear<16, 1> = file.linear("head").unwrap();
    let mut model = Pipeline::new(cell, head);
    model.first.hidden_mut().copy_from_slice(fixture.floats("h0"));
    model.first.cell_mut().copy_from_slice(fixture.floats("c0"));
    assert_close(&fixture.name, &answers(&mut model, &fixture), fixture.floats("answers"));
    assert_close(&format!("{}: h", fixture.name), model.first.hidden(), fixture.floats("h_n"));
    assert_close(&format!("{}: c", fixture.name), model.first.cell(), fixture.floats("c_n"));
    let mut boxed: Box<Lstm<1, 16>> = file.cell("rnn", 0).unwrap();
    boxed.hidden_mut().copy_from_slice(fixture.floats("h0"));
    boxed.cell_mut().copy_from_slice(fixture.floats("c0"));
    for &x in fixture.floats("signal") {
        boxed.step(&[x]);
    }
    assert_eq!(boxed.hidden(), model.first.hidden());
    let second: Box<Lstm<1, 16>> = file.stack("rnn", 1).unwrap().cell(0).unwrap();
    assert_eq!(second.hidden(), &[0.0; 16]);
}

#[test]
pub fn a_gru_with_a_head_has_pytorchs_outputs() {
    let (fixture, file) = fixture("torch-fixed-gru-h24");
    let cell: Gru<1, 24> = file.cell("rnn", 0).unwrap();
    let head: Linear<24, 1> = file.linear("head").unwrap();
    let mut model = Pipeline::new(cell, head);
    model.first.hidden_mut().copy_from_slice(fixture.floats("h0"));
    assert_close(&fixture.name, &answers(&mut model, &fixture), fixture.floats("answers"));
    assert_close(&format!("{}: h", fixture.name), model.first.hidden(), fixture.floats("h_n"));
}

#[test]
fn a_trained_checkpoint_fills_a_cell_with_the_bits_of_its_stream() {
    let settings = Settings {
        model: ModelSettings {
            hidden: 20,
            input: InputKind::OneHot,
            ..super::run_of(&Settings::default(), 0.0).model
        },
        ..super::run_of(&Settings::default(), 0.0)
    };
    let mut training = Training::new(super::text(3000), settings, None).unwrap();
    training.step().unwrap();
    let checkpoint = training.checkpoint();
    let file = TensorFile::from_bytes(checkpoint.to_bytes().unwrap(), Path::new("run")).unwrap();
    let mut cell: Lstm<40, 20> = file.cell("rnn", 0).unwrap();
    let mut stream = Stream::new(training.model().clone()).unwrap();
    for id in ids(5, 9, 40) {
        stream.step(&id).unwrap();
        let one_hot = std::array::from_fn(|symbol| f32::from(u8::from(symbol == id as usize)));
        assert_eq!(bits(cell.step(&one_hot)), bits(&stream.state().layers[0].h));
    }
}

#[test]
fn a_tensor_of_another_shape_is_an_error_that_names_the_file() {
    let (_, file) = fixture("torch-fixed-lstm-h16");
    let place = folder().join("torch-fixed-lstm-h16.safetensors");
    let check = |error: unrolled::Error, tensor: &str, found: &str, expected: &str| {
        let place = place.display();
        let text = format!(
            "{place}: tensor {tensor}: found {found}, expected {expected}; name another file, or change the names and sizes in the program"
        );
        assert_eq!(error.to_string(), text);
    };
    let wide = file.cell("rnn", 0).map(|_: Lstm<1, 32>| ()).unwrap_err();
    check(wide, "rnn.weight_ih_l0", "F32 [64, 1]", "F32 [128, 1]");
    let other = file.cell("rnn", 0).map(|_: Gru<1, 16>| ()).unwrap_err();
    check(other, "rnn.weight_ih_l0", "F32 [64, 1]", "F32 [48, 1]");
    let deep = file.cell("rnn", 1).map(|_: Lstm<16, 16>| ()).unwrap_err();
    check(deep, "rnn.weight_ih_l1", "nothing", "F32 [64, 16]");
    let head = file.linear("head").map(|_: Linear<16, 2>| ()).unwrap_err();
    check(head, "head.weight", "F32 [1, 16]", "F32 [2, 16]");
}

#[test]
fn non_finite_values_and_other_types_are_errors() {
    let file = |dtype: &str, data: &[u8]| {
        let header =
            format!(r#"{{"head.bias":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{}]}}}}"#, data.len());
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
        TensorFile::from_bytes(bytes, Path::new("tensors")).unwrap().floats("head.bias", &[2]).unwrap_err()
    };
    let values = [1.0, f32::NAN].map(f32::to_le_bytes).concat();
    let text = file("F32", &values).to_string();
    assert!(text.starts_with("tensors: tensor head.bias: found NaN, expected finite numbers;"), "{text}");
    let text = file("F64", &[0.5f64, 0.1].map(f64::to_le_bytes).concat()).to_string();
    assert!(
        text.contains(
            "found F64 value 0.1, which F32 would round, expected F32 [2] (in Python: tensor.float()"
        ),
        "{text}"
    );
    let text = file("I64", &[0; 16]).to_string();
    assert!(
        text.starts_with("tensors: tensor head.bias: found I64 [2], expected F32 [2] (in Python:"),
        "{text}"
    );
}

#[test]
fn a_file_without_tensors_is_an_error() {
    let error = TensorFile::load(&folder().join("README.md")).unwrap_err().to_string();
    assert!(error.contains("README.md is not a safetensors file: "), "{error}");
    assert!(error.ends_with("; name a checkpoint, or save the tensors with safetensors"), "{error}");
    let error = TensorFile::load(Path::new("missing.safetensors")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read missing.safetensors: "), "{error}");
}

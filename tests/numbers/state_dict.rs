//! Models built from the `state_dict` of a PyTorch module: members with the user's names, and sizes
//! from shapes.

use super::{bits, cells, model, noise};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::path::Path;
use unrolled::checkpoint::{StateDict, TensorFile};
use unrolled::model::{Model, ModelConfig, Parameters};
use unrolled::{Activation, Bias, Cell, InputKind, Layer, ModelSettings, Reset, Settings};

const PATH: &str = "net.safetensors";

const MEMBERS: StateDict<'static> = StateDict {
    embedding: Some("tokens"),
    rnn: "model.encoder.rnn",
    head: Some("model.to_logits"),
    vectors: false,
    activation: Activation::Tanh,
    reset: Reset::After,
};

/// Name, shape and values of each tensor.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// The tensors of a model under the names of `members`.
fn tensors(model: &Model, members: &StateDict) -> Tensors {
    let rename = |name: &str| {
        let (member, rest) = name.split_once('.').unwrap();
        let theirs = match member {
            "embedding" => members.embedding.unwrap(),
            "head" => members.head.unwrap(),
            _ => members.rnn,
        };
        if theirs.is_empty() { rest.to_owned() } else { format!("{theirs}.{rest}") }
    };
    let tensor = |(entry, values): (&unrolled::model::TensorEntry, &[f32])| {
        (rename(&entry.name), entry.shape.clone(), values.to_vec())
    };
    model.parameters().iter().map(tensor).collect()
}

fn file(tensors: &Tensors) -> TensorFile {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    typed(tensors, Dtype::F32, &bytes)
}

fn typed(tensors: &Tensors, dtype: Dtype, bytes: &[Vec<u8>]) -> TensorFile {
    let views = tensors.iter().zip(bytes).map(|((name, shape, _), bytes)| {
        (name.clone(), TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    TensorFile::from_bytes(serialize(views, None).unwrap(), Path::new(PATH)).unwrap()
}

fn with_head(stack: Vec<Layer>, vocabulary: usize, embedding: Option<usize>) -> Model {
    let config = ModelConfig { bias: Bias::Double, vocabulary, embedding, outputs: vocabulary, stack };
    let mut parameters = Parameters::zeros(config.layout());
    let ranges: Vec<_> = parameters.layout.entries().iter().map(|entry| entry.range.clone()).collect();
    for (seed, range) in (1..).zip(ranges) {
        let values = noise(seed, 2001).map(|value| (value as f32 - 1000.0) / 2000.0);
        parameters.values[range].iter_mut().zip(values).for_each(|(to, value)| *to = value);
    }
    Model::with_parameters(config, parameters).unwrap()
}

fn reason(tensors: &Tensors, members: &StateDict) -> String {
    file(tensors).model(members).unwrap_err().to_string()
}

#[test]
fn a_model_has_the_sizes_of_its_tensors() {
    for settings in cells().into_iter().filter(|settings| settings.model.reset == Reset::After) {
        for input in [InputKind::Embedding, InputKind::OneHot] {
            let expected = model(
                &Settings {
                    model: ModelSettings { input, layers: 2, hidden: 6, ..settings.model.clone() },
                    ..settings.clone()
                },
                7,
            );
            let embedding = MEMBERS.embedding.filter(|_| input == InputKind::Embedding);
            let members = StateDict { embedding, activation: settings.model.activation, ..MEMBERS };
            let file = file(&tensors(&expected, &members));
            let found = file.model(&members).unwrap();
            assert_eq!(bits(&found.parameters().values), bits(&expected.parameters().values));
            assert_eq!(found.parameters().layout, expected.parameters().layout);
            let cell = |model: &Model| {
                let layer = &model.config().stack[1];
                (layer.cell, layer.hidden, layer.activation, layer.reset)
            };
            assert_eq!(cell(&found), cell(&expected));
            file.finish().unwrap();
        }
    }
}

#[test]
fn layers_may_have_different_cells_widths_and_projections() {
    let projected = Layer { projection: Some(3), ..Layer::lstm(5) };
    let stack = vec![Layer::gru(4), projected, Layer { activation: Activation::Relu, ..Layer::rnn(6) }];
    let expected = with_head(stack, 7, Some(2));
    let members = StateDict { activation: Activation::Relu, ..MEMBERS };
    let found = file(&tensors(&expected, &members)).model(&members).unwrap();
    assert_eq!(found.parameters(), expected.parameters());
    assert_eq!(found.config(), expected.config());
}

#[test]
fn a_gru_resets_where_the_caller_says() {
    let all = tensors(&with_head(vec![Layer::gru(4)], 7, Some(2)), &MEMBERS);
    for reset in [Reset::After, Reset::Before] {
        let found = file(&all).model(&StateDict { reset, ..MEMBERS }).unwrap();
        assert_eq!((found.config().stack[0].cell, found.config().stack[0].reset), (Cell::Gru, reset));
    }
}

#[test]
fn without_a_head_the_result_is_a_stack_on_vectors() {
    let stack = [Layer::lstm(5), Layer::gru(4)];
    let expected = Model::of_layers(&stack, 3, None, 1).unwrap();
    for rnn in ["", "model.encoder"] {
        let members = StateDict { embedding: None, rnn, head: None, ..MEMBERS };
        let file = file(&tensors(&expected, &members));
        let found = file.model(&members).unwrap();
        assert_eq!(found, file.rnn(rnn, expected.config()).unwrap());
        assert_eq!(found.parameters(), expected.parameters());
        let with_embedding = StateDict { embedding: Some("tokens"), ..members };
        let reason = file.model(&with_embedding).unwrap_err().to_string();
        assert!(reason.starts_with("embedding = a name is invalid"), "{reason}");
    }
}

#[test]
fn omitted_biases_are_zero() {
    let all = tensors(&with_head(vec![Layer::lstm(4)], 7, Some(2)), &MEMBERS);
    let bare: Tensors = all.into_iter().filter(|(name, ..)| !name.contains("bias")).collect();
    let found = file(&bare).model(&MEMBERS).unwrap();
    for name in ["rnn.bias_ih_l0", "rnn.bias_hh_l0", "head.bias"] {
        assert!(found.parameters().get(name).unwrap().iter().all(|value| *value == 0.0), "{name}");
    }
    assert!(found.parameters().get("rnn.weight_hh_l0").unwrap().iter().any(|value| *value != 0.0));
}

#[test]
fn half_precision_is_widened_exactly() {
    let mut all = tensors(&with_head(vec![Layer::gru(4)], 7, Some(2)), &MEMBERS);
    // Multiples of 1/64 below 2: F16 and BF16 have all of them.
    let rounded = |value: f32| (value * 64.0).round() / 64.0;
    all.iter_mut().for_each(|(.., values)| values.iter_mut().for_each(|value| *value = rounded(*value)));
    let expected = file(&all).model(&MEMBERS).unwrap();
    let bf16 = |value: f32| (value.to_bits() >> 16) as u16;
    let f16 = |value: f32| {
        let (sign, exponent) = (value.to_bits() >> 31 << 15, value.to_bits() >> 23 & 255);
        let mantissa = value.to_bits() >> 13 & 1023;
        (if value == 0.0 { sign } else { sign | (exponent - 112) << 10 | mantissa }) as u16
    };
    let bytes = |narrow: &dyn Fn(f32) -> u16| -> Vec<Vec<u8>> {
        all.iter()
            .map(|(.., values)| values.iter().flat_map(|v| narrow(*v).to_le_bytes()).collect())
            .collect()
    };
    for (dtype, bytes) in [(Dtype::BF16, bytes(&bf16)), (Dtype::F16, bytes(&f16))] {
        let file = typed(&all, dtype, &bytes);
        assert!(file.tensors().iter().all(|tensor| tensor.dtype.name() == dtype.to_string()));
        assert_eq!(file.model(&MEMBERS).unwrap(), expected, "{dtype}");
    }
}

#[test]
fn a_tensor_that_does_not_fit_is_named() {
    let good = tensors(&with_head(vec![Layer::lstm(4), Layer::lstm(4)], 7, Some(2)), &MEMBERS);
    let changed = |name: &str, shape: &[usize]| {
        let mut all = good.clone();
        let tensor = all.iter_mut().find(|tensor| tensor.0 == name).unwrap();
        (tensor.1, tensor.2) = (shape.to_vec(), vec![0.5; shape.iter().product()]);
        reason(&all, &MEMBERS)
    };
    for (name, shape, expected) in [
        ("tokens.weight", &[14][..], "found F32 [14], expected a matrix"),
        ("model.to_logits.weight", &[7, 5], "found F32 [7, 5], expected F32 [7, 4]"),
        ("model.to_logits.weight", &[0, 4], "found no rows, expected at least one row"),
        ("model.encoder.rnn.weight_hh_l0", &[16], "found F32 [16], expected a matrix"),
        (
            "model.encoder.rnn.weight_hh_l1",
            &[20, 4],
            "found shape [20, 4], expected 4 (LSTM), 3 (GRU) or 1 (RNN) times 4 rows",
        ),
        ("model.encoder.rnn.weight_hh_l1", &[16, 0], "found shape [16, 0]"),
        ("model.encoder.rnn.weight_ih_l1", &[16, 3], "found F32 [16, 3], expected F32 [16, 4]"),
        ("model.encoder.rnn.bias_ih_l1", &[15], "found F32 [15], expected F32 [16]"),
    ] {
        let found = changed(name, shape);
        let expected = format!("{PATH}: tensor {name}: {expected}");
        assert!(found.starts_with(&expected), "{found}");
    }
}

#[test]
fn a_member_with_another_name_is_an_error() {
    let good = tensors(&with_head(vec![Layer::lstm(4)], 7, Some(2)), &MEMBERS);
    for (members, tensor) in [
        (StateDict { rnn: "encoder", ..MEMBERS }, "encoder.weight_ih_l0"),
        (StateDict { head: Some("head"), ..MEMBERS }, "head.weight"),
        (StateDict { embedding: Some("embedding"), ..MEMBERS }, "embedding.weight"),
    ] {
        let reason = reason(&good, &members);
        assert!(
            reason.starts_with(&format!("{PATH}: tensor {tensor}: found nothing, expected ")),
            "{reason}"
        );
    }
    let one_hot = reason(&good, &StateDict { embedding: None, ..MEMBERS });
    assert!(one_hot.contains("found 2 columns, expected one for each of 7 symbols"), "{one_hot}");
}

#[test]
fn unused_tensors_of_the_members_are_an_error() {
    let good = tensors(&with_head(vec![Layer::lstm(4)], 7, Some(2)), &MEMBERS);
    for extra in ["model.encoder.rnn.weight_ih_l5", "model.to_logits.scale", "tokens.bias"] {
        let mut all = good.clone();
        all.push((extra.to_owned(), vec![1], vec![0.5]));
        let reason = reason(&all, &MEMBERS);
        assert!(reason.contains(&format!("no place in the model: {extra} F32 [1]")), "{reason}");
    }
    let mut all = good;
    all.push(("model.encoder.norm.weight".to_owned(), vec![1], vec![0.5]));
    let file = file(&all);
    file.model(&MEMBERS).unwrap();
    assert!(file.finish().unwrap_err().to_string().contains("model.encoder.norm.weight"));
}

/// Shapes with a zero need no bytes in the file, whatever their other sizes.
#[test]
fn huge_empty_tensors_allocate_nothing() {
    const HUGE: usize = 1 << 60;
    let empty = |name: &str, shape: [usize; 2]| (format!("model.{name}"), shape.to_vec(), Vec::new());
    let members = StateDict { embedding: None, rnn: "model", head: None, ..MEMBERS };
    for (ih, hh) in [([HUGE, 0], [HUGE, HUGE / 4]), ([HUGE, 0], [HUGE, 0]), ([0, HUGE], [0, HUGE])] {
        let tensors = vec![empty("weight_ih_l0", ih), empty("weight_hh_l0", hh)];
        if tensors.iter().all(|(_, shape, _)| shape.contains(&0)) {
            reason(&tensors, &members);
        }
    }
    let hr = vec![
        empty("weight_ih_l0", [4 * (HUGE >> 4), 0]),
        empty("weight_hh_l0", [4 * (HUGE >> 4), 0]),
        empty("weight_hr_l0", [0, HUGE >> 4]),
    ];
    reason(&hr, &members);
    let head = vec![
        ("model.weight_ih_l0".to_owned(), vec![4, 1], vec![0.5; 4]),
        ("model.weight_hh_l0".to_owned(), vec![4, 1], vec![0.5; 4]),
        ("head.weight".to_owned(), vec![HUGE, 0], Vec::new()),
        ("tokens.weight".to_owned(), vec![HUGE, 0], Vec::new()),
    ];
    reason(&head, &StateDict { rnn: "model", head: Some("head"), ..MEMBERS });
}

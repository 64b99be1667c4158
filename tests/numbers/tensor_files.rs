//! Files of other programs: every unused tensor is an error, and other number types are read
//! exactly.

use safetensors::tensor::{Dtype, TensorView, serialize};
use std::path::Path;
use unrolled::checkpoint::{TensorFile, TensorInfo, TensorType};
use unrolled::fixed::{Linear, Lstm, Stage as _};
use unrolled::model::{Model, ModelConfig};
use unrolled::network::{Network, Window};
use unrolled::{Bias, Layer, ModelSettings, Settings};

/// Names, shapes and values.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn file(tensors: &Tensors) -> TensorFile {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    TensorFile::from_bytes(serialize(views, None).unwrap(), Path::new("net.safetensors")).unwrap()
}

/// The weights of a stack under PyTorch's names, with `module` instead of `rnn` and `suffix` at the
/// end.
fn tensors(model: &Model, module: &str, suffix: &str) -> Tensors {
    let named = |(entry, values): (&unrolled::model::TensorEntry, &[f32])| {
        let name = entry.name.strip_prefix("rnn.").unwrap();
        (format!("{module}{name}{suffix}"), entry.shape.clone(), values.to_vec())
    };
    model.parameters().iter().map(named).collect()
}

fn model(stack: &[Layer], inputs: usize, seed: u64) -> Model {
    Model::of_layers(stack, inputs, None, seed).unwrap()
}

fn two_layers() -> Tensors {
    let mut all = tensors(&model(&[Layer::lstm(6), Layer::lstm(6)], 3, 1), "rnn.", "");
    all.push(("head.weight".to_owned(), vec![2, 6], vec![0.5; 12]));
    all.push(("head.bias".to_owned(), vec![2], vec![0.5; 2]));
    all
}

fn names(tensors: &[&TensorInfo]) -> Vec<String> {
    tensors.iter().map(|tensor| tensor.name.clone()).collect()
}

#[test]
fn a_file_lists_its_tensors_and_the_unused_ones() {
    let file = file(&two_layers());
    let head = file.find("head.weight").unwrap();
    assert_eq!((head.to_string(), file.tensors().len()), ("head.weight F32 [2, 6]".to_owned(), 10));
    assert_eq!(file.unused().len(), 10);
    file.floats("rnn.weight_ih_l0", &[24, 3]).unwrap();
    file.floats("rnn.weight_hh_l0", &[24, 7]).unwrap_err();
    assert_eq!(file.unused().len(), 9, "a tensor of another shape is not used");
    let clone = file.clone();
    file.ignore("rnn.*").unwrap();
    assert_eq!(names(&file.unused()), ["head.bias", "head.weight"]);
    assert_eq!(clone.unused().len(), 9);
    let text = file.finish().unwrap_err().to_string();
    assert!(text.starts_with("net.safetensors: these tensors have no place in the model"), "{text}");
    assert!(
        text.contains("in the model: head.bias F32 [2], head.weight F32 [2, 6]; add their layers"),
        "{text}"
    );
    file.ignore("head.bias").unwrap();
    let _: Linear<6, 2> = clone.linear("head").unwrap();
    file.floats("head.weight", &[2, 6]).unwrap();
    file.finish().unwrap();
    let text = file.ignore("head.scale").unwrap_err().to_string();
    assert!(text.contains("tensor head.scale: found nothing, expected a tensor to ignore"), "{text}");
}

#[test]
fn a_cell_of_one_layer_from_a_file_of_two_is_an_error() {
    let file = file(&two_layers());
    let text = file.cell("rnn", 0).map(|_: Lstm<3, 6>| ()).unwrap_err().to_string();
    assert!(
        text.contains("in the model: rnn.bias_hh_l1 F32 [24], rnn.bias_ih_l1")
            && text.contains("net.safetensors"),
        "{text}"
    );
    let text = file.stack("rnn", 1).unwrap_err().to_string();
    assert!(text.contains("rnn.weight_ih_l1"), "{text}");
    let config = ModelConfig::of_stack(&[Layer::lstm(6)], 3, Bias::Double).unwrap();
    let text = file.rnn("rnn", &config).unwrap_err().to_string();
    assert!(text.contains("rnn.weight_ih_l1"), "{text}");
    // With all layers, and with one layer on purpose.
    let stack = file.stack("rnn", 2).unwrap();
    let (mut first, mut second): (Lstm<3, 6>, Lstm<6, 6>) = (stack.cell(0).unwrap(), stack.cell(1).unwrap());
    let text = stack.cell(2).map(|_: Lstm<6, 6>| ()).unwrap_err().to_string();
    assert_eq!(text, "tensor rnn: found layer 2, expected a layer below 2, as given to TensorFile::stack");
    let config = ModelConfig::of_stack(&[Layer::lstm(6), Layer::lstm(6)], 3, Bias::Double).unwrap();
    let mut rnn = Network::new(file.rnn("rnn", &config).unwrap(), Some(1)).unwrap();
    let (inputs, mut outputs) = ([0.25, -0.5, 1.0], [0.0; 6]);
    rnn.forward(&Window::new(1, 1, &inputs), &mut outputs).unwrap();
    assert_eq!(super::bits(second.step(first.step(&inputs))), super::bits(&outputs));
    let partial = self::file(&two_layers());
    partial.ignore("rnn.weight_ih_l1").unwrap();
    partial.cell("rnn", 0).map(|_: Lstm<3, 6>| ()).unwrap_err();
    partial.ignore("rnn.*_l1").unwrap_err();
    for name in ["weight_hh_l1", "bias_ih_l1", "bias_hh_l1"] {
        partial.ignore(&format!("rnn.{name}")).unwrap();
    }
    let _: Lstm<3, 6> = partial.cell("rnn", 0).unwrap();
}

#[test]
fn unused_tensors_of_a_module_are_an_error() {
    let one = tensors(&model(&[Layer::lstm(6)], 3, 1), "rnn.", "");
    let config = ModelConfig::of_stack(&[Layer::lstm(6)], 3, Bias::Double).unwrap();
    for extra in
        ["weight_ih_l0_reverse", "weight_hr_l0", "weight_peephole_l0", "bias_l0", "weight_hh_l0_orig"]
    {
        let mut all = one.clone();
        all.push((format!("rnn.{extra}"), vec![1], vec![0.5]));
        let file = file(&all);
        let texts = [
            file.cell("rnn", 0).map(|_: Lstm<3, 6>| ()).unwrap_err().to_string(),
            file.rnn("rnn", &config).unwrap_err().to_string(),
        ];
        assert!(
            texts.iter().all(|text| text.contains(&format!("in the model: rnn.{extra} F32 [1];"))),
            "{texts:?}"
        );
    }
    let mut all = one;
    all.push(("rnn2.weight_ih_l0".to_owned(), vec![1], vec![0.5]));
    let file = file(&all);
    let _: Lstm<3, 6> = file.cell("rnn", 0).unwrap();
    assert!(file.finish().unwrap_err().to_string().contains("rnn2.weight_ih_l0"));
}

#[test]
fn modules_without_biases_have_zero_biases() {
    let bare = |tensors: Tensors| tensors.into_iter().filter(|(name, ..)| !name.contains("bias")).collect();
    let with_zeros = |tensors: Tensors| -> Tensors {
        let zero = |(name, shape, values): (String, Vec<usize>, Vec<f32>)| match name.contains("bias") {
            true => (name, shape, vec![0.0; values.len()]),
            false => (name, shape, values),
        };
        tensors.into_iter().map(zero).collect()
    };
    let (bare, zeros): (Tensors, Tensors) = (bare(two_layers()), with_zeros(two_layers()));
    let answer = |tensors: &Tensors| {
        let file = file(tensors);
        let stack = file.stack("rnn", 2).unwrap();
        let mut cells: (Lstm<3, 6>, Lstm<6, 6>) = (stack.cell(0).unwrap(), stack.cell(1).unwrap());
        let mut head: Linear<6, 2> = file.linear("head").unwrap();
        file.finish().unwrap();
        *head.step(cells.1.step(cells.0.step(&[0.25, -0.5, 1.0])))
    };
    assert_eq!(answer(&bare), answer(&zeros));
    let half: Tensors = two_layers().into_iter().filter(|(name, ..)| name != "rnn.bias_hh_l0").collect();
    let text = file(&half).stack("rnn", 2).unwrap().cell(0).map(|_: Lstm<3, 6>| ()).unwrap_err().to_string();
    assert!(text.contains("tensor rnn.bias_hh_l0: found nothing, expected F32 [24]"), "{text}");
}

#[test]
fn both_directions_come_from_one_module() {
    let [forward, backward] = [1, 2].map(|seed| model(&[Layer::gru(5)], 3, seed));
    let both = [tensors(&forward, "", ""), tensors(&backward, "", "_reverse")].concat();
    let file = file(&both);
    let config = forward.config();
    assert!(file.rnn("", config).unwrap_err().to_string().contains("weight_ih_l0_reverse"));
    let layer = Layer { bidirectional: true, ..Layer::gru(5) };
    let found = file.rnn("", &ModelConfig::of_stack(&[layer], 3, Bias::Double).unwrap()).unwrap();
    file.finish().unwrap();
    for (model, end) in [(&forward, ""), (&backward, "_reverse")] {
        for (entry, values) in model.parameters().iter() {
            assert_eq!(found.parameters().get(&format!("{}{end}", entry.name)), Some(values));
        }
    }
    let vocabulary = ModelConfig::new(&ModelSettings::default(), 7).unwrap();
    let text = file.rnn("", &vocabulary).unwrap_err().to_string();
    assert!(text.contains("vocabulary = 7 is invalid"), "{text}");
    let head = ModelConfig::of_vectors(&ModelSettings::gru(5).on_vectors(3, 2)).unwrap();
    let text = file.rnn("", &head).unwrap_err().to_string();
    assert!(text.starts_with("outputs = 2 is invalid: a stack has no head"), "{text}");
}

#[test]
fn f16_bf16_and_f64_are_read_exactly() {
    let read = |dtype: Dtype, bytes: Vec<u8>| {
        let view = TensorView::new(dtype, vec![3], &bytes).unwrap();
        let bytes = serialize([("x", view)], None).unwrap();
        TensorFile::from_bytes(bytes, Path::new("net")).unwrap().floats("x", &[3])
    };
    let pairs = |values: [u16; 3]| values.map(u16::to_le_bytes).concat();
    assert_eq!(
        read(Dtype::F16, pairs([0x3c00, 0xb555, 0x0001])).unwrap(),
        [1.0, -0.333_251_95, 5.960_464_5e-8]
    );
    assert_eq!(read(Dtype::BF16, pairs([0x3f80, 0xbf00, 0x4049])).unwrap(), [1.0, -0.5, 3.140_625]);
    assert_eq!(
        read(Dtype::F64, [1.0f64, -0.5, 0.25].map(f64::to_le_bytes).concat()).unwrap(),
        [1.0, -0.5, 0.25]
    );
    let text = read(Dtype::F16, pairs([0x3c00, 0x7c00, 0])).unwrap_err().to_string();
    assert!(text.contains("tensor x: found inf, expected finite numbers"), "{text}");
    assert!(
        read(Dtype::F64, [0.1f64; 3].map(f64::to_le_bytes).concat())
            .unwrap_err()
            .to_string()
            .contains("tensor.float()")
    );
}

#[test]
fn the_moments_of_a_checkpoint_are_not_part_of_its_model() {
    let settings = Settings {
        model: ModelSettings { hidden: 8, ..super::run_of(&Settings::default(), 0.0).model },
        ..super::run_of(&Settings::default(), 0.0)
    };
    let checkpoint =
        unrolled::train::Training::new(super::text(3000), settings, Some(1)).unwrap().checkpoint();
    let file = TensorFile::from_bytes(checkpoint.to_bytes().unwrap(), Path::new("run")).unwrap();
    assert!(file.tensors().len() > file.unused().len());
    assert_eq!(names(&file.unused()).len(), checkpoint.parameters.layout.entries().len());
}

/// A file with one tensor of each of some types.
fn typed_file() -> TensorFile {
    let types = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F64, Dtype::I64, Dtype::BOOL];
    let bytes = types.map(|dtype| vec![0; 6 * dtype.bitsize() / 8]);
    let views = types.iter().zip(&bytes).map(|(dtype, bytes)| {
        (format!("net/of.{dtype}"), TensorView::new(*dtype, vec![2, 3], bytes).unwrap())
    });
    TensorFile::from_bytes(serialize(views, None).unwrap(), Path::new("net.safetensors")).unwrap()
}

#[test]
fn tensors_are_listed_with_name_type_and_shape() {
    let file = typed_file();
    let types = file.tensors().iter().map(|tensor| tensor.dtype.clone()).collect::<Vec<_>>();
    let other = |name: &str| TensorType::Other(name.to_owned());
    for dtype in
        [TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::F64, other("I64"), other("BOOL")]
    {
        let index = types.iter().position(|found| *found == dtype).unwrap();
        let name = format!("net/of.{}", dtype.name());
        assert_eq!((file.names().nth(index), &*file.tensors()[index].shape), (Some(&*name), &[2, 3][..]));
        assert_eq!(file.find(&name).unwrap().to_string(), format!("{name} {dtype} [2, 3]"));
    }
    for (module, count) in [("", 6), ("net/of", 6), ("net/", 6), ("net", 0), ("net/o", 0)] {
        assert_eq!(file.tensors_of(module).count(), count, "{module}");
    }
}

#[test]
fn other_number_types_are_an_error() {
    let file = typed_file();
    for name in ["F32", "F16", "BF16", "F64"] {
        assert_eq!(file.floats(&format!("net/of.{name}"), &[2, 3]).unwrap(), [0.0; 6]);
    }
    for name in ["I64", "BOOL"] {
        let reason = file.floats(&format!("net/of.{name}"), &[2, 3]).unwrap_err().to_string();
        let expected = format!(
            "net.safetensors: tensor net/of.{name}: found {name} [2, 3], expected F32 [2, 3] (in Python: "
        );
        assert!(reason.starts_with(&expected), "{reason}");
    }
    assert_eq!(file.unused().len(), 2);
}

#[test]
fn a_matrix_has_the_shape_of_its_tensor() {
    let values: Vec<f32> = (0..6u8).map(f32::from).collect();
    let file = file(&vec![
        ("model.embed.weight".to_owned(), vec![2, 3], values.clone()),
        ("model.embed.bias".to_owned(), vec![6], values.clone()),
    ]);
    let embedding = file.embedding("model.embed").unwrap();
    assert_eq!((embedding.rows, embedding.columns, &embedding.values), (2, 3, &values));
    assert_eq!(embedding.row(1), &values[3..]);
    assert_eq!(file.matrix("model.embed.weight").unwrap(), embedding);
    let reason = |name: &str| file.matrix(name).unwrap_err().to_string();
    assert!(reason("model.embed.bias").contains("found F32 [6], expected a matrix"));
    assert!(reason("embed.weight").contains("tensor embed.weight: found nothing, expected a matrix"));
}

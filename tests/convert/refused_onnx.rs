//! ONNX files that are refused: the message names the node, the operator and the attribute.

use super::onnx_file::{
    Attribute::{Float, Int, Ints, Text, Texts},
    Message, OnnxFile, floats, ints, tensor, value,
};
use unrolled::convert::{Converted, Options, from_bytes};

fn read(file: &OnnxFile, ignore: &[&str]) -> unrolled::Result<Converted> {
    let ignore: Vec<String> = ignore.iter().map(|name| (*name).to_owned()).collect();
    from_bytes(file.bytes(), "net.onnx".as_ref(), &Options { ignore: &ignore, ..Options::default() })
}

/// Asserts that a file is refused with this message.
fn refused(file: &OnnxFile, expected: &str) {
    let message = read(file, &[]).expect_err(expected).to_string();
    let found = message.strip_prefix("cannot import net.onnx: ").expect(&message);
    assert!(found.starts_with(expected), "found   {found}\nexpected {expected}");
    assert!(!message.contains('\n'));
}

/// A graph whose output passes through a node of this operator.
fn after(operator: &str, more: &[&str], attributes: Vec<super::onnx_file::Attribute>) -> OnnxFile {
    let mut file = OnnxFile::lstm(Vec::new());
    file.node(operator, &[&["h"], more].concat(), &["y"], attributes);
    file
}

#[test]
fn the_plain_file_is_read() {
    let converted = read(&OnnxFile::plain(), &[]).expect("a model");
    assert_eq!(converted.model.config().stack[0].hidden, 2);
    assert!(
        !converted.last_step && converted.notes == ["the arrays of the file are [steps, batch rows, ...]"]
    );
    let became: Vec<(&str, &str)> =
        converted.parts.iter().map(|part| (part.name.as_str(), part.became.as_str())).collect();
    assert!(became.contains(&("x", "the inputs")) && became.contains(&("y", "the outputs")), "{became:?}");
    assert!(became.contains(&("W", "layer 0: LSTM of 2 units")), "{became:?}");
    assert!(became.contains(&("the LSTM", "layer 0: LSTM of 2 units")), "{became:?}");
}

#[test]
fn a_note_tells_the_order_of_all_axes() {
    let mut file = OnnxFile::new();
    file.constants = vec![floats("W", &[1, 8, 3]), floats("R", &[1, 8, 2]), ints("one", &[1])];
    file.node("Transpose", &["x"], &["t"], vec![Ints("perm", vec![2, 1, 0])]);
    file.node("LSTM", &["t", "W", "R"], &["Y"], Vec::new());
    file.node("Squeeze", &["Y", "one"], &["y"], Vec::new());
    let notes = read(&file, &[]).expect("a model").notes;
    assert_eq!(notes, ["the arrays of the file are [features, batch rows, steps]"]);
}

#[test]
fn attributes_of_recurrent_layers_are_refused_by_name() {
    let cases = [
        (Float("clip", 3.0), "node the LSTM (LSTM): attribute clip is not supported"),
        (
            Text("direction", "reverse"),
            "node the LSTM (LSTM): attribute direction = reverse is not supported",
        ),
        (Int("input_forget", 1), "node the LSTM (LSTM): attribute input_forget = 1 is not supported"),
        (Int("hidden_size", 3), "node the LSTM (LSTM): attribute hidden_size = 3, but R has 2 units"),
        (
            Texts("activations", vec!["HardSigmoid", "Tanh", "Tanh"]),
            "node the LSTM (LSTM): attribute activations = [\"HardSigmoid\", \"Tanh\", \"Tanh\"] is not supported",
        ),
        (
            Text("direction", "bidirectional"),
            "node the LSTM (LSTM): W and R have 1 and 1 directions, expected 2",
        ),
        (Int("layout", 1), ""),
    ];
    for (attribute, expected) in cases {
        let mut file = OnnxFile::lstm(vec![attribute]);
        file.node("Identity", &["h"], &["y"], Vec::new());
        match expected {
            "" => assert!(
                read(&file, &[]).is_err_and(|error| error.to_string().contains("(Squeeze): axis 1 is"))
            ),
            expected => refused(&file, expected),
        }
    }
}

#[test]
fn operators_are_refused_by_name() {
    refused(
        &after("LayerNormalization", &[], Vec::new()),
        "node the LayerNormalization (LayerNormalization): this operator",
    );
    refused(
        &after("Softmax", &[], vec![Int("axis", -1)]),
        "node the Softmax (Softmax): the model has no place for it",
    );
    refused(
        &after("Dropout", &["", "one"], Vec::new()),
        "node the Dropout (Dropout): input training_mode is not supported",
    );
    refused(
        &after("Cast", &[], vec![Int("to", 10)]),
        "node the Cast (Cast): attribute to = 10 is not supported",
    );
    refused(&after("Mul", &["one"], Vec::new()), "node the Mul (Mul): it reads the output of a layer");
    refused(
        &after("Transpose", &[], vec![Ints("perm", vec![0, 0, 1])]),
        "node the Transpose (Transpose): found perm",
    );
    refused(
        &after("Concat", &["h"], vec![Int("axis", 2)]),
        "node the Concat (Concat): it joins outputs of layers",
    );
    refused(
        &after("Gather", &["one"], vec![Int("axis", 0)]),
        "node the Gather (Gather): found item 1 of axis 0",
    );
    let mut gemm = after("Gemm", &["K"], vec![Float("alpha", 0.5)]);
    gemm.constants.push(floats("K", &[2, 4]));
    refused(&gemm, "node the Gemm (Gemm): attribute alpha = 0.5 is not supported, expected 1");
    let mut custom = after("Gelu", &[], Vec::new());
    let node = custom.nodes.pop().expect("a node").bytes(7, "com.microsoft");
    custom.nodes.push(node);
    refused(&custom, "node the Gelu (com.microsoft.Gelu): this operator is not supported");
}

#[test]
fn a_node_can_be_left_out_by_name() {
    let file = after("Softmax", &[], vec![Int("axis", -1)]);
    let converted = read(&file, &["the Softmax"]).expect("the logits");
    assert!(converted.parts.iter().any(|part| part.name == "the Softmax" && part.became == "ignored"));
    let error = read(&OnnxFile::plain(), &["other"]).expect_err("no such name").to_string();
    assert!(error.contains("found nothing named other to ignore"), "{error}");
}

#[test]
fn nothing_is_dropped_silently() {
    let mut unused = OnnxFile::plain();
    unused.constants.push(floats("rest", &[4]));
    refused(&unused, "initializer rest does not reach an output; leave it out (--ignore rest)");
    assert!(read(&unused, &["rest"]).is_ok());
    let mut dead = OnnxFile::plain();
    dead.node("Tanh", &["h"], &["nowhere"], Vec::new());
    refused(&dead, "node (Tanh) the Tanh does not reach an output");
    let mut input = OnnxFile::plain();
    input.inputs.push(value("gain", 1));
    refused(&input, "no layer reads the input gain");
    let mut inner = OnnxFile::plain();
    inner.constants.push(floats("K", &[2, 4]));
    inner.node("MatMul", &["h", "K"], &["z"], Vec::new());
    inner.outputs.push(value("z", 3));
    refused(&inner, "output y is that of an inner layer");
    assert_eq!(read(&inner, &["y"]).expect("z").model.config().outputs, 4);
    let mut branches = OnnxFile::lstm(Vec::new());
    branches.constants.extend([floats("K", &[2, 4]), floats("L", &[2, 4])]);
    branches.node("MatMul", &["h", "K"], &["a"], Vec::new());
    branches.node("MatMul", &["h", "L"], &["y"], Vec::new());
    branches.outputs.push(value("a", 3));
    refused(
        &branches,
        "node the MatMul (MatMul): it reads the output of a layer that another layer reads too",
    );
}

#[test]
fn states_are_zero_or_inputs() {
    let with_state = |state: Message| {
        let mut file = OnnxFile::new();
        file.constants =
            vec![floats("W", &[1, 8, 3]), floats("R", &[1, 8, 2]), floats("B", &[1, 16]), ints("one", &[1])];
        file.constants.push(state);
        file.node("LSTM", &["x", "W", "R", "B", "", "h0"], &["Y"], Vec::new());
        file.node("Squeeze", &["Y", "one"], &["y"], Vec::new());
        file
    };
    refused(
        &with_state(floats("h0", &[1, 1, 2])),
        "node the LSTM (LSTM): its input initial_h is a constant that is not zero",
    );
    assert!(read(&with_state(tensor("h0", &[1, 1, 2], 1, vec![0; 8])), &[]).is_ok());
    // An exporter that dropped a projection leaves a state of another width.
    refused(
        &with_state(tensor("h0", &[1, 1, 3], 1, vec![0; 12])),
        "node the LSTM (LSTM): its input initial_h has shape [1, 1, 3], expected 2 values for each row",
    );
    let mut last = OnnxFile::lstm(Vec::new());
    last.nodes.clear();
    last.constants.push(floats("K", &[2, 4]));
    last.node("LSTM", &["x", "W", "R", "B"], &["", "", "c"], Vec::new());
    last.node("MatMul", &["c", "K"], &["y"], Vec::new());
    last.constants.remove(3);
    refused(&last, "node the MatMul (MatMul): it reads a last state, expected the outputs of a layer");
    let mut lengths = OnnxFile::new();
    lengths.constants =
        vec![floats("W", &[1, 8, 3]), floats("R", &[1, 8, 2]), floats("B", &[1, 16]), ints("one", &[1])];
    lengths.constants.push(ints("lengths", &[3, 2]));
    lengths.node("LSTM", &["x", "W", "R", "B", "lengths"], &["Y"], Vec::new());
    lengths.node("Squeeze", &["Y", "one"], &["y"], Vec::new());
    refused(&lengths, "node the LSTM (LSTM): its input sequence_lens is integers, expected none");
}

#[test]
fn shapes_and_numbers_are_checked() {
    let change = |name: &str, tensor: Message| {
        let mut file = OnnxFile::plain();
        // The field with the name: tag 8, the length, the name.
        let field = [&[0x42, name.len() as u8], name.as_bytes()].concat();
        file.constants.retain(|constant| !constant.0.windows(field.len()).any(|at| at == field));
        file.constants.push(tensor);
        file
    };
    refused(
        &change("W", floats("W", &[8, 3])),
        "node the LSTM (LSTM): W and R have shapes [8, 3] and [1, 8, 2]",
    );
    refused(&change("W", floats("W", &[1, 6, 3])), "node the LSTM (LSTM): W and R have shapes");
    refused(
        &change("B", floats("B", &[1, 8])),
        "node the LSTM (LSTM): its input B has shape [1, 8], expected [1, 16]",
    );
    let short = tensor("W", &[1, 8, 3], 1, vec![0; 10]);
    refused(&change("W", short), "initializer W: found 10 bytes, expected 24 numbers");
    let huge = tensor("W", &[1, usize::MAX / 2, 9], 1, Vec::new());
    refused(&change("W", huge), "initializer W: its shape is too large");
    let int8 = tensor("W", &[1, 8, 3], 3, vec![0; 24]);
    refused(&change("W", int8), "initializer W: found numbers of type 3, expected F32");
    let nan = tensor("W", &[1, 8, 3], 1, f32::NAN.to_le_bytes().repeat(24));
    refused(&change("W", nan), "rnn.weight_ih_l0: found NaN, expected finite numbers");
}

#[test]
fn tensors_in_other_files_stay_in_the_folder() {
    let external = |location: &str, offset: &str| {
        let entry = |key: &str, value: &str| Message::default().bytes(1, key).bytes(2, value).0;
        let shape = Message::default().int(1, 1).int(1, 8).int(1, 3).int(2, 1).bytes(8, "W");
        let tensor =
            shape.bytes(13, entry("location", location)).bytes(13, entry("offset", offset)).int(14, 1);
        let mut file = OnnxFile::plain();
        file.constants[0] = tensor;
        file
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("inner")).expect("a folder");
    let path = folder.path().join("inner/net.onnx");
    std::fs::write(folder.path().join("inner/W.bin"), vec![0; 200]).expect("written");
    std::fs::write(folder.path().join("secret"), vec![0; 200]).expect("written");
    let read = |file: &OnnxFile| {
        from_bytes(file.bytes(), &path, &Options::default()).map_err(|error| error.to_string())
    };
    assert!(read(&external("W.bin", "8")).is_ok());
    let refused = |location: &str, offset: &str, expected: &str| {
        let error = read(&external(location, offset)).expect_err(location);
        assert!(error.contains(expected), "{error}");
    };
    refused("../secret", "0", "expected a file in the folder of the graph");
    refused("/etc/hostname", "0", "expected a file in the folder of the graph");
    refused("", "0", "expected a file in the folder of the graph");
    refused("W.bin", "200", "the file ends before 200 + 96 bytes");
    refused("W.bin", "18446744073709551615", "the file ends before");
    refused("none.bin", "0", "cannot be read");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("inner/link"))
            .expect("a link");
        refused("link", "0", "is a link out of the folder of the graph");
    }
}

#[test]
fn small_files_cannot_need_much_memory() {
    let mut deep = OnnxFile::plain();
    deep.inputs = vec![value("x", 9)];
    refused(&deep, "found an input of 9 dimensions, expected at most 8");
    // Integers of one byte each, packed, would take eight times their memory.
    let mut shape = OnnxFile::plain();
    shape.constants.push(Message::default().bytes(1, vec![1; 1 << 17]).int(2, 1).bytes(8, "many"));
    refused(&shape, "found a list of numbers of 131072 bytes, expected at most 65536");
    // A slice and a transpose of nothing with huge sizes.
    let mut empty = OnnxFile::plain();
    empty.constants.push(tensor("none", &[0, usize::MAX >> 2, 9], 1, Vec::new()));
    refused(&empty, "initializer none does not reach an output");
    empty.node("Transpose", &["none"], &["turned"], Vec::new());
    empty.outputs.push(value("turned", 3));
    refused(&empty, "initializer none: its shape is too large");
    // A chain of constants that would double its size at each node.
    let mut file = OnnxFile::plain();
    file.constants.push(floats("c0", &[1, 1 << 10]));
    for number in 0..40 {
        let (from, to) = (format!("c{number}"), format!("c{}", number + 1));
        file.node("Concat", &[&from, &from], &[&to], vec![Int("axis", 0)]);
    }
    file.outputs.push(value("c40", 2));
    refused(&file, "node the Concat (Concat): the graph is too large, or copies its constants too often");
    // A linear layer of many units as an RNN layer has a square of them.
    let mut wide = OnnxFile::lstm(Vec::new());
    wide.constants.push(floats("K", &[2, 100_000]));
    wide.node("MatMul", &["h", "K"], &["z"], Vec::new());
    wide.node("Tanh", &["z"], &["y"], Vec::new());
    refused(&wide, "the MatMul: found a linear layer of 100000 units that is not the last layer");
    let mut many = OnnxFile::plain();
    many.nodes = vec![Message::default(); 1 << 21];
    refused(&many, "found more than 1048576 fields");
}

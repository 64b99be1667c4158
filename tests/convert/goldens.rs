//! Files of PyTorch's exporters, tf2onnx, Keras, RTNeural and GuitarML: the outputs are those of
//! the program that wrote them.

use super::golden::{Golden, names};

/// Files that are refused, each with a part of the message.
const REFUSED: &[(&str, &str)] = &[
    // Loops over the steps.
    ("keras-gru-before.onnx", "(Less): this operator is not supported"),
    ("keras-rnn.onnx", "(Less): this operator is not supported"),
    ("keras-softmax.onnx", "(Softmax): the model has no place for it; leave it out (--ignore "),
    // This exporter writes each step of an RNN as nodes of its own.
    (
        "torch-dynamo-rnn-relu.onnx",
        "node node_Slice_17 (Slice): found a slice from 0 to 1 of axis 0 of the input (6)",
    ),
];

#[test]
fn every_file_has_the_outputs_of_the_program_that_wrote_it() {
    let mut failed = Vec::new();
    let mut read = 0;
    for name in names() {
        let golden = Golden::of(&name);
        match (golden.load(), REFUSED.iter().find(|(refused, _)| *refused == name)) {
            (Ok(converted), None) => {
                golden.compare(&converted.model, converted.last_step);
                assert!(
                    converted.parts.iter().all(|part| !part.became.is_empty()),
                    "{name} {:?}",
                    converted.parts
                );
                read += 1;
            }
            (Err(error), Some((_, expected))) if error.to_string().contains(expected) => {}
            (Err(error), _) => failed.push(error.to_string()),
            (Ok(_), Some(_)) => failed.push(format!("{name} was read")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(read > 30, "{read} files");
}

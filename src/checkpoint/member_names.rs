//! The names of a model's members in a file, and its parameters under them.

use super::tensor_file::TensorFile;
use crate::{
    Result,
    model::{ParameterLayout, Parameters},
};

/// The start of the tensor names of each member of a model.
pub(super) struct MemberNames {
    /// `embedding.` in a checkpoint.
    pub(super) embedding: String,
    /// `rnn.` in a checkpoint.
    pub(super) rnn: String,
    /// `head.` in a checkpoint.
    pub(super) head: String,
}

impl MemberNames {
    /// The members of a checkpoint, with `prefix` before each.
    pub(super) fn below(prefix: &str) -> Self {
        let [embedding, rnn, head] = ["embedding.", "rnn.", "head."].map(|name| format!("{prefix}{name}"));
        Self { embedding, rnn, head }
    }

    /// Returns the name in the file of a parameter with the name `ours` in a model.
    pub(super) fn in_file(&self, ours: &str) -> String {
        let members = [("embedding.", &self.embedding), ("rnn.", &self.rnn), ("head.", &self.head)];
        let found = members.iter().find_map(|(member, theirs)| Some((theirs, ours.strip_prefix(member)?)));
        found.map_or_else(|| ours.to_owned(), |(theirs, rest)| format!("{theirs}{rest}"))
    }

    /// Reads the parameter with the name `ours` in a model. Biases that the file omits together are
    /// zero.
    pub(super) fn read(&self, file: &TensorFile, ours: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match omitted_together(ours) {
            Some(other) => {
                let mut both = file.biases(&[self.in_file(ours), self.in_file(&other)], shape)?;
                Ok(both.swap_remove(0))
            }
            None => file.floats(&self.in_file(ours), shape),
        }
    }
}

/// Joins the values of all parameters, in the layout's order. Call it after all were found in the
/// file: until then no header makes the program allocate more than the file holds.
pub(super) fn assemble(layout: ParameterLayout, tensors: Vec<Vec<f32>>) -> Parameters {
    let mut parameters = Parameters::zeros(layout);
    for (entry, values) in parameters.layout.entries().iter().zip(tensors) {
        parameters.values[entry.range.clone()].copy_from_slice(&values);
    }
    parameters
}

/// The bias that PyTorch omits together with the bias `name`: the other one of a layer, or the
/// head's own.
pub(super) fn omitted_together(name: &str) -> Option<String> {
    paired_bias(name).or_else(|| (name == "head.bias").then(|| name.to_owned()))
}

/// The other bias of the same layer.
pub(crate) fn paired_bias(name: &str) -> Option<String> {
    let (input, hidden) = ("rnn.bias_ih_l", "rnn.bias_hh_l");
    let other = |from, to| name.strip_prefix(from).map(|layer| format!("{to}{layer}"));
    other(input, hidden).or_else(|| other(hidden, input))
}
